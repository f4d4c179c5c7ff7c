//! Messages of workers: what is read can be passed on, as a call and as a result, and arrives there as it came.

use weir_actors::error::{CallError, Output};
use weir_actors::json::{Json, depth};
use weir_actors::ops::read_value;
use weir_actors::wire::call;
use weir_actors::wire::worker::{
    Envelope, Kind, Trace, invocation_result, invoke_function, is_telemetry, parse, parse_error, register_trigger, trigger_refused,
    unregister_trigger, worker_registered,
};

/// Reads `data` as one message.
pub fn run(data: &[u8]) {
    assert_eq!(is_telemetry(data), [b"OTLP", b"MTRC", b"LOGS"].iter().any(|magic| data.starts_with(*magic)));
    let envelope = match parse(data) {
        Ok(envelope) => envelope,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    agrees(&envelope, data);
    plain(&envelope, data);
    let trace = Trace::of(&envelope);
    let (id, function) = (text(&envelope.invocation_id), text(&envelope.function_id));
    let payload = envelope.data.map_or(Json::NULL, Json::copy);
    let call = invoke_function(id, function, &payload, &trace).payload();
    let passed = parse(&call).expect("a call is a message");
    assert_eq!(Kind::of(&passed.kind), Some(Kind::InvokeFunction));
    same(&passed, id, function, &trace);
    assert_eq!(passed.data.map_or(Json::NULL, Json::copy), payload);

    let outcome = match (envelope.error, envelope.result) {
        (Some(error), _) => Err(parse_error(error)),
        (None, Some(result)) => Ok(Output::Value(Json::copy(result))),
        (None, None) => Ok(Output::Absent),
    };
    let result = invocation_result(id, function, &outcome, Some(&trace)).payload();
    let passed = parse(&result).expect("a result is a message");
    assert_eq!(Kind::of(&passed.kind), Some(Kind::InvocationResult));
    same(&passed, id, function, &trace);
    assert_eq!(passed.result.map(Json::copy), envelope.result.filter(|_| outcome.is_ok()).map(Json::copy));
    assert_eq!(passed.error.map(parse_error), outcome.err());

    bindings(&envelope);
}

fn text<'a>(field: &'a Option<std::borrow::Cow<'_, str>>) -> &'a str {
    field.as_deref().unwrap_or_default()
}

fn same(passed: &Envelope<'_>, id: &str, function: &str, trace: &Trace) {
    assert_eq!((text(&passed.invocation_id), text(&passed.function_id)), (id, function));
    assert_eq!(Trace::of(passed), *trace);
}

/// A second reader of JSON finds the same values under the same keys, where it reads the message at all.
fn agrees(envelope: &Envelope<'_>, data: &[u8]) {
    let Ok(value) = read_value(std::str::from_utf8(data).unwrap_or_default()) else { return };
    assert_eq!(value["type"], *envelope.kind);
    for (key, field) in [
        ("id", &envelope.id),
        ("invocation_id", &envelope.invocation_id),
        ("function_id", &envelope.function_id),
        ("trigger_type", &envelope.trigger_type),
        ("previous_worker_id", &envelope.previous_worker_id),
        ("namespace", &envelope.namespace),
    ] {
        assert_eq!(value[key].as_str(), field.as_deref(), "{key}");
    }
    for (key, raw) in [("data", envelope.data), ("config", envelope.config), ("metadata", envelope.metadata), ("result", envelope.result)] {
        let Some(raw) = raw else { continue };
        let json = Json::copy(raw);
        assert_eq!(json.to_value().as_ref(), Some(&value[key]), "{key}");
        assert_eq!(json.is_null(), value[key].is_null());
        assert!(depth(json.as_bytes()) <= 127, "as deep as the second reader goes");
    }
}

/// A call that is read in one pass is the same call.
fn plain(envelope: &Envelope<'_>, data: &[u8]) {
    let Some(call) = call::read(data) else { return };
    assert_eq!(Kind::of(&envelope.kind), Some(Kind::InvokeFunction));
    assert_eq!((call.invocation_id, Some(call.function_id)), (envelope.invocation_id.as_deref(), envelope.function_id.as_deref()));
    assert_eq!((call.traceparent, call.baggage), (envelope.traceparent.as_deref(), envelope.baggage.as_deref()));
    assert_eq!(call.is_void, envelope.action.as_ref().is_some_and(|action| action.kind == "void"));
    assert!(envelope.namespace.is_none());
    let Some(input) = envelope.data.map(Json::copy).and_then(|data| data.to_value()) else { return };
    for (key, name) in [("stream_name", call.input.stream_name), ("group_id", call.input.group_id), ("item_id", call.input.item_id)] {
        assert_eq!(input[key].as_str(), name, "{key}");
    }
    assert_eq!(input.get("data"), call.input.data.and_then(|data| read_value(data).ok()).as_ref());
}

/// What is told to workers of bindings, with names that a worker chose.
fn bindings(envelope: &Envelope<'_>) {
    let (id, kind, function) = (text(&envelope.id), text(&envelope.trigger_type), text(&envelope.function_id));
    let (config, metadata) = (envelope.config.map_or(Json::NULL, Json::copy), envelope.metadata.map(Json::copy));
    let told = register_trigger(id, kind, function, &config, metadata.as_ref()).payload();
    let passed = parse(&told).expect("a binding is a message");
    assert_eq!((text(&passed.id), text(&passed.trigger_type), text(&passed.function_id)), (id, kind, function));
    assert_eq!(passed.metadata.map(Json::copy), metadata);
    assert_eq!(passed.config.map_or(Json::NULL, Json::copy), config);
    let told = unregister_trigger(id, kind).payload();
    let passed = parse(&told).expect("the end of a binding is a message");
    assert_eq!((text(&passed.id), text(&passed.trigger_type)), (id, kind));
    let error = CallError::new("code", function);
    let told = trigger_refused(id, kind, function, &error).payload();
    assert_eq!(parse(&told).expect("a refusal is a message").error.map(parse_error), Some(error));
    assert!(parse(&worker_registered(id, function).payload()).is_ok());
}
