#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::super::tests::{nested, read, run};
use super::{MAX_OPS, read_value};
use crate::ops::apply;

/// The code a single operation fails with on a missing item, if it does.
fn code_of(op: &Value) -> Option<&'static str> {
    run(None, &json!([op])).1.first().copied()
}

fn refused(ops: &str) -> String {
    read(ops).expect_err(ops).to_string()
}

// Limits: the last value that passes, the first that does not.

#[test]
fn path_depth_over_the_limit_is_too_deep() {
    let path = |segments: usize| vec!["k"; segments];
    for (op, max) in [("merge", 32), ("append", 32), ("set", 1), ("increment", 1), ("decrement", 1), ("remove", 1)] {
        let op = |n| json!({"type": op, "path": path(n), "value": {}, "by": 1});
        assert_eq!(code_of(&op(max)), None);
        let code = code_of(&op(max + 1)).unwrap();
        assert!(code.ends_with(".path.too_deep") && op(0)["type"] == code.split('.').next().unwrap());
    }
}

#[test]
fn path_segments_at_fault_have_a_code_per_operation() {
    let long = "é".repeat(128);
    for kind in ["set", "merge", "increment", "decrement", "append", "remove"] {
        let code = |path: Value| code_of(&json!({"type": kind, "path": path, "value": {}, "by": 1}));
        let want = |reason: &str| format!("{kind}.path.{reason}");
        assert_eq!(code(json!(long)), None);
        assert_eq!(code(json!(format!("{long}x"))).unwrap(), want("segment_too_long"));
        assert_eq!(code(json!([format!("{long}x")])).unwrap(), want("segment_too_long"));
        assert_eq!(code(json!([""])).unwrap(), want("empty_segment"));
        for name in ["__proto__", "constructor", "prototype"] {
            assert_eq!(code(json!(name)).unwrap(), want("proto_polluted"));
            assert_eq!(code(json!([name])).unwrap(), want("proto_polluted"));
        }
        assert_eq!(code(json!("Constructor")), None);
    }
    let inner = json!({"type": "append", "path": ["a", "", "b"], "value": 1});
    assert_eq!(code_of(&inner), Some("append.path.empty_segment"));
}

#[test]
fn merge_value_over_its_limits_is_rejected() {
    let code = |value: Value| code_of(&json!({"type": "merge", "value": value}));
    for value in [json!(null), json!(1), json!("s"), json!([1])] {
        assert_eq!(code(value), Some("merge.value.not_an_object"));
    }
    let keys = |n: usize| (0..n).map(|i| (format!("k{i}"), json!(i))).collect::<Value>();
    assert_eq!(code(keys(1024)), None);
    assert_eq!(code(keys(1025)), Some("merge.value.too_many_keys"));
    assert_eq!(code(json!({"k": nested(15)})), None);
    assert_eq!(code(json!({"k": nested(16)})), Some("merge.value.too_deep"));
    for name in ["__proto__", "constructor", "prototype"] {
        assert_eq!(code(json!({name: 1})), Some("merge.value.proto_polluted"));
        assert_eq!(code(json!({"k": {name: 1}})), None);
    }
}

#[test]
fn path_is_checked_before_value() {
    let op = json!({"type": "merge", "path": ["__proto__"], "value": 1});
    assert_eq!(code_of(&op), Some("merge.path.proto_polluted"));
    let op = json!({"type": "append", "path": vec!["k"; 33], "value": nested(120)});
    assert_eq!(code_of(&op), Some("append.path.too_deep"));
}

#[test]
fn append_past_the_deepest_item_is_refused() {
    let op = |levels| json!([{"type": "append", "path": vec!["k"; 32], "value": nested(levels)}]);
    let (value, codes) = run(None, &op(87));
    assert!(codes.is_empty());
    assert_eq!(read_value(&value.to_string()).unwrap(), value);
    assert!(refused(&op(88).to_string()).starts_with("ops[0].value: expected at most"));
}

// The wire: shapes of B.3, and what fails the whole call.

#[test]
fn path_shapes_of_every_sdk_are_accepted() {
    let current = || Some(json!({"a.b": 1, "": 1}));
    for path in [json!("a.b"), json!(["a.b"]), json!({"0": "a.b"})] {
        let ops = json!([{"path": path, "by": 1, "extra": 0, "type": "increment"}]);
        assert_eq!(run(current(), &ops), (json!({"a.b": 2, "": 1}), vec![]), "{path}");
    }
    for path in [json!(""), json!(null), json!([]), json!({"0": ""})] {
        let ops = json!([{"type": "set", "path": path, "value": 7}]);
        assert_eq!(run(current(), &ops), (json!(7), vec![]), "{path}");
    }
    assert_eq!(run(current(), &json!([{"type": "set", "value": 7}])), (json!(7), vec![]));
}

#[test]
fn malformed_operations_fail_the_whole_call() {
    for (ops, want) in [
        ("{}", "ops: expected an array"),
        ("null", "ops: expected an array"),
        ("[", "ops cannot be read: EOF"),
        (r#"[{"type":"remove"},3]"#, "ops[1]: expected an object"),
        ("[{}]", "ops[0].type: expected one of set, merge"),
        (r#"[{"type":"push","value":1}]"#, "ops[0].type: expected one of"),
        (r#"[{"type":7}]"#, "ops[0].type: expected one of"),
        (r#"[{"type":"increment"}]"#, "ops[0].by: expected a number"),
        (r#"[{"type":"decrement","by":"1"}]"#, "ops[0].by: expected a number"),
        (r#"[{"type":"increment","by":null}]"#, "ops[0].by: expected a number"),
        (r#"[{"type":"increment","by":1e999}]"#, "ops cannot be read: number out of range"),
        (r#"[{"type":"merge"}]"#, "ops[0].value: expected a value"),
        (r#"[{"type":"append"}]"#, "ops[0].value: expected a value"),
        (r#"[{"type":"set","path":7}]"#, "ops[0].path: expected a string"),
        (r#"[{"type":"remove","path":["a",7]}]"#, "ops[0].path: expected a string"),
        (r#"[{"type":"remove","path":{"1":"a"}}]"#, "ops[0].path: expected a string"),
        (r#"[{"type":"remove","path":{"0":"a","1":"b"}}]"#, "ops[0].path: expected a string"),
        (r#"[{"type":"remove","path":{"0":["a"]}}]"#, "ops[0].path: expected a string"),
    ] {
        let message = refused(ops);
        assert!(message.starts_with(want), "{ops}: {message}");
    }
}

#[test]
fn operations_over_the_limit_fail_the_whole_call() {
    let ops = |n| serde_json::to_string(&vec![json!({"type": "remove"}); n]).unwrap();
    assert_eq!(read(&ops(MAX_OPS)).unwrap().len(), MAX_OPS);
    assert!(refused(&ops(MAX_OPS + 1)).starts_with("ops: 1001 operations"));
    assert_eq!(read(&ops(MAX_OPS + 1)).unwrap_err().code(), "deserialization_error");
}

#[test]
fn value_nested_without_end_is_an_error_not_an_overflow() {
    let brackets = "[".repeat(1_000_000) + &"]".repeat(1_000_000);
    assert!(refused(&brackets).contains("recursion limit"));
}

#[test]
fn private_key_of_serde_json_is_a_key_like_any_other() {
    let value = r#"{"$serde_json::private::RawValue":"[1]"}"#;
    assert_eq!(read_value(value).unwrap().to_string(), value);
    let ops = read(&format!(r#"[{{"type":"set","value":{value}}}]"#)).unwrap();
    assert_eq!(apply(None, &ops).value.to_string(), value);
}
