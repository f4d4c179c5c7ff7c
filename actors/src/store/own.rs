//! An adapter of this process: calls are applied as they come and made permanent together. No messages here, see [`Store`](super::Store).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::input::{Function, Op};
use super::interest::Interest;
use super::ledger::{Body, Ledger, Recorded};
use super::reader::Readers;
use super::trouble::Trouble;
use super::{failure, publish};
use crate::adapter::{Adapter, AdapterError, Deferred, Read};
use crate::change::Snapshot;
use crate::distribution::Histogram;
use crate::error::{CallError, Outcome};
use crate::functions::{Registry, ReplyTo};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;
use crate::metrics::Metrics;
use crate::metrics::calls::{Batch, BuiltIn};
use crate::spans::{Context, Spans, Work};

/// Calls that are committed together at most.
const BATCH: usize = 1_024;
/// Bytes of values that are committed together, or of results that are sent together, where one is not larger.
const BATCH_BYTES: usize = 8 << 20;
/// Traces that the span of a commit is linked with at most, as many as OpenTelemetry has by default.
const LINKS: usize = 128;

/// The ledger on top of the adapter, and who waits for its next commit.
pub(super) struct Own {
    ledger: Ledger,
    /// Results that wait for the commit, each with the function that was called.
    batch: Vec<(ReplyTo, Outcome, Function)>,
    /// Bytes of these results.
    batch_bytes: usize,
    readers: Readers,
    trouble: Trouble,
    metrics: Arc<Metrics>,
    spans: Arc<Spans>,
    /// How long the adapter has synced.
    syncs: Option<Arc<Histogram>>,
}

impl Own {
    pub(super) fn new(adapter: Box<dyn Adapter>, registry: &Registry) -> Self {
        let (metrics, spans, syncs) = (registry.metrics.clone(), registry.spans.clone(), adapter.syncs());
        if let Some(syncs) = &syncs {
            metrics.set_syncs(syncs.clone());
        }
        let settings = &registry.settings.stream;
        let ledger = Ledger::new(adapter, settings.max_value_bytes, settings.max_streams);
        Self { ledger, batch: Vec::new(), batch_bytes: 0, readers: Readers::default(), trouble: Trouble::default(), metrics, spans, syncs }
    }

    /// Applies an operation. One that lists must find the ledger [up to date](Self::is_behind).
    pub(super) fn apply(&mut self, op: Op, reply: ReplyTo) {
        let function = op.called();
        if !op.is_wide() {
            let outcome = self.ledger.apply(op);
            return self.answer(reply, outcome, function);
        }
        let code = function.error_code();
        match self.ledger.list(&op) {
            Ok(Read::Deferred(read)) => {
                let read = unless_unread(read, &reply);
                let metrics = self.metrics.clone();
                self.readers.carry_out(read, move |output| {
                    let outcome = output.map_err(|error| failure(code, &error));
                    metrics.served(BuiltIn::Stream(function), &outcome);
                    reply.send(outcome);
                });
            }
            Ok(Read::Done(output)) => self.answer(reply, Ok(output), function),
            Err(error) => self.answer(reply, Err(failure(code, &error)), function),
        }
    }

    /// Answers a call of `function` with the next commit.
    pub(super) fn answer(&mut self, reply: ReplyTo, outcome: Outcome, function: Function) {
        self.batch_bytes += outcome.as_ref().map_or(0, |output| output.size());
        self.batch.push((reply, outcome, function));
    }

    /// Numbers a change of an item that a worker has stored.
    pub(super) fn touch(&mut self, key: ItemKey, body: Body) -> Result<(), AdapterError> {
        self.ledger.touch(key, body)
    }

    /// Whether somebody waits for a commit.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Whether no more should be committed together.
    pub(super) fn is_full(&self) -> bool {
        self.batch.len() >= BATCH || self.ledger.pending_bytes().max(self.batch_bytes) >= BATCH_BYTES
    }

    /// Whether a read of the group, or of everything, would miss what is not committed.
    pub(super) fn is_behind(&self, group: Option<&GroupKey>) -> bool {
        self.ledger.is_behind(group)
    }

    /// The value of an item, with what is not committed yet.
    pub(super) fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.ledger.get(key)
    }

    /// The state of a group, which must not be [behind](Self::is_behind).
    pub(super) fn snapshot(&mut self, group: &GroupKey, whole: bool, items: &[Name]) -> Result<Read<Snapshot>, AdapterError> {
        self.ledger.snapshot(group, whole, items)
    }

    /// Where long reads are carried out.
    pub(super) fn readers(&mut self) -> &mut Readers {
        &mut self.readers
    }

    /// Commits, answers all who waited for it, and hands out what has changed. Nothing has where the commit fails.
    pub(super) fn commit(&mut self) -> Vec<Recorded> {
        let batch = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let (writes, stores) = (!self.ledger.is_clean(), self.ledger.stores());
        let began = writes.then(|| (Instant::now(), self.synced()));
        let committed = self.ledger.commit();
        if let Some((began, synced)) = began {
            let took = began.elapsed();
            self.metrics.committed.seconds.took(took);
            self.metrics.committed.calls.record(batch.len() as u64);
            if self.spans.is_on() {
                let synced = Duration::from_nanos(self.synced().saturating_sub(synced)).min(took);
                let work = Work::Commit { calls: batch.len(), synced, ok: committed.is_ok() };
                self.spans.committed(traces(&batch), took, work);
            }
        }
        let mut ended = Batch::default();
        let recorded = match committed {
            Ok(recorded) => {
                match stores {
                    Some(Ok(())) if writes => self.goes_on(),
                    Some(Err((error, calls))) => {
                        self.metrics.committed.failed.add(1);
                        self.complain(&error, calls);
                    }
                    // What needs next to no room says nothing of whether there is some.
                    Some(Ok(())) | None => {}
                }
                publish::deliver(batch.into_iter().map(|(reply, outcome, function)| {
                    ended.count(function, &outcome);
                    (reply, outcome)
                }));
                recorded
            }
            Err(error) => {
                self.metrics.committed.failed.add(1);
                self.complain(&error, batch.len());
                // Reads fail with the rest: they may have seen what was not stored.
                let limit = failure("", &error).limit;
                let failed = |code| CallError::new(code, format!("not stored: {error}")).past(limit);
                publish::deliver(batch.into_iter().map(|(reply, outcome, function)| {
                    let outcome = outcome.and_then(|_| Err(failed(function.error_code())));
                    ended.count(function, &outcome);
                    (reply, outcome)
                }));
                Vec::new()
            }
        };
        self.metrics.served_all(&ended);
        recorded
    }

    /// Nanoseconds that the adapter has synced so far.
    fn synced(&self) -> u64 {
        self.syncs.as_ref().map_or(0, |syncs| syncs.sum())
    }

    /// Whether nothing was stored since a commit failed.
    pub(super) fn is_failing(&self) -> bool {
        self.trouble.is()
    }

    /// Finds out whether a store that fails goes on.
    pub(super) fn probe(&mut self) {
        if !self.trouble.is() {
            return;
        }
        match self.ledger.probe() {
            Ok(()) => self.goes_on(),
            Err(error) => {
                if let Some(unsaid) = self.trouble.lasts(Instant::now()) {
                    tracing::error!(%error, unsaid, "the store does not commit");
                }
            }
        }
    }

    fn goes_on(&mut self) {
        if self.trouble.is() && self.trouble.ended() {
            tracing::info!("the store commits again");
        }
    }

    /// Forgets what nobody needs.
    pub(super) fn forget(&mut self, interest: &Interest) {
        self.ledger.forget(|group| interest.is_watched(group));
    }

    /// Says that so many calls were not stored, at once and then now and again.
    fn complain(&mut self, error: &AdapterError, calls: usize) {
        if let Some(unsaid) = self.trouble.failed(Instant::now()) {
            tracing::error!(%error, calls, unsaid, "the store does not commit; nothing of these calls is stored or published");
        }
    }
}

/// The sampled traces that calls of workers are a part of.
fn traces(batch: &[(ReplyTo, Outcome, Function)]) -> Vec<Context> {
    let of = |(reply, _, _): &(ReplyTo, Outcome, Function)| match reply {
        ReplyTo::Worker(caller) => Context::sampled(caller.traceparent()?),
        _ => None,
    };
    batch.iter().filter_map(of).take(LINKS).collect()
}

/// A read for somebody who may have too much to read when its turn comes.
fn unless_unread<T: 'static>(read: Deferred<T>, reply: &ReplyTo) -> Deferred<T> {
    let ReplyTo::Worker(caller) = reply else { return read };
    let worker = caller.worker().clone();
    Box::new(move || match worker.unread.refusal() {
        Some(text) => Err(AdapterError::Overloaded(text)),
        None => read(),
    })
}
