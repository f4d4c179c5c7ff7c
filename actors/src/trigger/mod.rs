//! The trigger dispatcher: calls workers when something happens.
//!
//! - *Owns* one queue per trigger that has something to tell, and the leaves that are held back.
//! - *Receives* [`News`] from the store, [`Admit`] and [`Left`] from sessions, [`Notice`] from workers' sessions.
//! - *Sends* calls to workers by way of the registry, verdicts to sessions.
//! - *Bounded by* [`MAILBOX`] batches from the store and 64 MiB of changes in them, and per trigger by [`queue::WINDOW`] calls under way and [`queue::WAITING`] events;
//!   what comes on top is dropped, counted and logged. Leaves are never dropped: where that many more wait than there were ever
//!   subscriptions, joins are refused ([`backlog`]); and [`grace::HELD`] of them are held back.

pub mod admission;
pub mod backlog;
pub mod config;
mod dispatch;
mod failures;
pub mod grace;
pub mod queue;
pub mod reason;
pub mod table;
#[cfg(test)]
mod tests;
mod turns;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message};
use serde_json::json;

use crate::change::Change;
use crate::error::Output;
use crate::functions::{Registry, engine};
use crate::guardian::Sentinel;
use crate::json::Json;
use crate::store::Triggered;
use admission::{Admit, Membership, Turn, Verdict};
use config::{Filter, Kind};
use dispatch::Trigger;
use failures::Failures;
use grace::Grace;
use reason::Reason;
use table::Binding;
use turns::Turns;

/// Batches that may wait for the dispatcher.
pub const MAILBOX: usize = 1_024;
/// Joins that one function is asked about at a time; the others wait their turn.
const ADMISSIONS: usize = 1_000;
/// How long changes of the set of functions are gathered before they are told.
const GATHER: Duration = Duration::from_millis(100);

/// What the store tells, in the order in which it happened.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub enum News {
    /// Items changed, oldest first, and were published at that time.
    Changes(Vec<Arc<Change>>, Instant),
    /// A `stream` trigger began or ended at this point.
    Triggered(Triggered),
}

impl News {
    /// Of the changes, as subscribers are told them.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Changes(changes, _) => changes.iter().map(|change| change.frame.frames().len()).sum(),
            Self::Triggered(_) => 0,
        }
    }
}

/// A subscription that was admitted has ended.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Left(pub Membership, pub Reason);

/// Something happened to workers or functions.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub enum Notice {
    /// A worker connected, disconnected or described itself.
    Worker {
        /// The event's name on the wire.
        event: &'static str,
        /// The worker.
        worker_id: String,
    },
    /// Functions came or went.
    Functions,
}

/// The system stops: leaves that are held back are told now. Whether every trigger has told all that there was to tell.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "bool")]
pub struct Finish;

/// Whether a condition said no: only the boolean `false` does.
#[must_use]
pub fn is_false(output: &Output) -> bool {
    matches!(output, Output::Value(json) if json.as_bytes() == b"false")
}

/// See the [module](self).
pub struct Triggers {
    registry: Arc<Registry>,
    /// `stream` triggers by stream, in the order in which they were registered.
    streams: HashMap<Box<str>, Vec<(Arc<Binding>, Filter)>>,
    /// Triggers with something to tell, by id.
    active: HashMap<Box<str>, Trigger>,
    functions: HashSet<Box<str>>,
    gathering: bool,
    /// At the functions that joins ask.
    turns: Turns,
    /// Of handlers and conditions, that the log is to be told of.
    failures: Failures,
    grace: Grace,
    /// Whether a timer runs for the next leave that is held back.
    waking: bool,
    _sentinel: Sentinel,
}

impl Triggers {
    /// A dispatcher without triggers.
    #[must_use]
    pub fn new(registry: Arc<Registry>, sentinel: Sentinel) -> Self {
        // Half of what a worker takes, so that joins alone never fill it.
        let turns = Turns::new((registry.settings.worker.max_invocations / 2).clamp(1, ADMISSIONS));
        let grace = Grace::new(registry.settings.stream.leave_grace, grace::HELD);
        Self {
            registry,
            streams: HashMap::new(),
            active: HashMap::new(),
            functions: HashSet::new(),
            gathering: false,
            turns,
            failures: Failures::default(),
            grace,
            waking: false,
            _sentinel: sentinel,
        }
    }

    fn tell_all(&mut self, kind: &Kind, payload: &Json, ctx: &mut Context<Self>) {
        let bindings: Vec<_> = self.registry.triggers.read().iter().filter(|binding| binding.kind == *kind).cloned().collect();
        for binding in bindings {
            self.offer(&binding, None, payload.clone(), Instant::now(), ctx);
        }
    }

    /// A subscription has ended; perhaps its client is about to come back.
    fn part(&mut self, membership: Membership, reason: Reason, ctx: &mut Context<Self>) {
        if let Some((membership, reason)) = self.grace.hold(membership, reason, Instant::now()) {
            self.left(&membership, reason, ctx);
        }
        self.wait(ctx);
    }

    /// One timer for all leaves that are held back, and none where there are none.
    fn wait(&mut self, ctx: &mut Context<Self>) {
        let Some(next) = self.grace.next().filter(|_| !self.waking) else { return };
        self.waking = true;
        ctx.run_later(next.saturating_duration_since(Instant::now()), |triggers, ctx| {
            triggers.waking = false;
            while let Some((membership, reason)) = triggers.grace.due(Instant::now()) {
                triggers.left(&membership, reason, ctx);
            }
            triggers.wait(ctx);
        });
    }

    fn left(&mut self, membership: &Membership, reason: Reason, ctx: &mut Context<Self>) {
        let item = membership.item.as_ref().map(crate::ids::Name::as_str);
        let triggers = self.registry.triggers.read().for_session(false, &membership.group, item);
        if triggers.is_empty() {
            return;
        }
        let payload = membership.parting(reason);
        for (binding, filter) in triggers {
            self.offer(&binding, filter.condition.as_ref().map(crate::ids::Name::as_str), payload.clone(), Instant::now(), ctx);
        }
    }
}

impl Actor for Triggers {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<News> for Triggers {
    type Result = ();

    fn handle(&mut self, news: News, ctx: &mut Self::Context) {
        self.registry.told_bytes.fetch_sub(news.bytes(), Ordering::Relaxed);
        match news {
            News::Changes(changes, since) => {
                for change in changes {
                    let Some(bindings) = self.streams.get(change.group.stream()) else { continue };
                    let item = change.item.as_ref().map(crate::ids::Name::as_str);
                    let matching: Vec<_> = bindings.iter().filter(|(_, filter)| filter.matches(&change.group, item)).cloned().collect();
                    for (binding, filter) in matching {
                        let payload = Json::assembled(change.frame.payload());
                        self.offer(&binding, filter.condition.as_ref().map(crate::ids::Name::as_str), payload, since, ctx);
                    }
                }
            }
            News::Triggered(Triggered::Begin(binding)) => {
                if let Kind::Stream(filter) = &binding.kind
                    && let Some(stream) = &filter.stream
                {
                    self.streams.entry(stream.as_str().into()).or_default().push((binding.clone(), filter.clone()));
                }
            }
            News::Triggered(Triggered::End(binding)) => {
                if let Kind::Stream(Filter { stream: Some(stream), .. }) = &binding.kind
                    && let Some(bindings) = self.streams.get_mut(stream.as_str())
                {
                    bindings.retain(|(other, _)| !Arc::ptr_eq(other, &binding));
                    if bindings.is_empty() {
                        self.streams.remove(stream.as_str());
                    }
                }
                if self.active.get(&binding.id).is_some_and(|trigger| Arc::ptr_eq(&trigger.binding, &binding))
                    && let Some(trigger) = self.active.remove(&binding.id)
                {
                    trigger.give_up(&self.registry);
                }
            }
        }
    }
}

impl Handler<Admit> for Triggers {
    type Result = ();

    fn handle(&mut self, Admit { mut membership, triggers, admission, reply }: Admit, ctx: &mut Self::Context) {
        if let Some(before) = self.grace.rejoin(&membership) {
            // Handlers go on with the subscription that they know, and are told when it ends under the name that they know.
            let known_as = before.known_as.unwrap_or(before.subscription_id);
            drop(admission.known_as.set(known_as.clone()));
            if let Err(reason) = admission.admit() {
                membership.known_as = Some(known_as);
                self.part(membership, reason, ctx);
            }
            let _ = reply.send(Verdict::Admitted);
            return;
        }
        let turns: Vec<_> = triggers.iter().map(|trigger| Turn::at(&mut self.turns, trigger)).collect();
        let (registry, dispatcher) = (self.registry.clone(), ctx.address());
        let mut admit = Admit { membership, triggers, admission, reply };
        actix::spawn(async move {
            // A wave of clients waits its turn here, in order, and is not refused because a worker is busy with the others.
            let verdict = admission::ask(&registry, &mut admit, &turns).await;
            let Admit { membership, admission, reply, .. } = admit;
            if verdict == Verdict::Admitted
                && let Err(reason) = admission.admit()
            {
                dispatcher.do_send(Left(membership, reason));
            }
            // A session that has gone does not wait for it any more.
            let _ = reply.send(verdict);
        });
    }
}

impl Handler<Left> for Triggers {
    type Result = ();

    fn handle(&mut self, Left(membership, reason): Left, ctx: &mut Self::Context) {
        self.part(membership, reason, ctx);
    }
}

impl Handler<Finish> for Triggers {
    type Result = bool;

    fn handle(&mut self, _: Finish, ctx: &mut Self::Context) -> bool {
        for (membership, reason) in self.grace.release() {
            self.left(&membership, reason, ctx);
        }
        self.active.is_empty()
    }
}

impl Handler<Notice> for Triggers {
    type Result = ();

    fn handle(&mut self, notice: Notice, ctx: &mut Self::Context) {
        match notice {
            Notice::Worker { event, worker_id } => {
                let payload = Json::from_value(&json!({"event": event, "worker_id": worker_id}));
                self.tell_all(&Kind::WorkersAvailable, &payload, ctx);
            }
            Notice::Functions if !self.gathering => {
                self.gathering = true;
                ctx.run_later(GATHER, |triggers, ctx| {
                    triggers.gathering = false;
                    let now: HashSet<Box<str>> = triggers.registry.functions.read().iter().map(|(id, _)| id.into()).collect();
                    if now != triggers.functions {
                        triggers.functions = now;
                        let payload = json!({"event": "functions_changed", "functions": engine::functions(&triggers.registry, false)});
                        triggers.tell_all(&Kind::FunctionsAvailable, &Json::from_value(&payload), ctx);
                    }
                });
            }
            Notice::Functions => {}
        }
    }
}
