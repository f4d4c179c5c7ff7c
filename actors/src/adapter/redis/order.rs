//! Which call may be sent when, so that the calls for a group are carried out in the order in which they were made.
//!
//! As a rule a call goes out at once, and the connection keeps the order. It does not where a call must be sent again: an update that lost
//! against another node, or anything that Redis did not carry out (no script, another node). So later calls wait
//!
//! - for an update of the same item, until it is done,
//! - for a call of the same group that was not carried out, until all that are under way are answered; then those go out again, in order,
//!
//! and what concerns the whole group waits for all updates before it. No I/O here.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::ids::{GroupKey, Name};

/// What a call keeps its place with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Calls for the same item.
    Item,
    /// The same, and it may take several attempts.
    Update,
    /// All calls for the group.
    Group,
}

/// A call and its place.
#[derive(Debug)]
pub(super) struct Turn<T> {
    /// Counts the calls.
    pub(super) n: u64,
    pub(super) group: GroupKey,
    pub(super) item: Option<Name>,
    pub(super) share: Share,
    /// Whether calls for the item wait for it.
    pub(super) holds: bool,
    pub(super) what: T,
}

#[derive(Debug)]
struct Lane<T> {
    in_flight: usize,
    /// What goes out again, and what may not overtake it.
    stalled: BTreeMap<u64, Turn<T>>,
    /// The items that an update is under way for, and what waits for it.
    items: HashMap<Name, VecDeque<Turn<T>>>,
    /// What concerns the whole group, and all that came after it.
    queue: VecDeque<Turn<T>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self { in_flight: 0, stalled: BTreeMap::new(), items: HashMap::new(), queue: VecDeque::new() }
    }
}

impl<T> Lane<T> {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.stalled.is_empty() && self.items.is_empty() && self.queue.is_empty()
    }

    /// What of `turn` may be sent now.
    fn enter(&mut self, mut turn: Turn<T>, held: &mut BTreeSet<u64>) -> Option<Turn<T>> {
        if !self.stalled.is_empty() {
            self.park(turn, held);
            return None;
        }
        if !turn.holds {
            if let Some(waiting) = turn.item.as_ref().and_then(|item| self.items.get_mut(item)) {
                held.insert(turn.n);
                waiting.push_back(turn);
                return None;
            }
            if let (Share::Update, Some(item)) = (turn.share, &turn.item) {
                self.items.insert(item.clone(), VecDeque::new());
                turn.holds = true;
            }
        }
        if turn.holds {
            held.insert(turn.n);
        } else {
            held.remove(&turn.n);
        }
        self.in_flight += 1;
        Some(turn)
    }

    /// Keeps a call for the next time that everything goes out. What waits for it comes along: a call before it may be parked, too.
    fn park(&mut self, mut turn: Turn<T>, held: &mut BTreeSet<u64>) {
        if std::mem::take(&mut turn.holds)
            && let Some(waiting) = turn.item.as_ref().and_then(|item| self.items.remove(item))
        {
            self.stalled.extend(waiting.into_iter().map(|turn| (turn.n, turn)));
        }
        held.insert(turn.n);
        self.stalled.insert(turn.n, turn);
    }

    /// The same as [`enter`](Self::enter) for a call that no earlier one has let pass yet.
    fn queue_up(&mut self, turn: Turn<T>, held: &mut BTreeSet<u64>) -> Option<Turn<T>> {
        let waits = !self.queue.is_empty() || !self.stalled.is_empty() || (turn.share == Share::Group && !self.items.is_empty());
        if !waits {
            return self.enter(turn, held);
        }
        held.insert(turn.n);
        self.queue.push_back(turn);
        None
    }

    /// Lets go what waited for the whole group.
    fn drain(&mut self, held: &mut BTreeSet<u64>, go: &mut Vec<Turn<T>>) {
        if self.queue.is_empty() || !self.items.is_empty() || !self.stalled.is_empty() {
            return;
        }
        for turn in std::mem::take(&mut self.queue) {
            go.extend(self.queue_up(turn, held));
        }
    }
}

/// The calls of all groups.
#[derive(Debug)]
pub(super) struct Order<T> {
    lanes: HashMap<GroupKey, Lane<T>>,
    held: BTreeSet<u64>,
}

impl<T> Order<T> {
    pub(super) fn new() -> Self {
        Self { lanes: HashMap::new(), held: BTreeSet::new() }
    }

    /// A new call, which is given back if it is to be sent now.
    pub(super) fn admit(&mut self, turn: Turn<T>) -> Option<Turn<T>> {
        match self.lanes.get_mut(&turn.group) {
            Some(lane) => lane.queue_up(turn, &mut self.held),
            None => self.lanes.entry(turn.group.clone()).or_default().queue_up(turn, &mut self.held),
        }
    }

    /// A call that was sent is answered, with whatever result. One of the next three must follow.
    pub(super) fn answered(&mut self, group: &GroupKey) {
        if let Some(lane) = self.lanes.get_mut(group) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
    }

    /// The call has another step to go, and is given back if it is to be sent now.
    pub(super) fn proceed(&mut self, turn: Turn<T>) -> Option<Turn<T>> {
        self.lanes.entry(turn.group.clone()).or_default().enter(turn, &mut self.held)
    }

    /// The call was not carried out, and goes out again at the next [`resume`](Self::resume).
    pub(super) fn stall(&mut self, turn: Turn<T>) {
        self.lanes.entry(turn.group.clone()).or_default().park(turn, &mut self.held);
    }

    /// What looks at everything waits for call `n` although it was sent.
    pub(super) fn hold(&mut self, n: u64) {
        self.held.insert(n);
    }

    /// The call `n` is done, however; what may be sent now in its place.
    pub(super) fn done(&mut self, n: u64, group: &GroupKey, item: Option<&Name>, held_item: bool) -> Vec<Turn<T>> {
        let mut go = Vec::new();
        self.held.remove(&n);
        let Some(lane) = self.lanes.get_mut(group) else { return go };
        if held_item {
            if let Some(waiting) = item.and_then(|item| lane.items.remove(item)) {
                for turn in waiting {
                    go.extend(lane.enter(turn, &mut self.held));
                }
            }
            lane.drain(&mut self.held, &mut go);
        }
        if lane.is_idle() {
            self.lanes.remove(group);
        }
        go
    }

    /// Whether calls of the group are to go out again and nothing of it is under way any more.
    pub(super) fn is_resumable(&self, group: &GroupKey) -> bool {
        self.lanes.get(group).is_some_and(|lane| lane.in_flight == 0 && !lane.stalled.is_empty())
    }

    /// What goes out again, in order, if [nothing is under way](Self::is_resumable).
    pub(super) fn resume(&mut self, group: &GroupKey) -> Vec<Turn<T>> {
        let mut go = Vec::new();
        if !self.is_resumable(group) {
            return go;
        }
        let Some(lane) = self.lanes.get_mut(group) else { return go };
        for turn in std::mem::take(&mut lane.stalled).into_values() {
            go.extend(lane.enter(turn, &mut self.held));
        }
        lane.drain(&mut self.held, &mut go);
        go
    }

    /// Whether all calls before `n` were sent and need no other attempt, as far as is known.
    pub(super) fn is_clear(&self, n: u64) -> bool {
        self.held.first().is_none_or(|first| *first > n)
    }
}

#[cfg(test)]
mod tests;
