//! The order of calls to groups of streams whose functions a worker has taken over. Pure queues.
//!
//! A call to an override takes as long as the worker takes, and its change counts when the worker has answered. So that a group still has
//! one order, its calls stand in a lane: they are sent to the worker in the order in which they came, and published in that order too,
//! whichever answer comes first. Calls that must not overlap with others (an update put together from get and set, a snapshot) are
//! exclusive: sent when they are first in the lane, and nothing behind them is sent until they are done.

use std::collections::VecDeque;

/// How a call shares its lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Sent at once, published in order.
    Ordered,
    /// Sent at once, answered at once: a read.
    Free,
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

    /// The next call that may be sent, marked as sent.
    pub fn next_to_send(&mut self) -> Option<(Ticket, C)> {
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let exclusive = entry.share == Share::Exclusive;
            if let State::Waiting(_) = entry.state {
                if exclusive && index > 0 {
                    return None;
                }
                let State::Waiting(call) = std::mem::replace(&mut entry.state, State::Sent) else { return None };
                return Some((entry.ticket, call));
            }
            if exclusive {
                return None;
            }
        }
        None
    }

    /// The next result that may be published: the oldest call's, or any free one's.
    pub fn next_done(&mut self) -> Option<R> {
        let index = self
            .entries
            .iter()
            .enumerate()
            .position(|(index, entry)| (index == 0 || entry.share == Share::Free) && matches!(entry.state, State::Done(_)))?;
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
    fn writes_are_sent_at_once_and_published_in_order() {
        let mut lane = Lane::default();
        lane.push(1, Share::Ordered, "a");
        lane.push(2, Share::Ordered, "b");
        assert_eq!(sent(&mut lane), ["a", "b"]);
        lane.done(2, 20);
        assert!(done(&mut lane).is_empty());
        lane.done(1, 10);
        assert_eq!(done(&mut lane), [10, 20]);
        assert!(lane.is_empty());
    }

    #[test]
    fn read_is_answered_before_the_write_ahead_of_it() {
        let mut lane = Lane::default();
        lane.push(1, Share::Ordered, "write");
        lane.push(2, Share::Free, "read");
        assert_eq!(sent(&mut lane), ["write", "read"]);
        lane.done(2, 20);
        assert_eq!(done(&mut lane), [20]);
    }

    #[test]
    fn exclusive_call_waits_for_its_turn_and_holds_up_what_follows() {
        let mut lane = Lane::default();
        lane.push(1, Share::Ordered, "write");
        lane.push(2, Share::Exclusive, "update");
        lane.push(3, Share::Free, "read");
        assert_eq!(sent(&mut lane), ["write"]);
        lane.done(1, 10);
        assert_eq!(done(&mut lane), [10]);
        assert_eq!(sent(&mut lane), ["update"]);
        assert_eq!(sent(&mut lane), [] as [&str; 0]);
        lane.done(2, 20);
        assert_eq!(done(&mut lane), [20]);
        assert_eq!(sent(&mut lane), ["read"]);
    }
}
