//! Which groups there are.
//!
//! Two kinds of sorted sets, all in one slot: the streams, and for each the groups that it has or had, by the time when somebody last entered
//! them. A group is entered before it is acknowledged that it holds something, and again every hour while it is written to. So the index may
//! name groups that are empty, and whoever lists looks whether they are; it never misses one. That is what lets it live at another node than
//! the groups do in a Cluster, where no script could keep both in step.

use redis::{Pipeline, Value};

use super::keys;
use crate::adapter::AdapterError;
use crate::clock;
use crate::ids::{GroupKey, Name};

/// Enters a group, and tells those who watch its stream: whoever looked into the index before listens by now.
pub(super) fn enter(group: &GroupKey, db: i64) -> Pipeline {
    let now = clock::wall();
    let mut pipe = Pipeline::with_capacity(4);
    pipe.cmd("ZADD").arg(keys::STREAMS).arg(now).arg(group.stream());
    pipe.cmd("ZADD").arg(keys::groups(group.stream())).arg(now).arg(group.group());
    pipe.cmd("PUBLISH").arg(keys::births(group.stream(), db)).arg(keys::escaped(group.group()));
    pipe
}

/// Reads names.
pub(super) fn names(reply: Option<Value>) -> Result<Vec<Name>, AdapterError> {
    let Some(Value::Array(names)) = reply else { return Err(super::error::garbled("names")) };
    Ok(names
        .iter()
        .filter_map(|name| match name {
            // What is no text was not entered by us.
            Value::BulkString(name) => std::str::from_utf8(name).ok().map(Name::from),
            _ => None,
        })
        .collect())
}
