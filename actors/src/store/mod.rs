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
pub mod overrides;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, AsyncContext, Context, Handler, Message, Recipient, WrapFuture};

use crate::change::{Change, GroupView, Kind, Snapshot};
use crate::error::{self, CallError, Outcome, Output};
use crate::functions::table::Override;
use crate::functions::{Answer, Registry, ReplyTo, ToWorker};
use crate::group::Feed;
use crate::guardian::Sentinel;
use crate::ids::{GroupKey, ItemKey, Name, SocketId};
use crate::json::Json;
use crate::trigger::News;
use crate::trigger::table::Binding;
use crate::wire::subscriber::Address;
use input::Op;
use interest::{Interest, LinkId};
use lanes::{Lane, Share, Ticket};
use ledger::{Body, Ledger, Recorded};
use overrides::Answered;

/// Messages that may wait for the store.
pub const MAILBOX: usize = 4_096;
/// Calls that are committed together at most.
const BATCH: usize = 1_024;
/// Calls that may wait in the lane of one group.
const LANE: usize = 1_024;
/// News that may wait for the trigger dispatcher beside what its mailbox holds.
const NEWS: usize = 16_384;
/// How soon a full mailbox of somebody else is tried again.
const RETRY: Duration = Duration::from_millis(5);

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

/// A call in a lane.
enum Call {
    Op(Op, ReplyTo),
    Snapshot(TakeSnapshot),
}

/// How a call in a lane ended.
enum Ended {
    Op(Op, ReplyTo, Result<Answered, CallError>),
    /// The call was no override's after all: it is applied when its turn comes.
    Own(Op, ReplyTo),
    Snapshot(TakeSnapshot, Result<Parts, CallError>),
}

type Parts = (Option<Vec<(Name, Json)>>, Vec<(Name, Option<Json>)>);

/// See the [module](self).
pub struct Store {
    registry: Arc<Registry>,
    ledger: Ledger,
    interest: Interest,
    batch: Vec<(ReplyTo, Outcome)>,
    flush_due: bool,
    lanes: HashMap<GroupKey, Lane<Call, Ended>>,
    next_ticket: Ticket,
    news: VecDeque<News>,
    news_to: Recipient<News>,
    retry_due: bool,
    lagging: Vec<(GroupKey, LinkId)>,
    sentinel: Sentinel,
}

impl Store {
    /// A store on `adapter` that tells the trigger dispatcher at `news_to`.
    pub fn new(registry: Arc<Registry>, adapter: Box<dyn crate::adapter::Adapter>, news_to: Recipient<News>, sentinel: Sentinel) -> Self {
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
            sentinel,
        }
    }

    fn apply(&mut self, op: Op, reply: ReplyTo, ctx: &mut Context<Self>) {
        // A listing reads the adapter as a whole, so what this batch has written must be there first.
        if matches!(op, Op::List { .. } | Op::ListGroups { .. } | Op::ListAll) && !self.ledger.is_clean() {
            self.flush(ctx);
        }
        let outcome = self.ledger.apply(op);
        self.answer(reply, outcome, ctx);
    }

    /// Answers with the next commit.
    fn answer(&mut self, reply: ReplyTo, outcome: Outcome, ctx: &mut Context<Self>) {
        self.batch.push((reply, outcome));
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
                deliver(batch);
                self.publish(recorded, ctx);
            }
            Err(error) => {
                // Reads fail with the rest: they may have seen what was not stored.
                tracing::error!(%error, batch_len = batch.len(), "the store did not commit; nothing of this batch is stored or published");
                let failed = |(reply, outcome): (ReplyTo, Outcome)| {
                    let code = code_of(&reply);
                    (reply, outcome.and_then(|_| Err(CallError::new(code, format!("not stored: {error}")))))
                };
                deliver(batch.into_iter().map(failed).collect());
            }
        }
        self.ledger.forget(|group| self.interest.is_watched(group));
    }

    /// Encodes each change once and hands it to every group actor that watches, and to the dispatcher.
    fn publish(&mut self, recorded: Vec<Recorded>, ctx: &mut Context<Self>) {
        let mut order: Vec<(GroupKey, Vec<Arc<Change>>)> = Vec::new();
        let mut places: HashMap<GroupKey, usize> = HashMap::new();
        let mut triggered = Vec::new();
        for change in recorded {
            // Product.md names set, update and delete: an event fires no trigger.
            let triggers = change.body.kind() != Kind::Event && self.interest.has_trigger(change.group.stream());
            let watched = self.interest.get_mut(&change.group);
            if watched.is_none() && !triggers {
                continue;
            }
            let change = match &watched {
                Some(watched) => Arc::new(encode(change, &watched.address)),
                None => {
                    let address = Address::new(&change.group);
                    Arc::new(encode(change, &address))
                }
            };
            if triggers {
                triggered.push(change.clone());
            }
            if watched.is_some() {
                let place = *places.entry(change.group.clone()).or_insert_with(|| {
                    order.push((change.group.clone(), Vec::new()));
                    order.len() - 1
                });
                order[place].1.push(change);
            }
        }
        for (group, changes) in order {
            let Some(watched) = self.interest.get_mut(&group) else { continue };
            let changes: Arc<[Arc<Change>]> = changes.into();
            for link in &mut watched.links {
                if !link.lagging && link.send(Feed::Changes(changes.clone())) {
                    tracing::warn!(stream = group.stream(), group = group.group(), "a group is behind; its subscribers will be resynced");
                    self.lagging.push((group.clone(), link.id));
                }
            }
        }
        if !triggered.is_empty() {
            self.news.push_back(News::Changes(triggered));
        }
        self.pass_on(ctx);
    }

    /// Moves what waits towards mailboxes that were full.
    fn pass_on(&mut self, ctx: &mut Context<Self>) {
        let interest = &mut self.interest;
        self.lagging.retain(|(group, id)| {
            let link = interest.get_mut(group).and_then(|watched| watched.links.iter_mut().find(|link| link.id == *id));
            link.is_some_and(interest::Link::catch_up)
        });
        while let Some(news) = self.news.pop_front() {
            match self.news_to.try_send(news) {
                Ok(()) => {}
                Err(actix::dev::SendError::Full(news)) => {
                    self.news.push_front(news);
                    break;
                }
                Err(actix::dev::SendError::Closed(_)) => self.news.clear(),
            }
        }
        if self.news.len() > NEWS {
            let before = self.news.len();
            self.news.retain(|news| !matches!(news, News::Changes(_)));
            tracing::error!(batches = before - self.news.len(), "the trigger dispatcher is behind; triggers miss these changes");
        }
        if !self.retry_due && (!self.news.is_empty() || !self.lagging.is_empty()) {
            self.retry_due = true;
            ctx.run_later(RETRY, |store, ctx| {
                store.retry_due = false;
                store.pass_on(ctx);
            });
        }
    }

    /// Whether calls to this group must stand in line.
    fn has_lane(&self, group: &GroupKey) -> bool {
        self.lanes.contains_key(group) || !self.registry.overrides(group.stream()).is_empty()
    }

    fn enqueue(&mut self, group: GroupKey, share: Share, call: Call, ctx: &mut Context<Self>) {
        let lane = self.lanes.entry(group.clone()).or_default();
        if lane.len() >= LANE {
            let error = CallError::new(error::OVERLOADED, format!("{LANE} calls wait for the overrides of this stream; call again later"));
            match call {
                Call::Op(_, reply) => reply.send(Err(error)),
                Call::Snapshot(request) => {
                    self.interest.send(&request.group, request.link, Feed::Snapshot { request: request.request, result: Err(error) });
                }
            }
            return;
        }
        self.next_ticket += 1;
        lane.push(self.next_ticket, share, call);
        self.run_lane(&group, ctx);
    }

    fn run_lane(&mut self, group: &GroupKey, ctx: &mut Context<Self>) {
        loop {
            let Some(lane) = self.lanes.get_mut(group) else { return };
            if let Some(ended) = lane.next_done() {
                self.finish(ended, ctx);
            } else if let Some((ticket, call)) = lane.next_to_send() {
                self.start(group, ticket, call, ctx);
            } else {
                if lane.is_empty() {
                    self.lanes.remove(group);
                }
                return;
            }
        }
    }

    fn start(&mut self, group: &GroupKey, ticket: Ticket, call: Call, ctx: &mut Context<Self>) {
        let overrides = self.registry.overrides(group.stream());
        let registry = self.registry.clone();
        let group = group.clone();
        let ended = move |ended: Ended, store: &mut Self, ctx: &mut Context<Self>| {
            if let Some(lane) = store.lanes.get_mut(&group) {
                lane.done(ticket, ended);
            }
            store.run_lane(&group, ctx);
        };
        match call {
            Call::Op(op, reply) => match overrides::of(&op).filter(|with| overrides.has(*with)) {
                Some(with) => {
                    let future = async move {
                        let result = overrides::call(registry, with, &op).await;
                        Ended::Op(op, reply, result)
                    };
                    ctx.spawn(future.into_actor(self).map(ended));
                }
                None => match op {
                    Op::Update { key, ops, raw } if overrides.has(Override::Get) || overrides.has(Override::Set) => {
                        let stored = self.ledger.get(&key);
                        let future = async move {
                            let old = if overrides.has(Override::Get) {
                                overrides::get(&registry, &key).await
                            } else {
                                stored.map_err(|error| CallError::new("STREAM_UPDATE_ERROR", error.to_string()))
                            };
                            (old, registry, key, ops, raw, reply)
                        };
                        let update = future.into_actor(self).then(move |(old, registry, key, ops, raw, reply), store: &mut Self, _| {
                            let updated = old.and_then(|old| Ok((store.ledger.updated(old.as_ref(), &ops)?, old)));
                            let future = async move {
                                let result = match updated {
                                    Err(error) => Err(error),
                                    Ok(((new, errors), old)) if overrides.has(Override::Set) => {
                                        let set = Op::Set { key: key.clone(), data: new };
                                        overrides::call(registry, Override::Set, &set).await.map(|answered| match answered {
                                            Answered::Written { new, .. } => Answered::Written { old, new, errors },
                                            other => other,
                                        })
                                    }
                                    // Only `get` is the worker's: the result is the adapter's to keep.
                                    Ok(((new, _), _)) => return Ended::Own(Op::Set { key, data: new }, reply),
                                };
                                Ended::Op(Op::Update { key, ops, raw }, reply, result)
                            };
                            future.into_actor(store)
                        });
                        ctx.spawn(update.map(ended));
                    }
                    op => ended(Ended::Own(op, reply), self, ctx),
                },
            },
            Call::Snapshot(request) => {
                // What the worker has not taken over is read here, what it has is asked for; nothing else runs in this lane meanwhile.
                if !self.ledger.is_clean() {
                    self.flush(ctx);
                }
                let own = self.ledger.snapshot(&request.group, request.whole, &request.items);
                let future = async move {
                    let parts = async {
                        let own = own.map_err(|error| CallError::new("STREAM_GET_GROUP_ERROR", error.to_string()))?;
                        let whole = if request.whole && overrides.has(Override::List) {
                            Some(overrides::list_group(&registry, &request.group).await?)
                        } else {
                            own.whole
                        };
                        let mut items = own.items;
                        if overrides.has(Override::Get) {
                            for (item, value) in &mut items {
                                *value = overrides::get(&registry, &ItemKey { group: request.group.clone(), item: item.clone() }).await?;
                            }
                        }
                        Ok((whole, items))
                    };
                    let parts = parts.await;
                    Ended::Snapshot(request, parts)
                };
                ctx.spawn(future.into_actor(self).map(ended));
            }
        }
    }

    fn finish(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        match ended {
            Ended::Own(op, reply) => self.apply(op, reply, ctx),
            Ended::Op(op, reply, result) => {
                let outcome = result.and_then(|answered| self.record(&op, answered));
                self.answer(reply, outcome, ctx);
            }
            Ended::Snapshot(request, parts) => {
                if !self.ledger.is_clean() {
                    self.flush(ctx);
                }
                let snapshot = parts.and_then(|(whole, items)| {
                    let position = self.ledger.position(&request.group);
                    let (position, timestamp) = position.map_err(|error| CallError::new("STREAM_GET_GROUP_ERROR", error.to_string()))?;
                    Ok(Arc::new(Snapshot { position, timestamp, whole, items }))
                });
                self.send_snapshot(&request, snapshot);
            }
        }
    }

    /// Numbers what a worker has stored for us.
    fn record(&mut self, op: &Op, answered: Answered) -> Outcome {
        let failed = |error: crate::adapter::AdapterError| CallError::new(op.error_code(), error.to_string());
        let (Op::Set { key, .. } | Op::Get { key } | Op::Delete { key } | Op::Update { key, .. }) = op else {
            return match answered {
                Answered::Read(output) => Ok(output),
                _ => Ok(Output::Absent),
            };
        };
        Ok(match answered {
            Answered::Read(output) => output,
            Answered::Written { old, new, errors } => {
                self.ledger.put(key.clone(), old.clone(), new.clone(), false).map_err(failed)?;
                Output::Written { old, new: Some(new), errors }
            }
            Answered::Deleted(old) => {
                if let Some(old) = old.clone() {
                    self.ledger.remove(key.clone(), old, false).map_err(failed)?;
                }
                Output::Written { old, new: None, errors: None }
            }
        })
    }

    fn send_snapshot(&mut self, request: &TakeSnapshot, result: Result<Arc<Snapshot>, CallError>) {
        let feed = Feed::Snapshot { request: request.request, result };
        if self.interest.send(&request.group, request.link, feed) && !self.lagging.contains(&(request.group.clone(), request.link)) {
            self.lagging.push((request.group.clone(), request.link));
        }
    }
}

/// One message per worker for all its results, in the order of its calls.
fn deliver(batch: Vec<(ReplyTo, Outcome)>) {
    let mut workers: Vec<(Recipient<ToWorker>, Vec<Answer>)> = Vec::new();
    let mut places: HashMap<SocketId, usize> = HashMap::new();
    for (reply, outcome) in batch {
        match reply {
            ReplyTo::Worker(caller) => {
                let place = *places.entry(caller.socket).or_insert_with(|| {
                    workers.push((caller.session.clone(), Vec::new()));
                    workers.len() - 1
                });
                workers[place].1.push(caller.answer(outcome, None));
            }
            reply => reply.send(outcome),
        }
    }
    for (session, answers) in workers {
        session.do_send(ToWorker::Answers(answers));
    }
}

/// The code of a failed commit for the function that was called; a caller in this process has no function to name.
fn code_of(reply: &ReplyTo) -> &'static str {
    let ReplyTo::Worker(caller) = reply else { return "STREAM_SET_ERROR" };
    match &*caller.function_id {
        "stream::get" => "STREAM_GET_ERROR",
        "stream::delete" => "STREAM_DELETE_ERROR",
        "stream::list" => "STREAM_GET_GROUP_ERROR",
        "stream::list_groups" => "STREAM_LIST_GROUPS_ERROR",
        "stream::list_all" => "STREAM_LIST_ALL_ERROR",
        "stream::send" => "STREAM_SEND_ERROR",
        "stream::update" => "STREAM_UPDATE_ERROR",
        _ => "STREAM_SET_ERROR",
    }
}

fn encode(recorded: Recorded, address: &Address) -> Change {
    let Recorded { group, item, position, timestamp, body } = recorded;
    let kind = body.kind();
    let item_of = item.as_ref();
    let (frame, group_view) = match body {
        Body::Event { name, data } => (address.event(timestamp, item_of, &name, &data), GroupView::Same),
        Body::Deleted { old } => {
            let view = if old.is_null() { GroupView::Hidden } else { GroupView::Same };
            (address.change(timestamp, item_of, kind, &old), view)
        }
        Body::Written { old, new } => {
            let old = old.filter(|old| !old.is_null());
            let view = match (old, new.is_null()) {
                (None, true) => GroupView::Hidden,
                (Some(old), true) => GroupView::Other(address.change(timestamp, item_of, Kind::Delete, &old)),
                (None, false) if kind == Kind::Update => GroupView::Other(address.change(timestamp, item_of, Kind::Create, &new)),
                (_, false) => GroupView::Same,
            };
            (address.change(timestamp, item_of, kind, &new), view)
        }
    };
    Change { group, item, kind, position, timestamp, frame, group_view }
}

impl Actor for Store {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.sentinel.disarm();
    }
}

impl Handler<Submit> for Store {
    type Result = ();

    fn handle(&mut self, Submit { op, reply }: Submit, ctx: &mut Self::Context) {
        if let Op::ListGroups { stream } = &op
            && self.registry.overrides(stream.as_str()).has(Override::ListGroups)
        {
            let registry = self.registry.clone();
            let future = async move { (overrides::call(registry, Override::ListGroups, &op).await, op, reply) };
            ctx.spawn(future.into_actor(self).map(|(result, op, reply), store, ctx| {
                let outcome = result.and_then(|answered| store.record(&op, answered));
                store.answer(reply, outcome, ctx);
            }));
            return;
        }
        let Some(group) = op.group().filter(|group| self.has_lane(group)).cloned() else {
            return self.apply(op, reply, ctx);
        };
        let overrides = self.registry.overrides(group.stream());
        let with = overrides::of(&op).filter(|with| overrides.has(*with));
        let share = match &op {
            Op::Update { .. } if with.is_none() => Share::Exclusive,
            // A read goes where the writes before it went, and those reach the worker in order.
            op if op.is_read() => Share::Free,
            _ => Share::Ordered,
        };
        // An override that reads its own group while an exclusive call waits for it must not wait for that call.
        let inside = share == Share::Free
            && with.is_some_and(|with| reply.caller().is_some() && self.registry.owner_of(&with.id(group.stream())) == reply.caller());
        if inside && let Some(with) = with {
            let registry = self.registry.clone();
            let future = async move { (overrides::call(registry, with, &op).await, op, reply) };
            ctx.spawn(future.into_actor(self).map(|(result, op, reply), store, ctx| {
                let outcome = result.and_then(|answered| store.record(&op, answered));
                store.answer(reply, outcome, ctx);
            }));
            return;
        }
        self.enqueue(group, share, Call::Op(op, reply), ctx);
    }
}

impl Handler<Flush> for Store {
    type Result = ();

    fn handle(&mut self, _: Flush, ctx: &mut Self::Context) {
        self.flush_due = false;
        self.flush(ctx);
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
            return self.enqueue(request.group.clone(), Share::Exclusive, Call::Snapshot(request), ctx);
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
