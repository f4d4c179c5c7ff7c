//! The host program as a worker: it serves the functions that it has registered.
//!
//! - *Owns* nothing but the way to the [`Functions`] of the host.
//! - *Receives* [`ToWorker`], as the session of a worker does; `Evict` at the end of the system.
//! - *Sends* results to whoever called.
//! - *Bounded by* `max_invocations` under way, like any worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use actix::{Actor, ActorContext, Context};
use parking_lot::RwLock;
use tokio::runtime::Handle;

use super::handler;
use crate::error::{CallError, INVOCATION_FAILED};
use crate::functions::{self, Invoke, Registry, ToWorker, Worker, inside};
use crate::hash::HashMap;
use crate::metrics::Metrics;
use crate::metrics::calls::Ending;
use crate::spans::Spans;

/// What the host has registered, by function id.
#[derive(Default)]
pub(super) struct Functions(RwLock<HashMap<Box<str>, Function>>);

/// Tells the registrations of one id apart.
pub(super) type Generation = u64;

#[derive(Clone)]
pub(super) struct Function {
    generation: Generation,
    handler: handler::Handler,
    /// Where it runs: the runtime that it was registered on, or else the thread of the host actor.
    runtime: Option<Handle>,
}

/// What a function holds may call us when it is dropped, so whoever takes one out drops it, and holds no lock then.
impl Functions {
    /// Serves `id` by `handler`, on the runtime of whoever calls this, if there is one. The registration, and what it replaces.
    pub(super) fn insert(&self, id: &str, handler: handler::Handler) -> (Generation, Option<Function>) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let generation = NEXT.fetch_add(1, Ordering::Relaxed);
        let function = Function { generation, handler, runtime: Handle::try_current().ok() };
        (generation, self.0.write().insert(id.into(), function))
    }

    /// Ends a registration, unless another has replaced it.
    #[must_use]
    pub(super) fn remove(&self, id: &str, generation: Generation) -> Option<Function> {
        let mut functions = self.0.write();
        if functions.get(id)?.generation == generation { functions.remove(id) } else { None }
    }

    /// Forgets all of them.
    #[must_use]
    pub(super) fn take(&self) -> impl Sized {
        std::mem::take(&mut *self.0.write())
    }
}

/// See the [module](self).
pub(super) struct Host {
    functions: Arc<Functions>,
    /// Known once the actor has an address.
    me: Arc<std::sync::OnceLock<Arc<Worker>>>,
    metrics: Arc<Metrics>,
    spans: Arc<Spans>,
    /// What the functions of the adapter begin with, where they are a worker's to serve.
    adapter: Option<String>,
}

impl Host {
    pub(super) fn new(functions: Arc<Functions>, me: Arc<std::sync::OnceLock<Arc<Worker>>>, registry: &Registry) -> Self {
        Self {
            functions,
            me,
            metrics: registry.metrics.clone(),
            spans: registry.spans.clone(),
            adapter: registry.settings.stream.adapter_functions.clone(),
        }
    }
}

/// A call that counts as under way.
struct UnderWay(Option<Arc<Worker>>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(worker) = &self.0 {
            worker.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Actor for Host {
    type Context = Context<Self>;
}

impl actix::Handler<ToWorker> for Host {
    type Result = ();

    fn handle(&mut self, message: ToWorker, ctx: &mut Self::Context) {
        let Invoke { function_id, data, reply, timeout, mut trace } = match message {
            ToWorker::Invoke(call) => call,
            ToWorker::Finish(done) => {
                // Whoever waits may have given up.
                let _ = done.send(());
                return;
            }
            // It holds its own address by way of `me`, and would never end by itself.
            ToWorker::Evict(_) => return ctx.stop(),
            // It makes no calls by way of its session, and provides no trigger types.
            ToWorker::Answers(_) | ToWorker::Push(_) => return,
        };
        let under_way = UnderWay(self.me.get().cloned());
        if let Some(me) = &under_way.0 {
            me.unread.called(&data);
        }
        let Some(Function { handler, runtime, .. }) = self.functions.0.read().get(&function_id).cloned() else {
            // Taken back while the call was on its way here.
            drop(under_way);
            self.metrics.invoked(&function_id, Ending::NotFound, None);
            return reply.send(Err(CallError::function_not_found(&function_id)));
        };
        let (metrics, spans, since) = (self.metrics.clone(), self.spans.clone(), Instant::now());
        let span = spans.begin(&mut trace);
        let running = inside::serving(&function_id, self.adapter.as_deref(), async move { handler(data).await });
        actix::spawn(async move {
            // A task of its own, so that what it does to its thread, a panic included, is not done to ours.
            let mut running = runtime.unwrap_or_else(Handle::current).spawn(running);
            let outcome = match tokio::time::timeout(timeout, &mut running).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(broken)) if broken.is_panic() => {
                    tracing::error!(function = %function_id, "a function of the host program has panicked");
                    Err(CallError::new(INVOCATION_FAILED, format!("'{function_id}' has panicked; the log of the host program says where")))
                }
                Ok(Err(_cancelled)) => Err(functions::stopped(&function_id)),
                Err(_elapsed) => {
                    running.abort();
                    Err(functions::timed_out(&function_id, timeout))
                }
            };
            drop(under_way);
            let ending = Ending::of(&outcome);
            metrics.invoked(&function_id, ending, Some(since.elapsed()));
            if let Some(span) = span {
                spans.end(&span, &function_id, ending);
            }
            reply.send(outcome);
        });
    }
}
