//! The queue between the task and its reader, bounded in changes and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::FeedItem;
use crate::store::ledger::Body;

/// The changes that were asked for, from all nodes.
#[derive(Debug)]
pub struct Feed {
    items: mpsc::Receiver<FeedItem>,
    bytes: Arc<AtomicUsize>,
}

impl Feed {
    /// The next item; `None` once the last [`Redis`](super::super::Redis) handle is gone.
    pub async fn next(&mut self) -> Option<FeedItem> {
        let item = self.items.recv().await?;
        self.bytes.fetch_sub(size(&item), Ordering::Relaxed);
        Some(item)
    }
}

/// The task's end.
#[derive(Debug)]
pub(super) struct Queue {
    items: mpsc::Sender<FeedItem>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

pub(super) fn new(max_items: usize, max_bytes: usize) -> (Queue, Feed) {
    let (sender, items) = mpsc::channel(max_items.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { items: sender, bytes: bytes.clone(), max_bytes }, Feed { items, bytes })
}

impl Queue {
    /// Whether the item found room.
    pub(super) fn push(&self, item: FeedItem) -> bool {
        let size = size(&item);
        // An empty queue takes anything, or one large change would never come through.
        if self.bytes.load(Ordering::Relaxed) + size > self.max_bytes && self.items.capacity() < self.items.max_capacity() {
            return false;
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        if self.items.try_send(item).is_err() {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            return false;
        }
        true
    }

    /// Whether it is worth looking for what did not fit.
    pub(super) fn has_room(&self) -> bool {
        self.items.capacity() * 2 >= self.items.max_capacity() && self.bytes.load(Ordering::Relaxed) * 2 <= self.max_bytes
    }

    /// When nobody reads any more.
    pub(super) async fn closed(&self) {
        self.items.closed().await;
    }
}

fn size(item: &FeedItem) -> usize {
    match item {
        FeedItem::Change(change) => match &change.body {
            Body::Written { old, new } => new.as_bytes().len() + old.as_ref().map_or(0, |old| old.as_bytes().len()),
            Body::Deleted { old } => old.as_bytes().len(),
            Body::Event { data, .. } => data.as_bytes().len(),
        },
        FeedItem::Resync { .. } => 0,
    }
}
