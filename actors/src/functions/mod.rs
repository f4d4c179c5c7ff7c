//! Calls: who serves a function, how to reach them, and where the answer goes.
//!
//! The tables stand behind locks and not in an actor of their own: a worker that registers a function and calls it next must find it,
//! also from the store's thread, and a call then takes one hop to the worker that serves it instead of two. The invocations in flight
//! and their time-outs belong to that worker's session, which is an actor and ends them when it ends. No lock is held while anything waits.

pub(crate) mod calling;
pub mod disconnect;
pub mod engine;
pub(crate) mod inside;
pub mod reply;
pub mod table;
pub mod unread;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use actix::{Addr, Message, Recipient};
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::clock::Millis;
use crate::counts::Counts;
use crate::health::Health;
use crate::ids::SocketId;
use crate::json::Json;
use crate::metrics::Metrics;
use crate::metrics::snapshot::Snapshot;
use crate::session::subscribers::Subscribers;
use crate::settings::{Guards, Settings};
use crate::spans::Spans;
use crate::store::input;
use crate::store::{Overridden, Store};
use crate::trigger::Triggers;
use crate::trigger::backlog::Backlog;
use crate::trigger::table::TriggerTable;
use crate::wire::worker::Trace;
pub(crate) use calling::{stopped, timed_out, value_or_null};
pub use reply::{Answer, Caller, Invocation, ReplyTo};
use table::{FunctionTable, Override, Overrides};
use unread::Unread;

/// A connected worker, as everybody else sees it.
#[derive(Debug)]
pub struct Worker {
    /// Its name on the wire, a UUID.
    pub id: String,
    /// What it must show to take over from this connection.
    pub reattach_token: String,
    /// Its socket.
    pub socket: SocketId,
    /// Its address, without the port.
    pub address: String,
    /// When it connected.
    pub connected_at: Millis,
    /// What it told of itself with `engine::workers::register`.
    pub details: RwLock<serde_json::Map<String, serde_json::Value>>,
    /// Calls under way at this worker, those on their way to it included.
    pub in_flight: AtomicUsize,
    /// Results of its calls that it has not read, and calls that have not got to its session.
    pub unread: Unread,
    /// Reaches its session.
    pub session: Recipient<ToWorker>,
}

/// What a worker's session receives from others.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum ToWorker {
    /// Call a function of this worker.
    Invoke(Invoke),
    /// Calls of this worker ended.
    Answers(Vec<Answer>),
    /// Send this frame.
    Push(Bytes),
    /// The system stops: take no more calls, and say so once all that this worker has called is answered and sent.
    Finish(oneshot::Sender<()>),
    /// Somebody else took over; close.
    Evict(oneshot::Sender<()>),
}

/// A call on its way to the worker that serves it.
#[derive(Debug)]
pub struct Invoke {
    /// The function.
    pub function_id: Box<str>,
    /// Its input.
    pub data: Json,
    /// What the caller sent along.
    pub trace: Trace,
    /// Who waits for the result.
    pub reply: ReplyTo,
    /// How long the worker may take.
    pub timeout: Duration,
}

/// What all actors of one system share: settings, the tables, and the way to the store and the trigger dispatcher.
#[derive(Debug)]
pub struct Registry {
    /// Limits and behaviour.
    pub settings: Settings,
    /// Who may connect; looked at with each connection.
    pub guards: RwLock<Guards>,
    /// Functions and their owners.
    pub functions: RwLock<FunctionTable<Arc<Worker>>>,
    /// Triggers, trigger types and their owners.
    pub triggers: RwLock<TriggerTable<Arc<Worker>>>,
    /// Bytes of values in the mailbox of the store.
    pub(crate) called_bytes: AtomicUsize,
    /// Bytes of changes in the mailbox of the trigger dispatcher.
    pub(crate) told_bytes: AtomicUsize,
    /// Leave triggers that have too much to tell.
    pub leaves: Backlog,
    /// Connected workers by id.
    pub workers: RwLock<HashMap<String, Arc<Worker>>>,
    /// The subscribers of each arbiter that has had some.
    pub subscribers: RwLock<Vec<Addr<Subscribers>>>,
    /// Whether the actors can do their work.
    pub health: Health,
    /// What is counted by stream.
    pub counts: Counts,
    /// What is counted of everything else.
    pub metrics: Arc<Metrics>,
    /// Spans, for whoever takes them.
    pub spans: Arc<Spans>,
    /// Streams with an override, so that the store looks into the table only where there is one.
    overridden: AtomicUsize,
    /// Held by calls of this process that are not answered.
    called: Arc<()>,
    /// The program that the system runs in, as a worker.
    host: OnceLock<Weak<Worker>>,
    actors: OnceLock<Actors>,
}

#[derive(Debug)]
struct Actors {
    store: Addr<Store>,
    triggers: Addr<Triggers>,
}

/// The functions that Weir serves itself begin with one of these and cannot be registered, stream overrides apart.
#[must_use]
pub fn is_reserved(id: &str) -> bool {
    (id.starts_with("stream::") && (input::FUNCTIONS.contains(&id) || id == disconnect::ID)) || id.starts_with("engine::")
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new(settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            guards: RwLock::new(Guards::of(&settings)),
            settings,
            functions: RwLock::default(),
            triggers: RwLock::default(),
            called_bytes: AtomicUsize::new(0),
            told_bytes: AtomicUsize::new(0),
            leaves: Backlog::default(),
            workers: RwLock::default(),
            subscribers: RwLock::default(),
            health: Health::default(),
            counts: Counts::default(),
            metrics: Arc::default(),
            spans: Arc::default(),
            overridden: AtomicUsize::new(0),
            called: Arc::default(),
            host: OnceLock::new(),
            actors: OnceLock::new(),
        })
    }

    /// Tells where the actors are; later calls change nothing.
    pub(crate) fn set_actors(&self, store: Addr<Store>, triggers: Addr<Triggers>) {
        drop(self.actors.set(Actors { store, triggers }));
    }

    /// The store; `None` before the system runs.
    #[must_use]
    pub fn store(&self) -> Option<&Addr<Store>> {
        self.actors.get().map(|actors| &actors.store)
    }

    /// The trigger dispatcher; `None` before the system runs.
    #[must_use]
    pub fn dispatcher(&self) -> Option<&Addr<Triggers>> {
        self.actors.get().map(|actors| &actors.triggers)
    }

    /// Which functions of `stream` are overridden, by its own overrides or by an adapter of functions.
    #[must_use]
    pub fn overrides(&self, stream: &str) -> Overrides {
        let own = self.own_overrides(stream);
        let Some(adapter) = &self.settings.stream.adapter_functions else { return own };
        let all = own.and(Overrides::ADAPTER);
        let updates = self.functions.read().get(&Override::Update.adapter_id(adapter)).is_some();
        if updates { all.with(Override::Update) } else { all }
    }

    /// Whether calls are under way at a worker.
    #[must_use]
    pub fn is_calling(&self) -> bool {
        self.workers.read().values().any(|worker| worker.in_flight.load(Ordering::Relaxed) > 0)
    }

    /// Tells who the host program is; later calls change nothing.
    pub(crate) fn set_host(&self, host: &Arc<Worker>) {
        drop(self.host.set(Arc::downgrade(host)));
    }

    /// Whether functions of the host program are under way.
    pub(crate) fn is_hosting(&self) -> bool {
        self.host.get().and_then(Weak::upgrade).is_some_and(|host| host.in_flight.load(Ordering::Relaxed) > 0)
    }

    /// What keeps the system from doing its work, in words; empty where nothing does.
    #[must_use]
    pub fn not_ready(&self) -> Vec<String> {
        let mut troubles = self.health.troubles();
        if self.store().is_none() {
            troubles.push("the store is starting".to_owned());
        }
        if let Some(adapter) = &self.settings.stream.adapter_functions {
            let functions = self.functions.read();
            let missing: Vec<_> =
                Overrides::ADAPTER.iter().map(|op| op.adapter_id(adapter)).filter(|id| functions.get(id).is_none()).collect();
            if !missing.is_empty() {
                troubles.push(format!("the adapter is not there: no connected worker serves {}", missing.join(", ")));
            }
        }
        troubles
    }

    /// All numbers that the system has of itself, as they are now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            ready: self.not_ready().is_empty(),
            dropped: self.counts.dropped(),
            functions: self.functions.read().len() as u64,
            triggers: self.triggers.read().iter().len() as u64,
            in_flight: self.workers.read().values().map(|worker| worker.in_flight.load(Ordering::Relaxed) as u64).sum(),
            redis_connected: self.health.link(),
            spans_dropped: self.spans.dropped(),
            ..self.metrics.snapshot()
        }
    }

    fn own_overrides(&self, stream: &str) -> Overrides {
        if self.overridden.load(Ordering::Acquire) == 0 {
            return Overrides::default();
        }
        self.functions.read().overrides(stream)
    }

    /// The function that serves `with` for `stream`, where it is overridden.
    #[must_use]
    pub fn override_id(&self, with: Override, stream: &str) -> String {
        match &self.settings.stream.adapter_functions {
            Some(adapter) if !self.own_overrides(stream).has(with) => with.adapter_id(adapter),
            _ => with.id(stream),
        }
    }

    /// Registers a function of `worker`.
    pub fn register_function(&self, id: &str, worker: &Arc<Worker>, info: table::FunctionInfo) {
        self.metrics.know(id);
        let entry = table::Entry { owner: worker.socket, handle: worker.clone(), info: Arc::new(info) };
        let mut functions = self.functions.write();
        functions.register(id, entry);
        self.overridden.store(functions.overridden_streams(), Ordering::Release);
        self.tell_store(id, &functions);
    }

    /// Ends the registration of a function by `owner`.
    pub fn unregister_function(&self, id: &str, owner: SocketId) {
        let mut functions = self.functions.write();
        functions.unregister(id, owner);
        self.overridden.store(functions.overridden_streams(), Ordering::Release);
        self.tell_store(id, &functions);
    }

    /// Says what `id` means for the stream that it overrides, if it does.
    fn tell_store(&self, id: &str, functions: &FunctionTable<Arc<Worker>>) {
        if let (Some((_, stream)), Some(store)) = (Override::parse(id), self.store()) {
            // Bounded by `max_functions` of each worker; under the lock, so that the last word is the last.
            store.do_send(Overridden { stream: stream.into(), is: !functions.overrides(stream).is_empty() });
        }
    }

    /// The socket of the worker that serves `id`.
    #[must_use]
    pub fn owner_of(&self, id: &str) -> Option<SocketId> {
        self.functions.read().get(id).map(|entry| entry.owner)
    }

    /// The connected worker with that id.
    #[must_use]
    pub fn worker(&self, id: &str) -> Option<Arc<Worker>> {
        self.workers.read().get(id).cloned()
    }
}
