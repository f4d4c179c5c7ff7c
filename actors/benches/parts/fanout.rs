//! Fan-out: a change on its way from the group to all of its sockets, which do no more than count.

use std::cell::Cell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use weir_actors::change::{Change, GroupView, Position, Snapshot};
use weir_actors::group::roster::{Roster, Scope, Sink};
use weir_actors::ids::SocketId;
use weir_actors::store::ledger::{Body, Recorded};
use weir_actors::wire::subscriber::Address;

use crate::part::Part;
use crate::sample;

const BURST: usize = 16;

pub(crate) fn parts() -> Vec<Part> {
    let mut parts = Vec::new();
    for sockets in [1, 100, 10_000] {
        // The bounds are the same for any number of sockets: delivering takes no memory.
        let name = format!("fanout/one change to {sockets}");
        parts.push(Part::new(name, "delivery", sockets, move || delivering(1, sockets, |_| Scope::Group)).allocates_at_most(1));
        let name = format!("fanout/burst of {BURST} to {sockets}");
        let unit = "delivery of a change";
        parts.push(Part::new(name, unit, BURST * sockets, move || delivering(BURST, sockets, |_| Scope::Group)).allocates_at_most(3));
    }
    let own = |n| Scope::Item(sample::key_in_group(n).item);
    parts.push(Part::new("fanout/one change to 1 of 10000, each at its own item", "delivery", 1, move || delivering(1, 10_000, own)));
    parts
}

/// Passes so many changes to so many sockets.
fn delivering(changes: usize, sockets: usize, scope: fn(usize) -> Scope) -> impl FnMut() + 'static {
    let address = Address::new(&sample::key(0).group);
    let changes: Vec<_> = (0..changes).map(|n| Arc::new(encoded(recorded(n), &address))).collect();
    let (mut roster, sinks) = roster(&address, sockets, scope);
    let synced = taken(&sinks);
    assert!(roster.changes(&changes).is_empty() && taken(&sinks) > synced, "somebody is told");
    move || {
        black_box(roster.changes(black_box(&changes)));
    }
}

/// An update as the store would record it.
fn recorded(n: usize) -> Recorded {
    let (key, seq) = (sample::key_in_group(n), n as u64 + 1);
    let value = sample::value(&key);
    let body = Body::Written { old: Some(value.clone()), new: value };
    Recorded { group: key.group, item: Some(key.item), position: Position { epoch: 0, seq }, timestamp: 1_764_000_000_000 + seq, body }
}

/// What the store makes of an update of a group that has that address.
pub(crate) fn encoded(recorded: Recorded, address: &Address) -> Change {
    let Recorded { group, item, position, timestamp, body } = recorded;
    let kind = body.kind();
    let Body::Written { new, .. } = body else { panic!("no update") };
    let frame = address.change(timestamp, item.as_ref(), kind, &new);
    Change { group, item, kind, position, timestamp, frame, group_view: GroupView::Same }
}

/// So many sockets that have joined a group and have their `sync`.
pub(crate) fn roster(address: &Address, sockets: usize, scope: fn(usize) -> Scope) -> (Roster<Counter>, Vec<Counter>) {
    let mut roster = Roster::default();
    let sinks: Vec<_> = (0..sockets).map(|_| Counter::default()).collect();
    for (n, sink) in sinks.iter().enumerate() {
        roster.join(SocketId::next(), sink.clone(), "s".into(), scope(n));
    }
    let wanted = roster.wanted().expect("a snapshot");
    let snapshot = Snapshot { position: Position { epoch: 0, seq: 0 }, timestamp: 0, whole: Some(Vec::new()), items: Vec::new() };
    assert!(roster.snapshot(wanted.request, &snapshot, address).is_empty());
    assert!(sinks.iter().all(|sink| sink.0.get() > 0), "each has its sync");
    (roster, sinks)
}

fn taken(sinks: &[Counter]) -> usize {
    sinks.iter().map(|sink| sink.0.get()).sum()
}

/// A socket that counts the bytes it gets. Each has memory of its own, as sockets have.
#[derive(Clone, Default)]
pub(crate) struct Counter(Rc<Cell<usize>>);

impl Sink for Counter {
    fn push(&self, frame: &Bytes) -> bool {
        self.0.set(self.0.get() + frame.len());
        // A socket's queue may be full, for all that its group knows.
        black_box(true)
    }

    fn queue(&self, frame: &Bytes) -> bool {
        self.push(frame)
    }

    fn push_with(&self, frame: &Bytes) {
        self.push(frame);
    }
}
