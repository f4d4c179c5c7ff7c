//! The queue between the task and its reader, bounded in changes and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Notify, mpsc};

use super::FeedItem;
use crate::store::ledger::Body;

/// The changes that were asked for, from all nodes.
#[derive(Debug)]
pub struct Feed {
    items: mpsc::Receiver<FeedItem>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes: AtomicUsize,
    max_bytes: usize,
    max_items: usize,
    /// There is room again.
    room: Notify,
}

impl Shared {
    /// Whether it is worth looking for what did not fit.
    fn has_room(&self, items: usize) -> bool {
        items * 2 <= self.max_items && self.bytes.load(Ordering::Relaxed) * 2 <= self.max_bytes
    }
}

impl Feed {
    /// The next item; `None` once the last [`Redis`](super::super::Redis) handle is gone.
    pub async fn next(&mut self) -> Option<FeedItem> {
        let item = self.items.recv().await?;
        let had_room = self.shared.has_room(self.items.len() + 1);
        self.shared.bytes.fetch_sub(size(&item), Ordering::Relaxed);
        if !had_room && self.shared.has_room(self.items.len()) {
            self.shared.room.notify_one();
        }
        Some(item)
    }
}

/// The task's end.
#[derive(Debug)]
pub(super) struct Queue {
    items: mpsc::Sender<FeedItem>,
    shared: Arc<Shared>,
}

pub(super) fn new(max_items: usize, max_bytes: usize) -> (Queue, Feed) {
    let max_items = max_items.max(1);
    let (sender, items) = mpsc::channel(max_items);
    let shared = Arc::new(Shared { bytes: AtomicUsize::new(0), max_bytes, max_items, room: Notify::new() });
    (Queue { items: sender, shared: shared.clone() }, Feed { items, shared })
}

impl Queue {
    /// Whether the item found room.
    pub(super) fn push(&self, item: FeedItem) -> bool {
        let size = size(&item);
        // An empty queue takes anything, or one large change would never come through.
        let is_empty = self.items.capacity() == self.items.max_capacity();
        if self.shared.bytes.load(Ordering::Relaxed) + size > self.shared.max_bytes && !is_empty {
            return false;
        }
        self.shared.bytes.fetch_add(size, Ordering::Relaxed);
        let fits = self.items.try_send(item).is_ok();
        if !fits {
            self.shared.bytes.fetch_sub(size, Ordering::Relaxed);
        }
        fits
    }

    /// Until it is worth looking for what did not fit.
    pub(super) async fn room(&self) {
        while !self.shared.has_room(self.items.max_capacity() - self.items.capacity()) {
            self.shared.room.notified().await;
        }
    }

    /// When nobody reads any more.
    pub(super) async fn closed(&self) {
        self.items.closed().await;
    }
}

fn size(item: &FeedItem) -> usize {
    match item {
        FeedItem::Change(change) => bytes(&change.body),
        FeedItem::Resync { .. } => 0,
    }
}

/// How much a change holds.
pub(super) fn bytes(body: &Body) -> usize {
    match body {
        Body::Written { old, new } => new.as_bytes().len() + old.as_ref().map_or(0, |old| old.as_bytes().len()),
        Body::Deleted { old } => old.as_bytes().len(),
        Body::Event { data, .. } => data.as_bytes().len(),
    }
}
