//! A client on the stream port.
//!
//! - *Owns* its socket and its subscriptions; holds the context that the auth function gave it.
//! - *Receives* bytes off the socket ([`Chunk`]), [`Shut`] from the outbox, and [`Question`](super::subscribers::Question)s from workers and operators.
//! - *Sends* `Subscribe`, `Unsubscribe` and `Gone` to groups of its arbiter, `Admit` and `Left` to the trigger dispatcher.
//! - *Bounded by* `max_message_bytes` in, `outbox_bytes` out, `max_subscriptions` and `max_joins_per_second`.

mod authorisation;
mod ending;
mod questions;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ActorFutureExt, Addr, AsyncContext, Context, Handler, StreamHandler, WrapFuture};
use authorisation::Authorisation;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::outbox::Shut;
use super::pace::Pace;
use super::socket::{Data, LINGER, Liveness, Socket};
use super::subscribers::come_back;
use super::tally::Tally;
use super::{Chunk, LOGGED_BYTES, clip};
use crate::auth::{AuthInput, Grant};
use crate::clock::{self, Millis};
use crate::error::{CloseCode, OVERLOADED};
use crate::frame::Encoded;
use crate::group::local::Local;
use crate::group::roster::{Scope, Sink};
use crate::group::{Group, Subscribe};
use crate::ids::{GroupKey, Name};
use crate::json::Json;
use crate::metrics::limit::Limit;
use crate::trigger::Triggers;
use crate::trigger::admission::{Admission, Admit, Membership, Verdict};
use crate::trigger::reason::Reason;
use crate::wire::subscriber::{self as wire, Address, Request};

/// Joins of one socket whose triggers are asked at a time; the others of that socket wait.
const ASKING: usize = 32;

/// How much of a name that is too long is told, to recognise it by.
const NAME_BYTES: usize = 64;

/// Who the client is, and what its address asked for.
#[derive(Debug)]
pub struct Entrance {
    /// What the auth function granted.
    pub grant: Grant,
    /// What it was told.
    pub input: AuthInput,
    /// Where the client connects from.
    pub address: Option<SocketAddr>,
    /// The group, and the item, that the URL names.
    pub subscribe: Option<(GroupKey, Option<Name>)>,
    /// Why the client may not enter; it is told and closed.
    pub refused: Option<CloseCode>,
}

struct Subscription {
    membership: Membership,
    state: State,
}

enum State {
    /// Its join triggers are asked.
    Joining(Arc<Admission>),
    /// It gets the group's state and changes.
    Joined(Addr<Group>),
}

/// See the [module](self).
pub struct SubscriberSession {
    socket: Socket,
    local: Rc<Local>,
    address: Option<SocketAddr>,
    connected_at: Millis,
    context: Option<Json>,
    authorisation: Option<Authorisation>,
    subscribe: Option<(GroupKey, Option<Name>)>,
    refused: Option<CloseCode>,
    lingers: bool,
    /// Joins whose triggers are being asked, those that the client has given up included.
    asking: usize,
    /// Joins that wait until fewer are being asked.
    waiting: VecDeque<Membership>,
    subscriptions: HashMap<Box<str>, Subscription>,
    /// Of the joins that it asks for.
    pace: Pace,
    /// Of its messages that mean nothing, or come too soon.
    ignored: Tally,
}

impl SubscriberSession {
    /// A session for an accepted socket.
    #[must_use]
    pub fn new(socket: Socket, local: Rc<Local>, entrance: Entrance) -> Self {
        let Entrance { grant: Grant { context, expires_at }, input, address, subscribe, refused } = entrance;
        // Kept only where it will be needed; there are many sockets.
        let authorisation = expires_at.map(|at| Authorisation::until(at, input));
        Self {
            socket,
            local,
            address,
            connected_at: clock::wall(),
            context,
            authorisation,
            subscribe,
            refused,
            lingers: false,
            asking: 0,
            waiting: VecDeque::new(),
            subscriptions: HashMap::new(),
            pace: Pace::default(),
            ignored: Tally::default(),
        }
    }

    fn read(&mut self, ctx: &mut Context<Self>) {
        while let Some(data) = self.socket.receive() {
            // Binary messages are read as text, as upstream does.
            let (Data::Text(bytes) | Data::Binary(bytes)) = data;
            if self.refused.is_some() {
                continue;
            }
            match wire::parse(&bytes) {
                Ok(Request::Join { subscription_id, stream, group, item }) => {
                    self.ask_to_join(&subscription_id, &stream, &group, item.as_deref(), ctx)
                }
                Ok(Request::Refresh { token }) => self.refresh(&token, ctx),
                Ok(Request::Leave { subscription_id }) => self.leave(&subscription_id, Reason::Left),
                Err(error) => {
                    if let Some(times) = self.ignored.add() {
                        let error = error.to_string();
                        let error = tracing::field::display(clip(&error, LOGGED_BYTES));
                        tracing::info!(session = %self.socket.id, bytes = bytes.len(), times, error, "message of a client ignored");
                    }
                }
            }
        }
        self.linger(ctx);
    }

    /// A closing socket is given some time to read the close frame, then the connection ends.
    fn linger(&mut self, ctx: &mut Context<Self>) {
        if self.socket.is_closing() && !std::mem::replace(&mut self.lingers, true) {
            // Not when the connection has ended: a client that may not be here any more gets nothing more.
            self.end_all();
            ctx.run_later(LINGER, |session, ctx| {
                session.socket.outbox.end();
                ctx.stop();
            });
        }
    }

    fn ask_to_join(&mut self, id: &str, stream: &str, group: &str, item: Option<&str>, ctx: &mut Context<Self>) {
        if let Some((code, text)) = self.passes_limit(id, [stream, group, item.unwrap_or_default()]) {
            let key = GroupKey::new(clip(stream, NAME_BYTES), clip(group, NAME_BYTES));
            let item = item.map(|item| Name::from(clip(item, NAME_BYTES)));
            return self.tell(&Address::new(&key).error(item.as_ref(), code, &text));
        }
        let (group, registry) = (GroupKey::new(stream, group), &self.local.registry);
        if let Some(trigger) = registry.leaves.holding_up(&registry.triggers, &group, item) {
            registry.metrics.joins.refused.add(1);
            tracing::debug!(session = %self.socket.id, %trigger, "join refused; a leave trigger is behind");
            let text = "too many leaves wait for their handler; join again later";
            return self.tell(&Address::new(&group).error(item.map(Name::from).as_ref(), OVERLOADED, text));
        }
        self.join(id, group, item.map(Name::from), ctx);
    }

    /// The limit that a join would pass, with what to say of it.
    fn passes_limit(&mut self, id: &str, names: [&str; 3]) -> Option<(&'static str, String)> {
        let registry = &self.local.registry;
        let limits = &registry.settings.stream;
        let longest = names.into_iter().chain([id]).map(str::len).max().unwrap_or_default();
        if longest > limits.max_name_bytes {
            registry.metrics.limit(Limit::Name);
            return Some(("name_too_long", format!("a name has {longest} bytes; the limit is {}", limits.max_name_bytes)));
        }
        if self.subscriptions.len() + self.waiting.len() >= limits.max_subscriptions && !self.subscriptions.contains_key(id) {
            registry.metrics.limit(Limit::Subscriptions);
            let text = format!("this connection has {} subscriptions, which is the limit", limits.max_subscriptions);
            return Some(("too_many_subscriptions", text));
        }
        // Each join may cost handlers a call and the store a read, so that joining and leaving in turn must not be free of a limit.
        let (per_second, at_once) = (limits.max_joins_per_second, limits.max_subscriptions.max(limits.max_joins_per_second));
        if !self.pace.take(Instant::now(), per_second, at_once) {
            registry.metrics.limit(Limit::Joins);
            let text = format!("this connection joins more often than {per_second} times a second; try again later");
            return Some(("too_many_joins", text));
        }
        None
    }

    fn join(&mut self, id: &str, group: GroupKey, item: Option<Name>, ctx: &mut Context<Self>) {
        self.leave(id, Reason::Replaced);
        let membership = Membership { subscription_id: id.into(), known_as: None, group, item, context: self.context.clone() };
        if self.asking >= ASKING {
            self.waiting.push_back(membership);
            return;
        }
        let item = membership.item.as_ref().map(Name::as_str);
        let triggers = self.local.registry.triggers.read().for_session(true, &membership.group, item);
        // After they were looked up: a system that has ended has none any more, and must not look like one that never had.
        if !self.local.registry.health.admits_clients() {
            return self.turn_away(ctx);
        }
        // A leave of this client may be held back, which only the dispatcher knows.
        let returns = !self.local.registry.settings.stream.leave_grace.is_zero() && membership.context.is_some();
        let Some(dispatcher) = self.dispatcher().filter(|_| returns || !triggers.is_empty()) else {
            return self.admit(membership);
        };
        let admission = Arc::new(Admission::default());
        let (reply, verdict) = oneshot::channel();
        dispatcher.do_send(Admit { membership: membership.clone(), triggers, admission: admission.clone(), reply });
        let asked = admission.clone();
        self.subscriptions.insert(id.into(), Subscription { membership, state: State::Joining(admission) });
        let id: Box<str> = id.into();
        self.asking += 1;
        ctx.spawn(verdict.into_actor(self).map(move |verdict, session, ctx| {
            session.asking -= 1;
            // Not only one: where its triggers have gone meanwhile, a join is done at once, and no verdict follows that would call the next.
            while session.asking < ASKING
                && let Some(Membership { subscription_id, group, item, .. }) = session.waiting.pop_front()
            {
                session.join(&subscription_id, group, item, ctx);
            }
            // The subscription may have ended or been replaced while its triggers were asked; then the admission says who fires the leave.
            let current =
                |subscription: &Subscription| matches!(&subscription.state, State::Joining(admission) if Arc::ptr_eq(admission, &asked));
            if !session.subscriptions.get(&id).is_some_and(current) {
                return;
            }
            let Some(Subscription { mut membership, .. }) = session.subscriptions.remove(&id) else { return };
            membership.known_as = asked.known_as.get().cloned();
            match verdict {
                Ok(Verdict::Admitted) => session.admit(membership),
                Ok(Verdict::Refused) | Err(_) => session.refuse(&membership),
            }
        }));
    }

    fn admit(&mut self, membership: Membership) {
        let group = self.local.enter(&membership.group);
        let registry = &self.local.registry;
        registry.metrics.joins.admitted.add(1);
        registry.leaves.joined(registry.metrics.joins.subscriptions.get());
        let scope = membership.item.clone().map_or(Scope::Group, Scope::Item);
        let id = membership.subscription_id.clone();
        group.do_send(Subscribe { socket: self.socket.id, subscription_id: id.clone(), scope });
        tracing::debug!(session = %self.socket.id, stream = membership.group.stream(), group = membership.group.group(), "joined");
        self.subscriptions.insert(id, Subscription { membership, state: State::Joined(group) });
    }

    fn refuse(&self, membership: &Membership) {
        self.local.registry.metrics.joins.refused.add(1);
        let address = self.address.map(tracing::field::display);
        tracing::info!(session = %self.socket.id, address, stream = membership.group.stream(), group = membership.group.group(), "join refused");
        self.tell(&Address::new(&membership.group).unauthorized(membership.item.as_ref()));
    }

    /// Closes the connection of whoever comes too late: the system stops.
    fn turn_away(&mut self, ctx: &mut Context<Self>) {
        self.restart(come_back(), ctx);
    }

    fn restart(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        let reason = format!("{}; come back in {} ms", CloseCode::Restart.reason(), pause.as_millis());
        self.socket.close_saying(CloseCode::Restart, &reason);
        self.linger(ctx);
    }

    /// Sends an answer of the session's own. A client that asks on and on without reading is closed.
    fn tell(&self, frame: &Encoded) {
        if !self.socket.outbox.push(&frame.frames()) {
            self.socket.outbox.close(CloseCode::Unresponsive);
        }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let settings = &self.local.registry.settings.stream;
        match self.socket.check(settings.ping_interval, settings.idle_timeout) {
            Liveness::Alive(next) => drop(ctx.run_later(next, Self::look)),
            Liveness::Dead => {
                tracing::info!(session = %self.socket.id, "client did not answer pings; closing");
                self.socket.give_up();
                ctx.stop();
            }
        }
    }

    fn dispatcher(&self) -> Option<&Addr<Triggers>> {
        self.local.registry.dispatcher()
    }

    fn close(&mut self, code: CloseCode, ctx: &mut Context<Self>) {
        self.socket.close(code);
        self.linger(ctx);
    }
}

impl Actor for SubscriberSession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.local.add(self.socket.id, self.socket.outbox.clone());
        self.local.enlist(self.socket.id, ctx.address().recipient());
        ctx.run_later(self.local.registry.settings.stream.ping_interval, Self::look);
        if let Some(code) = self.refused {
            let (group, item) = self.subscribe.take().unwrap_or_else(|| (GroupKey::new("", ""), None));
            self.socket.outbox.push_always(Address::new(&group).unauthorized(item.as_ref()).frames());
            // Published clients come back two seconds after a close; an auth function must not be hammered by those it refuses.
            let pause = Duration::from_millis(rand::random_range(1_000..3_000));
            ctx.run_later(pause, move |session, ctx| session.close(code, ctx));
            return;
        }
        if !self.local.registry.health.admits_clients() {
            // It began to stop while the auth function was asked.
            return self.turn_away(ctx);
        }
        self.watch(ctx);
        if let Some((group, item)) = self.subscribe.take() {
            self.join(&Uuid::new_v4().to_string(), group, item, ctx);
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.end_all();
        self.local.remove(self.socket.id);
        self.socket.outbox.end();
    }
}

impl StreamHandler<Chunk> for SubscriberSession {
    fn handle(&mut self, Chunk(bytes): Chunk, ctx: &mut Self::Context) {
        self.socket.feed(bytes);
        self.read(ctx);
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        self.socket.outbox.end();
        ctx.stop();
    }
}

impl Handler<Shut> for SubscriberSession {
    type Result = ();

    fn handle(&mut self, shut: Shut, ctx: &mut Self::Context) {
        match shut {
            Shut::Close(code) => {
                if code == CloseCode::TooSlow && !self.socket.is_closing() {
                    // What waits would keep the close frame waiting.
                    self.socket.outbox.clear();
                }
                self.close(code, ctx);
            }
            Shut::Restart(pause) => self.restart(pause, ctx),
            Shut::Gone => ctx.stop(),
        }
    }
}
