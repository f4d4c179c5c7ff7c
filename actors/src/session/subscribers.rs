//! All subscribers of one arbiter, for messages that concern them all.
//!
//! - *Owns* those that are still to be closed while the system drains; shares the arbiter's tables.
//! - *Receives* [`Question`]s from whoever calls `stream::disconnect` or wants to know who is connected, [`Drain`] and [`Count`] from whoever stops the system.
//! - *Sends* each session of its thread the question, or the wish to close.
//! - *Bounded by* the calls under way at the workers, and the number of sockets.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult};

use super::clients::Listing;
use super::outbox::OutboxRef;
use crate::functions::disconnect::Inquiry;
use crate::group::local::Local;

/// How often sockets whose time has come are closed.
const TICK: Duration = Duration::from_millis(20);
/// Clients are asked to come back within so many milliseconds, each at its own time, so that the next server does not meet all at once.
const COME_BACK_MS: u64 = 5_000;

/// When one client is asked to come back.
pub(super) fn come_back() -> Duration {
    Duration::from_millis(rand::random_range(0..COME_BACK_MS))
}

/// What all subscribers are asked.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub enum Question {
    /// To close, if they are meant.
    Disconnect(Arc<Inquiry>),
    /// Who they are.
    Describe(Arc<Listing>),
}

/// Close every socket, spread over this time.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Drain(pub Duration);

/// How many sockets are there?
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "usize")]
pub struct Count;

/// See the [module](self).
pub struct Subscribers {
    local: Rc<Local>,
    open: Vec<OutboxRef>,
    /// How many are closed with every tick.
    step: usize,
}

impl Subscribers {
    /// Those of this arbiter.
    #[must_use]
    pub fn new(local: Rc<Local>) -> Self {
        Self { local, open: Vec::new(), step: 0 }
    }

    fn close_some(&mut self, ctx: &mut Context<Self>) {
        if self.open.is_empty() {
            // Handshakes that were under way when the draining began.
            self.open = self.local.all_outboxes();
        }
        for outbox in self.open.drain(self.open.len().saturating_sub(self.step)..) {
            outbox.restart(come_back());
        }
        // A timer keeps an actor that nobody knows any more: it must not outlive its system on a thread of the host.
        if !self.local.registry.health.is_closed() {
            ctx.run_later(TICK, Self::close_some);
        }
    }
}

impl Actor for Subscribers {
    type Context = Context<Self>;
}

impl Handler<Question> for Subscribers {
    type Result = ();

    fn handle(&mut self, question: Question, _: &mut Self::Context) {
        self.local.ask_all(&question);
    }
}

impl Handler<Drain> for Subscribers {
    type Result = ();

    fn handle(&mut self, Drain(span): Drain, ctx: &mut Self::Context) {
        if self.step > 0 {
            return;
        }
        self.open = self.local.all_outboxes();
        let ticks = usize::try_from(span.as_millis() / TICK.as_millis()).unwrap_or(usize::MAX).max(1);
        self.step = self.open.len().div_ceil(ticks).max(1);
        self.close_some(ctx);
    }
}

impl Handler<Count> for Subscribers {
    type Result = MessageResult<Count>;

    fn handle(&mut self, _: Count, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.local.len())
    }
}
