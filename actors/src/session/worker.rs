//! A worker on the worker port.
//!
//! - *Owns* its socket, its [`Registrations`], and the calls that are under way at it.
//! - *Receives* bytes off the socket ([`Chunk`]), [`ToWorker`] from whoever calls it or answers it, and [`Shut`] from the outbox.
//! - *Sends* `SubmitAll` and `Triggered` to the store in the order of the socket, calls to other workers, results to their callers.
//! - *Bounded by* `max_message_bytes` in, `outbox_bytes` out, and `max_invocations`; while the store is full, or its answers
//!   are not read, it does not read its socket, and takes all else.

mod calls;
mod reading;
mod served;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::gate::Gate;
use super::in_flight::InFlight;
use super::outbox::Shut;
use super::registrations::Registrations;
use super::socket::{Liveness, Socket};
use super::tally::Tally;
use super::{Chunk, LOGGED_BYTES, clip};
use crate::functions::{Registry, ToWorker, Worker};
use crate::group::local::Local;
use crate::metrics::limit::Limit;
use crate::store::{Store, Submit, Triggered};
use crate::trigger::Notice;
use crate::wire::worker::{self as wire, Envelope, Kind};

/// How long the store may make a worker wait before it is tried again.
const PAUSE: Duration = Duration::from_millis(1);
/// How often it is looked whether all is answered and sent, before the end.
const LOOK: Duration = Duration::from_millis(5);
/// How often calls under way are looked through for those that take too long.
const TICK: Duration = Duration::from_millis(250);
/// How long a worker that registers a trigger type has until it is told of bindings. Published Python SDKs (0.25) send the registration
/// before they note the handler, and drop without a word a binding that comes between the two.
const PROVIDE_AFTER: Duration = Duration::from_millis(50);
/// How long a worker that reconnects waits for its old connection to be cleared away.
const EVICTION: Duration = Duration::from_secs(5);

/// What the store has not got yet.
enum Unsent {
    /// Calls that came together.
    Calls(Vec<Submit>),
    Triggered(Triggered),
}

/// See the [module](self).
pub struct WorkerSession {
    socket: Socket,
    local: Rc<Local>,
    me: Arc<Worker>,
    registrations: Registrations,
    /// One handle for the life of the session: actix bounds what is sent through one handle, and gives every clone a free slot.
    store: Addr<Store>,
    in_flight: InFlight,
    unsent: VecDeque<Unsent>,
    /// Of its messages that mean nothing or have no effect.
    ignored: Tally,
    /// In front of the socket.
    gate: Rc<Gate>,
    /// Whether it is to be tried whether the socket may be read on.
    retries: bool,
    /// Whether the connection that it takes over from is being cleared away.
    evicts: bool,
    lingers: bool,
    /// Whether the system stops, and this worker has had its turn.
    finishing: bool,
    ended: bool,
}

impl WorkerSession {
    /// A session for an accepted socket, which is read on while `gate` is open.
    #[must_use]
    pub fn new(socket: Socket, local: Rc<Local>, me: Arc<Worker>, store: Addr<Store>, gate: Rc<Gate>) -> Self {
        let registrations = Registrations::new(local.registry.clone(), socket.id);
        Self {
            socket,
            local,
            me,
            registrations,
            store,
            in_flight: InFlight::default(),
            unsent: VecDeque::new(),
            ignored: Tally::default(),
            gate,
            retries: false,
            evicts: false,
            lingers: false,
            finishing: false,
            ended: false,
        }
    }

    fn registry(&self) -> &Arc<Registry> {
        &self.local.registry
    }

    fn message(&mut self, bytes: &Bytes, ctx: &mut Context<Self>) {
        let takes_calls = self.takes_calls();
        if takes_calls && self.plain_call(bytes) {
            return;
        }
        let message = match wire::parse(bytes) {
            Ok(message) => message,
            Err(error) => {
                if let Some(times) = self.ignored.add() {
                    let error = error.to_string();
                    let error = tracing::field::display(clip(&error, LOGGED_BYTES));
                    tracing::warn!(worker = %self.me.id, bytes = bytes.len(), times, error, "message of a worker ignored");
                }
                return;
            }
        };
        let Some(kind) = Kind::of(&message.kind) else {
            if let Some(times) = self.ignored.add() {
                let kind = clip(&message.kind, LOGGED_BYTES);
                tracing::warn!(worker = %self.me.id, r#type = %kind, times, "message of unknown type ignored");
            }
            return;
        };
        let id = message.id.as_deref().unwrap_or_default();
        let outcome = match kind {
            Kind::InvokeFunction if !takes_calls => Ok(()),
            Kind::InvokeFunction => self.call(&message),
            Kind::InvocationResult => {
                self.result(&message);
                Ok(())
            }
            Kind::RegisterFunction => self.registrations.function(&self.me, &message),
            Kind::UnregisterFunction => {
                self.registrations.end_function(id);
                Ok(())
            }
            Kind::RegisterTriggerType => self.registrations.trigger_type(&self.me, &message).map(|(id, provider)| {
                ctx.run_later(PROVIDE_AFTER, move |session, _| session.registrations.provide(&id, provider));
            }),
            Kind::UnregisterTriggerType => {
                self.registrations.end_trigger_type(id);
                Ok(())
            }
            Kind::RegisterTrigger => {
                self.trigger(&message);
                Ok(())
            }
            Kind::UnregisterTrigger => {
                self.unsent.extend(self.registrations.end_trigger(id).map(Unsent::Triggered));
                Ok(())
            }
            Kind::TriggerRegistrationResult => {
                self.registrations.refused(&message);
                Ok(())
            }
            Kind::Reattach => {
                self.reattach(&message, ctx);
                Ok(())
            }
            Kind::Ping => {
                self.send(wire::pong());
                Ok(())
            }
            // A service is a name for people; nothing is asked of it.
            Kind::RegisterService | Kind::Pong => Ok(()),
        };
        if let Err(reason) = outcome
            && let Some(times) = self.ignored.add()
        {
            let (id, reason) = (clip(id, LOGGED_BYTES), clip(&reason, LOGGED_BYTES));
            tracing::warn!(worker = %self.me.id, r#type = %message.kind, id, times, %reason, "message of a worker has no effect");
        }
    }

    fn trigger(&mut self, message: &Envelope<'_>) {
        match self.registrations.trigger(message) {
            Ok(news) => self.unsent.extend(news.into_iter().map(Unsent::Triggered)),
            Err(error) => {
                if let Some(times) = self.ignored.add() {
                    let trigger = message.id.as_deref().map(|id| clip(id, LOGGED_BYTES));
                    tracing::warn!(worker = %self.me.id, trigger, code = %error.code, times, %error, "trigger refused");
                }
                let text = |field: &Option<Cow<'_, str>>| field.as_deref().unwrap_or_default().to_owned();
                let (id, trigger_type, function_id) = (text(&message.id), text(&message.trigger_type), text(&message.function_id));
                self.send(wire::trigger_refused(&id, &trigger_type, &function_id, &error).frames());
            }
        }
    }

    fn send(&self, frame: Bytes) {
        self.socket.outbox.push_always(frame);
    }

    /// Sends what it has to know of triggers. One that does not take it would have a wrong picture of them for good, so it is ended: when it comes back it
    /// is told all of them.
    fn push(&mut self, frame: &Bytes, ctx: &mut Context<Self>) {
        if self.socket.outbox.offer(frame) {
            return;
        }
        self.registry().metrics.limit(Limit::WorkerOutbox);
        let bytes = self.socket.outbox.queued_bytes();
        tracing::warn!(worker = %self.me.id, bytes, "worker does not read what it is told of triggers; closing");
        self.abandon(ctx);
    }

    fn reattach(&mut self, message: &Envelope<'_>, ctx: &mut Context<Self>) {
        let Some(before) = message.previous_worker_id.as_deref().and_then(|id| self.registry().worker(id)) else { return };
        if before.socket == self.socket.id || message.reattach_token.as_deref() != Some(&before.reattach_token) {
            return;
        }
        tracing::info!(worker = %self.me.id, previous = %before.id, "worker takes over from its old connection");
        let (done, cleared) = oneshot::channel();
        before.session.do_send(ToWorker::Evict(done));
        self.evicts = true;
        let cleared = tokio::time::timeout(EVICTION, cleared);
        ctx.spawn(cleared.into_actor(self).map(|_, session, ctx| {
            session.evicts = false;
            session.socket.excuse();
            session.read(ctx);
        }));
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        if self.evicts {
            self.socket.excuse();
        }
        let settings = &self.local.registry.settings.stream;
        match self.socket.check(settings.ping_interval, settings.idle_timeout) {
            Liveness::Alive(next) => drop(ctx.run_later(next, Self::look)),
            Liveness::Dead => self.give_up(ctx),
        }
    }

    /// What the worker sent before it went still counts; the end of that stops the session, or this does where none comes.
    fn stop_later(&mut self, ctx: &mut Context<Self>) {
        let waited = self.gate.is_closed();
        ctx.run_later(PAUSE * 50, move |session, ctx| {
            if waited || session.gate.is_closed() {
                session.stop_later(ctx);
            } else {
                ctx.stop();
            }
        });
    }

    fn give_up(&mut self, ctx: &mut Context<Self>) {
        tracing::warn!(worker = %self.me.id, bytes = self.socket.outbox.queued_bytes(), "worker neither answers pings nor reads; closing");
        self.abandon(ctx);
    }

    fn abandon(&mut self, ctx: &mut Context<Self>) {
        self.end();
        self.socket.outbox.clear();
        ctx.stop();
    }

    /// Whether what the worker calls now is carried out. When the system stops it is not, and not answered either: else there would be no end of
    /// it. But what is under way at this worker may need it.
    fn takes_calls(&self) -> bool {
        !self.finishing || self.me.in_flight.load(Ordering::Relaxed) > 0
    }

    /// Tells `done` once all calls of this worker are answered, and the answers written.
    fn finish(&mut self, done: oneshot::Sender<()>, ctx: &mut Context<Self>) {
        if self.me.unread.is_answered() && self.socket.outbox.queued_bytes() == 0 {
            // Whoever waits may have given up.
            let _ = done.send(());
        } else {
            ctx.run_later(LOOK, move |session, ctx| session.finish(done, ctx));
        }
    }

    /// Takes everything back that this worker has registered and answers all who wait for it.
    fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.submit_all();
        self.registrations.end(Some(&self.store));
        self.stop_served();
        self.registry().workers.write().remove(&self.me.id);
        if let Some(dispatcher) = self.registry().dispatcher() {
            dispatcher.do_send(Notice::Worker { event: "worker_disconnected", worker_id: self.me.id.clone() });
        }
        // Not with a close frame: published Python workers (up to 0.24.3) take 1000 and 1001 for the end and never come back.
        self.socket.outbox.end();
        tracing::info!(worker = %self.me.id, "worker disconnected");
    }
}

impl Actor for WorkerSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.local.add(self.socket.id, self.socket.outbox.clone());
        self.send(wire::worker_registered(&self.me.id, &self.me.reattach_token).frames());
        self.registry().workers.write().insert(self.me.id.clone(), self.me.clone());
        // After it is among those that are closed with the system: one of the two sees the other.
        if !self.registry().health.admits_workers() {
            self.end();
            return ctx.stop();
        }
        if let Some(dispatcher) = self.registry().dispatcher() {
            dispatcher.do_send(Notice::Worker { event: "worker_connected", worker_id: self.me.id.clone() });
        }
        tracing::info!(worker = %self.me.id, address = %self.me.address, "worker connected");
        ctx.run_interval(TICK, |session, _| session.expire());
        ctx.run_later(self.registry().settings.stream.ping_interval, Self::look);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.end();
        self.local.remove(self.socket.id);
    }
}

impl StreamHandler<Chunk> for WorkerSession {
    fn handle(&mut self, Chunk(bytes): Chunk, ctx: &mut Self::Context) {
        self.socket.feed(bytes);
        self.read(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.end();
        ctx.stop();
    }
}

impl Handler<ToWorker> for WorkerSession {
    type Result = ();

    fn handle(&mut self, message: ToWorker, ctx: &mut Self::Context) {
        match message {
            ToWorker::Invoke(call) => self.invoke(call),
            ToWorker::Answers(answers) => self.answers(answers),
            ToWorker::Push(frame) => self.push(&frame, ctx),
            ToWorker::Finish(done) => {
                self.submit_all();
                self.finishing = true;
                self.finish(done, ctx);
            }
            ToWorker::Evict(done) => {
                self.end();
                // Whoever waits may have given up.
                let _ = done.send(());
                ctx.stop();
            }
        }
    }
}

impl Handler<Shut> for WorkerSession {
    type Result = ();

    fn handle(&mut self, shut: Shut, ctx: &mut Self::Context) {
        match shut {
            Shut::Close(code) => {
                self.socket.close(code);
                self.read(ctx);
            }
            // Only clients are told.
            Shut::Restart(_) => {}
            Shut::Gone => self.stop_later(ctx),
        }
    }
}
