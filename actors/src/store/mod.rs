//! The store: the one place where changes get their order.
//!
//! - *Owns* the adapter, the numbering of every group, the lanes of streams that a worker has taken over, and who watches what.
//! - *Receives* [`Submit`] from sessions and callers, [`Watch`], [`Unwatch`] and [`TakeSnapshot`] from groups, [`Triggered`] from workers.
//! - *Sends* long reads to its readers, results to whoever called, [`Feed`] to groups, [`News`] to the trigger dispatcher.
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
mod reader;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};

use crate::adapter::{Adapter, AdapterError, Read};
use crate::change::Snapshot;
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
use reader::Readers;

/// Messages that may wait for the store.
pub const MAILBOX: usize = 4_096;
/// Calls that are committed together at most.
const BATCH: usize = 1_024;
/// Bytes of values that are committed together, where one is not larger.
const BATCH_BYTES: usize = 8 << 20;
/// How often a store that does not commit says so in the log.
const COMPLAINT: Duration = Duration::from_secs(10);

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
    /// Whether it must be read before anything else changes: the group has given up waiting for earlier ones.
    pub urgent: bool,
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

/// A snapshot was read beside the store.
#[derive(Message)]
#[rtype(result = "()")]
struct SnapshotRead {
    request: TakeSnapshot,
    snapshot: Result<Snapshot, CallError>,
}

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
    readers: Readers,
    /// When the log was last told that commits fail, and how many have failed since.
    failing: Option<(Instant, usize)>,
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
            readers: Readers::default(),
            failing: None,
            _sentinel: sentinel,
        }
    }

    fn apply(&mut self, op: Op, reply: ReplyTo, ctx: &mut Context<Self>) {
        let code = op.error_code();
        if matches!(op, Op::List { .. } | Op::ListGroups { .. } | Op::ListAll) {
            // It reads what is committed, so what this batch has written must be there first.
            if self.ledger.is_behind(op.group()) {
                self.flush(ctx);
            }
            let failed = move |error: AdapterError| CallError::new(code, error.to_string());
            return match self.ledger.list(&op) {
                Ok(Read::Deferred(read)) => self.readers.carry_out(read, move |output| match output {
                    Ok(output) => reply.send(output.map_err(failed)),
                    Err(busy) => reply.send(Err(busy)),
                }),
                Ok(Read::Done(output)) => self.answer(reply, Ok(output), code, ctx),
                Err(error) => self.answer(reply, Err(failed(error)), code, ctx),
            };
        }
        let outcome = self.ledger.apply(op);
        self.answer(reply, outcome, code, ctx);
    }

    /// Answers with the next commit; with `code` where that fails.
    fn answer(&mut self, reply: ReplyTo, outcome: Outcome, code: &'static str, ctx: &mut Context<Self>) {
        self.batch.push((reply, outcome, code));
        if self.batch.len() >= BATCH || self.ledger.pending_bytes() >= BATCH_BYTES {
            self.flush(ctx);
        } else if !self.flush_due {
            self.flush_due = true;
            ctx.notify(Flush);
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        let batch = std::mem::take(&mut self.batch);
        let writes = !self.ledger.is_clean();
        match self.ledger.commit() {
            Ok(recorded) => {
                if writes && let Some((_, batches)) = self.failing.take() {
                    tracing::info!(batches, "the store commits again");
                }
                publish::deliver(batch.into_iter().map(|(reply, outcome, _)| (reply, outcome)));
                self.publish(recorded, ctx);
            }
            Err(error) => {
                self.complain(&error, batch.len());
                // Reads fail with the rest: they may have seen what was not stored.
                let failed = |code| CallError::new(code, format!("not stored: {error}"));
                publish::deliver(batch.into_iter().map(|(reply, outcome, code)| (reply, outcome.and_then(|_| Err(failed(code))))));
            }
        }
        self.ledger.forget(|group| self.interest.is_watched(group));
    }

    /// Says that a commit has failed, at once and then now and again: on a full disk the log must not take what room there is.
    fn complain(&mut self, error: &AdapterError, batch_len: usize) {
        let (told, batches) = self.failing.map_or((None, 0), |(told, batches)| (Some(told), batches));
        if told.is_some_and(|told| told.elapsed() < COMPLAINT) {
            self.failing = told.map(|told| (told, batches + 1));
            return;
        }
        tracing::error!(%error, batch_len, batches, "the store does not commit; nothing of this batch is stored or published");
        self.failing = Some((Instant::now(), batches + 1));
    }

    /// Flushes if a read of `group` would miss something otherwise.
    fn catch_up(&mut self, group: &GroupKey, ctx: &mut Context<Self>) {
        if self.ledger.is_behind(Some(group)) {
            self.flush(ctx);
        }
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
        self.catch_up(&request.group, ctx);
        let failed = |error: AdapterError| CallError::new("STREAM_GET_GROUP_ERROR", error.to_string());
        let snapshot = match self.ledger.snapshot(&request.group, request.whole, &request.items) {
            Ok(Read::Deferred(read)) if !request.urgent => {
                // It comes back here, so that the group gets it by the same way as the changes.
                let store = ctx.address();
                return self.readers.carry_out(read, move |snapshot| {
                    let snapshot = snapshot.and_then(|snapshot| snapshot.map_err(failed));
                    store.do_send(SnapshotRead { request, snapshot });
                });
            }
            read => read.and_then(Read::wait).map_err(failed),
        };
        self.send_snapshot(&request, snapshot.map(Arc::new));
    }
}

impl Handler<SnapshotRead> for Store {
    type Result = ();

    fn handle(&mut self, SnapshotRead { request, snapshot }: SnapshotRead, _: &mut Self::Context) {
        self.send_snapshot(&request, snapshot.map(Arc::new));
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
