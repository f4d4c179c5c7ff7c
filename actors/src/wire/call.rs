//! A call of a stream function in the form that nearly all of them have, read in one pass.

use std::str;

use crate::json::MAX_DEPTH;
use crate::json::scan::Scan;

/// A call, borrowed from its message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Call<'a> {
    /// Chosen by whoever calls; `None` where no answer is wanted.
    pub invocation_id: Option<&'a str>,
    /// The function.
    pub function_id: &'a str,
    /// W3C trace context.
    pub traceparent: Option<&'a str>,
    /// W3C baggage.
    pub baggage: Option<&'a str>,
    /// Whether the caller wants no answer whatever its name for the call.
    pub is_void: bool,
    /// What the function is called with.
    pub input: Input<'a>,
}

/// The members of a call's payload that name an item, and its value.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Input<'a> {
    /// The stream.
    pub stream_name: Option<&'a str>,
    /// The group.
    pub group_id: Option<&'a str>,
    /// The item.
    pub item_id: Option<&'a str>,
    /// The value as it came, checked and nested at most [`MAX_DEPTH`] levels deep.
    pub data: Option<&'a str>,
}

/// Reads a message as a call. `None` where it is none, or one in another form; see [`parse`](super::worker::parse), which reads all.
#[must_use]
pub fn read(message: &[u8]) -> Option<Call<'_>> {
    let mut scan = Scan::new(str::from_utf8(message).ok()?);
    let mut call = Call::default();
    let (mut kind, mut function_id, mut action, mut has_input) = (None, None, None, false);
    scan.object(|scan, key| match key {
        "type" => once(&mut kind, scan.plain_or_null()?),
        "invocation_id" => once(&mut call.invocation_id, scan.plain_or_null()?),
        "function_id" => once(&mut function_id, scan.plain_or_null()?),
        "traceparent" => once(&mut call.traceparent, scan.plain_or_null()?),
        "baggage" => once(&mut call.baggage, scan.plain_or_null()?),
        "action" => once(&mut action, Some(scan.value(MAX_DEPTH)?)),
        "data" if !std::mem::replace(&mut has_input, true) => input(scan, &mut call.input),
        // Passed on to workers only.
        "metadata" => scan.value(MAX_DEPTH).map(drop),
        // With keys of other messages, known ones twice, and a choice of namespace it is rare.
        _ => None,
    })?;
    scan.end()?;
    call.function_id = function_id?;
    call.is_void = match action {
        None | Some("null") => false,
        Some(r#"{"type":"void"}"#) => true,
        Some(_) => return None,
    };
    (kind == Some("invokefunction")).then_some(call)
}

fn input<'a>(scan: &mut Scan<'a>, input: &mut Input<'a>) -> Option<()> {
    scan.object(|scan, key| match key {
        "stream_name" => once(&mut input.stream_name, scan.plain_or_null()?),
        "group_id" => once(&mut input.group_id, scan.plain_or_null()?),
        "item_id" => once(&mut input.item_id, scan.plain_or_null()?),
        "data" => once(&mut input.data, Some(scan.value(MAX_DEPTH)?)),
        // Those of other functions, which must have the right type even so.
        "ops" | "type" | "id" => None,
        _ => scan.value(MAX_DEPTH).map(drop),
    })
}

/// Notes a member; `null` counts as absent. `None` where it is there for the second time, which is an error.
fn once<'a>(place: &mut Option<&'a str>, found: Option<&'a str>) -> Option<()> {
    if place.is_some() {
        return None;
    }
    *place = found;
    Some(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::value::RawValue;

    use super::*;
    use crate::wire::worker::{Kind, parse};

    #[test]
    fn call_is_read_as_by_the_other_way_whatever_the_order_of_its_keys() {
        for text in [
            r#"{"type":"invokefunction","invocation_id":"1","function_id":"stream::set","data":{"stream_name":"s","group_id":"g","item_id":"é","data":{"a":[1]}}}"#,
            r#"{"type":"invokefunction","invocation_id":null,"function_id":"f","action":null,"traceparent":null,"metadata":{},"data":{"group_id":null}}"#,
            r#" { "data" : {"data":null,"item_id":"","group_id":"g","stream_name":"s","_caller_worker_id":"x"} , "traceparent":"00-a", "function_id":"f","type":"invokefunction"} "#,
            r#"{"type":"invokefunction","function_id":"stream::get","action":{"type":"void"},"baggage":"b","data":{}}"#,
        ] {
            let (call, envelope) = (read(text.as_bytes()).unwrap(), parse(text.as_bytes()).unwrap());
            assert_eq!(Kind::of(&envelope.kind), Some(Kind::InvokeFunction));
            assert_eq!((call.invocation_id, Some(call.function_id)), (envelope.invocation_id.as_deref(), envelope.function_id.as_deref()));
            assert_eq!((call.traceparent, call.baggage), (envelope.traceparent.as_deref(), envelope.baggage.as_deref()));
            assert_eq!(call.is_void, envelope.action.is_some_and(|action| action.kind == "void"));
            let input: std::collections::HashMap<&str, &RawValue> = serde_json::from_str(envelope.data.unwrap().get()).unwrap();
            assert_eq!(call.input.data, input.get("data").map(|raw| raw.get()));
            let quoted = |name: Option<&str>| name.map(|name| format!("\"{name}\""));
            assert_eq!(quoted(call.input.item_id).as_deref(), input.get("item_id").map(|raw| raw.get()));
            assert_eq!(call.input.group_id.is_some(), input.get("group_id").is_some_and(|raw| raw.get() != "null"));
        }
    }

    #[test]
    fn what_is_rare_or_wrong_is_left_to_the_other_way() {
        for text in [
            "",
            "[]",
            r#"{"type":"ping"}"#,
            r#"{"type":"invokefunction","data":{}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{}} x"#,
            r#"{"type":"invokefunction","function_id":"f","function_id":"g","data":{}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{},"data":{}}"#,
            r#"{"type":"invokefunction","function_id":"f","namespace":"other","data":{}}"#,
            r#"{"type":"invokefunction","function_id":"f","action":{"type":"enqueue"},"data":{}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{"stream_name":"\n"}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{"stream_name":"a","stream_name":"b"}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":{"type":7}}"#,
            r#"{"type":"invokefunction","function_id":"f","data":[]}"#,
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
