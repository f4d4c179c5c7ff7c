//! How much a worker has called and not read the results of: a few bytes of a call can ask for many, so calls are refused where a worker does
//! not read.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Outcome;

/// How many times the `outbox_bytes` of a worker may wait for it.
const TIMES: usize = 4;

/// Calls of one worker that have no result yet, and bytes of results on their way to it.
#[derive(Debug)]
pub struct Unread {
    limit: usize,
    /// Calls whose result is not in its outbox.
    calls: AtomicUsize,
    /// Not yet with its session.
    under_way: AtomicUsize,
    /// In its outbox, when the session looked last.
    queued: AtomicUsize,
}

impl Unread {
    /// Nothing waits; up to four times `outbox_bytes` may.
    #[must_use]
    pub fn new(outbox_bytes: usize) -> Self {
        Self {
            limit: outbox_bytes.saturating_mul(TIMES),
            calls: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
        }
    }

    /// It makes a call.
    pub(super) fn begin(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all that it has called is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.calls.load(Ordering::Relaxed) == 0
    }

    /// A call has ended.
    pub(super) fn add(&self, outcome: &Outcome) {
        self.under_way.fetch_add(size(outcome), Ordering::Relaxed);
    }

    /// Its result is in the outbox.
    pub(crate) fn queue(&self, outcome: &Outcome) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
        self.under_way.fetch_sub(size(outcome), Ordering::Relaxed);
    }

    /// So many bytes are in the outbox now.
    pub(crate) fn set_queued(&self, bytes: usize) {
        self.queued.store(bytes, Ordering::Relaxed);
    }

    /// What a call is answered instead of being carried out, where too much waits.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let bytes = self.under_way.load(Ordering::Relaxed).saturating_add(self.queued.load(Ordering::Relaxed));
        (bytes > self.limit).then(|| {
            format!("{bytes} bytes of results wait for this worker, the limit is {}; read them, and have fewer calls under way", self.limit)
        })
    }
}

/// What counts of a result; errors are short.
fn size(outcome: &Outcome) -> usize {
    outcome.as_ref().map_or(0, |output| output.size())
}
