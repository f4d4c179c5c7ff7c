//! The order of calls to groups of streams whose functions a worker has taken over. Pure queues.
//!
//! A call to an override takes as long as the worker takes, and its change counts when the worker has answered. So that a group still has
//! one order, its calls stand in a lane: they are published in the order in which they came, whichever answer comes first. A write is sent
//! to the worker once every earlier write of its item is answered, so that what the worker applied last is also what is published last,
//! whatever its handlers do meanwhile; a read waits for the writes before it in the same way. Calls that must not overlap with others (an
//! update put together from get and set, a snapshot) are exclusive: sent when they are first in the lane, and nothing behind them is sent
//! until they are done.

use std::collections::VecDeque;

use crate::hash::HashSet;
use crate::ids::Name;

/// How a call shares its lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Share {
    /// A write of an item: sent after earlier writes of it, published in order.
    Write(Name),
    /// A read, of an item or of the whole group: sent after the writes before it, answered at once.
    Read(Option<Name>),
    /// Sent at once, published in order.
    Ordered,
    /// Alone in the lane while it is under way.
    Exclusive,
}

/// Names a call of a lane.
pub type Ticket = u64;

enum State<C, R> {
    Waiting(C),
    Sent,
    Done(R),
}

struct Entry<C, R> {
    ticket: Ticket,
    share: Share,
    state: State<C, R>,
}

/// The calls of one group, oldest first.
pub struct Lane<C, R> {
    entries: VecDeque<Entry<C, R>>,
}

impl<C, R> Default for Lane<C, R> {
    fn default() -> Self {
        Self { entries: VecDeque::new() }
    }
}

impl<C, R> Lane<C, R> {
    /// How many calls wait or are under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Appends a call.
    pub fn push(&mut self, ticket: Ticket, share: Share, call: C) {
        self.entries.push_back(Entry { ticket, share, state: State::Waiting(call) });
    }

    /// Records the result of a call that was sent.
    pub fn done(&mut self, ticket: Ticket, result: R) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.ticket == ticket) {
            entry.state = State::Done(result);
        }
    }

    /// Whether a call up to that ticket is under way, or waits, that may write.
    #[must_use]
    pub fn is_written(&self, upto: Ticket) -> bool {
        self.entries.iter().take_while(|entry| entry.ticket <= upto).any(|entry| !matches!(entry.share, Share::Read(_)))
    }

    /// Whether an exclusive call is under way.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.entries.front().is_some_and(|entry| entry.share == Share::Exclusive && matches!(entry.state, State::Sent))
    }

    /// The next call that may be sent, marked as sent.
    pub fn next_to_send(&mut self) -> Option<(Ticket, C)> {
        let mut writing: HashSet<&Name> = HashSet::default();
        let mut found = None;
        for (index, entry) in self.entries.iter().enumerate() {
            if let State::Waiting(_) = entry.state {
                let free = match &entry.share {
                    Share::Write(item) | Share::Read(Some(item)) => !writing.contains(item),
                    Share::Read(None) => writing.is_empty(),
                    Share::Ordered => true,
                    Share::Exclusive => index == 0,
                };
                if free {
                    found = Some(index);
                    break;
                }
            }
            match &entry.share {
                Share::Exclusive if !matches!(entry.state, State::Done(_)) => return None,
                Share::Write(item) if !matches!(entry.state, State::Done(_)) => {
                    writing.insert(item);
                }
                _ => {}
            }
        }
        let entry = self.entries.get_mut(found?)?;
        match std::mem::replace(&mut entry.state, State::Sent) {
            State::Waiting(call) => Some((entry.ticket, call)),
            _ => None,
        }
    }

    /// The next result that may be published: the oldest call's, or any free one's.
    pub fn next_done(&mut self) -> Option<R> {
        let index =
            self.entries.iter().enumerate().position(|(index, entry)| {
                (index == 0 || matches!(entry.share, Share::Read(_))) && matches!(entry.state, State::Done(_))
            })?;
        match self.entries.remove(index)?.state {
            State::Done(result) => Some(result),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(lane: &mut Lane<&'static str, u32>) -> Vec<&'static str> {
        std::iter::from_fn(|| lane.next_to_send().map(|(_, call)| call)).collect()
    }

    fn done(lane: &mut Lane<&'static str, u32>) -> Vec<u32> {
        std::iter::from_fn(|| lane.next_done()).collect()
    }

    #[test]
    fn writes_of_different_items_are_sent_at_once_and_published_in_order() {
        let mut lane = Lane::default();
        lane.push(1, Share::Write("x".into()), "a");
        lane.push(2, Share::Write("y".into()), "b");
        assert_eq!(sent(&mut lane), ["a", "b"]);
        lane.done(2, 20);
        assert!(done(&mut lane).is_empty());
        lane.done(1, 10);
        assert_eq!(done(&mut lane), [10, 20]);
        assert!(lane.is_empty());
    }

    #[test]
    fn write_of_an_item_waits_for_the_write_before_it() {
        let mut lane = Lane::default();
        lane.push(1, Share::Write("x".into()), "first");
        lane.push(2, Share::Write("x".into()), "second");
        lane.push(3, Share::Read(Some("x".into())), "read");
        lane.push(4, Share::Read(None), "list");
        lane.push(5, Share::Read(Some("y".into())), "other");
        assert_eq!(sent(&mut lane), ["first", "other"]);
        lane.done(1, 10);
        assert_eq!(sent(&mut lane), ["second"]);
        lane.done(2, 20);
        assert_eq!(sent(&mut lane), ["read", "list"]);
        lane.done(4, 40);
        assert_eq!(done(&mut lane), [10, 20, 40]);
    }

    #[test]
    fn exclusive_call_waits_for_its_turn_and_holds_up_what_follows() {
        let mut lane = Lane::default();
        lane.push(1, Share::Write("x".into()), "write");
        lane.push(2, Share::Exclusive, "update");
        lane.push(3, Share::Read(None), "read");
        assert_eq!(sent(&mut lane), ["write"]);
        assert!(!lane.is_exclusive());
        lane.done(1, 10);
        assert_eq!(done(&mut lane), [10]);
        assert_eq!(sent(&mut lane), ["update"]);
        assert!(lane.is_exclusive());
        assert!(sent(&mut lane).is_empty());
        lane.done(2, 20);
        assert_eq!(done(&mut lane), [20]);
        assert_eq!(sent(&mut lane), ["read"]);
    }
}
