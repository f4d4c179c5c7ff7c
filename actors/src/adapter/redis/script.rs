//! The script, and how it is called.

use std::sync::Arc;

use redis::{Cmd, Value};

use super::error::garbled;
use super::keys::Keys;
use super::options::RedisOptions;
use crate::adapter::AdapterError;
use crate::change::Position;
use crate::clock::Millis;
use crate::ids::GroupKey;
use crate::json::Json;
use crate::store::ledger::Recorded;

/// Texts of the script that differ in a remark.
///
/// Where all nodes had the same one, one node could load it again (after `SCRIPT FLUSH`) between two calls of another that are under way: the
/// first would not be carried out, the second would, and so overtake it. A few dozen keep that unlikely and the script cache small.
const VARIANTS: u32 = 64;

/// What is the same in all calls.
#[derive(Debug, Clone)]
pub(super) struct Constants {
    cluster: bool,
    /// Part of the channels' names.
    pub(super) db: i64,
}

/// The text of the script, and what is the same in all its calls. What never changes stands in the text, because Redis unpacks the
/// arguments anew for every call: that took a fifth of its time.
pub(super) fn new(options: &RedisOptions, cluster: bool, db: i64) -> (Arc<str>, Constants) {
    // Redis refuses an expiry of none, and one so long that it leaves the range of times.
    let age_ms = options.history_age.as_millis().clamp(1, 1 << 42);
    let (history, bytes) = (options.history.max(1), options.history_bytes);
    let (publish, variant) = (if cluster { "SPUBLISH" } else { "PUBLISH" }, rand::random_range(0..VARIANTS));
    let settings = format!("local HISTORY, AGE, BYTES, PUBLISH, AT = {history}, {age_ms}, {bytes}, '{publish}', '@{db}' -- {variant}");
    (format!("{settings}\n{}", include_str!("script.lua")).into(), Constants { cluster, db })
}

impl Constants {
    /// How the channel of a group is subscribed to and left.
    pub(super) fn verbs(&self) -> (&'static str, &'static str) {
        if self.cluster { ("SSUBSCRIBE", "SUNSUBSCRIBE") } else { ("SUBSCRIBE", "UNSUBSCRIBE") }
    }

    /// How something is published to those who subscribe so.
    pub(super) fn publish(&self) -> &'static str {
        if self.cluster { "SPUBLISH" } else { "PUBLISH" }
    }
}

/// A call, but for the arguments of `what`, which have about `size` bytes.
pub(super) fn call(sha: &str, group: &GroupKey, what: &str, size: usize) -> Cmd {
    let keys = Keys::new(group);
    let mut cmd = Cmd::with_capacity(13, size + 128 + 4 * keys.log.len());
    cmd.arg("EVALSHA").arg(sha).arg(4).arg(&keys.items).arg(&keys.head).arg(&keys.places).arg(&keys.log).arg(what);
    cmd
}

/// What a write ended with.
#[derive(Debug)]
pub(super) enum Written {
    /// It is stored; `fresh` where it is the group's first change.
    Done { old: Option<Vec<u8>>, fresh: bool },
    /// The item does not hold what the update was made of, but this.
    Conflict(Option<Vec<u8>>),
}

/// Reads the answer to a write.
pub(super) fn written(reply: Value) -> Result<Written, AdapterError> {
    let Value::Array(parts) = reply else { return Err(garbled("a write")) };
    let mut parts = parts.into_iter();
    let (Some(Value::Int(done)), old) = (parts.next(), parts.next()) else { return Err(garbled("a write")) };
    let old = bytes(old.unwrap_or(Value::Nil))?;
    Ok(if done == 1 { Written::Done { old, fresh: matches!(parts.next(), Some(Value::Int(1))) } } else { Written::Conflict(old) })
}

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stand {
    pub(super) position: Position,
    pub(super) timestamp: Millis,
    /// Whether nothing was ever in it, in this epoch.
    pub(super) unborn: bool,
}

impl Stand {
    /// Right after a change.
    pub(super) fn after(change: &Recorded) -> Self {
        Self { position: change.position, timestamp: change.timestamp, unborn: false }
    }
}

/// Reads the answer to `position` and `renew`.
pub(super) fn stand(reply: &Value) -> Result<Stand, AdapterError> {
    let Value::Array(parts) = reply else { return Err(garbled("a position")) };
    let number = |part: Option<&Value>| match part {
        Some(Value::BulkString(text)) => std::str::from_utf8(text).ok()?.parse::<u64>().ok(),
        _ => None,
    };
    match (number(parts.first()), number(parts.get(1)), number(parts.get(2))) {
        (Some(epoch), Some(seq), Some(timestamp)) => {
            Ok(Stand { position: Position { epoch, seq }, timestamp, unborn: matches!(parts.get(3), Some(Value::Int(1))) })
        }
        _ => Err(garbled("a position")),
    }
}

/// A text, or nothing.
pub(super) fn bytes(reply: Value) -> Result<Option<Vec<u8>>, AdapterError> {
    match reply {
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::Nil => Ok(None),
        _ => Err(garbled("a value")),
    }
}

/// What an item held, for callers and operations. What is no JSON was written by somebody else, and counts as null.
pub(super) fn old_value(group: &GroupKey, old: Option<Vec<u8>>) -> Option<Json> {
    old.map(|text| {
        Json::read(text).unwrap_or_else(|| {
            tracing::warn!(stream = group.stream(), group = group.group(), "an item held what is no JSON; it counts as null");
            Json::NULL
        })
    })
}
