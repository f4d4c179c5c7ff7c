//! The worker socket: messages of the published `iii-sdk`, parsed and encoded (protocol.md A).

use std::borrow::Cow;

use bytes::{BufMut, Bytes};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{put_field, put_string};
use crate::error::{CallError, Outcome};
use crate::frame::{Encoded, FrameBuilder};
use crate::json::{Json, object, present, text};

/// One message of a worker, before its type is looked at: every key that any type has, borrowed from the message.
///
/// `type` may stand last (Python puts it there), so the keys are read flat and sorted out afterwards. `null` counts as absent
/// everywhere but in `data`, `result` and `config`, which are the worker's own values.
#[derive(Deserialize, Debug)]
pub struct Envelope<'a> {
    /// Which message this is.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    /// Name of what is registered or unregistered.
    #[serde(borrow, default, deserialize_with = "text")]
    pub id: Option<Cow<'a, str>>,
    /// Chosen by whoever calls, echoed in the result.
    #[serde(borrow, default, deserialize_with = "text")]
    pub invocation_id: Option<Cow<'a, str>>,
    /// The function that is called, bound or answers.
    #[serde(borrow, default, deserialize_with = "text")]
    pub function_id: Option<Cow<'a, str>>,
    /// The payload of a call.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// How a call is to be run.
    #[serde(borrow, default)]
    pub action: Option<Action<'a>>,
    /// The value that a call ended with; absent and `null` differ.
    #[serde(borrow, default, deserialize_with = "present")]
    pub result: Option<&'a RawValue>,
    /// The error that a call ended with.
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    /// W3C trace context, passed on.
    #[serde(borrow, default, deserialize_with = "text")]
    pub traceparent: Option<Cow<'a, str>>,
    /// W3C baggage, passed on.
    #[serde(borrow, default, deserialize_with = "text")]
    pub baggage: Option<Cow<'a, str>>,
    /// Opaque to us, passed on.
    #[serde(borrow, default)]
    pub metadata: Option<&'a RawValue>,
    /// The type of a trigger.
    #[serde(borrow, default, deserialize_with = "text")]
    pub trigger_type: Option<Cow<'a, str>>,
    /// The configuration of a trigger.
    #[serde(borrow, default)]
    pub config: Option<&'a RawValue>,
    /// Text for people.
    #[serde(borrow, default, deserialize_with = "text")]
    pub description: Option<Cow<'a, str>>,
    /// Shape of a function's input.
    #[serde(borrow, default)]
    pub request_format: Option<&'a RawValue>,
    /// Shape of a function's output.
    #[serde(borrow, default)]
    pub response_format: Option<&'a RawValue>,
    /// The HTTP address of a function that no worker serves.
    #[serde(borrow, default)]
    pub invocation: Option<&'a RawValue>,
    /// Who the worker was before it reconnected.
    #[serde(borrow, default, deserialize_with = "text")]
    pub previous_worker_id: Option<Cow<'a, str>>,
    /// Proof of that.
    #[serde(borrow, default, deserialize_with = "text")]
    pub reattach_token: Option<Cow<'a, str>>,
    /// Where a function is looked up; only `default` exists here.
    #[serde(borrow, default, deserialize_with = "text")]
    pub namespace: Option<Cow<'a, str>>,
}

/// How a call is to be run.
#[derive(Deserialize, Debug)]
pub struct Action<'a> {
    /// `void` or `enqueue`.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
}

/// The types a worker may send; other texts are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the word on the wire in capitals")]
pub enum Kind {
    RegisterFunction,
    UnregisterFunction,
    RegisterService,
    RegisterTriggerType,
    UnregisterTriggerType,
    RegisterTrigger,
    UnregisterTrigger,
    TriggerRegistrationResult,
    InvokeFunction,
    InvocationResult,
    Reattach,
    Ping,
    Pong,
}

impl Kind {
    /// The type named `text` on the wire.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        Some(match text {
            "invokefunction" => Self::InvokeFunction,
            "invocationresult" => Self::InvocationResult,
            "registerfunction" => Self::RegisterFunction,
            "unregisterfunction" => Self::UnregisterFunction,
            "registerservice" => Self::RegisterService,
            "registertriggertype" => Self::RegisterTriggerType,
            "unregistertriggertype" => Self::UnregisterTriggerType,
            "registertrigger" => Self::RegisterTrigger,
            "unregistertrigger" => Self::UnregisterTrigger,
            "triggerregistrationresult" => Self::TriggerRegistrationResult,
            "reattach" => Self::Reattach,
            "ping" => Self::Ping,
            "pong" => Self::Pong,
            _ => return None,
        })
    }
}

/// Parses one message.
///
/// # Errors
/// Where it is not a JSON object with a `type`, or one of the known keys has the wrong type.
pub fn parse(text: &[u8]) -> Result<Envelope<'_>, serde_json::Error> {
    object(text)
}

/// Whether a binary message is telemetry (`OTLP`, `MTRC` or `LOGS`, then JSON), which is discarded unread (protocol.md A.14).
#[must_use]
pub fn is_telemetry(message: &[u8]) -> bool {
    matches!(message.get(..4), Some(b"OTLP" | b"MTRC" | b"LOGS"))
}

/// Reads the error body of an `invocationresult`; anything that is no error object becomes its own message.
#[must_use]
pub fn parse_error(raw: &RawValue) -> CallError {
    #[derive(Deserialize)]
    struct Body {
        code: String,
        #[serde(default)]
        message: String,
        #[serde(default)]
        stacktrace: Option<String>,
    }
    match object::<Body>(raw.get().as_bytes()) {
        Ok(Body { code, message, stacktrace }) => CallError { code: code.into(), message, stacktrace, limit: None },
        Err(_) => CallError { code: "invocation_failed".into(), message: raw.get().to_owned(), stacktrace: None, limit: None },
    }
}

/// What a call carries beside its payload; passed on untouched.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trace {
    /// W3C trace context.
    pub traceparent: Option<Box<str>>,
    /// W3C baggage.
    pub baggage: Option<Box<str>>,
    /// Opaque metadata of the caller.
    pub metadata: Option<Json>,
}

impl Trace {
    /// What `envelope` carries.
    #[must_use]
    pub fn of(envelope: &Envelope<'_>) -> Self {
        Self {
            traceparent: envelope.traceparent.as_deref().map(Into::into),
            baggage: envelope.baggage.as_deref().map(Into::into),
            metadata: envelope.metadata.map(Json::copy),
        }
    }

    /// What goes back to the caller with the result; `None` where there is nothing.
    #[must_use]
    pub fn context(traceparent: Option<&str>, baggage: Option<&str>) -> Option<Box<Self>> {
        let trace = Self { traceparent: traceparent.map(Into::into), baggage: baggage.map(Into::into), metadata: None };
        trace.has_context().then(|| Box::new(trace))
    }

    /// Whether there is more than metadata.
    #[must_use]
    pub fn has_context(&self) -> bool {
        self.traceparent.is_some() || self.baggage.is_some()
    }

    fn put(&self, out: &mut Vec<u8>) {
        if let Some(text) = &self.traceparent {
            put_field(out, "traceparent", text);
        }
        if let Some(text) = &self.baggage {
            put_field(out, "baggage", text);
        }
        if let Some(json) = &self.metadata {
            out.put_slice(b"\"metadata\":");
            out.put_slice(json.as_bytes());
            out.put_u8(b',');
        }
    }
}

/// The first message on every worker socket.
#[must_use]
pub fn worker_registered(worker_id: &str, reattach_token: &str) -> Encoded {
    let mut frame = FrameBuilder::text(192);
    frame.put(b"{\"type\":\"workerregistered\",");
    put_field(frame.payload_mut(), "worker_id", worker_id);
    frame.put(b"\"reattach_token\":");
    put_string(frame.payload_mut(), reattach_token);
    frame.put(b"}");
    frame.finish()
}

/// A call for a worker.
#[must_use]
pub fn invoke_function(invocation_id: &str, function_id: &str, data: &Json, trace: &Trace) -> Encoded {
    let mut frame = FrameBuilder::text(128 + function_id.len() + data.as_bytes().len());
    frame.put(b"{\"type\":\"invokefunction\",");
    put_field(frame.payload_mut(), "invocation_id", invocation_id);
    put_field(frame.payload_mut(), "function_id", function_id);
    trace.put(frame.payload_mut());
    frame.put(b"\"data\":");
    frame.put(data.as_bytes());
    frame.put(b"}");
    frame.finish()
}

/// How a call ended, for its caller, as a message of its own.
///
/// `result` is left out where there is no value, `error` where there is none, and `stacktrace` is never `null` (protocol.md A.9).
#[must_use]
pub fn invocation_result(invocation_id: &str, function_id: &str, outcome: &Outcome, trace: Option<&Trace>) -> Encoded {
    let mut frame = FrameBuilder::text(invocation_result_size(invocation_id, function_id, outcome));
    put_invocation_result(frame.payload_mut(), invocation_id, function_id, outcome, trace);
    frame.finish()
}

/// How long [`invocation_result`] is, about, in bytes; rather too much than too little.
#[must_use]
pub fn invocation_result_size(invocation_id: &str, function_id: &str, outcome: &Outcome) -> usize {
    let body = match outcome {
        Ok(output) => output.size(),
        Err(error) => 64 + error.message.len() + error.stacktrace.as_ref().map_or(0, String::len),
    };
    80 + invocation_id.len() + function_id.len() + body
}

/// Appends what [`invocation_result`] says, without a frame.
pub fn put_invocation_result(out: &mut Vec<u8>, invocation_id: &str, function_id: &str, outcome: &Outcome, trace: Option<&Trace>) {
    out.put_slice(b"{\"type\":\"invocationresult\",");
    put_field(out, "invocation_id", invocation_id);
    if let Some(trace) = trace {
        trace.put(out);
    }
    out.put_slice(b"\"function_id\":");
    put_string(out, function_id);
    match outcome {
        Ok(output) if output.is_present() => {
            out.put_slice(b",\"result\":");
            output.put(out);
        }
        Ok(_) => {}
        Err(error) => {
            out.put_slice(b",\"error\":");
            put_error(out, error);
        }
    }
    out.put_u8(b'}');
}

fn put_error(out: &mut Vec<u8>, error: &CallError) {
    out.put_u8(b'{');
    put_field(out, "code", &error.code);
    if let Some(stack) = &error.stacktrace {
        put_field(out, "stacktrace", stack);
    }
    out.put_slice(b"\"message\":");
    put_string(out, &error.message);
    out.put_u8(b'}');
}

/// A binding for the worker that provides its trigger type.
#[must_use]
pub fn register_trigger(id: &str, trigger_type: &str, function_id: &str, config: &Json, metadata: Option<&Json>) -> Encoded {
    let mut frame = FrameBuilder::text(192 + config.as_bytes().len());
    frame.put(b"{\"type\":\"registertrigger\",");
    put_field(frame.payload_mut(), "id", id);
    put_field(frame.payload_mut(), "trigger_type", trigger_type);
    put_field(frame.payload_mut(), "function_id", function_id);
    if let Some(metadata) = metadata {
        frame.put(b"\"metadata\":");
        frame.put(metadata.as_bytes());
        frame.put(b",");
    }
    frame.put(b"\"config\":");
    frame.put(config.as_bytes());
    frame.put(b"}");
    frame.finish()
}

/// The end of a binding, for the worker that provides its trigger type.
#[must_use]
pub fn unregister_trigger(id: &str, trigger_type: &str) -> Encoded {
    let mut frame = FrameBuilder::text(128);
    frame.put(b"{\"type\":\"unregistertrigger\",");
    put_field(frame.payload_mut(), "id", id);
    frame.put(b"\"trigger_type\":");
    put_string(frame.payload_mut(), trigger_type);
    frame.put(b"}");
    frame.finish()
}

/// A trigger was not registered, for the worker that asked. Success is never told.
#[must_use]
pub fn trigger_refused(id: &str, trigger_type: &str, function_id: &str, error: &CallError) -> Encoded {
    let mut frame = FrameBuilder::text(256);
    frame.put(b"{\"type\":\"triggerregistrationresult\",");
    put_field(frame.payload_mut(), "id", id);
    put_field(frame.payload_mut(), "trigger_type", trigger_type);
    put_field(frame.payload_mut(), "function_id", function_id);
    frame.put(b"\"error\":");
    put_error(frame.payload_mut(), error);
    frame.put(b"}");
    frame.finish()
}

/// The answer to a `ping` message.
#[must_use]
pub fn pong() -> Bytes {
    crate::frame::encode_text(b"{\"type\":\"pong\"}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::error::Output;
    use serde_json::{Value, json};

    fn payload(frame: &Encoded) -> Value {
        serde_json::from_slice(&frame.payload()).unwrap()
    }

    #[test]
    fn envelope_with_its_type_last_and_spaces_is_read() {
        let envelope = parse(br#"{"id": "f", "metadata": null, "extra": [1], "type": "registerfunction"}"#).unwrap();
        assert_eq!(Kind::of(&envelope.kind), Some(Kind::RegisterFunction));
        assert_eq!(envelope.id.as_deref(), Some("f"));
        assert!(envelope.metadata.is_none());
    }

    #[test]
    fn result_null_differs_from_no_result() {
        let with = parse(br#"{"type":"invocationresult","result":null}"#).unwrap();
        assert_eq!(with.result.map(RawValue::get), Some("null"));
        assert!(parse(br#"{"type":"invocationresult","error":null}"#).unwrap().result.is_none());
    }

    #[test]
    fn results_never_carry_null_errors_or_stacks() {
        let absent = payload(&invocation_result("1", "f", &Ok(Output::Absent), None));
        assert_eq!(absent, json!({"type": "invocationresult", "invocation_id": "1", "function_id": "f"}));
        let null = payload(&invocation_result("1", "f", &Ok(Output::Value(Json::NULL)), None));
        assert_eq!(null, json!({"type": "invocationresult", "invocation_id": "1", "function_id": "f", "result": null}));
        let error = payload(&invocation_result("1", "f\"", &Err(CallError::new("c", "m\n")), None));
        assert_eq!(error["error"], json!({"code": "c", "message": "m\n"}));
    }

    #[test]
    fn calls_carry_the_trace_of_the_caller() {
        let trace = Trace { traceparent: Some("00-a".into()), baggage: None, metadata: Some(Json::assembled("{\"a\":1}")) };
        let call = payload(&invoke_function("1", "f", &Json::NULL, &trace));
        assert_eq!(
            call,
            json!({"type": "invokefunction", "invocation_id": "1", "function_id": "f", "data": null,
                   "traceparent": "00-a", "metadata": {"a": 1}})
        );
    }

    #[test]
    fn error_that_is_no_object_becomes_its_message() {
        let raw = serde_json::value::to_raw_value("boom").unwrap();
        assert_eq!(parse_error(&raw).message, "\"boom\"");
        let raw = serde_json::value::to_raw_value(&json!({"code": "x", "message": "y", "stacktrace": null})).unwrap();
        assert_eq!(parse_error(&raw), CallError { code: "x".into(), message: "y".into(), stacktrace: None, limit: None });
    }
}
