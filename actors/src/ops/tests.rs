#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::needless_pass_by_value, reason = "tables read better without borrows")]

mod properties;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{OpsParseError, UpdateOp, apply, parse, read_value};

pub(super) fn read(ops: &str) -> Result<Vec<UpdateOp>, OpsParseError> {
    parse(&serde_json::from_str::<Box<RawValue>>(ops)?)
}

/// Applies `ops` and gives the value with the codes of the operations that failed.
pub(super) fn run(current: Option<Value>, ops: &Value) -> (Value, Vec<&'static str>) {
    let updated = apply(current, &read(&ops.to_string()).unwrap());
    let codes = updated.errors.iter().map(|error| error.code).collect();
    (updated.value, codes)
}

/// `levels` arrays inside each other.
pub(super) fn nested(levels: usize) -> Value {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

/// What one operation comes to: a new value, or a code and the value as it was.
enum Want {
    Value(Value),
    Code(&'static str),
}

fn is(value: Value) -> Want {
    Want::Value(value)
}

fn fails(code: &'static str) -> Want {
    Want::Code(code)
}

fn check(current: Option<Value>, op: &Value, want: &Want) {
    let unchanged = current.clone().unwrap_or_else(|| json!({}));
    let want = match want {
        Want::Value(value) => (value.clone(), vec![]),
        Want::Code(code) => (unchanged, vec![*code]),
    };
    assert_eq!(run(current.clone(), &json!([op])), want, "{op} on {current:?}");
}

/// One operation on an item that is missing, null, a number, a string, an array, an object.
fn on_kinds(op: &Value, want: [Want; 6]) {
    let kinds = [None, Some(json!(null)), Some(json!(5)), Some(json!("s")), Some(json!([1])), Some(object())];
    for (current, want) in kinds.into_iter().zip(want) {
        check(current, op, &want);
    }
}

/// One operation that names a key, on an item that is missing, neither missing nor an object, an object.
fn on_items(op: &Value, missing: Want, others: Want, an_object: Want) {
    check(None, op, &missing);
    for current in [json!(null), json!(5), json!("s"), json!([1])] {
        check(Some(current), op, &others);
    }
    check(Some(object()), op, &an_object);
}

/// One operation on each of these keys of [`object`], and what becomes of the key.
fn on_keys(op: &Value, wants: &[(&str, Want)]) {
    for (key, want) in wants {
        let mut op = op.clone();
        op["path"] = json!(key);
        match want {
            Want::Value(value) => check(Some(object()), &op, &is(with(key, value.clone()))),
            Want::Code(_) => check(Some(object()), &op, want),
        }
    }
}

fn object() -> Value {
    json!({"n": 5, "f": 0.5, "s": "ab", "z": null, "a": [1], "o": {"x": 1}})
}

/// [`object`] with `key` holding `value`.
fn with(key: &str, value: Value) -> Value {
    let mut object = object();
    object[key] = value;
    object
}

// The table of B.5: operation by depth of path by kind of current value.

#[test]
fn set_at_root_replaces_any_value() {
    for value in [json!([2]), json!(null)] {
        let op = json!({"type": "set", "path": "", "value": value});
        on_kinds(&op, [(); 6].map(|()| is(value.clone())));
    }
}

#[test]
fn set_at_key_inserts_into_objects_only() {
    on_items(
        &json!({"type": "set", "path": "s", "value": {"y": 1}}),
        is(json!({"s": {"y": 1}})),
        fails("set.target_not_object"),
        is(with("s", json!({"y": 1}))),
    );
}

#[test]
fn set_without_value_stores_null() {
    check(None, &json!({"type": "set", "path": "k"}), &is(json!({"k": null})));
}

#[test]
fn merge_at_root_joins_objects_and_ignores_others() {
    let mut merged = with("n", json!(6));
    merged["o"] = json!({"y": 2});
    on_kinds(
        &json!({"type": "merge", "value": {"n": 6, "o": {"y": 2}}}),
        [is(json!({"n": 6, "o": {"y": 2}})), is(json!(null)), is(json!(5)), is(json!("s")), is(json!([1])), is(merged)],
    );
}

#[test]
fn merge_at_key_replaces_what_is_no_object() {
    on_items(
        &json!({"type": "merge", "path": "o", "value": {"y": 2}}),
        is(json!({"o": {"y": 2}})),
        is(json!({"o": {"y": 2}})),
        is(with("o", json!({"x": 1, "y": 2}))),
    );
    let wants = ["n", "s", "z", "a", "new"].map(|key| (key, is(json!({"y": 2}))));
    on_keys(&json!({"type": "merge", "value": {"y": 2}}), &wants);
}

#[test]
fn merge_at_several_segments_walks_and_creates() {
    on_items(
        &json!({"type": "merge", "path": ["o", "p"], "value": {"y": 2}}),
        is(json!({"o": {"p": {"y": 2}}})),
        is(json!({"o": {"p": {"y": 2}}})),
        is(with("o", json!({"x": 1, "p": {"y": 2}}))),
    );
    on_items(
        &json!({"type": "merge", "path": ["n", "p", "q"], "value": {"y": 2}}),
        is(json!({"n": {"p": {"q": {"y": 2}}}})),
        is(json!({"n": {"p": {"q": {"y": 2}}}})),
        is(with("n", json!({"p": {"q": {"y": 2}}}))),
    );
}

#[test]
fn increment_at_root_adds_to_numbers_or_nothing() {
    let not = || fails("increment.not_number");
    let op = json!({"type": "increment", "by": 3});
    on_kinds(&op, [is(json!(3)), not(), is(json!(8)), not(), not(), not()]);
}

#[test]
fn increment_at_key_needs_an_object_and_a_number() {
    on_items(
        &json!({"type": "increment", "path": "n", "by": 3}),
        is(json!({"n": 3})),
        fails("increment.target_not_object"),
        is(with("n", json!(8))),
    );
    let not = || fails("increment.not_number");
    on_keys(
        &json!({"type": "increment", "by": 3}),
        &[("new", is(json!(3))), ("f", is(json!(3.5))), ("s", not()), ("z", not()), ("a", not()), ("o", not())],
    );
}

#[test]
fn decrement_at_root_subtracts_from_numbers_or_nothing() {
    let not = || fails("decrement.not_number");
    let op = json!({"type": "decrement", "by": 3});
    on_kinds(&op, [is(json!(-3)), not(), is(json!(2)), not(), not(), not()]);
}

#[test]
fn decrement_at_key_needs_an_object_and_a_number() {
    on_items(
        &json!({"type": "decrement", "path": "n", "by": 3}),
        is(json!({"n": -3})),
        fails("decrement.target_not_object"),
        is(with("n", json!(2))),
    );
    let not = || fails("decrement.not_number");
    on_keys(
        &json!({"type": "decrement", "by": 3}),
        &[("new", is(json!(-3))), ("f", is(json!(-2.5))), ("s", not()), ("z", not()), ("a", not()), ("o", not())],
    );
}

#[test]
fn append_at_root_follows_the_types_of_both() {
    let not = || fails("append.type_mismatch");
    on_kinds(
        &json!({"type": "append", "value": "x"}),
        [is(json!("x")), is(json!("x")), not(), is(json!("sx")), is(json!([1, "x"])), not()],
    );
    on_kinds(&json!({"type": "append", "value": [2]}), [is(json!([[2]])), is(json!([[2]])), not(), not(), is(json!([1, [2]])), not()]);
}

#[test]
fn append_at_key_follows_the_types_of_both() {
    for path in [json!("s"), json!(["s"])] {
        on_items(
            &json!({"type": "append", "path": path, "value": "c"}),
            is(json!({"s": "c"})),
            fails("append.target_not_object"),
            is(with("s", json!("abc"))),
        );
    }
    let not = || fails("append.type_mismatch");
    on_keys(
        &json!({"type": "append", "value": "c"}),
        &[("new", is(json!("c"))), ("z", is(json!("c"))), ("a", is(json!([1, "c"]))), ("n", not()), ("o", not())],
    );
    on_keys(
        &json!({"type": "append", "value": 7}),
        &[("new", is(json!([7]))), ("z", is(json!([7]))), ("a", is(json!([1, 7]))), ("s", not())],
    );
}

#[test]
fn append_at_several_segments_creates_parents_and_an_array() {
    let append = |path: Value| json!({"type": "append", "path": path, "value": "c"});
    on_items(
        &append(json!(["o", "log"])),
        is(json!({"o": {"log": ["c"]}})),
        fails("append.target_not_object"),
        is(with("o", json!({"x": 1, "log": ["c"]}))),
    );
    let replaced = with("n", json!({"p": {"q": ["c"]}}));
    check(Some(object()), &append(json!(["n", "p", "q"])), &is(replaced));
    check(Some(object()), &append(json!(["o", "x"])), &fails("append.type_mismatch"));
    let leaves = [(json!("ab"), json!("abc")), (json!([1]), json!([1, "c"])), (json!(null), json!("c"))];
    for (leaf, want) in leaves {
        let want = is(json!({"o": {"leaf": want}}));
        check(Some(json!({"o": {"leaf": leaf}})), &append(json!(["o", "leaf"])), &want);
    }
}

#[test]
fn remove_at_root_leaves_null() {
    on_kinds(&json!({"type": "remove"}), [(); 6].map(|()| is(json!(null))));
}

#[test]
fn remove_at_key_ignores_a_missing_key() {
    let mut removed = object();
    removed.as_object_mut().unwrap().shift_remove("n");
    let fails = || fails("remove.target_not_object");
    on_items(&json!({"type": "remove", "path": "n"}), is(json!({})), fails(), is(removed));
    on_items(&json!({"type": "remove", "path": "no"}), is(json!({})), fails(), is(object()));
}

// Calls of several operations.

#[test]
fn item_missing_with_no_operations_becomes_an_empty_object() {
    assert_eq!(run(None, &json!([])), (json!({}), vec![]));
    assert_eq!(run(Some(json!(null)), &json!([])), (json!(null), vec![]));
}

#[test]
fn item_missing_lasts_until_the_first_success() {
    let fails = json!({"type": "set", "path": "constructor", "value": 1});
    let works = json!({"type": "remove", "path": "nothing"});
    let add = json!({"type": "increment", "by": 2});
    let (value, codes) = run(None, &json!([fails, add]));
    assert_eq!((value, codes), (json!(2), vec!["set.path.proto_polluted"]));
    assert_eq!(run(None, &json!([works, add])), (json!({}), vec!["increment.not_number"]));
    assert_eq!(run(None, &json!([add, add])), (json!(4), vec![]));
}

#[test]
fn failed_operations_are_skipped_and_reported_by_position() {
    let ops = json!([
        {"type": "increment", "path": "views", "by": 1},
        {"type": "increment", "path": "name", "by": 1},
        {"type": "set", "path": "held", "value": true},
        {"type": "append", "path": "views", "value": 1},
    ]);
    let updated = apply(Some(json!({"name": "9C"})), &read(&ops.to_string()).unwrap());
    assert_eq!(updated.value, json!({"name": "9C", "views": 1, "held": true}));
    let errors = serde_json::to_value(&updated.errors).unwrap();
    let want = json!([
        {"op_index": 1, "code": "increment.not_number",
         "message": r#""name" is a string, not a number"#},
        {"op_index": 3, "code": "append.type_mismatch",
         "message": r#""views" is a number, which cannot take a number"#},
    ]);
    assert_eq!(errors, want);
}

#[test]
fn keys_keep_the_order_of_the_writer() {
    let ops = json!([{"type": "remove", "path": "b"}, {"type": "set", "path": "a", "value": 2},
        {"type": "merge", "value": {"y": 3, "z": 4}}]);
    let (value, _) = run(Some(json!({"a": 1, "b": 1, "z": 1, "c": 1})), &ops);
    assert_eq!(value.to_string(), r#"{"a":2,"z":4,"c":1,"y":3}"#);
}

#[test]
fn append_of_many_tokens_grows_the_text_in_place() {
    let ops = read(r#"[{"type":"append","path":"text","value":"token "}]"#).unwrap();
    let (mut item, mut moved, mut capacity) = (json!({"text": ""}), 0, 0);
    for _ in 0..10_000 {
        item = apply(Some(item), &ops).value;
        let Value::String(text) = &item["text"] else { unreachable!("append keeps a string") };
        moved += usize::from(text.capacity() != capacity);
        capacity = text.capacity();
    }
    assert!(item["text"].as_str().unwrap().len() == 60_000 && moved < 32, "moved {moved} times");
}

// Numbers.

#[test]
fn numbers_stay_exact_over_64_bits_and_overflow_is_reported() {
    let add = |current: &str, kind: &str, by: &str| {
        let ops = format!(r#"[{{"type":"{kind}","by":{by}}}]"#);
        let updated = apply(Some(read_value(current).unwrap()), &read(&ops).unwrap());
        updated.errors.first().map_or(updated.value.to_string(), |error| error.code.to_owned())
    };
    for (current, kind, by, want) in [
        ("9007199254740993", "increment", "2", "9007199254740995"),
        ("9223372036854775807", "increment", "1", "9223372036854775808"),
        ("18446744073709551614", "increment", "1", "18446744073709551615"),
        ("18446744073709551615", "increment", "1", "increment.not_number"),
        ("18446744073709551615", "decrement", "18446744073709551615", "0"),
        ("18446744073709551615", "increment", "-9223372036854775808", "9223372036854775807"),
        ("-9223372036854775807", "decrement", "1", "-9223372036854775808"),
        ("-9223372036854775808", "decrement", "1", "decrement.not_number"),
        ("0", "decrement", "18446744073709551615", "decrement.not_number"),
        ("0", "decrement", "-9223372036854775808", "9223372036854775808"),
        ("5", "increment", "2.0", "7"),
        ("5", "increment", "-0.0", "5"),
        ("5", "increment", "1e18", "1000000000000000005"),
        ("-1", "increment", "9223372036854775808.0", "9223372036854775807"),
        ("5", "increment", "2.5", "7.5"),
        ("5", "decrement", "2.5", "2.5"),
        ("0.5", "increment", "2", "2.5"),
        ("5", "increment", "1e300", "1e+300"),
        ("1e308", "increment", "1e308", "increment.not_number"),
        ("-1e308", "decrement", "1e308", "decrement.not_number"),
    ] {
        assert_eq!(add(current, kind, by), want, "{current} {kind} {by}");
    }
}
