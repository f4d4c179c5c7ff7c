//! The operations of `stream::update`: reading them from the wire and applying them to an item.
//!
//! Pure: no I/O, no clock, no panic on any input. [`parse()`] is strict about shape, and what it refuses
//! fails the whole call; [`apply`] never fails: an operation that does not fit the item is skipped and
//! reported, and the others take effect. The semantics are those of the newest engine (protocol.md
//! B.5), read from the wire shapes of every SDK (B.3).
//!
//! | path on the wire | means |
//! |---|---|
//! | absent, `null`, `""`, `[]` | the item itself |
//! | `"a.b"`, `["a.b"]`, `{"0": "a.b"}` | the one key spelled `a.b` |
//! | `["a", "b"]` | key `b` inside key `a`; `merge` and `append` only |
//!
//! `set`, `increment`, `decrement` and `remove` know a single key. A longer path array is
//! `<op>.path.too_deep` for them, as a 33rd segment is for `merge` and `append`: the shape is legal,
//! the depth is not, so the other operations of the call still apply.

mod parse;
#[cfg(test)]
mod tests;
mod value;

pub use parse::{MAX_OPS, OpsParseError, parse};
pub use value::read_value;

use parse::Codes;
use serde::Serialize;
use serde_json::{Map, Number, Value};

/// One operation as read by [`parse()`]. What can be checked without the item has been checked.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateOp {
    codes: &'static Codes,
    /// Empty means the item itself.
    path: Vec<String>,
    action: Action,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Set(Value),
    Merge(Map<String, Value>),
    /// `increment`, and `decrement` with the sign turned.
    Add(Amount),
    Append(Value),
    Remove,
    /// Broke a limit; fails the same way on every item.
    Rejected(Failure),
}

/// One operation that was skipped: an entry of the reply's `errors`.
///
/// B.5 shows a `doc_url` too. It is optional in the SDK types, and Weir has no site to point to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OpError {
    /// Position in the call, from 0.
    pub op_index: usize,
    /// Stable, `<op>.<reason>`.
    pub code: &'static str,
    /// For a person. Names the key and the type found, never a value.
    pub message: String,
}

/// What [`apply`] made of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The value to store, also when every operation failed.
    pub value: Value,
    /// In the order of the operations; left out of the reply when empty.
    pub errors: Vec<OpError>,
}

/// Why one operation is skipped.
#[derive(Debug, Clone, PartialEq)]
struct Failure {
    code: &'static str,
    message: String,
}

impl Failure {
    fn new(code: &'static str, message: String) -> Self {
        Self { code, message }
    }
}

/// Applies `ops` in order to the stored value, or to nothing (`None`: the item does not exist).
///
/// A missing item is an empty object to the operations that name a key, and stays "missing" until the
/// first operation succeeds: until then `increment`, `decrement` and `append` on the item itself may
/// make it a number, a string or an array. A stored null is not a missing item.
///
/// `current` is taken, not copied, so that a text can grow in place.
#[must_use]
pub fn apply(current: Option<Value>, ops: &[UpdateOp]) -> Updated {
    let mut missing = current.is_none();
    let mut value = current.unwrap_or_else(|| Value::Object(Map::new()));
    let mut errors = Vec::new();
    for (op_index, op) in ops.iter().enumerate() {
        match op.apply(&mut value, missing) {
            Ok(()) => missing = false,
            Err(Failure { code, message }) => errors.push(OpError { op_index, code, message }),
        }
    }
    Updated { value, errors }
}

/// What `increment` adds. Integers stay integers, in the range of an i64 or a u64; only a fraction on
/// either side makes the sum a double.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Amount {
    Integer(i128),
    Double(f64),
}

impl Amount {
    fn new(by: &Number) -> Self {
        // Node has one kind of number and sends `2.0` for 2. Beyond 2^63 no integer could hold the sum.
        match (by.as_i128(), by.as_f64()) {
            (Some(integer), _) => Self::Integer(integer),
            #[expect(clippy::cast_possible_truncation, reason = "whole and within an i128")]
            (None, Some(by)) if by.fract() == 0.0 && by.abs() <= 9_223_372_036_854_775_808.0 => Self::Integer(by as i128),
            (None, by) => Self::Double(by.unwrap_or(f64::NAN)),
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Integer(by) => Self::Integer(-by),
            Self::Double(by) => Self::Double(-by),
        }
    }

    /// `None` when the sum fits no JSON number: overflow, or not finite.
    fn added_to(self, current: &Number) -> Option<Number> {
        match (current.as_i128(), self) {
            (Some(current), Self::Integer(by)) => Number::from_i128(current.checked_add(by)?),
            (_, Self::Integer(by)) => Number::from_f64(current.as_f64()? + by as f64),
            (_, Self::Double(by)) => Number::from_f64(current.as_f64()? + by),
        }
    }
}

impl UpdateOp {
    /// Leaves `value` as it was when it fails.
    fn apply(&self, value: &mut Value, missing: bool) -> Result<(), Failure> {
        match &self.action {
            Action::Rejected(failure) => return Err(failure.clone()),
            Action::Set(new) => match self.path.last() {
                None => *value = new.clone(),
                Some(key) => {
                    self.object(value)?.insert(key.clone(), new.clone());
                }
            },
            Action::Merge(fields) => {
                if !self.path.is_empty() && !value.is_object() {
                    *value = Value::Object(Map::new());
                }
                // On the item itself a merge into anything but an object does nothing, silently.
                if let Value::Object(object) = value {
                    merge(object, &self.path, fields);
                }
            }
            Action::Add(by) => match self.path.last() {
                None if missing => *value = self.sum(*by, &Value::from(0))?,
                None => *value = self.sum(*by, value)?,
                Some(key) => {
                    let object = self.object(value)?;
                    if let Some(current) = object.get_mut(key) {
                        *current = self.sum(*by, current)?;
                    } else {
                        object.insert(key.clone(), self.sum(*by, &Value::from(0))?);
                    }
                }
            },
            Action::Append(new) if self.path.is_empty() => {
                if missing {
                    *value = Value::Null;
                }
                self.append(value, new)?;
            }
            Action::Append(new) => {
                self.append_at(self.object(value)?, &self.path, new)?;
            }
            Action::Remove => match self.path.last() {
                None => *value = Value::Null,
                Some(key) => {
                    // Not `remove`, which moves the last key into the gap.
                    self.object(value)?.shift_remove(key);
                }
            },
        }
        Ok(())
    }

    /// The item, which must be an object for an operation that names a key.
    fn object<'v>(&self, value: &'v mut Value) -> Result<&'v mut Map<String, Value>, Failure> {
        let found = type_name(value);
        value.as_object_mut().ok_or_else(|| {
            let message = format!("the item is {found}, not an object; set it to an object first");
            Failure::new(self.codes.target_not_object, message)
        })
    }

    fn sum(&self, by: Amount, current: &Value) -> Result<Value, Failure> {
        let Value::Number(number) = current else {
            let message = format!("{} is {}, not a number", self.target(), type_name(current));
            return Err(Failure::new(self.codes.not_number, message));
        };
        by.added_to(number).map(Value::Number).ok_or_else(|| {
            let message = format!("{} would leave the range of numbers", self.target());
            Failure::new(self.codes.not_number, message)
        })
    }

    /// Amortised linear over a stream of tokens: the text grows in place and is never copied.
    fn append(&self, target: &mut Value, new: &Value) -> Result<(), Failure> {
        match (target, new) {
            (Value::Array(items), new) => items.push(new.clone()),
            (Value::String(text), Value::String(new)) => text.push_str(new),
            (target @ Value::Null, Value::String(_)) => *target = new.clone(),
            (target @ Value::Null, _) => *target = Value::Array(vec![new.clone()]),
            (target, _) => {
                let (at, found) = (self.target(), type_name(target));
                let message = format!("{at} is {found}, which cannot take {}", type_name(new));
                return Err(Failure::new("append.type_mismatch", message));
            }
        }
        Ok(())
    }

    /// Appends to the leaf at `path` below `object`. Parents that are no objects are replaced.
    ///
    /// Fails only at an existing leaf, and then all its parents were objects: nothing has changed.
    fn append_at(&self, object: &mut Map<String, Value>, path: &[String], new: &Value) -> Result<(), Failure> {
        let Some((key, rest)) = path.split_first() else {
            return Ok(());
        };
        match object.get_mut(key) {
            Some(leaf) if rest.is_empty() => return self.append(leaf, new),
            Some(Value::Object(child)) => return self.append_at(child, rest, new),
            _ => {}
        }
        let made = if !rest.is_empty() {
            let mut child = Map::new();
            self.append_at(&mut child, rest, new)?;
            Value::Object(child)
        } else if self.path.len() == 1 && new.is_string() {
            new.clone()
        } else {
            // A new leaf below the first level is an array even for a string (B.5).
            Value::Array(vec![new.clone()])
        };
        object.insert(key.clone(), made);
        Ok(())
    }

    fn target(&self) -> String {
        self.path.last().map_or_else(|| "the item".to_owned(), |key| format!("{key:?}"))
    }
}

/// Merges `fields` into the object at `path` below `object`; what is no object on the way is replaced.
fn merge(object: &mut Map<String, Value>, path: &[String], fields: &Map<String, Value>) {
    let Some((key, rest)) = path.split_first() else {
        return object.extend(fields.clone());
    };
    if let Some(Value::Object(child)) = object.get_mut(key) {
        return merge(child, rest, fields);
    }
    let mut child = Map::new();
    merge(&mut child, rest, fields);
    object.insert(key.clone(), Value::Object(child));
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
