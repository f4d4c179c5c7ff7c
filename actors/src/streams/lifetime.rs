//! How long a system runs, and what this program has registered with it.

use std::pin::pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use actix::{Actor, ArbiterHandle};
use parking_lot::{Mutex, RwLock};
use serde_json::json;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::follower::Queue;
use super::handler::Handler;
use super::host::{Functions, Generation, Host};
use super::{Error, Streams};
use crate::clock;
use crate::error::{CallError, REGISTRATION_REFUSED};
use crate::functions::table::FunctionInfo;
use crate::functions::unread::Unread;
use crate::functions::{Registry, ToWorker, Worker};
use crate::ids::SocketId;
use crate::session::clients::{self, Clients};
use crate::session::registrations::Registrations;
use crate::settings::{Guards, Settings};
use crate::store::Leave;
use crate::system::System;
use crate::trigger::Notice;
use crate::trigger::table::Binding;

/// How long answers to calls under way may take beyond the span over which clients are closed.
const GRACE: Duration = Duration::from_secs(10);
/// How long workers may take to be closed, and other nodes to be told.
const EVICTION: Duration = Duration::from_secs(1);

/// What this program serves, as the worker that it is to everybody else.
pub(super) struct Native {
    registry: Arc<Registry>,
    functions: Arc<Functions>,
    me: Arc<Worker>,
    /// `None` once the system has stopped.
    registrations: Mutex<Option<Registrations>>,
    /// Queues of subscriptions, to be ended with the system.
    queues: Mutex<Vec<Weak<Queue>>>,
}

impl Native {
    /// Makes this program a worker of the system; call it on the thread where its functions are to be called from.
    fn new(registry: &Arc<Registry>) -> Arc<Self> {
        let (functions, known) = (Arc::<Functions>::default(), Arc::<OnceLock<Arc<Worker>>>::default());
        let session = Host::new(functions.clone(), known.clone(), registry).start();
        let details = json!({"name": "host", "runtime": "rust", "version": env!("CARGO_PKG_VERSION"), "pid": std::process::id()});
        let me = Arc::new(Worker {
            id: Uuid::new_v4().hyphenated().to_string(),
            reattach_token: Uuid::new_v4().simple().to_string(),
            socket: SocketId::next(),
            address: "in process".to_owned(),
            connected_at: clock::wall(),
            details: RwLock::new(details.as_object().cloned().unwrap_or_default()),
            in_flight: AtomicUsize::new(0),
            unread: Unread::new(registry.settings.worker.outbox_bytes),
            session: session.recipient(),
        });
        drop(known.set(me.clone()));
        registry.set_host(&me);
        let registrations = Mutex::new(Some(Registrations::new(registry.clone(), me.socket)));
        Arc::new(Self { registry: registry.clone(), functions, me, registrations, queues: Mutex::default() })
    }

    /// Shows this program among the workers, once it has something to serve.
    fn appear(&self) {
        let before = self.registry.workers.write().insert(self.me.id.clone(), self.me.clone());
        if let (None, Some(dispatcher)) = (before, self.registry.dispatcher()) {
            dispatcher.do_send(Notice::Worker { event: "worker_connected", worker_id: self.me.id.clone() });
        }
    }

    /// Takes everything back.
    fn end(&self) {
        if let Some(mut registrations) = self.registrations.lock().take() {
            registrations.end(self.registry.store());
        }
        self.registry.workers.write().remove(&self.me.id);
        drop(self.functions.take());
        self.me.session.do_send(ToWorker::Evict(oneshot::channel().0));
        self.end_queues();
    }

    /// Ends all subscriptions.
    fn end_queues(&self) {
        for queue in self.queues.lock().drain(..).filter_map(|queue| queue.upgrade()) {
            queue.end(None);
        }
    }
}

/// See the [module](self). Dropping it stops the system.
pub(super) struct Life {
    native: Arc<Native>,
    home: ArbiterHandle,
    /// Takes over how long clients are closed.
    stop: Mutex<Option<oneshot::Sender<Duration>>>,
    /// Ends when nothing runs any more.
    running: watch::Receiver<()>,
    failed: watch::Receiver<Option<&'static str>>,
}

impl std::fmt::Debug for Life {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Life").finish_non_exhaustive()
    }
}

impl Life {
    /// Begins, on the thread that is to be the home of what runs for this program; what to await there until all has ended.
    pub(super) fn begin(system: System) -> (Self, impl Future<Output = ()>) {
        let native = Native::new(system.registry());
        let (stop, stopping) = oneshot::channel();
        let (runs, running) = watch::channel(());
        let home = actix::Arbiter::current();
        let (failed, mut failure) = (system.failure(), system.failure());
        let life = Self { native: native.clone(), home, stop: Mutex::new(Some(stop)), running, failed };
        let mut running = Running { system: Some(system), native: native.clone() };
        let ending = async move {
            let mut stopping = pin!(stopping);
            let stopped = tokio::select! {
                stopped = &mut stopping => stopped,
                // Nothing comes any more, and nobody else would say so; the rest is the host's to end.
                Ok(_) = failure.wait_for(Option::is_some) => {
                    native.end_queues();
                    stopping.await
                }
            };
            // Without a word where the last handle is gone.
            let span = stopped.unwrap_or(Duration::ZERO);
            running.end(span).await;
            drop((running, runs));
        };
        (life, ending)
    }

    pub(super) fn home(&self) -> &ArbiterHandle {
        &self.home
    }

    /// Whether nothing of this program is served any more, or an actor has died.
    pub(super) fn has_ended(&self) -> bool {
        self.failed.borrow().is_some() || self.native.registrations.lock().is_none()
    }

    /// Has `queue` ended with the system.
    pub(super) fn keep_track(&self, queue: &Arc<Queue>) {
        let mut queues = self.native.queues.lock();
        if queues.len() == queues.capacity() {
            queues.retain(|queue| queue.strong_count() > 0);
        }
        queues.push(Arc::downgrade(queue));
    }

    /// Serves a function.
    pub(super) fn serve(&self, id: &str, handler: Handler, info: FunctionInfo) -> Result<Generation, Error> {
        let mut registrations = self.native.registrations.lock();
        let served = registrations.as_mut().ok_or(Error::Closed)?;
        // Before anybody can call it.
        self.native.appear();
        let (generation, replaced) = self.native.functions.insert(id, handler);
        let outcome = served.serve(&self.native.me, id, info);
        // Nothing is refused that replaces something.
        let dropped = if outcome.is_ok() { replaced } else { self.native.functions.remove(id, generation) };
        drop(registrations);
        drop(dropped);
        outcome.map(|()| generation).map_err(|text| CallError::new(REGISTRATION_REFUSED, text).into())
    }

    /// Ends a function, unless it has been replaced.
    pub(super) fn end_function(&self, id: &str, generation: Generation) {
        let mut registrations = self.native.registrations.lock();
        let Some(served) = registrations.as_mut() else { return };
        let dropped = self.native.functions.remove(id, generation);
        if dropped.is_some() {
            served.end_function(id);
        }
        drop(registrations);
        drop(dropped);
    }

    /// Registers a trigger, of which every call made from now on is told.
    pub(super) fn bind(&self, binding: Binding) -> Result<(), Error> {
        let mut registrations = self.native.registrations.lock();
        let store = self.native.registry.store().ok_or(Error::Closed)?;
        for triggered in registrations.as_mut().ok_or(Error::Closed)?.bind(binding)? {
            // Not refused by a full mailbox; bounded by `max_functions`. Under the lock, so that what came first is told first.
            store.do_send(triggered);
        }
        Ok(())
    }

    /// Ends a trigger.
    pub(super) fn end_trigger(&self, id: &str) {
        let mut registrations = self.native.registrations.lock();
        let Some(store) = self.native.registry.store() else { return };
        if let Some(triggered) = registrations.as_mut().and_then(|registrations| registrations.end_trigger(id)) {
            store.do_send(triggered);
        }
    }

    /// Who registers.
    pub(super) fn owner(&self) -> SocketId {
        self.native.me.socket
    }
}

/// A system that is to be ended. Where it is dropped before, because the thread that it was started on ends, the adapter is closed all the same.
struct Running {
    system: Option<System>,
    native: Arc<Native>,
}

impl Running {
    /// Ends it: its clients, what calls and is called, its actors; and waits until the adapter is closed.
    async fn end(&mut self, span: Duration) {
        let Some(system) = &self.system else { return };
        // Of what has failed there is nothing to wait for but the clients, who are to come back.
        let (span, limit) = if system.has_failed().is_some() { (Duration::ZERO, EVICTION) } else { (span, span + GRACE) };
        if !system.drain(span, limit).await {
            tracing::warn!("not everything was answered in time; closing all the same");
        }
        let registry = system.registry();
        registry.health.set_closed();
        self.native.end();
        let workers: Vec<_> = registry.workers.read().values().cloned().collect();
        let mut closed = Vec::new();
        for worker in workers {
            let (done, ended) = oneshot::channel();
            worker.session.do_send(ToWorker::Evict(done));
            closed.push(ended);
        }
        drop(tokio::time::timeout(EVICTION, futures_util::future::join_all(closed)).await);
        if let Some(store) = registry.store() {
            // Behind what it tells them of overrides that have ended with their workers.
            drop(tokio::time::timeout(EVICTION, store.send(Leave)).await);
        }
        // They know the system, and the system knows them.
        registry.subscribers.write().clear();
        let Some(system) = self.system.take() else { return };
        // Blocks for as long as the adapter takes to write what it holds in memory.
        if actix_rt::task::spawn_blocking(move || system.stop()).await.is_err() {
            tracing::error!("the thread that closes the store has panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(system) = self.system.take() else { return };
        tracing::warn!("the thread of the streams has ended before they were shut down; closing the store");
        system.registry().health.set_closed();
        self.native.end();
        system.stop();
    }
}

impl Streams {
    /// Stops everything and waits until nothing runs any more and the adapter is closed: clients are closed, spread over `drain` of the settings, and asked to
    /// come back; triggers are told of what is left; calls under way are answered, for up to 10 s more. Others that hold a handle get
    /// [`Error::Closed`] from then on.
    ///
    /// A second call waits for the first. Not to be waited for inside a function or handler of this program, which is itself a call under way: those 10 s
    /// would have to pass. Spawn it there.
    pub async fn shutdown(&self) {
        let life = &self.shared.life;
        if let Some(stop) = life.stop.lock().take() {
            // Refused only by a system that has ended.
            let _ = stop.send(self.shared.registry.settings.stream.drain);
        }
        self.ended().await;
    }

    /// Resolves when nothing runs any more.
    pub(crate) async fn ended(&self) {
        let mut running = self.shared.life.running.clone();
        while running.changed().await.is_ok() {}
    }

    /// Resolves with the name of an actor that has died, by a panic of the adapter for instance. The system answers nothing any more then: calls get
    /// [`Error::Closed`], subscriptions end, nobody connects, and [`not_ready`](Self::not_ready) says why. It is to be [shut down](Self::shutdown).
    pub async fn failed(&self) -> &'static str {
        let mut failed = self.shared.life.failed.clone();
        match failed.wait_for(Option::is_some).await.map(|actor| *actor) {
            Ok(Some(actor)) => actor,
            // It has stopped without.
            _ => std::future::pending().await,
        }
    }

    /// Limits and behaviour, as it was started with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.shared.registry.settings
    }

    /// What keeps the system from doing its work, in words for people; empty where nothing does. For health checks.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        self.shared.registry.not_ready()
    }

    /// Clients on the stream port whose address, context or subscriptions have `query` in them, in any case; up to `limit`, those for whom most waits first.
    pub async fn clients(&self, query: &str, limit: usize) -> Clients {
        clients::list(&self.shared.registry, query, limit).await.unwrap_or_default()
    }

    /// Says who may connect from now on; those that are connected stay.
    pub fn set_guards(&self, guards: Guards) {
        *self.shared.registry.guards.write() = guards;
    }
}
