//! Which call may be sent when, so that the calls for a group are carried out in the order in which they were made.
//!
//! As a rule a call goes out at once, and the connection keeps the order. It does not where a call must be sent again: an update that lost
//! against another node, or anything that Redis did not carry out (no script, another node). So a call is *open* as long as others may
//! overtake it: an update until it is done, any other until it is sent. It waits
//!
//! - for all open calls before it that have the same caller or the same item; for all of them, if it concerns the whole group;
//! - where a call of the group was not carried out, until all that are under way are answered. Then everything goes out again, in order.
//!
//! Each open call waits for those before it, so that the next one need wait for the last of its caller and the last of its item only: two at
//! most, however many there are. No I/O here.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::hash::HashMap;
use crate::ids::{GroupKey, Name};

/// What a call keeps its place with, beside the calls of its caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Share {
    /// Calls for the same item.
    Item,
    /// The same, and it may take several attempts.
    Update,
    /// All calls for the group that were made before.
    Group,
}

/// A call and its place.
#[derive(Debug)]
pub(super) struct Turn<T> {
    /// Counts the calls.
    pub(super) n: u64,
    /// Who calls.
    pub(super) by: u64,
    pub(super) group: GroupKey,
    pub(super) item: Option<Name>,
    pub(super) share: Share,
    pub(super) what: T,
}

impl<T> Turn<T> {
    /// Whether `later` must not be carried out before this one.
    fn holds_back(&self, later: &Self) -> bool {
        later.share == Share::Group || later.by == self.by || (self.item.is_some() && later.item == self.item)
    }
}

/// A call that others may wait for.
#[derive(Debug)]
struct Open<T> {
    /// The call itself until it is sent.
    waiting: Option<Turn<T>>,
    /// How many calls it waits for.
    waits_for: usize,
    /// Those that wait for it.
    then: Vec<u64>,
}

#[derive(Debug)]
struct Lane<T> {
    in_flight: usize,
    open: BTreeMap<u64, Open<T>>,
    /// The last open call for each item.
    items: HashMap<Name, u64>,
    /// The last open call of each caller.
    callers: HashMap<u64, u64>,
    /// Those that wait for all before them.
    whole: VecDeque<u64>,
    /// Those that wait for nothing any more.
    ready: VecDeque<u64>,
    /// What goes out again, and what may not overtake it.
    stalled: BTreeMap<u64, Turn<T>>,
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self {
            in_flight: 0,
            open: BTreeMap::new(),
            items: HashMap::default(),
            callers: HashMap::default(),
            whole: VecDeque::new(),
            ready: VecDeque::new(),
            stalled: BTreeMap::new(),
        }
    }
}

impl<T> Lane<T> {
    fn is_idle(&self) -> bool {
        self.in_flight == 0 && self.open.is_empty() && self.stalled.is_empty()
    }

    /// A call that comes after all that are here; it is given back if it is to be sent now.
    fn admit(&mut self, turn: Turn<T>, held: &mut BTreeSet<u64>) -> Option<Turn<T>> {
        let n = turn.n;
        if !self.stalled.is_empty() {
            held.insert(n);
            self.stalled.insert(n, turn);
            return None;
        }
        let is_whole = turn.share == Share::Group;
        let by_item = turn.item.as_ref().and_then(|item| self.items.get(item)).copied();
        let by_caller = self.callers.get(&turn.by).copied().filter(|last| Some(*last) != by_item);
        let waits = if is_whole { !self.open.is_empty() } else { by_item.or(by_caller).is_some() };
        if !waits && turn.share != Share::Update {
            held.remove(&n);
            self.in_flight += 1;
            return Some(turn);
        }

        held.insert(n);
        if let Some(item) = &turn.item {
            self.items.insert(item.clone(), n);
        }
        self.callers.insert(turn.by, n);
        let mut open = Open { waiting: None, waits_for: 0, then: Vec::new() };
        if is_whole {
            self.whole.push_back(n);
        } else {
            for before in [by_item, by_caller].into_iter().flatten() {
                if let Some(before) = self.open.get_mut(&before) {
                    before.then.push(n);
                    open.waits_for += 1;
                }
            }
        }
        let go = if waits {
            open.waiting = Some(turn);
            None
        } else {
            self.in_flight += 1;
            Some(turn)
        };
        self.open.insert(n, open);
        go
    }

    /// Nothing can overtake the call any more.
    fn close(&mut self, n: u64, by: u64, item: Option<&Name>) {
        let Some(open) = self.open.remove(&n) else { return };
        if let Some(item) = item.filter(|item| self.items.get(*item) == Some(&n)) {
            self.items.remove(item);
        }
        if self.callers.get(&by) == Some(&n) {
            self.callers.remove(&by);
        }
        for n in open.then {
            if let Some(next) = self.open.get_mut(&n) {
                next.waits_for -= 1;
                if next.waits_for == 0 {
                    self.ready.push_back(n);
                }
            }
        }
    }

    fn next_ready(&mut self) -> Option<u64> {
        if let Some(n) = self.ready.pop_front() {
            return Some(n);
        }
        let first = *self.open.first_key_value()?.0;
        if self.whole.front() == Some(&first) { self.whole.pop_front() } else { None }
    }

    /// Lets go what need not wait any more.
    fn let_go(&mut self, held: &mut BTreeSet<u64>) -> Vec<Turn<T>> {
        let mut go = Vec::new();
        while self.stalled.is_empty()
            && let Some(n) = self.next_ready()
        {
            let Some(turn) = self.open.get_mut(&n).and_then(|open| open.waiting.take()) else { continue };
            if turn.share != Share::Update {
                held.remove(&n);
                self.close(n, turn.by, turn.item.as_ref());
            }
            self.in_flight += 1;
            go.push(turn);
        }
        go
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
        Self { lanes: HashMap::default(), held: BTreeSet::new() }
    }

    /// A new call, which is given back if it is to be sent now.
    pub(super) fn admit(&mut self, turn: Turn<T>) -> Option<Turn<T>> {
        match self.lanes.get_mut(&turn.group) {
            Some(lane) => lane.admit(turn, &mut self.held),
            None => self.lanes.entry(turn.group.clone()).or_default().admit(turn, &mut self.held),
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
        let lane = self.lanes.entry(turn.group.clone()).or_default();
        if lane.stalled.is_empty() {
            lane.in_flight += 1;
            return Some(turn);
        }
        self.stall(turn);
        None
    }

    /// The call was not carried out, and goes out again at the next [`resume`](Self::resume).
    pub(super) fn stall(&mut self, turn: Turn<T>) {
        self.held.insert(turn.n);
        self.lanes.entry(turn.group.clone()).or_default().stalled.insert(turn.n, turn);
    }

    /// What looks at everything waits for call `n` although it was sent.
    pub(super) fn hold(&mut self, n: u64) {
        self.held.insert(n);
    }

    /// The call is done, however; what may be sent now in its place.
    pub(super) fn done(&mut self, n: u64, by: u64, group: &GroupKey, item: Option<&Name>) -> Vec<Turn<T>> {
        self.held.remove(&n);
        let Some(lane) = self.lanes.get_mut(group) else { return Vec::new() };
        lane.close(n, by, item);
        let go = lane.let_go(&mut self.held);
        if lane.is_idle() {
            self.lanes.remove(group);
        }
        go
    }

    /// Whether something of the group [goes out again](Self::resume).
    pub(super) fn is_stalled(&self, group: &GroupKey) -> bool {
        self.lanes.get(group).is_some_and(|lane| !lane.stalled.is_empty())
    }

    /// Whether `turn`, which was carried out, has passed one that goes out again.
    pub(super) fn has_passed(&self, turn: &Turn<T>, counts: impl Fn(&T) -> bool) -> bool {
        let lane = self.lanes.get(&turn.group);
        lane.is_some_and(|lane| lane.stalled.range(..turn.n).any(|(_, before)| before.holds_back(turn) && counts(&before.what)))
    }

    /// Takes out those that `turn` has passed. They are [done](Self::done): now it is too late for them.
    pub(super) fn passed_by(&mut self, turn: &Turn<T>, counts: impl Fn(&T) -> bool) -> Vec<Turn<T>> {
        let Some(lane) = self.lanes.get_mut(&turn.group) else { return Vec::new() };
        let passed = lane.stalled.range(..turn.n).filter(|(_, before)| before.holds_back(turn) && counts(&before.what));
        let passed: Vec<u64> = passed.map(|(n, _)| *n).collect();
        passed.iter().filter_map(|n| lane.stalled.remove(n)).collect()
    }

    /// Whether calls of the group are to go out again and nothing of it is under way any more.
    pub(super) fn is_resumable(&self, group: &GroupKey) -> bool {
        self.lanes.get(group).is_some_and(|lane| lane.in_flight == 0 && !lane.stalled.is_empty())
    }

    /// What goes out again, in order, if [nothing is under way](Self::is_resumable).
    pub(super) fn resume(&mut self, group: &GroupKey) -> Vec<Turn<T>> {
        if !self.is_resumable(group) {
            return Vec::new();
        }
        let Some(lane) = self.lanes.get_mut(group) else { return Vec::new() };
        let Lane { mut stalled, open, .. } = std::mem::take(lane);
        // What has waited may wait for other calls now: one that was sent before it may have stalled.
        stalled.extend(open.into_iter().filter_map(|(n, open)| Some((n, open.waiting?))));
        stalled.into_values().filter_map(|turn| lane.admit(turn, &mut self.held)).collect()
    }

    /// Whether all calls before `n` were sent and need no other attempt, as far as is known.
    pub(super) fn is_clear(&self, n: u64) -> bool {
        self.held.first().is_none_or(|first| *first > n)
    }
}

#[cfg(test)]
mod tests;
