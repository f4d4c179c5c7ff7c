//! Reading `ops` from the wire, in the shapes of every SDK (protocol.md B.3), within the limits of B.5.

#[cfg(test)]
mod tests;

use serde_json::Value;
use serde_json::value::RawValue;

use super::{Action, Amount, Failure, UpdateOp, read_value, type_name};

/// Most operations in one call; one more fails the whole call.
pub const MAX_OPS: usize = 1_000;
const MAX_PATH_SEGMENTS: usize = 32;
const MAX_SEGMENT_BYTES: usize = 256;
const MAX_MERGE_KEYS: usize = 1_024;
/// Levels of objects and arrays in a merge value, the value itself being the first.
const MAX_MERGE_LEVELS: usize = 16;
/// Levels of an item, as many as `json::MAX_DEPTH` allows a value that is set. Without this bound an
/// `append` at the end of a long path could store an item that [`read_value`] could never load again.
const MAX_ITEM_LEVELS: usize = 120;
/// Keys that reach an object's prototype in a JavaScript client that copies what it received.
const PROTO_NAMES: [&str; 3] = ["__proto__", "constructor", "prototype"];

/// Why the `ops` of a call cannot be read. The whole call fails and nothing is written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpsParseError {
    /// Nested deeper than the parser goes, or a number or string that it cannot hold.
    #[error("ops cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// JSON, but no array.
    #[error("ops: expected an array of operations")]
    NotAnArray,
    /// More than [`MAX_OPS`].
    #[error("ops: {found} operations in one call, at most {MAX_OPS} are taken; split the call")]
    TooMany {
        /// How many the call had.
        found: usize,
    },
    /// An entry of the array is not an object.
    #[error("ops[{op_index}]: expected an object with a `type`")]
    NotAnObject {
        /// Position in the call, from 0.
        op_index: usize,
    },
    /// A key of an operation is missing, or holds what it may not hold.
    #[error("ops[{op_index}].{key}: expected {expected}")]
    Malformed {
        /// Position in the call, from 0.
        op_index: usize,
        /// The key at fault.
        key: &'static str,
        /// What it must hold.
        expected: &'static str,
    },
}

impl OpsParseError {
    /// The code of the reply (protocol.md B.2).
    #[must_use]
    pub fn code(&self) -> &'static str {
        "deserialization_error"
    }
}

/// The codes that differ between operations by their prefix only.
#[derive(Debug, PartialEq)]
pub(super) struct Codes {
    pub(super) op: &'static str,
    pub(super) max_segments: usize,
    pub(super) too_deep: &'static str,
    pub(super) segment_too_long: &'static str,
    pub(super) empty_segment: &'static str,
    pub(super) path_proto_polluted: &'static str,
    pub(super) target_not_object: &'static str,
    pub(super) not_number: &'static str,
}

macro_rules! codes {
    ($op:literal, $max_segments:expr) => {
        Codes {
            op: $op,
            max_segments: $max_segments,
            too_deep: concat!($op, ".path.too_deep"),
            segment_too_long: concat!($op, ".path.segment_too_long"),
            empty_segment: concat!($op, ".path.empty_segment"),
            path_proto_polluted: concat!($op, ".path.proto_polluted"),
            target_not_object: concat!($op, ".target_not_object"),
            not_number: concat!($op, ".not_number"),
        }
    };
}

static SET: Codes = codes!("set", 1);
static MERGE: Codes = codes!("merge", MAX_PATH_SEGMENTS);
static INCREMENT: Codes = codes!("increment", 1);
static DECREMENT: Codes = codes!("decrement", 1);
static APPEND: Codes = codes!("append", MAX_PATH_SEGMENTS);
static REMOVE: Codes = codes!("remove", 1);

/// Reads the `ops` array of a call, in order. Unknown keys are ignored.
///
/// # Errors
///
/// [`OpsParseError`] when the text is not an array of well-formed operations: an unknown or missing
/// `type`, a `path` of another type, a missing `by` or one that is no number, a missing `value` for
/// `merge` or `append` (for `set` it counts as null), or a `value` nested too deeply to be stored.
pub fn parse(ops: &RawValue) -> Result<Vec<UpdateOp>, OpsParseError> {
    let Value::Array(ops) = read_value(ops.get())? else {
        return Err(OpsParseError::NotAnArray);
    };
    if ops.len() > MAX_OPS {
        return Err(OpsParseError::TooMany { found: ops.len() });
    }
    ops.into_iter().enumerate().map(|(op_index, op)| read_op(op_index, op)).collect()
}

fn read_op(op_index: usize, op: Value) -> Result<UpdateOp, OpsParseError> {
    let Value::Object(mut op) = op else {
        return Err(OpsParseError::NotAnObject { op_index });
    };
    let malformed = |key, expected| OpsParseError::Malformed { op_index, key, expected };
    let value = op.remove("value");
    let needed = |value: Option<Value>| value.ok_or_else(|| malformed("value", "a value"));
    let by = || match op.get("by") {
        Some(Value::Number(by)) => Ok(Amount::new(by)),
        _ => Err(malformed("by", "a number")),
    };
    let (codes, action) = match op.get("type").and_then(Value::as_str) {
        Some("set") => (&SET, Action::Set(value.unwrap_or(Value::Null))),
        Some("merge") => (&MERGE, read_merge(needed(value)?)),
        Some("increment") => (&INCREMENT, Action::Add(by()?)),
        Some("decrement") => (&DECREMENT, Action::Add(by()?.negated())),
        Some("append") => (&APPEND, Action::Append(needed(value)?)),
        Some("remove") => (&REMOVE, Action::Remove),
        _ => {
            let expected = "one of set, merge, increment, decrement, append, remove";
            return Err(malformed("type", expected));
        }
    };
    let path = read_path(op.remove("path")).ok_or_else(|| malformed("path", "a string, an array of strings, or nothing"))?;
    // The path's verdict replaces the value's (B.5: checks on the path come first).
    let action = match check_path(codes, &path) {
        Ok(()) => action,
        Err(failure) => Action::Rejected(failure),
    };
    if let Action::Set(value) | Action::Append(value) = &action
        && is_deeper(value, MAX_ITEM_LEVELS - 1 - path.len())
    {
        return Err(malformed("value", "at most 119 levels of nesting, the path included"));
    }
    Ok(UpdateOp { codes, path, action })
}

/// `None` for a shape no SDK has ever sent.
fn read_path(path: Option<Value>) -> Option<Vec<String>> {
    match path {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::String(key)) if key.is_empty() => Some(Vec::new()),
        Some(Value::String(key)) => Some(vec![key]),
        Some(Value::Array(segments)) => segments
            .into_iter()
            .map(|segment| match segment {
                Value::String(key) => Some(key),
                _ => None,
            })
            .collect(),
        Some(Value::Object(mut newtype)) if newtype.len() == 1 => match newtype.remove("0") {
            Some(key @ Value::String(_)) => read_path(Some(key)),
            _ => None,
        },
        Some(_) => None,
    }
}

fn check_path(codes: &Codes, path: &[String]) -> Result<(), Failure> {
    let (op, max) = (codes.op, codes.max_segments);
    if path.len() > max {
        let message = format!("path has {} segments, {op} takes at most {max}", path.len());
        return Err(Failure::new(codes.too_deep, message));
    }
    for (i, segment) in path.iter().enumerate() {
        if segment.is_empty() {
            let message = format!("path segment {i} is empty");
            return Err(Failure::new(codes.empty_segment, message));
        }
        if segment.len() > MAX_SEGMENT_BYTES {
            let bytes = segment.len();
            let message = format!("path segment {i} has {bytes} bytes of {MAX_SEGMENT_BYTES}");
            return Err(Failure::new(codes.segment_too_long, message));
        }
        if PROTO_NAMES.contains(&segment.as_str()) {
            let message = format!("path segment {i} is {segment}, which is not a safe key");
            return Err(Failure::new(codes.path_proto_polluted, message));
        }
    }
    Ok(())
}

fn read_merge(value: Value) -> Action {
    let rejected = |code, message| Action::Rejected(Failure::new(code, message));
    let fields = match value {
        Value::Object(fields) => fields,
        other => {
            let message = format!("merge value is {}, not an object", type_name(&other));
            return rejected("merge.value.not_an_object", message);
        }
    };
    if fields.len() > MAX_MERGE_KEYS {
        let message = format!("merge value has {} keys of {MAX_MERGE_KEYS}", fields.len());
        return rejected("merge.value.too_many_keys", message);
    }
    if fields.values().any(|value| is_deeper(value, MAX_MERGE_LEVELS - 1)) {
        let message = format!("merge value is nested deeper than {MAX_MERGE_LEVELS} levels");
        return rejected("merge.value.too_deep", message);
    }
    if let Some(key) = PROTO_NAMES.into_iter().find(|name| fields.contains_key(*name)) {
        let message = format!("merge value has the key {key}, which is not a safe key");
        return rejected("merge.value.proto_polluted", message);
    }
    Action::Merge(fields)
}

/// Whether `value` has more than `levels` objects and arrays inside each other. Never looks further.
fn is_deeper(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => levels == 0 || items.iter().any(|item| is_deeper(item, levels - 1)),
        Value::Object(map) => levels == 0 || map.values().any(|item| is_deeper(item, levels - 1)),
        _ => false,
    }
}
