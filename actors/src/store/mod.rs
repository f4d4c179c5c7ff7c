//! The store: the one place where changes get their order.
//!
//! - *Owns* the adapter, the numbering of every group, the lanes of streams that a worker has taken over, and who watches what.
//! - *Receives* [`Submit`] from sessions and callers, [`Watch`], [`Unwatch`] and [`TakeSnapshot`] from groups, [`Triggered`] from workers.
//! - *Sends* results to whoever called, [`Feed`] to groups, [`News`] to the trigger dispatcher.
//! - *Bounded by* its mailbox of [`MAILBOX`] messages: sessions stop reading their sockets when it is full, callers get `overloaded`.
//!
//! Calls are applied as they come and made permanent together: actix drains a mailbox completely before it runs what a handler has
//! scheduled (0.13), so one `Flush` commits all that queued up behind the first call. Nothing is answered or published before that.

pub mod input;
pub mod interest;
pub mod lanes;
pub mod ledger;
mod overridden;
pub mod overrides;
pub(crate) mod publish;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};

use crate::adapter::Adapter;
use crate::error::{CallError, Outcome};
use crate::functions::{Registry, ReplyTo};
use crate::group::Feed;
use crate::guardian::Sentinel;
use crate::ids::{GroupKey, Name};
use crate::trigger::News;
use crate::trigger::table::Binding;
use input::Op;
use interest::{Interest, LinkId};
use lanes::{Lane, Share, Ticket};
use ledger::Ledger;
use overridden::{Call, Done, Ended, Route};

/// Messages that may wait for the store.
pub const MAILBOX: usize = 4_096;
/// Calls that are committed together at most.
const BATCH: usize = 1_024;

/// Call a stream function.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Submit {
    /// What to do.
    pub op: Op,
    /// Who waits for the result.
    pub reply: ReplyTo,
}

/// A group actor wants every change of its group from now on.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Watch {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
    /// Its mailbox.
    pub to: Recipient<Feed>,
}

/// A group actor wants no more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
}

/// A group actor that watches wants the state of its group. The answer comes in order with the changes.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct TakeSnapshot {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
    /// Comes back with the answer.
    pub request: u64,
    /// Whether all items are wanted.
    pub whole: bool,
    /// The items that are wanted by name.
    pub items: Vec<Name>,
}

/// A `stream` trigger comes or goes. By way of the store, so that it sees exactly the changes between the two.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub enum Triggered {
    /// It begins.
    Begin(Arc<Binding>),
    /// It ends.
    End(Arc<Binding>),
}

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

/// See the [module](self).
pub struct Store {
    registry: Arc<Registry>,
    ledger: Ledger,
    interest: Interest,
    /// Results that wait for the commit, each with the code for its failure.
    batch: Vec<(ReplyTo, Outcome, &'static str)>,
    flush_due: bool,
    lanes: HashMap<GroupKey, Lane<Call, Ended>>,
    next_ticket: Ticket,
    news: VecDeque<News>,
    news_to: Recipient<News>,
    retry_due: bool,
    lagging: Vec<(GroupKey, LinkId)>,
    _sentinel: Sentinel,
}

impl Store {
    /// A store on `adapter` that tells the trigger dispatcher at `news_to`.
    pub fn new(registry: Arc<Registry>, adapter: Box<dyn Adapter>, news_to: Recipient<News>, sentinel: Sentinel) -> Self {
        let ledger = Ledger::new(adapter, registry.settings.stream.max_value_bytes);
        Self {
            registry,
            ledger,
            interest: Interest::default(),
            batch: Vec::new(),
            flush_due: false,
            lanes: HashMap::new(),
            next_ticket: 0,
            news: VecDeque::new(),
            news_to,
            retry_due: false,
            lagging: Vec::new(),
            _sentinel: sentinel,
        }
    }

    fn apply(&mut self, op: Op, reply: ReplyTo, ctx: &mut Context<Self>) {
        // A listing reads the adapter as a whole, so what this batch has written must be there first.
        if matches!(op, Op::List { .. } | Op::ListGroups { .. } | Op::ListAll) && !self.ledger.is_clean() {
            self.flush(ctx);
        }
        let code = op.error_code();
        let outcome = self.ledger.apply(op);
        self.answer(reply, outcome, code, ctx);
    }

    /// Answers with the next commit; with `code` where that fails.
    fn answer(&mut self, reply: ReplyTo, outcome: Outcome, code: &'static str, ctx: &mut Context<Self>) {
        self.batch.push((reply, outcome, code));
        if self.batch.len() >= BATCH {
            self.flush(ctx);
        } else if !self.flush_due {
            self.flush_due = true;
            ctx.notify(Flush);
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let batch = std::mem::take(&mut self.batch);
        match self.ledger.commit() {
            Ok(recorded) => {
                publish::deliver(batch.into_iter().map(|(reply, outcome, _)| (reply, outcome)));
                self.publish(recorded, ctx);
            }
            Err(error) => {
                // Reads fail with the rest: they may have seen what was not stored.
                tracing::error!(%error, batch_len = batch.len(), "the store did not commit; nothing of this batch is stored or published");
                let failed = |code| CallError::new(code, format!("not stored: {error}"));
                publish::deliver(batch.into_iter().map(|(reply, outcome, code)| (reply, outcome.and_then(|_| Err(failed(code))))));
            }
        }
        self.ledger.forget(|group| self.interest.is_watched(group));
    }
}

impl Actor for Store {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }
}

impl Handler<Submit> for Store {
    type Result = ();

    fn handle(&mut self, Submit { op, reply }: Submit, ctx: &mut Self::Context) {
        match overridden::route(self, &op, &reply) {
            Route::Own => self.apply(op, reply, ctx),
            Route::Call(with) => self.call_override(with, op, reply, ctx),
            Route::Lane(group, share) => self.enqueue(&group, share, Call::Op(op, reply), ctx),
        }
    }
}

impl Handler<Flush> for Store {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush_due = false;
        self.flush(ctx);
    }
}

impl Handler<Done> for Store {
    type Result = ();

    fn handle(&mut self, done: Done, ctx: &mut Self::Context) {
        self.done(done, ctx);
    }
}

impl Handler<Watch> for Store {
    type Result = ();

    fn handle(&mut self, message: Watch, ctx: &mut Self::Context) {
        self.flush(ctx);
        self.interest.watch(&message.group, message.link, message.to);
    }
}

impl Handler<Unwatch> for Store {
    type Result = ();

    fn handle(&mut self, message: Unwatch, _: &mut Self::Context) {
        self.interest.unwatch(&message.group, message.link);
    }
}

impl Handler<TakeSnapshot> for Store {
    type Result = ();

    fn handle(&mut self, request: TakeSnapshot, ctx: &mut Self::Context) {
        if self.has_lane(&request.group) {
            let group = request.group.clone();
            return self.enqueue(&group, Share::Exclusive, Call::Snapshot(request), ctx);
        }
        self.flush(ctx);
        let snapshot = self.ledger.snapshot(&request.group, request.whole, &request.items);
        let snapshot = snapshot.map(Arc::new).map_err(|error| CallError::new("STREAM_GET_GROUP_ERROR", error.to_string()));
        self.send_snapshot(&request, snapshot);
    }
}

impl Handler<Triggered> for Store {
    type Result = ();

    fn handle(&mut self, message: Triggered, ctx: &mut Self::Context) {
        // What was called before this message was changed before it too.
        self.flush(ctx);
        let (binding, comes) = match &message {
            Triggered::Begin(binding) => (binding, true),
            Triggered::End(binding) => (binding, false),
        };
        if let crate::trigger::config::Kind::Stream(filter) = &binding.kind
            && let Some(stream) = &filter.stream
        {
            self.interest.trigger(stream.as_str(), comes);
        }
        self.news.push_back(News::Triggered(message));
        self.pass_on(ctx);
    }
}
