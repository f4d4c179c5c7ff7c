//! Clears the index out: groups that have held nothing for so long that their numbers are forgotten, too.
//!
//! One node does it once an hour. What was entered within a day stays, because a node that writes may take it for granted; see `index`.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use super::call::{Batch, Request};
use super::index;
use super::keys::{self, Keys};
use super::line::Line;
use crate::adapter::AdapterError;
use crate::clock;
use crate::ids::{GroupKey, Name};

/// How long what was entered stays, in ms.
const STAYS: u64 = 24 * 3_600 * 1_000;

/// Removes the members from sorted set 1 that nobody has entered again since then.
const REMOVE: &str = "for n = 2, #ARGV do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[n]) or 'inf') <= tonumber(ARGV[1]) then redis.call('ZREM', KEYS[1], ARGV[n]) end
end
return redis.call('ZCARD', KEYS[1])";

/// Sweeps, if nobody else has for so long.
pub(super) async fn sweep(line: &Line, every: Duration) -> Result<(), AdapterError> {
    if !matches!(line.index(lease, vec![every.as_secs().max(1).to_string()]).await?.first(), Some(Value::Okay)) {
        return Ok(());
    }
    let before = clock::wall().saturating_sub(STAYS).to_string();
    for stream in index::names(line.members(keys::STREAMS.to_owned()).await?.pop())? {
        let key = keys::groups(stream.as_str());
        let old = index::names(line.index(older, vec![key.clone(), before.clone()]).await?.pop())?;
        let names: Vec<Keys> = old.iter().map(|group| Keys::new(&GroupKey::new(stream.as_str(), group.as_str()))).collect();
        let there = line.exist(names.into_iter().flat_map(|keys| [keys.head, keys.items]).collect()).await?;
        let (live, gone): (Vec<_>, Vec<_>) = old.into_iter().zip(there.chunks(2)).partition(|(_, there)| there.contains(&true));
        let text = |groups: Vec<(Name, &[bool])>| groups.into_iter().map(|(group, _)| group.as_str().to_owned()).collect::<Vec<_>>();
        let (live, gone) = (text(live), text(gone));
        if !live.is_empty() {
            // They are looked at again in a day.
            line.index(again, [vec![key.clone()], live].concat()).await?;
        }
        let left = line.index(remove, [vec![key, before.clone()], gone].concat()).await?;
        if left.first() == Some(&Value::Int(0)) {
            line.index(remove, vec![keys::STREAMS.to_owned(), before.clone(), stream.as_str().to_owned()]).await?;
        }
    }
    Ok(())
}

fn lease(request: &Request<'_>) -> Batch {
    let mut cmd = Cmd::new();
    cmd.arg("SET").arg(keys::SWEPT).arg(1).arg("NX").arg("EX").arg(request.args);
    Batch::One(cmd)
}

fn older(request: &Request<'_>) -> Batch {
    let mut cmd = Cmd::new();
    cmd.arg("ZRANGEBYSCORE").arg(&request.args[..1]).arg("-inf").arg(&request.args[1..]);
    Batch::One(cmd)
}

fn again(request: &Request<'_>) -> Batch {
    let mut pipe = Pipeline::new();
    for group in request.args.iter().skip(1) {
        pipe.cmd("ZADD").arg(&request.args[..1]).arg("XX").arg(clock::wall()).arg(group);
    }
    Batch::Many(pipe)
}

fn remove(request: &Request<'_>) -> Batch {
    let mut cmd = Cmd::new();
    cmd.arg("EVAL").arg(REMOVE).arg(1).arg(request.args);
    Batch::One(cmd)
}
