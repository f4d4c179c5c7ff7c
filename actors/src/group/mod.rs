//! A group on one arbiter: its subscriber set, and the changes on their way to it.
//!
//! - *Owns* the subscribers of the group among the sockets of this arbiter.
//! - *Receives* [`Feed`] from the store; [`Subscribe`], [`Unsubscribe`], [`Gone`], [`Drained`] and [`Close`] from sessions of the same thread.
//! - *Sends* `Watch`, `TakeSnapshot` and `Unwatch` to the store; pushes frames straight into outboxes, without a message per subscriber.
//! - *Bounded by* [`MAILBOX`] batches from the store; when it is full the store drops what follows and sends one `Resync`.

pub(crate) mod burst;
mod copies;
pub mod local;
pub mod roster;
pub mod told;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Message};

use crate::change::{Change, Snapshot};
use crate::counts::Dropped;
use crate::error::{CallError, CloseCode};
use crate::ids::{GroupKey, SocketId};
use crate::metrics::limit::Limit;
use crate::session::outbox::OutboxRef;
use crate::settings::Overflow;
use crate::store::interest::LinkId;
use crate::store::{TakeSnapshot, Unwatch, Watch};
use crate::wire::subscriber::Address;
use local::Local;
use roster::{Roster, Scope};

/// Batches that may wait for a group.
pub const MAILBOX: usize = 1_024;

/// What the store sends to a group, in the order of the group.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub enum Feed {
    /// Changes, oldest first.
    Changes(Arc<[Arc<Change>]>),
    /// The state that was asked for.
    Snapshot {
        /// Which request this answers.
        request: u64,
        /// The state, or why it could not be read.
        result: Result<Arc<Snapshot>, CallError>,
    },
    /// Changes were left out.
    Resync,
}

/// A socket of this arbiter subscribes.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Subscribe {
    /// The socket.
    pub socket: SocketId,
    /// Its name for the subscription.
    pub subscription_id: Box<str>,
    /// What to.
    pub scope: Scope,
}

/// A subscription ends.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Unsubscribe {
    /// The socket.
    pub socket: SocketId,
    /// Its name for the subscription.
    pub subscription_id: Box<str>,
}

/// All subscriptions of a socket end.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Gone(pub SocketId);

/// The queue of a socket that was full has room again.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Drained(pub SocketId);

/// Nobody subscribes any more.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Close;

/// Names somebody who watches a group; never the same twice in one process.
pub(crate) fn next_link() -> LinkId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// See the [module](self).
pub struct Group {
    key: GroupKey,
    address: Address,
    link: LinkId,
    local: Rc<Local>,
    roster: Roster<OutboxRef>,
    /// Changes that have come and were not passed on yet.
    pending: Vec<Arc<[Arc<Change>]>>,
}

impl Group {
    /// The group `key` on the arbiter of `local`.
    #[must_use]
    pub fn new(key: GroupKey, local: Rc<Local>) -> Self {
        let address = Address::new(&key);
        Self { key, address, link: next_link(), local, roster: Roster::default(), pending: Vec::new() }
    }

    fn ask(&mut self) {
        if let Some(wanted) = self.roster.wanted() {
            let request = TakeSnapshot {
                group: self.key.clone(),
                link: self.link,
                request: wanted.request,
                whole: wanted.whole,
                items: wanted.items,
                urgent: wanted.urgent,
            };
            // Not refused by a full mailbox: at most one per group is under way.
            if let Some(store) = self.local.registry.store() {
                store.do_send(request);
            }
        }
    }

    /// Passes on what has come, in one go: a write per socket costs more than all else.
    fn flush(&mut self, ctx: &Context<Self>) {
        let mut pending = std::mem::take(&mut self.pending);
        let full = match &pending[..] {
            [] => return,
            [changes] => self.roster.changes(changes),
            several => self.roster.changes(&several.concat()),
        };
        pending.clear();
        self.pending = pending;
        self.wait_for(&full, ctx);
        self.ask();
    }

    /// Adds what was told since the last time, once for all sockets.
    fn count(&mut self) {
        self.roster.take_told().add_to(&self.local.registry.metrics.fanout);
    }

    /// Sees to sockets whose queue is full, and counts what was told and what they were not told.
    fn wait_for(&mut self, full: &[SocketId], ctx: &Context<Self>) {
        self.count();
        let changes = self.roster.take_dropped();
        if full.is_empty() && changes == 0 {
            return;
        }
        let stream = self.key.stream();
        let overflow = self.local.registry.settings.stream.overflow(stream);
        for socket in full {
            let Some(outbox) = self.local.outbox(*socket) else { continue };
            match overflow {
                Overflow::Resync => outbox.when_drained(ctx.address().recipient()),
                Overflow::Close => outbox.close(CloseCode::TooSlow),
            }
        }
        let overflows = full.len() as u64;
        self.local.registry.metrics.limits(Limit::StreamOutbox, overflows);
        let closed = if overflow == Overflow::Close { overflows } else { 0 };
        let total = self.local.registry.counts.add(stream, Dropped { overflows, changes, closed });
        if overflows > 0 {
            tracing::info!(
                stream,
                group = self.key.group(),
                clients = overflows,
                ?overflow,
                ?total,
                "clients take less than they are sent"
            );
        }
    }
}

impl Actor for Group {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        if let Some(store) = self.local.registry.store() {
            store.do_send(Watch { group: self.key.clone(), link: self.link, to: ctx.address().recipient() });
        }
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(store) = self.local.registry.store() {
            store.do_send(Unwatch { group: self.key.clone(), link: self.link });
        }
    }
}

impl Handler<Feed> for Group {
    type Result = ();

    fn handle(&mut self, feed: Feed, ctx: &mut Self::Context) {
        if let Feed::Changes(changes) = feed {
            // Before that, all that is in the mailbox comes here.
            if self.pending.is_empty() {
                ctx.notify(Flush);
            }
            self.pending.push(changes);
            return;
        }
        self.flush(ctx);
        let full = match feed {
            Feed::Changes(_) => return,
            Feed::Snapshot { request, result: Ok(snapshot) } => self.roster.snapshot(request, &snapshot, &self.address),
            Feed::Snapshot { request, result: Err(error) } => {
                tracing::warn!(stream = self.key.stream(), group = self.key.group(), code = %error.code, %error, "the group could not be read");
                for socket in self.roster.failed(request) {
                    if let Some(outbox) = self.local.outbox(socket) {
                        outbox.close(CloseCode::Internal);
                    }
                }
                Vec::new()
            }
            Feed::Resync => {
                self.roster.resync();
                Vec::new()
            }
        };
        self.wait_for(&full, ctx);
        self.ask();
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

impl Handler<Flush> for Group {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush(ctx);
    }
}

impl Handler<Subscribe> for Group {
    type Result = ();

    fn handle(&mut self, message: Subscribe, ctx: &mut Self::Context) {
        self.flush(ctx);
        // The socket may have gone since; then its end has passed here already, or will.
        if let Some(outbox) = self.local.outbox(message.socket) {
            self.roster.join(message.socket, outbox, message.subscription_id, message.scope);
            // All who join in this turn share one snapshot.
            ctx.notify(Ask);
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Ask;

impl Handler<Ask> for Group {
    type Result = ();

    fn handle(&mut self, _: Ask, _: &mut Self::Context) {
        self.ask();
    }
}

impl Handler<Unsubscribe> for Group {
    type Result = ();

    fn handle(&mut self, message: Unsubscribe, ctx: &mut Self::Context) {
        self.flush(ctx);
        if self.roster.leave(message.socket, &message.subscription_id) {
            self.wait_for(&[message.socket], ctx);
        } else {
            self.count();
        }
    }
}

impl Handler<Gone> for Group {
    type Result = ();

    fn handle(&mut self, Gone(socket): Gone, ctx: &mut Self::Context) {
        self.flush(ctx);
        self.roster.remove(socket);
        self.count();
    }
}

impl Handler<Drained> for Group {
    type Result = ();

    fn handle(&mut self, Drained(socket): Drained, ctx: &mut Self::Context) {
        self.flush(ctx);
        self.roster.drained(socket);
        self.count();
        self.ask();
    }
}

impl Handler<Close> for Group {
    type Result = ();

    fn handle(&mut self, _: Close, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
