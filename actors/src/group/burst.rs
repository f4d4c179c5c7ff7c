//! Changes on their way to many sockets: what is sent as one, and whose queue had no room.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::change::{Change, GroupView};
use crate::ids::SocketId;

/// Frames up to this length together are sent as one.
const BURST_BYTES: usize = 64 << 10;

/// Frames of changes that follow each other, as one: what several changes cost a socket is mostly the writes.
pub(super) struct Burst {
    pub(super) frames: Bytes,
    /// How many changes.
    pub(super) count: u64,
}

impl Burst {
    /// What those who subscribe to the group get of the changes, in pieces of about [`BURST_BYTES`].
    pub(super) fn all(changes: &[Arc<Change>]) -> Vec<Self> {
        let mut bursts = Vec::new();
        let mut frames = changes.iter().filter_map(|change| group_frame(change)).peekable();
        while let Some(first) = frames.next() {
            let fits = |bytes: usize| move |next: &Bytes| bytes + next.len() <= BURST_BYTES;
            let Some(second) = frames.next_if(fits(first.len())) else {
                bursts.push(Self { frames: first, count: 1 });
                continue;
            };
            let mut burst = BytesMut::with_capacity(BURST_BYTES.min((first.len() + second.len()) * changes.len()));
            burst.extend_from_slice(&first);
            burst.extend_from_slice(&second);
            let mut count = 2;
            while let Some(next) = frames.next_if(fits(burst.len())) {
                burst.extend_from_slice(&next);
                count += 1;
            }
            bursts.push(Self { frames: burst.freeze(), count });
        }
        bursts
    }
}

/// Sockets whose queue is full, and how many changes they were not told.
#[derive(Default)]
pub(super) struct Full(Vec<(SocketId, u64)>);

impl Full {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Pushes so many changes to a socket, unless an earlier one has found no room. Whether they were taken.
    pub(super) fn push<S>(&mut self, (socket, sink): (&SocketId, &S), count: u64, push: impl FnOnce(&S) -> bool) -> bool {
        let before = if self.0.is_empty() { None } else { self.0.iter_mut().find(|(full, _)| full == socket) };
        match before {
            Some((_, dropped)) => *dropped += count,
            None if push(sink) => return true,
            None => self.0.push((*socket, count)),
        }
        false
    }

    /// They, and how many changes each of them was not told.
    pub(super) fn sockets(&self) -> impl Iterator<Item = (SocketId, u64)> {
        self.0.iter().copied()
    }
}

/// What a subscriber of the group is sent; one who watches the item too gets this as its one copy.
pub(super) fn group_frame(change: &Change) -> Option<Bytes> {
    match &change.group_view {
        GroupView::Same => Some(change.frame.frames()),
        GroupView::Other(frame) => Some(frame.frames()),
        GroupView::Hidden => None,
    }
}
