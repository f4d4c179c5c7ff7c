//! What waits for a worker: calls of its own that have no result yet; bytes of results, since a few bytes of a call can ask for many, so that its calls
//! are refused where it does not read; and bytes of calls to it that its session has not taken up.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::Outcome;
use crate::json::Json;

/// How many times the `outbox_bytes` of a worker may wait for it.
const TIMES: usize = 4;

/// Calls of one worker that have no result yet, and bytes on their way to it.
#[derive(Debug)]
pub struct Unread {
    limit: usize,
    /// Calls whose result is not in its outbox.
    unanswered: AtomicUsize,
    /// Not yet with its session.
    under_way: AtomicUsize,
    /// In its outbox, when the session looked last.
    queued: AtomicUsize,
    /// Of calls that are not yet with its session.
    calling: AtomicUsize,
}

impl Unread {
    /// Nothing waits; up to four times `outbox_bytes` may.
    #[must_use]
    pub fn new(outbox_bytes: usize) -> Self {
        Self {
            limit: outbox_bytes.saturating_mul(TIMES),
            unanswered: AtomicUsize::new(0),
            under_way: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            calling: AtomicUsize::new(0),
        }
    }

    /// It makes a call.
    pub(super) fn begin(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether all that it has called is answered.
    pub(crate) fn is_answered(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) == 0
    }

    /// The worker is called with this input, unless too much is on its way to it already.
    ///
    /// # Errors
    /// How many bytes are on their way.
    pub(super) fn call(&self, data: &Json) -> Result<(), usize> {
        // One may pass the limit, as in the outbox.
        let before = self.calling.fetch_add(data.as_bytes().len(), Ordering::Relaxed);
        if before < self.limit {
            return Ok(());
        }
        self.called(data);
        Err(before)
    }

    /// It has got to the worker's session.
    pub(crate) fn called(&self, data: &Json) {
        self.calling.fetch_sub(data.as_bytes().len(), Ordering::Relaxed);
    }

    /// A call has ended.
    pub(super) fn add(&self, outcome: &Outcome) {
        self.under_way.fetch_add(size(outcome), Ordering::Relaxed);
    }

    /// Its result is in the outbox.
    pub(crate) fn queue(&self, outcome: &Outcome) {
        self.unanswered.fetch_sub(1, Ordering::Relaxed);
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
