//! Values as text, for checks that look at digits.

use std::collections::HashMap;

use serde_json::value::RawValue;
use serde_json::{Number, Value};
use weir_actors::ops::read_value;

use crate::worker::Worker;

/// The members of an object, each as its text.
pub(super) type Parts = HashMap<String, Box<RawValue>>;

/// Calls a function with an input that is written as text, at once; the text of its result, `None` where there is no such key.
pub(super) fn call(worker: &Worker, function: &str, input: &str) -> impl Future<Output = Option<String>> + use<> {
    let reply = worker.reply_text(&format!(r#"{{"function_id":"{function}","data":{input}}}"#));
    async {
        let reply = reply.await;
        let mut parts: Parts = serde_json::from_str(&reply).unwrap();
        assert!(!parts.contains_key("error"), "{reply}");
        parts.remove("result").map(owned)
    }
}

/// The members of the result of a call that answers an object.
pub(super) async fn parts(worker: &Worker, function: &str, input: &str) -> Parts {
    serde_json::from_str(&call(worker, function, input).await.expect("a result")).unwrap()
}

/// The elements of the result of a call that answers an array.
pub(super) async fn elements(worker: &Worker, function: &str, input: &str) -> Vec<Box<RawValue>> {
    serde_json::from_str(&call(worker, function, input).await.expect("a result")).unwrap()
}

/// The text of the data of a frame for subscribers.
pub(super) fn data(frame: &str) -> String {
    let mut frame: Parts = serde_json::from_str(frame).unwrap();
    let mut event: Parts = serde_json::from_str(&owned(frame.remove("event").unwrap())).unwrap();
    owned(event.remove("data").unwrap())
}

fn owned(raw: Box<RawValue>) -> String {
    Box::<str>::from(raw).into()
}

/// The beginning of a text that may be long.
pub(super) fn short(text: &str) -> String {
    text.chars().take(400).collect()
}

/// Whether two texts mean the same value to a peer whose numbers are doubles.
pub(super) fn same(one: &str, other: &str) -> bool {
    alike(&read_value(one).unwrap(), &read_value(other).unwrap())
}

fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => close(one, other),
        (Value::Array(one), Value::Array(other)) => one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other)),
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| alike(one, other)))
        }
        (one, other) => one == other,
    }
}

/// Not equality: `serde_json` without its feature `float_roundtrip` reads another spelling of a double as one of its neighbours.
fn close(one: &Number, other: &Number) -> bool {
    let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
    (one - other).abs() <= 4.0 * f64::EPSILON * one.abs()
}
