//! Update operations: read and applied to a value, both of which are fuzzed. The value is the first line, and nothing where that is empty.

use serde_json::Value;
use serde_json::value::RawValue;
use weir_actors::json::{MAX_DEPTH, depth};
use weir_actors::ops::{MAX_OPS, apply, parse, read_value};

/// What one operation may add to a value beyond its own text: it is less than 32 objects around a key.
const OP_BYTES: usize = 256;

/// Reads the operations of `data` and applies them.
pub fn run(data: &[u8]) {
    let Ok(data) = std::str::from_utf8(data) else { return };
    let Some((current, text)) = data.split_once('\n') else { return };
    let current = match (current, read_value(current)) {
        ("", _) => None,
        // Deeper than anything that was ever stored.
        (text, Ok(value)) if depth(text.as_bytes()) <= MAX_DEPTH => Some(value),
        _ => return,
    };
    let Ok(raw) = serde_json::from_str::<&RawValue>(text) else { return };
    let ops = match parse(raw) {
        Ok(ops) => ops,
        Err(error) => {
            assert_eq!(error.code(), "deserialization_error");
            return assert!(!error.to_string().is_empty());
        }
    };
    let written = read_value(raw.get()).expect("was read by `parse`").to_string();
    assert!(ops.len() <= MAX_OPS);
    let updated = apply(current.clone(), &ops);

    let stored = updated.value.to_string();
    assert!(depth(stored.as_bytes()) <= MAX_DEPTH, "{} levels", depth(stored.as_bytes()));
    assert_eq!(read_value(&stored).ok().as_ref(), Some(&updated.value), "stored and read");
    let most = length(current.as_ref()) + written.len() + OP_BYTES * ops.len();
    assert!(stored.len() <= most, "{} bytes of {most}", stored.len());

    // An operation that failed has done nothing, and the others have done what they do without it.
    let failed: Vec<usize> = updated.errors.iter().map(|error| error.op_index).collect();
    assert!(failed.is_sorted_by(|a, b| a < b) && failed.last().is_none_or(|last| *last < ops.len()), "{failed:?}");
    let kept: Vec<_> = ops.iter().enumerate().filter(|(index, _)| !failed.contains(index)).map(|(_, op)| op.clone()).collect();
    let again = apply(current.clone(), &kept);
    assert!(again.errors.is_empty(), "{:?}", again.errors);
    assert_eq!(again.value, updated.value);
    if kept.is_empty() {
        assert_eq!(updated.value, current.unwrap_or_else(|| Value::Object(serde_json::Map::new())));
    }
}

fn length(value: Option<&Value>) -> usize {
    value.map_or(2, |value| value.to_string().len())
}
