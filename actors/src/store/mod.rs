//! The store: the one place where changes get their order.
//!
//! - *Owns* the adapter, the numbering of every group, the lanes of streams that a worker has taken over, and who watches what.
//! - *Receives* [`SubmitAll`] from workers, [`Submit`] from callers in this process, [`Watch`], [`Unwatch`] and [`TakeSnapshot`] from groups, [`Triggered`] from workers.
//! - *Sends* long reads to its readers, results to whoever called, [`Feed`] to groups, [`News`] to the trigger dispatcher.
//! - *Bounded by* its mailbox of [`MAILBOX`] messages, and of 64 MiB of values that workers send: sessions stop reading their sockets when it is full, callers get `overloaded`.
//!
//! Calls are applied as they come and made permanent together: actix drains a mailbox completely before it runs what a handler has
//! scheduled (0.13), so one `Flush` commits all that queued up behind the first call. Nothing is answered or published before that.
//!
//! With Redis the order is Redis's: calls go there as they come, and what they change comes back with the changes of all nodes ([`relay`]).

#[cfg(feature = "redis")]
mod abroad;
pub(crate) mod function;
pub mod input;
pub mod interest;
pub mod lanes;
pub mod ledger;
mod message;
pub mod output;
mod overridden;
pub mod overrides;
mod own;
#[cfg(feature = "redis")]
mod peers;
mod probe;
pub(crate) mod publish;
mod reader;
#[cfg(feature = "redis")]
pub mod relay;
#[cfg_attr(not(feature = "redis"), path = "unshared.rs")]
mod shared;
mod submit;
mod trouble;

use std::collections::VecDeque;
use std::sync::Arc;

use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient, ResponseFuture};

use crate::adapter::{Adapter, AdapterError, Read};
use crate::change::Snapshot;
use crate::error::{self, CallError};
use crate::functions::Registry;
use crate::group::Feed;
use crate::guardian::Sentinel;
use crate::hash::HashMap;
use crate::ids::GroupKey;
use crate::metrics::calls::BuiltIn;
use crate::metrics::limit::Limit;
use crate::trigger::News;
use interest::{Interest, LinkId};
use lanes::{Lane, Share, Ticket};
pub use message::{Close, Leave, Overridden, TakeSnapshot, Triggered, Unwatch, Watch};
use overridden::{Call, Done, Ended, Route};
use own::Own;
use shared::Shared;
#[cfg(feature = "redis")]
pub(crate) use shared::allow;
pub use submit::{Submit, SubmitAll};

/// Messages that may wait for the store.
pub const MAILBOX: usize = 4_096;

#[derive(Message)]
#[rtype(result = "()")]
struct Flush;

/// A snapshot was read beside the store.
#[derive(Message)]
#[rtype(result = "()")]
struct SnapshotRead {
    request: TakeSnapshot,
    snapshot: Result<Snapshot, AdapterError>,
}

/// Who stores and numbers.
#[allow(clippy::large_enum_variant, reason = "there is one; which is larger depends on the features")]
enum Keeper {
    /// An adapter of this process.
    Own(Own),
    /// Redis, for several nodes.
    #[cfg_attr(not(feature = "redis"), expect(dead_code, reason = "built without"))]
    Shared(Shared),
}

/// See the [module](self).
pub struct Store {
    registry: Arc<Registry>,
    keeper: Keeper,
    interest: Interest,
    flush_due: bool,
    probe_due: bool,
    closed: bool,
    lanes: HashMap<GroupKey, Lane<Call, Ended>>,
    next_ticket: Ticket,
    /// Calls for several groups that wait for writes in lanes.
    behind: VecDeque<(Ticket, Submit)>,
    news: VecDeque<News>,
    news_bytes: usize,
    news_to: Recipient<News>,
    retry_due: bool,
    lagging: Vec<(GroupKey, LinkId)>,
    _sentinel: Sentinel,
}

impl Store {
    /// A store on `adapter` that tells the trigger dispatcher at `news_to`.
    pub fn new(registry: Arc<Registry>, adapter: Box<dyn Adapter>, news_to: Recipient<News>, sentinel: Sentinel) -> Self {
        let keeper = Keeper::Own(Own::new(adapter, &registry));
        Self::on(keeper, registry, news_to, sentinel)
    }

    fn on(keeper: Keeper, registry: Arc<Registry>, news_to: Recipient<News>, sentinel: Sentinel) -> Self {
        Self {
            registry,
            keeper,
            interest: Interest::default(),
            flush_due: false,
            probe_due: false,
            closed: false,
            lanes: HashMap::default(),
            next_ticket: 0,
            behind: VecDeque::new(),
            news: VecDeque::new(),
            news_bytes: 0,
            news_to,
            retry_due: false,
            lagging: Vec::new(),
            _sentinel: sentinel,
        }
    }

    /// Answers a call that is not carried out.
    fn refuse(&self, Submit { op, reply, .. }: Submit, error: CallError) {
        let outcome = Err(error);
        self.registry.metrics.served(BuiltIn::Stream(op.called()), &outcome);
        reply.send(outcome);
    }

    /// Refuses a call of a worker that reads too little of what it has asked for.
    fn refuse_unread(&self, submit: Submit) -> Option<Submit> {
        let Some(text) = submit.reply.refusal() else { return Some(submit) };
        self.registry.metrics.limit(Limit::WorkerOutbox);
        self.refuse(submit, CallError::new(error::OVERLOADED, text));
        None
    }

    fn submitted(&mut self, submit: Submit, ctx: &mut Context<Self>) {
        let Some(submit) = self.refuse_unread(submit).and_then(|submit| self.hold(submit)) else { return };
        match self.forward(submit) {
            Some(submit) => self.carry_out(submit, ctx),
            None => self.settle(ctx),
        }
    }

    /// Has a call carried out, here.
    fn carry_out(&mut self, submit: Submit, ctx: &mut Context<Self>) {
        match overridden::route(self, &submit) {
            Route::Own => self.apply(submit, ctx),
            Route::Call(with) => self.call_override(with, submit, ctx),
            Route::Lane(group, share) => self.enqueue(&group, share, Call::Op(submit), ctx),
            Route::Behind(ticket) => self.wait_behind(ticket, submit),
        }
    }

    /// Has a call carried out by whoever keeps the items.
    fn apply(&mut self, submit: Submit, ctx: &mut Context<Self>) {
        if submit.op.is_wide() {
            self.catch_up(submit.op.group(), ctx);
        }
        match &mut self.keeper {
            Keeper::Own(own) => own.apply(submit.op, submit.reply),
            Keeper::Shared(shared) => shared.call(submit),
        }
        self.settle(ctx);
    }

    /// Sees to it that what waits for a commit gets one.
    fn settle(&mut self, ctx: &mut Context<Self>) {
        match &self.keeper {
            Keeper::Own(own) if own.is_full() => self.flush(ctx),
            Keeper::Own(own) if own.is_waited_for() && !self.flush_due => {
                self.flush_due = true;
                ctx.notify(Flush);
            }
            Keeper::Own(_) => {}
            Keeper::Shared(shared) => shared.make_room(ctx),
        }
    }

    fn flush(&mut self, ctx: &mut Context<Self>) {
        match &mut self.keeper {
            Keeper::Own(own) => {
                let recorded = own.commit();
                own.forget(&self.interest);
                self.tell_health(ctx);
                self.publish(recorded, ctx);
            }
            Keeper::Shared(_) => {}
        }
    }

    /// Flushes if a read of `group`, or of everything, would miss something otherwise.
    fn catch_up(&mut self, group: Option<&GroupKey>, ctx: &mut Context<Self>) {
        let behind = match &self.keeper {
            Keeper::Own(own) => own.is_behind(group),
            Keeper::Shared(_) => false,
        };
        if behind {
            self.flush(ctx);
        }
    }

    fn take_snapshot(&mut self, request: TakeSnapshot, ctx: &mut Context<Self>) {
        self.catch_up(Some(&request.group), ctx);
        let snapshot = match &mut self.keeper {
            Keeper::Own(own) => match own.snapshot(&request.group, request.whole, &request.items) {
                Ok(Read::Deferred(read)) if !request.urgent => {
                    // It comes back here, so that the group gets it by the same way as the changes.
                    let store = ctx.address();
                    return own.readers().carry_out(read, move |snapshot| store.do_send(SnapshotRead { request, snapshot }));
                }
                read => read.and_then(Read::wait),
            },
            Keeper::Shared(shared) => {
                let (read, store) = (shared.snapshot(&request, ctx.address()), ctx.address());
                actix::spawn(async move { store.do_send(SnapshotRead { snapshot: read.await, request }) });
                return;
            }
        };
        self.snapshot_read(request, snapshot, ctx);
    }

    fn snapshot_read(&mut self, request: TakeSnapshot, snapshot: Result<Snapshot, AdapterError>, ctx: &mut Context<Self>) {
        let Some((request, snapshot)) = self.in_turn(request, snapshot, ctx) else { return };
        let snapshot = snapshot.map(Arc::new).map_err(|error| failure("STREAM_GET_GROUP_ERROR", &error));
        self.send_snapshot(&request, snapshot);
    }

    fn send_snapshot(&mut self, request: &TakeSnapshot, result: Result<Arc<Snapshot>, CallError>) {
        let Some(result) = self.send_abroad(request, result) else { return };
        let feed = Feed::Snapshot { request: request.request, result };
        if self.interest.send(&request.group, request.link, feed) && !self.lagging.contains(&(request.group.clone(), request.link)) {
            self.lagging.push((request.group.clone(), request.link));
        }
    }
}

/// What a caller is told of a failure of the backend; `code` is that of the function.
fn failure(code: &'static str, error: &AdapterError) -> CallError {
    let code = if matches!(error, AdapterError::Overloaded(_)) { error::OVERLOADED } else { code };
    let limit = match error {
        AdapterError::TooLarge(_) => Some(Limit::Value),
        AdapterError::TooManyStreams { .. } => Some(Limit::Streams),
        AdapterError::Reserve { .. } => Some(Limit::Room),
        _ => None,
    };
    CallError::new(code, error.to_string()).past(limit)
}

impl Actor for Store {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.begin(ctx);
    }
}

impl Handler<Submit> for Store {
    type Result = ();

    fn handle(&mut self, submit: Submit, ctx: &mut Self::Context) {
        self.registry.metrics.committed.taken.add(1);
        // A function of this program that is under way may need it. Others learn from the lost reply that the system has ended.
        if !self.closed || self.registry.is_hosting() {
            self.submitted(submit, ctx);
        }
    }
}

impl Handler<SubmitAll> for Store {
    type Result = ();

    fn handle(&mut self, calls: SubmitAll, ctx: &mut Self::Context) {
        let calls = calls.take(&self.registry);
        self.registry.metrics.committed.taken.add(calls.len() as u64);
        for submit in calls {
            self.submitted(submit, ctx);
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

impl Handler<Close> for Store {
    type Result = ();

    fn handle(&mut self, _: Close, _: &mut Self::Context) {
        self.closed = true;
    }
}

impl Handler<Leave> for Store {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Leave, _: &mut Self::Context) -> Self::Result {
        Box::pin(self.leave_peers())
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
        self.leave(&message.group);
    }
}

impl Handler<TakeSnapshot> for Store {
    type Result = ();

    fn handle(&mut self, request: TakeSnapshot, ctx: &mut Self::Context) {
        if self.home(request.group.stream()).is_none() && self.has_lane(&request.group) {
            let group = request.group.clone();
            return self.enqueue(&group, Share::Exclusive, Call::Snapshot(request), ctx);
        }
        self.take_snapshot(request, ctx);
    }
}

impl Handler<SnapshotRead> for Store {
    type Result = ();

    fn handle(&mut self, SnapshotRead { request, snapshot }: SnapshotRead, ctx: &mut Self::Context) {
        self.snapshot_read(request, snapshot, ctx);
    }
}

impl Handler<Triggered> for Store {
    type Result = ();

    fn handle(&mut self, message: Triggered, ctx: &mut Self::Context) {
        // What was called before this message was changed before it too.
        self.flush(ctx);
        let (binding, counts) = match &message {
            Triggered::Begin(binding) => (binding, self.interest.begin(binding)),
            Triggered::End(binding) => (binding, self.interest.end(binding)),
        };
        if !counts {
            return;
        }
        if let Some(stream) = binding.kind.stream() {
            self.follow(stream, ctx);
        }
        self.news.push_back(News::Triggered(message));
        self.pass_on(ctx);
    }
}

impl Handler<Overridden> for Store {
    type Result = ();

    fn handle(&mut self, Overridden { stream, is }: Overridden, _: &mut Self::Context) {
        self.tell_peers(&stream, is);
    }
}
