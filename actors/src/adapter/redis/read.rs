//! Reads: their commands, and what comes back.

use std::collections::HashMap;

use redis::{Cmd, Pipeline, Value};

use super::call::{Batch, Request};
use super::error::garbled;
use super::keys::{self, Keys};
use super::script;
use crate::adapter::{AdapterError, Items};
use crate::change::Snapshot;
use crate::ids::{GroupKey, Name};
use crate::json::Json;

/// One value.
pub(super) fn get(request: &Request<'_>) -> Batch {
    let mut cmd = Cmd::new();
    cmd.arg("HGET").arg(keys::items(request.group)).arg(request.item.map_or("", Name::as_str));
    Batch::One(cmd)
}

/// All items and their places.
pub(super) fn list(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    pipe.atomic();
    whole(&mut pipe, request);
    Batch::Atomic(pipe)
}

fn whole(pipe: &mut Pipeline, request: &Request<'_>) {
    let keys = Keys::new(request.group);
    pipe.cmd("HGETALL").arg(keys.items).cmd("HGETALL").arg(keys.places);
}

/// The position, and the items that `args` names.
pub(super) fn some(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    pipe.atomic().add_command(script::call(request.sha, request.group, "position", 0));
    named(&mut pipe, request);
    Batch::Atomic(pipe)
}

/// The same and all items.
pub(super) fn all(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    pipe.atomic().add_command(script::call(request.sha, request.group, "position", 0));
    whole(&mut pipe, request);
    named(&mut pipe, request);
    Batch::Atomic(pipe)
}

/// The same by the script, which a Redis without room carries out where it takes no transaction. It takes longer.
pub(super) fn scripted(request: &Request<'_>) -> Batch {
    let mut cmd = script::call(request.sha, request.group, "read", 0);
    cmd.arg(request.args);
    Batch::One(cmd)
}

/// The answers to [`all`] by the answer to [`scripted`].
pub(super) fn unscripted(replies: Vec<Value>) -> Result<Vec<Value>, AdapterError> {
    let Some(Value::Array(mut parts)) = replies.into_iter().next() else { return Err(garbled("a group")) };
    if parts.len() != 7 {
        return Err(garbled("a group"));
    }
    let rest = parts.split_off(4);
    Ok(std::iter::once(Value::Array(parts)).chain(rest).collect())
}

fn named(pipe: &mut Pipeline, request: &Request<'_>) {
    if !request.args.is_empty() {
        pipe.cmd("HMGET").arg(keys::items(request.group)).arg(request.args);
    }
}

/// The position; where the group has none, it gets one.
pub(super) fn position(request: &Request<'_>) -> Batch {
    Batch::One(script::call(request.sha, request.group, "position", 0))
}

/// The position, and the changes from id `args[0]` on, at most `args[1]` of them.
pub(super) fn log(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    pipe.add_command(script::call(request.sha, request.group, "position", 0));
    pipe.cmd("XRANGE").arg(Keys::new(request.group).log).arg(&request.args[..1]).arg("+").arg("COUNT").arg(&request.args[1..]);
    Batch::Many(pipe)
}

/// Ends the epoch `args[0]`, and sets the group's time to `args[1]` at least.
pub(super) fn renew(request: &Request<'_>) -> Batch {
    let mut cmd = script::call(request.sha, request.group, "renew", 0);
    cmd.arg(request.args);
    Batch::One(cmd)
}

/// The members of the sorted set `args[0]`.
pub(super) fn members(request: &Request<'_>) -> Batch {
    let mut cmd = Cmd::new();
    cmd.arg("ZRANGE").arg(request.args).arg(0).arg(-1);
    Batch::One(cmd)
}

/// Which of the keys `args` are there.
pub(super) fn exist(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    for key in request.args {
        pipe.cmd("EXISTS").arg(key);
    }
    Batch::Many(pipe)
}

/// A value that was read.
pub(super) fn value(reply: Option<Value>, group: &GroupKey) -> Result<Option<Json>, AdapterError> {
    let Some(text) = script::bytes(reply.unwrap_or_default())? else { return Ok(None) };
    let value = Json::read(text);
    value.map(Some).ok_or_else(|| AdapterError::Failed(format!("{} holds what is no JSON; set the item anew", keys::items(group))))
}

type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of a hash, however the protocol brings them.
fn pairs(reply: Value) -> Result<Vec<Pair>, AdapterError> {
    let flat = |field, value| match (field, value) {
        (Value::BulkString(field), Value::BulkString(value)) => Ok((field, value)),
        _ => Err(garbled("a hash")),
    };
    match reply {
        Value::Map(pairs) => pairs.into_iter().map(|(field, value)| flat(field, value)).collect(),
        Value::Array(parts) => {
            let mut parts = parts.into_iter();
            let mut pairs = Vec::with_capacity(parts.len() / 2);
            while let (Some(field), Some(value)) = (parts.next(), parts.next()) {
                pairs.push(flat(field, value)?);
            }
            Ok(pairs)
        }
        _ => Err(garbled("a hash")),
    }
}

/// Items in the order of insertion. Those without a place were there before us, and come first, by name.
pub(super) fn items(items: Option<Value>, places: Option<Value>, group: &GroupKey) -> Result<Items, AdapterError> {
    let items = pairs(items.unwrap_or_default())?;
    let places: HashMap<Vec<u8>, u64> = pairs(places.unwrap_or_default())?
        .into_iter()
        .filter_map(|(item, place)| Some((item, std::str::from_utf8(&place).ok()?.parse().ok()?)))
        .collect();
    let mut placed = Vec::with_capacity(items.len());
    let mut unreadable = 0;
    for (item, text) in items {
        match (std::str::from_utf8(&item), Json::read(text)) {
            (Ok(name), Some(value)) => placed.push((places.get(&item).copied().unwrap_or(0), Name::from(name), value)),
            _ => unreadable += 1,
        }
    }
    if unreadable > 0 {
        tracing::warn!(stream = group.stream(), group = group.group(), unreadable, "items that are no JSON are left out");
    }
    placed.sort_unstable_by(|(one, one_name, _), (two, two_name, _)| (one, one_name).cmp(&(two, two_name)));
    Ok(placed.into_iter().map(|(_, name, value)| (name, value)).collect())
}

/// A snapshot that [`some`] or [`all`] has asked for.
pub(super) fn snapshot(replies: Vec<Value>, group: &GroupKey, whole: bool, names: &[Name]) -> Result<Snapshot, AdapterError> {
    let mut replies = replies.into_iter();
    let stand = script::stand(&replies.next().unwrap_or_default())?;
    let whole = if whole { Some(items(replies.next(), replies.next(), group)?) } else { None };
    let mut values = match replies.next() {
        Some(Value::Array(values)) => values,
        _ if names.is_empty() => Vec::new(),
        _ => return Err(garbled("a snapshot")),
    }
    .into_iter();
    let items = names.iter().map(|name| Ok((name.clone(), value(values.next(), group)?))).collect::<Result<_, AdapterError>>()?;
    Ok(Snapshot { position: stand.position, timestamp: stand.timestamp, whole, items })
}
