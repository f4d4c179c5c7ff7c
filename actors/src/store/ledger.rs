//! The store's bookkeeping: operations of one batch applied in order on top of the adapter, numbered, stamped, then committed at once.
//!
//! No actor here: the same sequence of calls gives the same result, whoever makes them.

#[cfg(test)]
mod tests;

use std::collections::hash_map::Entry;

use crate::adapter::{Adapter, AdapterError, Head, Read, Write};
use crate::change::{Kind, Position, Snapshot};
use crate::clock::{Clock, Millis};
use crate::error::{CallError, Output};
use crate::hash::{HashMap, HashSet};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

use super::failure;
use super::input::Op;
use super::output;

/// Heads of groups that nobody watches are forgotten when more than this many are held; see [`Ledger::forget`].
const HEADS_KEPT: usize = 100_000;
/// Items that the batch has room for, however small batches are.
const LONE: usize = 16;

/// What an operation changed, numbered and waiting for its commit.
#[derive(Debug)]
pub struct Recorded {
    /// The group.
    pub group: GroupKey,
    /// The item; `None` for an event to the whole group.
    pub item: Option<Name>,
    /// Its place.
    pub position: Position,
    /// Its time.
    pub timestamp: Millis,
    /// What happened.
    pub body: Body,
}

/// What happened, with the values that subscribers are shown.
#[derive(Debug)]
pub enum Body {
    /// The item was written; `old` is what it held before.
    Written {
        /// Before.
        old: Option<Json>,
        /// Now.
        new: Json,
    },
    /// The item was removed.
    Deleted {
        /// What it held.
        old: Json,
    },
    /// A custom event.
    Event {
        /// Its own type.
        name: Box<str>,
        /// Its payload.
        data: Json,
    },
}

impl Body {
    /// Create, update, delete or event.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Written { old: None, .. } => Kind::Create,
            Self::Written { old: Some(_), .. } => Kind::Update,
            Self::Deleted { .. } => Kind::Delete,
            Self::Event { .. } => Kind::Event,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct GroupHead {
    head: Head,
    /// Whether `head.timestamp` is that of a change or of a `sync`, and not merely a floor.
    stamped: bool,
}

/// What is known of a group, with the batch.
#[derive(Debug)]
struct Group {
    now: GroupHead,
    /// Before the batch, to go back to if its commit fails; `None` where the batch does not change the group.
    before: Option<GroupHead>,
}

/// One batch on top of an adapter.
pub struct Ledger {
    adapter: Box<dyn Adapter>,
    clock: Clock,
    max_value_bytes: usize,
    max_streams: usize,
    groups: HashMap<GroupKey, Group>,
    /// Below which no group's head may start: the highest of those that were forgotten.
    floor: Head,
    forget_above: usize,
    /// What the uncommitted writes leave of the items they touch.
    overlay: HashMap<ItemKey, Option<Json>>,
    writes: Vec<Write>,
    pending_bytes: usize,
    recorded: Vec<Recorded>,
    /// Whether there is room for the values of the batch, once one has come.
    room: Option<Result<(), AdapterError>>,
    /// Calls of the batch whose values had none.
    refused: usize,
    /// Streams that the batch makes.
    made: HashSet<Box<str>>,
    /// The groups that the batch changes.
    changed: Vec<GroupKey>,
    /// When the batch began. Its changes follow one another within a millisecond or so, and need not ask for the time each.
    began: Option<Millis>,
}

impl Ledger {
    /// A ledger on top of `adapter`; values that grow past `max_value_bytes` are refused, and streams beyond `max_streams`.
    #[must_use]
    pub fn new(adapter: Box<dyn Adapter>, max_value_bytes: usize, max_streams: usize) -> Self {
        let floor = adapter.floor();
        Self {
            clock: Clock::starting_at(floor.timestamp),
            floor,
            adapter,
            max_value_bytes,
            max_streams,
            groups: HashMap::default(),
            forget_above: HEADS_KEPT,
            overlay: HashMap::default(),
            writes: Vec::new(),
            pending_bytes: 0,
            recorded: Vec::new(),
            room: None,
            refused: 0,
            made: HashSet::default(),
            changed: Vec::new(),
            began: None,
        }
    }

    /// Whether everything that was recorded is committed.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.recorded.is_empty()
    }

    /// Whether a read may miss something that was recorded and is not committed.
    #[must_use]
    pub fn is_behind(&self, group: Option<&GroupKey>) -> bool {
        group.map_or(!self.is_clean(), |group| self.groups.get(group).is_some_and(|group| group.before.is_some()))
    }

    /// Bytes of values that wait for the commit.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Applies one operation. Its result counts only after the next [`commit`](Self::commit).
    ///
    /// # Errors
    /// Where the backend fails or the result passes a limit; the operation then left nothing behind.
    pub fn apply(&mut self, op: Op) -> Result<Output, CallError> {
        let code = op.error_code();
        let failed = |error: AdapterError| failure(code, &error);
        match op {
            Op::Get { key } => Ok(self.get(&key).map_err(failed)?.map_or(Output::Absent, Output::Value)),
            Op::Set { key, data } => {
                let old = self.get(&key).map_err(failed)?;
                self.put(key, old.clone(), data.clone()).map_err(failed)?;
                Ok(Output::Written { old, new: Some(data), errors: None })
            }
            Op::Delete { key } => {
                let old = self.get(&key).map_err(failed)?;
                if let Some(old) = old.clone() {
                    self.remove(key, old).map_err(failed)?;
                }
                Ok(Output::Written { old, new: None, errors: None })
            }
            Op::Update { key, ops, .. } => {
                let old = self.get(&key).map_err(failed)?;
                let (new, errors) = output::updated(old.as_ref(), &ops, self.max_value_bytes)?;
                self.put(key, old.clone(), new.clone()).map_err(failed)?;
                Ok(Output::Written { old, new: Some(new), errors })
            }
            Op::Send { group, item, name, data } => {
                self.record(&group, item, Body::Event { name, data }).map_err(failed)?;
                self.writes.push(Write::Touch(group));
                Ok(Output::Value(Json::NULL))
            }
            // These read the adapter as a whole.
            Op::List { .. } | Op::ListGroups { .. } | Op::ListAll => self.list(&op).and_then(Read::wait).map_err(failed),
        }
    }

    /// Lists what is committed. Call it only where the ledger is not [behind](Self::is_behind) for it.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    pub fn list(&mut self, op: &Op) -> Result<Read<Output>, AdapterError> {
        Ok(match op {
            Op::List { group } => self.adapter.list(group)?.map(output::list),
            Op::ListGroups { stream } => self.adapter.list_groups(stream.as_str())?.map(output::groups),
            _ => self.adapter.list_all()?.map(output::streams),
        })
    }

    /// The value of an item as the batch leaves it.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    pub fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        match self.overlay.get(key) {
            Some(value) => Ok(value.clone()),
            None => self.adapter.get(key),
        }
    }

    /// Whether the batch stores values, or why it does not with how many calls were refused for that; `None` where it has none.
    #[must_use]
    pub fn stores(&self) -> Option<Result<(), (AdapterError, usize)>> {
        self.room.clone().map(|room| room.map_err(|error| (error, self.refused)))
    }

    fn put(&mut self, key: ItemKey, old: Option<Json>, new: Json) -> Result<(), AdapterError> {
        let adapter = &mut self.adapter;
        if let Err(error) = self.room.get_or_insert_with(|| adapter.admit()) {
            self.refused += 1;
            return Err(error.clone());
        }
        if old.is_none() {
            self.make(key.group.stream())?;
        }
        self.record(&key.group, Some(key.item.clone()), Body::Written { old, new: new.clone() })?;
        self.pending_bytes += new.as_bytes().len();
        self.overlay.insert(key.clone(), Some(new.clone()));
        self.writes.push(Write::Put(key, new));
        Ok(())
    }

    /// Sees to it that there may be such a stream. What the batch empties counts until it is committed.
    fn make(&mut self, stream: &str) -> Result<(), AdapterError> {
        let Some(before) = self.adapter.streams_before(stream)? else { return Ok(()) };
        if self.made.contains(stream) {
            return Ok(());
        }
        if before + self.made.len() >= self.max_streams {
            return Err(AdapterError::TooManyStreams { stream: stream.to_owned(), limit: self.max_streams });
        }
        self.made.insert(stream.into());
        Ok(())
    }

    fn remove(&mut self, key: ItemKey, old: Json) -> Result<(), AdapterError> {
        self.record(&key.group, Some(key.item.clone()), Body::Deleted { old })?;
        self.overlay.insert(key.clone(), None);
        self.writes.push(Write::Delete(key));
        Ok(())
    }

    /// Records a change of an item that a worker has stored.
    ///
    /// # Errors
    /// Where the backend cannot be read; nothing is recorded then.
    pub fn touch(&mut self, key: ItemKey, body: Body) -> Result<(), AdapterError> {
        self.record(&key.group, Some(key.item), body)?;
        self.writes.push(Write::Touch(key.group));
        Ok(())
    }

    fn record(&mut self, key: &GroupKey, item: Option<Name>, body: Body) -> Result<(), AdapterError> {
        let began = *self.began.get_or_insert_with(|| self.clock.now());
        let group = self.group(key)?;
        let before = group.now;
        let head = Head { seq: before.head.seq + 1, timestamp: began.max(before.head.timestamp + 1) };
        group.now = GroupHead { head, stamped: true };
        if group.before.is_none() {
            group.before = Some(before);
            self.changed.push(key.clone());
        }
        let position = Position { epoch: self.adapter.epoch(), seq: head.seq };
        self.recorded.push(Recorded { group: key.clone(), item, position, timestamp: head.timestamp, body });
        Ok(())
    }

    fn group(&mut self, key: &GroupKey) -> Result<&mut Group, AdapterError> {
        Ok(match self.groups.entry(key.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let now = match self.adapter.head(key)? {
                    Some(head) => GroupHead { head, stamped: true },
                    None => GroupHead { head: self.floor, stamped: false },
                };
                entry.insert(Group { now, before: None })
            }
        })
    }

    /// Makes the batch permanent and hands out what it changed, in order.
    ///
    /// # Errors
    /// Where the backend stored nothing; the ledger is then where it was before the batch.
    pub fn commit(&mut self) -> Result<Vec<Recorded>, AdapterError> {
        let result = if self.writes.is_empty() {
            Ok(())
        } else {
            let heads: Vec<_> = self.changed.iter().filter_map(|key| Some((key.clone(), self.groups.get(key)?.now.head))).collect();
            self.adapter.commit(&self.writes, &heads)
        };
        self.writes.clear();
        self.pending_bytes = 0;
        self.forget_overlay();
        self.room = None;
        self.refused = 0;
        self.made.clear();
        self.began = None;
        for key in self.changed.drain(..) {
            let Some(group) = self.groups.get_mut(&key) else { continue };
            // Timestamps that were given out and taken back leave a gap, which no client notices; a gap in `seq` would be one.
            if let (Some(before), Err(_)) = (group.before.take(), &result) {
                group.now = before;
            }
        }
        let recorded = std::mem::take(&mut self.recorded);
        result.map(|()| recorded)
    }

    /// Whether a commit would be carried out now.
    ///
    /// # Errors
    /// Why it would not.
    pub fn probe(&mut self) -> Result<(), AdapterError> {
        self.adapter.probe()
    }

    /// Clearing a map walks through all that it has room for: after one large batch, small ones would pay for that as long as the process lives.
    fn forget_overlay(&mut self) {
        let used = self.overlay.len().max(LONE);
        self.overlay.clear();
        if self.overlay.capacity() > 8 * used {
            self.overlay.shrink_to(2 * used);
        }
    }

    /// The state of a group, for those who begin to watch it. Call it only where the ledger is not [behind](Self::is_behind) for the group.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    pub fn snapshot(&mut self, group: &GroupKey, whole: bool, items: &[Name]) -> Result<Read<Snapshot>, AdapterError> {
        debug_assert!(!self.is_behind(Some(group)), "a snapshot of uncommitted changes");
        let (position, timestamp) = self.position(group)?;
        let whole = if whole { self.adapter.list(group)?.map(Some) } else { Read::Done(None) };
        let items = items
            .iter()
            .map(|item| Ok((item.clone(), self.adapter.get(&ItemKey { group: group.clone(), item: item.clone() })?)))
            .collect::<Result<_, AdapterError>>()?;
        Ok(whole.map(move |whole| Snapshot { position, timestamp, whole, items }))
    }

    /// The last change of a group and the timestamp that a `sync` of it carries. All later changes get a greater one.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn position(&mut self, key: &GroupKey) -> Result<(Position, Millis), AdapterError> {
        let just_now = self.clock.now().saturating_sub(1);
        let epoch = self.adapter.epoch();
        let GroupHead { head, stamped } = &mut self.group(key)?.now;
        if !*stamped {
            head.timestamp = head.timestamp.max(just_now);
            *stamped = true;
        }
        Ok((Position { epoch, seq: head.seq }, head.timestamp))
    }

    /// Forgets heads that nobody needs, once too many are held.
    ///
    /// A group that is not watched has nobody who could notice where its numbers continue, as long as they and the timestamps only
    /// rise; the highest of what is forgotten is where groups without a known head begin.
    pub fn forget(&mut self, watched: impl Fn(&GroupKey) -> bool) {
        if self.groups.len() <= self.forget_above || !self.is_clean() {
            return;
        }
        let floor = &mut self.floor;
        self.groups.retain(|key, group| {
            let keep = watched(key);
            if !keep {
                *floor = floor.max(group.now.head);
            }
            keep
        });
        self.forget_above = HEADS_KEPT.max(2 * self.groups.len());
    }
}
