use proptest::prelude::*;
use serde_json::{Value, json};

use super::read;
use crate::ops::{apply, read_value};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c]{0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_key(), inner), 0..4).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}

fn any_key() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[a-c]", 1 => Just(String::new()), 1 => Just("__proto__".to_owned())]
}

fn any_op() -> impl Strategy<Value = Value> {
    let kind = prop::sample::select(vec!["set", "merge", "increment", "decrement", "append", "remove"]);
    let path = prop_oneof![any_key().prop_map(Value::from), prop::collection::vec(any_key(), 0..4).prop_map(Value::from),];
    let by = prop_oneof![any::<i64>().prop_map(Value::from), (-1e300..1e300).prop_map(Value::from)];
    (kind, path, any_json(), by).prop_map(|(kind, path, value, by)| json!({"type": kind, "path": path, "value": value, "by": by}))
}

proptest! {
    #[test]
    fn apply_on_anything_skips_exactly_the_failed_operations(
        current in prop::option::of(any_json()),
        ops in prop::collection::vec(any_op(), 0..8),
    ) {
        let ops = read(&Value::from(ops).to_string()).unwrap();
        let updated = apply(current.clone(), &ops);
        let failed: Vec<_> = updated.errors.iter().map(|error| error.op_index).collect();
        prop_assert!(failed.is_sorted());
        let kept: Vec<_> = (0..ops.len())
            .filter(|i| !failed.contains(i))
            .map(|i| ops[i].clone())
            .collect();
        let again = apply(current.clone(), &kept);
        prop_assert_eq!(&again.value, &updated.value);
        prop_assert!(again.errors.is_empty());
        if kept.is_empty() {
            prop_assert_eq!(updated.value, current.unwrap_or_else(|| json!({})));
        }
    }

    #[test]
    fn parse_of_anything_is_an_answer(ops in prop::collection::vec(any_json(), 0..4), text in ".{0,64}") {
        let _ = read(&Value::from(ops).to_string());
        let _ = read(&text);
    }

    #[test]
    fn parse_of_any_keys_then_apply_is_an_answer(
        kind in prop::sample::select(vec!["set", "merge", "increment", "decrement", "append", "remove"]),
        path in any_json(),
        value in any_json(),
        by in any_json(),
        current in prop::option::of(any_json()),
    ) {
        let ops = json!([{"type": kind, "path": path, "value": value, "by": by}]).to_string();
        if let Ok(ops) = read(&ops) {
            let _ = apply(current, &ops);
        }
    }

    #[test]
    fn read_value_agrees_with_serde_json(value in any_json()) {
        let text = value.to_string();
        let ours = read_value(&text).unwrap();
        prop_assert_eq!(ours, serde_json::from_str::<Value>(&text).unwrap());
    }
}
