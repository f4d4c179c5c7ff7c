#![allow(clippy::unwrap_used)]
use super::*;

fn read(function: &str, data: &str) -> Result<Op, CallError> {
    parse(function, data.as_bytes(), &Settings::default()).unwrap()
}

#[test]
fn every_missing_key_is_named() {
    let full = [("stream_name", "\"s\""), ("group_id", "\"g\""), ("item_id", "\"i\""), ("data", "null"), ("type", "\"t\""), ("ops", "[]")];
    let needs = [
        ("stream::set", &["stream_name", "group_id", "item_id", "data"][..]),
        ("stream::get", &["stream_name", "group_id", "item_id"]),
        ("stream::delete", &["stream_name", "group_id", "item_id"]),
        ("stream::list", &["stream_name", "group_id"]),
        ("stream::list_groups", &["stream_name"]),
        ("stream::send", &["stream_name", "group_id", "type", "data"]),
        ("stream::update", &["stream_name", "group_id", "item_id", "ops"]),
    ];
    for (function, keys) in needs {
        for left_out in keys {
            let fields: Vec<_> = full.iter().filter(|(key, _)| key != left_out).map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let error = read(function, &format!("{{{}}}", fields.join(","))).unwrap_err();
            assert_eq!(error.code, "deserialization_error");
            assert!(error.message.contains(left_out) && error.message.starts_with(function), "{error}");
        }
        let fields: Vec<_> = full.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        assert!(read(function, &format!("{{{}}}", fields.join(","))).is_ok());
    }
}

#[test]
fn wrong_types_and_payloads_that_are_no_object_are_refused() {
    for data in ["null", "[]", "\"x\"", "7", "", "[\"s\",\"g\",\"i\",1]", r#"{"stream_name":1,"group_id":"g","item_id":"i","data":1}"#] {
        assert_eq!(read("stream::set", data).unwrap_err().code, "deserialization_error", "{data}");
    }
}

#[test]
fn null_data_is_data_and_list_all_takes_anything() {
    let op = read("stream::set", r#"{"stream_name":"","group_id":"","item_id":"","data":null,"_caller_worker_id":"x"}"#).unwrap();
    assert!(matches!(op, Op::Set { data, .. } if data.is_null()));
    for data in ["null", "{}", ""] {
        assert!(matches!(read("stream::list_all", data).unwrap(), Op::ListAll));
    }
}

#[test]
fn input_of_a_call_parses_to_the_same_call() {
    for (function, data) in [
        ("stream::set", r#"{"stream_name":"s\"","group_id":"","item_id":"é","data":{"a":1e400}}"#),
        ("stream::get", r#"{"stream_name":"s","group_id":"g","item_id":"i"}"#),
        ("stream::delete", r#"{"stream_name":"s","group_id":"g","item_id":"i"}"#),
        ("stream::update", r#"{"stream_name":"s","group_id":"g","item_id":"i","ops":[{"type":"remove","path":"a"}]}"#),
        ("stream::send", r#"{"stream_name":"s","group_id":"g","id":"i","type":"t","data":null}"#),
        ("stream::send", r#"{"stream_name":"s","group_id":"g","type":"t","data":[]}"#),
        ("stream::list", r#"{"stream_name":"s","group_id":"g"}"#),
        ("stream::list_groups", r#"{"stream_name":"s"}"#),
        ("stream::list_all", "{}"),
    ] {
        let op = read(function, data).unwrap();
        assert_eq!(std::str::from_utf8(op.to_input().as_bytes()).unwrap(), data);
        assert_eq!(op.function(), function);
    }
}

#[test]
fn names_and_values_over_the_limit_are_refused_with_the_limit() {
    let long = "x".repeat(513);
    let error = read("stream::get", &format!(r#"{{"stream_name":"{long}","group_id":"g","item_id":"i"}}"#)).unwrap_err();
    assert!(error.message.contains("512"), "{error}");
    let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
    let error = read("stream::set", &format!(r#"{{"stream_name":"s","group_id":"g","item_id":"i","data":{deep}}}"#)).unwrap_err();
    assert!(error.message.contains("nested"), "{error}");
}
