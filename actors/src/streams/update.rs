//! What an update does to an item, for host programs to put together.

use serde::Serialize;
use serde_json::{Value, json};

/// Operations on one item, applied in order and as one change.
///
/// Keys are looked up in the item as they are: `"a.b"` is the one key spelled `a.b`. [`merge`](Self::merge) and [`append`](Self::append) also take
/// a path of keys, from the outside in; `""` is the item itself.
///
/// ```
/// # use weir_actors::streams::Ops;
/// let ops = Ops::new().increment("likes", 1).set("by", "alice").append(["log", "likes"], "alice");
/// ```
///
/// An operation that does not fit the item, `increment` on a text for instance, is skipped and told in [`Updated::errors`]; the others take effect.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ops(Vec<Value>);

/// Where in an item: a key, or keys from the outside in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Value);

impl From<&str> for Path {
    fn from(key: &str) -> Self {
        Self(key.into())
    }
}

impl From<String> for Path {
    fn from(key: String) -> Self {
        Self(key.into())
    }
}

impl<const N: usize> From<[&str; N]> for Path {
    fn from(keys: [&str; N]) -> Self {
        Self(json!(keys.as_slice()))
    }
}

impl From<&[&str]> for Path {
    fn from(keys: &[&str]) -> Self {
        Self(json!(keys))
    }
}

impl Ops {
    /// Nothing yet. An update without operations writes the item as it is, or `{}` where there is none.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a value at a key; a value that is no JSON becomes `null`.
    #[must_use]
    pub fn set(self, key: &str, value: impl Serialize) -> Self {
        self.with(json!({"type": "set", "path": key, "value": value_of(&value)}))
    }

    /// Puts each key of an object into the object at `path`, which is made where it is not there.
    #[must_use]
    pub fn merge(self, path: impl Into<Path>, object: impl Serialize) -> Self {
        self.with(json!({"type": "merge", "path": path.into().0, "value": value_of(&object)}))
    }

    /// Adds to the number at a key; what is not there counts as 0.
    #[must_use]
    pub fn increment(self, key: &str, by: impl Into<serde_json::Number>) -> Self {
        self.with(json!({"type": "increment", "path": key, "by": by.into()}))
    }

    /// Takes from the number at a key.
    #[must_use]
    pub fn decrement(self, key: &str, by: impl Into<serde_json::Number>) -> Self {
        self.with(json!({"type": "decrement", "path": key, "by": by.into()}))
    }

    /// Appends an element to the array, or text to the text, at `path`.
    #[must_use]
    pub fn append(self, path: impl Into<Path>, value: impl Serialize) -> Self {
        self.with(json!({"type": "append", "path": path.into().0, "value": value_of(&value)}))
    }

    /// Removes a key.
    #[must_use]
    pub fn remove(self, key: &str) -> Self {
        self.with(json!({"type": "remove", "path": key}))
    }

    fn with(mut self, op: Value) -> Self {
        self.0.push(op);
        self
    }

    pub(super) fn into_value(self) -> Value {
        Value::Array(self.0)
    }
}

fn value_of(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// What an update has made of an item.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated<T> {
    /// The item before, where there was one.
    pub old: Option<T>,
    /// The item now.
    pub new: T,
    /// The operations that were skipped, in their order.
    pub errors: Vec<Skipped>,
}

/// An operation that did not fit the item.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[non_exhaustive]
pub struct Skipped {
    /// Its place among the operations, from 0.
    pub op_index: usize,
    /// Stable, `<operation>.<reason>`.
    pub code: String,
    /// For a person: what does not fit.
    pub message: String,
}
