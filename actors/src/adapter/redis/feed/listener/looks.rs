//! Looks into the logs of groups: where they stand, and what was missed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use redis::Value;

use super::super::super::error::garbled;
use super::super::super::script::{self, Stand};
use super::super::super::{Line, message, read};
use super::super::FeedItem;
use super::super::track::{Base, Heard, Verdict, judge};
use super::{Found, LOOK, LOOKS, Listener, Outcome};
use crate::adapter::AdapterError;
use crate::ids::GroupKey;

/// How often the heads of groups that nothing was ever in are looked at, which makes them last (`WAITS` of the script).
const KEEP_UNBORN: Duration = Duration::from_secs(60);

impl Listener {
    /// Looks into the group's log, in its turn.
    pub(super) fn look(&mut self, channel: &Bytes) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        group.track.waits = true;
        if group.looking {
            group.again = true;
            return;
        }
        group.looking = true;
        self.due.push_back((channel.clone(), group.ticket));
    }

    /// Looks at the groups that nothing was ever in, so that Redis keeps their heads for those who wait.
    pub(super) fn look_at_unborn(&mut self) {
        if self.kept_unborn.elapsed() < KEEP_UNBORN {
            return;
        }
        self.kept_unborn = Instant::now();
        let unborn = self.groups.iter().filter(|(_, group)| matches!(group.track.base, Base::At(Stand { unborn: true, .. })));
        for channel in unborn.map(|(channel, _)| channel.clone()).collect::<Vec<_>>() {
            self.look(&channel);
        }
    }

    pub(super) fn look_on(&mut self) {
        while self.looks < LOOKS {
            let Some((channel, ticket)) = self.due.pop_front() else { return };
            let Some(group) = self.groups.get(&channel).filter(|group| group.ticket == ticket) else { continue };
            self.looks += 1;
            let key = group.key.clone();
            let line = self.line.clone();
            let args = vec![group.track.base.id(), LOOK.to_string()];
            let start = group.track.base == Base::Start;
            self.work.push(Box::pin(async move {
                let found = if start { begin(&line, &key).await } else { find(&line, &key, args).await };
                Outcome::Looked { channel, ticket, found }
            }));
        }
    }

    pub(super) fn looked(&mut self, channel: &Bytes, found: Result<Found, AdapterError>) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        let found = match found {
            Ok(found) => found,
            Err(error) => {
                group.looking = false;
                self.later.insert(channel.clone());
                return self.refuse(channel, &error);
            }
        };
        match judge(group.track.base, found.now, found.log) {
            Verdict::Follow { changes, base, complete } => {
                for change in changes {
                    if !self.hand_out(channel, change) {
                        return self.rest(channel);
                    }
                }
                let Some(group) = self.groups.get_mut(channel) else { return };
                group.track.base = Base::At(base);
                self.looked_so_far(channel, complete);
            }
            Verdict::Resync { base, missed } => self.resync(channel, base, missed),
            Verdict::Renew => {
                let (ticket, key, line) = (group.ticket, group.key.clone(), self.line.clone());
                let Base::At(stand) = group.track.base else { return };
                let args = vec![stand.position.epoch.to_string(), (stand.timestamp + 1).to_string()];
                self.looks += 1;
                let channel = channel.clone();
                self.work.push(Box::pin(async move {
                    let replies = line.about(&key, read::renew, args).await;
                    let now = replies.and_then(|replies| script::stand(replies.first().ok_or_else(|| garbled("a position"))?));
                    Outcome::Renewed { channel, ticket, now }
                }));
            }
        }
    }

    pub(super) fn renewed(&mut self, channel: &Bytes, now: &Result<Stand, AdapterError>) {
        match now {
            Ok(now) => self.resync(channel, *now, None),
            Err(_) => {
                if let Some(group) = self.groups.get_mut(channel) {
                    group.looking = false;
                    self.later.insert(channel.clone());
                }
            }
        }
    }

    pub(super) fn resync(&mut self, channel: &Bytes, base: Stand, missed: Option<u64>) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        let item = FeedItem::Resync { group: group.key.clone(), position: base.position, missed };
        if !self.queue.push(item) {
            return self.rest(channel);
        }
        self.missed += missed.unwrap_or(0);
        let (stream, name) = (group.key.stream(), group.key.group());
        tracing::warn!(
            stream,
            group = name,
            missed,
            missed_in_all = self.missed,
            "changes are not in redis any more: subscribers resync, triggers miss them"
        );
        group.track.base = Base::At(base);
        self.looked_so_far(channel, true);
    }

    /// There is no room: the look is over for now.
    pub(super) fn rest(&mut self, channel: &Bytes) {
        if let Some(group) = self.groups.get_mut(channel) {
            group.looking = false;
            self.behind(channel);
        }
    }

    /// A look was taken in; what has come meanwhile follows, unless there is more to look for.
    pub(super) fn looked_so_far(&mut self, channel: &Bytes, complete: bool) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        group.looking = false;
        if let (Base::At(stand), Some((_, true))) = (group.track.base, &group.place) {
            group.kept |= !group.waiters.is_empty();
            for waiter in group.waiters.drain(..) {
                let _ = waiter.send(Ok(stand.position));
            }
        }
        if !complete || std::mem::take(&mut group.again) {
            return self.look(channel);
        }
        let (held, mut look) = group.track.resume();
        for change in held {
            let Some(group) = self.groups.get_mut(channel) else { return };
            match group.track.hear(change) {
                Heard::Next(change) => {
                    if !self.hand_out(channel, change) {
                        return self.behind(channel);
                    }
                }
                Heard::Nothing => {}
                Heard::Look => {
                    look = true;
                    break;
                }
            }
        }
        if look {
            self.look(channel);
        }
        self.settled(channel);
    }
}

/// Where a group stands, so that it can be followed from there.
async fn begin(line: &Line, key: &GroupKey) -> Result<Found, AdapterError> {
    let replies = line.about(key, read::position, Vec::new()).await?;
    let now = script::stand(replies.first().ok_or_else(|| garbled("a position"))?)?;
    Ok(Found { now, log: Vec::new() })
}

/// Where a group stands, and what is in its log.
async fn find(line: &Line, key: &GroupKey, args: Vec<String>) -> Result<Found, AdapterError> {
    let mut replies = line.about(key, read::log, args).await?.into_iter();
    let now = script::stand(&replies.next().unwrap_or_default())?;
    let Some(Value::Array(entries)) = replies.next() else { return Err(garbled("a log")) };
    // A part that cannot be read ends what follows, and so in a resync.
    let log = entries.into_iter().map_while(|entry| message::parse(key, &entry_text(entry)?)).collect();
    Ok(Found { now, log })
}

/// The text of an entry: `[id, ["m", text]]`.
fn entry_text(entry: Value) -> Option<Bytes> {
    let Value::Array(parts) = entry else { return None };
    let text = match parts.into_iter().nth(1)? {
        Value::Array(fields) => fields.into_iter().nth(1)?,
        Value::Map(fields) => fields.into_iter().next()?.1,
        _ => return None,
    };
    if let Value::BulkString(text) = text { Some(text.into()) } else { None }
}
