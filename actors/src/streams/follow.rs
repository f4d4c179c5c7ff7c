//! One subscription of a host program to a group: what it is told, and when it needs a snapshot. No actor.
//!
//! The same promise as for a socket: the state at position S, then every change after S. Changes that come while the snapshot is on its way are
//! kept aside; what finds no room in the queue is left out, and made up for by a new state once the queue has drained.

use std::sync::Arc;

use crate::change::{Change, Snapshot};

/// Bytes of changes that are kept aside. With more, they are dropped for another snapshot, which may take twice as many.
const KEPT_BYTES: usize = 8 << 20;
/// What a change takes beside its frame.
pub(super) const CHANGE_BYTES: usize = 256;
/// After this many snapshots that came too late, one is asked for that does not wait for its turn.
const PATIENCE: u32 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A snapshot is to be asked for.
    Wanting,
    /// It is on its way.
    Asked,
    /// Changes are passed on.
    Active,
    /// The queue is full; nothing until it has drained.
    Lagging,
}

/// What the subscriber is told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// The state of the group.
    State(Arc<Snapshot>),
    /// What has changed since.
    Change(Arc<Change>),
}

/// A snapshot to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) request: u64,
    pub(super) urgent: bool,
}

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Follow {
    state: State,
    request: u64,
    kept: Vec<Arc<Change>>,
    kept_bytes: usize,
    late: u32,
}

impl Follow {
    pub(super) fn new() -> Self {
        Self { state: State::Wanting, request: 0, kept: Vec::new(), kept_bytes: 0, late: 0 }
    }

    /// The snapshot to ask for now, if there is one.
    pub(super) fn wanted(&mut self) -> Option<Wanted> {
        if self.state != State::Wanting {
            return None;
        }
        self.state = State::Asked;
        self.request += 1;
        Some(Wanted { request: self.request, urgent: self.late >= PATIENCE })
    }

    /// The group has changed; `tell` is false where there is no room.
    pub(super) fn changes(&mut self, changes: &[Arc<Change>], mut tell: impl FnMut(Told) -> bool) {
        match self.state {
            State::Active => {
                if !changes.iter().all(|change| tell(Told::Change(change.clone()))) {
                    self.state = State::Lagging;
                }
            }
            State::Asked | State::Wanting => self.keep(changes),
            State::Lagging => {}
        }
    }

    fn keep(&mut self, changes: &[Arc<Change>]) {
        self.kept_bytes += changes.iter().map(|change| change.frame.frames().len() + CHANGE_BYTES).sum::<usize>();
        self.kept.extend_from_slice(changes);
        if self.kept_bytes > KEPT_BYTES << self.late.min(PATIENCE) {
            // The snapshot under way, if one is, would leave a hole now.
            self.late += u32::from(self.state == State::Asked);
            self.again();
        }
    }

    fn again(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
        self.state = State::Wanting;
    }

    /// The answer to `request` has come.
    pub(super) fn snapshot(&mut self, request: u64, snapshot: &Arc<Snapshot>, mut tell: impl FnMut(Told) -> bool) {
        if self.state != State::Asked || self.request != request {
            return;
        }
        self.late = 0;
        self.kept_bytes = 0;
        let kept = std::mem::take(&mut self.kept);
        let after = kept.into_iter().filter(|change| change.position.seq > snapshot.position.seq);
        let told = tell(Told::State(snapshot.clone())) && after.map(Told::Change).all(tell);
        self.state = if told { State::Active } else { State::Lagging };
    }

    /// Whether the answer to `request`, which is an error, is for us.
    pub(super) fn is_waiting_for(&self, request: u64) -> bool {
        self.state == State::Asked && self.request == request
    }

    /// Changes were missed.
    pub(super) fn resync(&mut self) {
        if self.state != State::Lagging {
            self.again();
        }
    }

    /// The queue is empty again.
    pub(super) fn drained(&mut self) {
        if self.state == State::Lagging {
            self.again();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{GroupView, Kind, Position};
    use crate::ids::GroupKey;
    use crate::json::Json;
    use crate::wire::subscriber::Address;

    fn change(seq: u64) -> Arc<Change> {
        let group = GroupKey::new("s", "g");
        let frame = Address::new(&group).change(seq, Some(&"i".into()), Kind::Update, &Json::assembled(seq.to_string()));
        let position = Position { epoch: 1, seq };
        Arc::new(Change { group, item: Some("i".into()), kind: Kind::Update, position, timestamp: seq, frame, group_view: GroupView::Same })
    }

    fn snapshot(seq: u64) -> Arc<Snapshot> {
        Arc::new(Snapshot { position: Position { epoch: 1, seq }, timestamp: seq, whole: Some(Vec::new()), items: Vec::new() })
    }

    /// What is told: the state as minus its position, changes by theirs; room for so many.
    fn teller(told: &mut Vec<i64>, room: usize) -> impl FnMut(Told) -> bool {
        move |next| {
            if told.len() >= room {
                return false;
            }
            told.push(match next {
                Told::State(snapshot) => -i64::try_from(snapshot.position.seq).unwrap_or_default(),
                Told::Change(change) => i64::try_from(change.position.seq).unwrap_or_default(),
            });
            true
        }
    }

    #[test]
    fn changes_while_the_snapshot_is_read_are_told_once_and_in_order() {
        let (mut follow, mut told) = (Follow::new(), Vec::new());
        let wanted = follow.wanted();
        assert_eq!(wanted, Some(Wanted { request: 1, urgent: false }));
        assert_eq!(follow.wanted(), None);
        follow.changes(&[change(4), change(5), change(6)], teller(&mut told, 99));
        follow.snapshot(1, &snapshot(5), teller(&mut told, 99));
        follow.changes(&[change(7)], teller(&mut told, 99));
        assert_eq!(told, [-5, 6, 7]);
    }

    #[test]
    fn what_finds_no_room_is_made_up_for_by_a_state() {
        let (mut follow, mut told) = (Follow::new(), Vec::new());
        follow.wanted();
        follow.snapshot(1, &snapshot(1), teller(&mut told, 2));
        follow.changes(&[change(2), change(3)], teller(&mut told, 2));
        follow.changes(&[change(4)], teller(&mut told, 99));
        assert_eq!((&told[..], follow.wanted()), (&[-1, 2][..], None));
        follow.drained();
        assert_eq!(follow.wanted(), Some(Wanted { request: 2, urgent: false }));
        follow.changes(&[change(5)], teller(&mut told, 99));
        follow.snapshot(2, &snapshot(4), teller(&mut told, 99));
        assert_eq!(told, [-1, 2, -4, 5]);
    }

    #[test]
    fn answer_from_before_a_resync_is_not_taken() {
        let (mut follow, mut told) = (Follow::new(), Vec::new());
        follow.wanted();
        follow.resync();
        follow.snapshot(1, &snapshot(1), teller(&mut told, 99));
        assert!(told.is_empty());
        follow.wanted();
        follow.snapshot(1, &snapshot(1), teller(&mut told, 99));
        follow.snapshot(2, &snapshot(9), teller(&mut told, 99));
        assert_eq!(told, [-9]);
    }

    #[test]
    fn snapshots_that_come_too_late_are_given_up_until_one_is_urgent() {
        let mut follow = Follow::new();
        let padding = vec![change(1); KEPT_BYTES / CHANGE_BYTES];
        for request in 1..=u64::from(PATIENCE) {
            assert_eq!(follow.wanted(), Some(Wanted { request, urgent: false }));
            for _ in 0..1 << request {
                follow.changes(&padding, |_| true);
            }
        }
        assert!(follow.wanted().is_some_and(|wanted| wanted.urgent));
    }
}
