//! Calls under way at Redis: how much there may be, and who gets which answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::sync::{Notify, mpsc};

use super::super::input::Function;
use super::super::{failure, publish};
use crate::adapter::AdapterError;
use crate::error::{self, CallError, Outcome, Output};
use crate::functions::ReplyTo;
use crate::guardian::Sentinel;
use crate::metrics::Metrics;
use crate::metrics::calls::Batch;
use crate::metrics::limit::Limit;

/// Calls under way above which the store takes no more, …
pub(super) const CALLS: usize = 4_096;
/// … and bytes of values.
pub(super) const BYTES: usize = 64 << 20;
/// What a list is taken to have before one has come.
const LIST_BYTES: usize = 1 << 20;
/// Answers that are handed out together at most.
const ANSWERS: usize = 512;

/// Calls under way, and where their answers are handed out.
pub(super) struct Answers {
    pending: mpsc::UnboundedSender<Pending>,
    load: Arc<Load>,
    metrics: Arc<Metrics>,
    /// Calls since the start.
    calls: u64,
}

/// A call under way: when it is answered, its number, its function, who waits for it, and its share of the load.
type Pending = BoxFuture<'static, (u64, Function, ReplyTo, Outcome, Share)>;

impl Answers {
    /// Hands out on the present arbiter.
    pub(super) fn start(sentinel: Sentinel, metrics: Arc<Metrics>) -> Self {
        let (sender, mut pending) = mpsc::unbounded_channel::<Pending>();
        let counted = metrics.clone();
        // Not an actor's stream: it must go on while the store waits for room.
        actix::spawn(async move {
            let _sentinel = sentinel;
            let calls = futures_util::stream::poll_fn(move |context| pending.poll_recv(context));
            let mut answered = calls.buffer_unordered(usize::MAX).ready_chunks(ANSWERS);
            while let Some(mut batch) = answered.next().await {
                // Of what Redis has answered, a future that was never polled before comes first.
                batch.sort_unstable_by_key(|(call, ..)| *call);
                let mut ended = Batch::default();
                publish::deliver(batch.into_iter().map(|(_, function, reply, outcome, _share)| {
                    ended.count(function, &outcome);
                    (reply, outcome)
                }));
                counted.served_all(&ended);
            }
        });
        Self { pending: sender, load: Arc::default(), metrics, calls: 0 }
    }

    /// Has `reply` answered when the write of `function` is, which has so many bytes.
    pub(super) fn add<T>(
        &mut self,
        reply: ReplyTo,
        function: Function,
        bytes: usize,
        call: impl Future<Output = Result<T, AdapterError>> + Send + 'static,
        form: impl FnOnce(T) -> Output + Send + 'static,
    ) {
        self.calls += 1;
        let (n, share) = (self.calls, Share::take(&self.load, bytes));
        let answer = async move {
            let outcome = call.await.map(form).map_err(|error| failure(function.error_code(), &error));
            (n, function, reply, outcome, share)
        };
        // Whoever delivers them ends with the thread.
        drop(self.pending.send(Box::pin(answer)));
    }

    /// Has `reply` answered when the read of `function` is.
    pub(super) fn read<T>(
        &mut self,
        reply: ReplyTo,
        function: Function,
        call: impl Future<Output = Result<T, AdapterError>> + Send + 'static,
        form: impl FnOnce(T) -> Output + Send + 'static,
    ) {
        self.read_of(0, reply, function, call, form);
    }

    /// The same for a list. It counts for as many bytes as the last ones have had, so that not too much of them is under way.
    pub(super) fn list<T>(
        &mut self,
        reply: ReplyTo,
        function: Function,
        call: impl Future<Output = Result<T, AdapterError>> + Send + 'static,
        form: impl FnOnce(T) -> Output + Send + 'static,
    ) {
        let load = self.load.clone();
        let form = move |listed| {
            let output = form(listed);
            load.listed(output.size());
            output
        };
        self.read_of(self.load.list_bytes(), reply, function, call, form);
    }

    /// Refuses the result where its worker has too much unread when it comes: all of a burst of calls are here before the first is answered.
    fn read_of<T>(
        &mut self,
        bytes: usize,
        mut reply: ReplyTo,
        function: Function,
        call: impl Future<Output = Result<T, AdapterError>> + Send + 'static,
        form: impl FnOnce(T) -> Output + Send + 'static,
    ) {
        self.calls += 1;
        let (n, share, metrics) = (self.calls, Share::take(&self.load, bytes), self.metrics.clone());
        let answer = async move {
            let result = call.await;
            let outcome = match reply.refusal() {
                Some(text) => {
                    metrics.limit(Limit::WorkerOutbox);
                    Err(CallError::new(error::OVERLOADED, text))
                }
                None => result.map(form).map_err(|error| failure(function.error_code(), &error)),
            };
            reply.count(&outcome);
            (n, function, reply, outcome, share)
        };
        drop(self.pending.send(Box::pin(answer)));
    }
}

impl Answers {
    /// Until half of what is under way is done; `None` where there is room.
    pub(super) fn wait_for_room(&self) -> Option<impl Future<Output = ()> + use<>> {
        let load = self.load.clone();
        load.is_full().then_some(async move { load.room().await })
    }
}

/// How much is under way.
#[derive(Debug, Default)]
struct Load {
    calls: AtomicUsize,
    bytes: AtomicUsize,
    /// What a list has had lately, the largest above all; 0 before the first.
    list_bytes: AtomicUsize,
    less: Notify,
}

impl Load {
    fn is_full(&self) -> bool {
        self.calls.load(Ordering::Relaxed) >= CALLS || self.bytes.load(Ordering::Relaxed) >= BYTES
    }

    fn has_room(&self) -> bool {
        self.calls.load(Ordering::Relaxed) <= CALLS / 2 && self.bytes.load(Ordering::Relaxed) <= BYTES / 2
    }

    fn list_bytes(&self) -> usize {
        match self.list_bytes.load(Ordering::Relaxed) {
            0 => LIST_BYTES,
            bytes => bytes,
        }
    }

    /// A list has had so many bytes.
    fn listed(&self, bytes: usize) {
        let before = self.list_bytes.load(Ordering::Relaxed);
        self.list_bytes.store(bytes.max(before - before / 8).max(1), Ordering::Relaxed);
    }

    /// Until half of it is done.
    async fn room(&self) {
        while !self.has_room() {
            self.less.notified().await;
        }
    }
}

/// A call's share of the load.
struct Share {
    load: Arc<Load>,
    bytes: usize,
}

impl Share {
    fn take(load: &Arc<Load>, bytes: usize) -> Self {
        load.calls.fetch_add(1, Ordering::Relaxed);
        load.bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { load: load.clone(), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        if self.load.has_room() {
            self.load.less.notify_one();
        }
    }
}
