//! Calls to streams whose functions a worker has taken over, from the lane to the batch.

use std::pin::Pin;

use actix::{AsyncContext, Context, Message};
use tokio::sync::oneshot;

use super::input::Op;
use super::lanes::{Lane, Share, Ticket};
use super::ledger::Body;
use super::output;
use super::overrides::{self, Answered};
use super::{Keeper, Store, Submit, TakeSnapshot, failure};
use crate::adapter::{AdapterError, Read};
use crate::change::Snapshot;
use crate::error::{self, CallError, Output};
use crate::functions::table::{Override, Overrides};
use crate::functions::{Registry, ReplyTo};
use crate::ids::{GroupKey, ItemKey, SocketId};
use crate::json::Json;
use crate::metrics::calls::BuiltIn;
use crate::ops::UpdateOp;

/// Calls that may wait in the lane of one group.
const LANE: usize = 1_024;

/// A call in a lane.
pub(super) enum Call {
    Op(Submit),
    Snapshot(TakeSnapshot),
}

/// How a call in a lane ended.
pub(super) enum Ended {
    Op(Submit, Result<Answered, CallError>),
    /// The call was no override's after all: it is applied when its turn comes.
    Own(Submit),
    Snapshot(TakeSnapshot, Result<Snapshot, CallError>),
    /// The part of it that no worker keeps could not be read.
    Unread(TakeSnapshot, AdapterError),
}

/// A call to an override has ended.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Done {
    lane: Option<(GroupKey, Ticket)>,
    ended: Ended,
}

/// The way of a call.
pub(super) enum Route {
    /// To the adapter, in the current batch.
    Own,
    /// To the override, in no order with other calls.
    Call(Override),
    /// Into the lane of its group.
    Lane(GroupKey, Share),
    /// Behind the writes in all lanes up to this one.
    Behind(Ticket),
}

/// Where a call has to go, by the overrides that are registered now.
pub(super) fn route(store: &Store, Submit { op, reply, .. }: &Submit) -> Route {
    if let Op::ListGroups { .. } | Op::ListAll = op {
        let overrides = store.registry.overrides(op.stream());
        let route = overrides::of(op).filter(|with| overrides.has(*with)).map_or(Route::Own, Route::Call);
        // A handler may list while a lane waits for that handler.
        let inside = matches!(reply, ReplyTo::Inside(_)) || reply.caller().is_some_and(|caller| store.serves(caller, op.stream()));
        return if !inside && store.is_written(op, store.next_ticket) { Route::Behind(store.next_ticket) } else { route };
    }
    let Some(group) = op.group().filter(|group| store.has_lane(group)) else { return Route::Own };
    let overrides = store.registry.overrides(group.stream());
    let with = overrides::of(op).filter(|with| overrides.has(*with));
    let now = with.map_or(Route::Own, Route::Call);
    // A handler may call its own group while the lane waits for that handler. It cannot be told from the worker's other calls, so only
    // what would wait for ever goes ahead: reads while an exclusive call is under way, and events that are waited for. A handler of this
    // program can be told, and reads whatever its lane waits for.
    let within = matches!(reply, ReplyTo::Inside(_));
    let inside = within || reply.caller().is_some_and(|caller| store.serves(caller, group.stream()));
    let exclusive = store.lanes.get(group).is_some_and(Lane::is_exclusive);
    if inside && (matches!(op, Op::Send { .. }) || (op.is_read() && (exclusive || within))) {
        return now;
    }
    let share = match op {
        // An update that is put together from other calls must not overlap with them.
        Op::Update { .. } if with.is_none() => Share::Exclusive,
        Op::Set { key, .. } | Op::Delete { key } | Op::Update { key, .. } => Share::Write(key.item.clone()),
        Op::Get { key } => Share::Read(Some(key.item.clone())),
        Op::List { .. } => Share::Read(None),
        _ => Share::Ordered,
    };
    Route::Lane(group.clone(), share)
}

/// What is read at whoever keeps the items.
type Reading<T> = Pin<Box<dyn Future<Output = Result<T, AdapterError>> + Send>>;

impl Store {
    /// Whether calls to this group must stand in line.
    pub(super) fn has_lane(&self, group: &GroupKey) -> bool {
        self.lanes.contains_key(group) || !self.registry.overrides(group.stream()).is_empty()
    }

    /// Whether that worker serves an override of the stream.
    fn serves(&self, worker: SocketId, stream: &str) -> bool {
        let overrides = self.registry.overrides(stream);
        overrides.iter().any(|op| self.registry.owner_of(&self.registry.override_id(op, stream)) == Some(worker))
    }

    /// Whether a write up to that ticket is under way that a call for several groups must see.
    fn is_written(&self, op: &Op, upto: Ticket) -> bool {
        let concerns = |group: &GroupKey| matches!(op, Op::ListAll) || group.stream() == op.stream();
        self.lanes.iter().any(|(group, lane)| concerns(group) && lane.is_written(upto))
    }

    /// Has a call for several groups wait for the writes under way.
    pub(super) fn wait_behind(&mut self, ticket: Ticket, submit: Submit) {
        if self.behind.len() >= LANE {
            let text = format!("{LANE} calls wait for the writes before them; call again later");
            return self.refuse(submit, CallError::new(error::OVERLOADED, text));
        }
        self.behind.push_back((ticket, submit));
    }

    /// Carries out what has waited and need not any more.
    fn let_behind_go(&mut self, ctx: &mut Context<Self>) {
        for (ticket, submit) in std::mem::take(&mut self.behind) {
            if self.is_written(&submit.op, ticket) {
                self.behind.push_back((ticket, submit));
                continue;
            }
            let overrides = self.registry.overrides(submit.op.stream());
            match overrides::of(&submit.op).filter(|with| overrides.has(*with)) {
                Some(with) => self.call_override(with, submit, ctx),
                None => self.apply(submit, ctx),
            }
        }
    }

    /// Calls an override outside all lanes.
    pub(super) fn call_override(&mut self, with: Override, Submit { op, by, reply }: Submit, ctx: &mut Context<Self>) {
        let code = op.error_code();
        let (call, store) = (overrides::call(&self.registry, with, op, code), ctx.address());
        // Not a future of this actor: actix (0.13) polls all of those whenever one of them wakes, and not in the order of their making.
        actix::spawn(async move {
            let (op, result) = call.await;
            store.do_send(Done { lane: None, ended: Ended::Op(Submit { op, by, reply }, result) });
        });
    }

    pub(super) fn enqueue(&mut self, group: &GroupKey, share: Share, call: Call, ctx: &mut Context<Self>) {
        let lane = self.lanes.entry(group.clone()).or_default();
        if lane.len() >= LANE {
            let error = CallError::new(error::OVERLOADED, format!("{LANE} calls wait for the overrides of this stream; call again later"));
            match call {
                Call::Op(submit) => self.refuse(submit, error),
                Call::Snapshot(request) => self.send_snapshot(&request, Err(error)),
            }
            return;
        }
        self.next_ticket += 1;
        lane.push(self.next_ticket, share, call);
        self.run_lane(group, ctx);
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
        let (registry, store, lane) = (self.registry.clone(), ctx.address(), Some((group.clone(), ticket)));
        match call {
            Call::Op(Submit { op, by, reply }) => match overrides::of(&op).filter(|with| overrides.has(*with)) {
                Some(with) => {
                    let code = op.error_code();
                    let call = overrides::call(&registry, with, op, code);
                    drop(actix::spawn(async move {
                        let (op, result) = call.await;
                        store.do_send(Done { lane, ended: Ended::Op(Submit { op, by, reply }, result) });
                    }));
                }
                None => match op {
                    Op::Update { key, ops, raw } if overrides.has(Override::Get) || overrides.has(Override::Set) => {
                        let stored = self.read_item(by, &key);
                        drop(actix::spawn(async move {
                            let (op, result) = update(&registry, overrides, stored, key, ops, raw).await;
                            let submit = Submit { op, by, reply };
                            // Without a result it is the adapter's to keep.
                            let ended = match result {
                                Some(result) => Ended::Op(submit, result),
                                None => Ended::Own(submit),
                            };
                            store.do_send(Done { lane, ended });
                        }));
                    }
                    op => {
                        if let Some(lane) = self.lanes.get_mut(group) {
                            lane.done(ticket, Ended::Own(Submit { op, by, reply }));
                        }
                    }
                },
            },
            Call::Snapshot(request) => {
                // What the worker has not taken over is read here, what it has is asked for; nothing else runs in this lane meanwhile.
                let own = self.read_group(&request, ctx);
                drop(actix::spawn(async move {
                    let ended = match own.await {
                        Ok(own) => {
                            let snapshot = complete(&registry, overrides, &request, own).await;
                            Ended::Snapshot(request, snapshot)
                        }
                        Err(error) => Ended::Unread(request, error),
                    };
                    store.do_send(Done { lane, ended });
                }));
            }
        }
    }

    /// The value of an item as whoever keeps the others has it.
    fn read_item(&mut self, by: SocketId, key: &ItemKey) -> Reading<Option<Json>> {
        match &mut self.keeper {
            Keeper::Own(own) => Box::pin(std::future::ready(own.get(key))),
            Keeper::Shared(shared) => Box::pin(shared.get(by, key)),
        }
    }

    /// The state of a group without what a worker keeps.
    fn read_group(&mut self, request: &TakeSnapshot, ctx: &mut Context<Self>) -> Reading<Snapshot> {
        self.catch_up(Some(&request.group), ctx);
        match &mut self.keeper {
            Keeper::Own(own) => match own.snapshot(&request.group, request.whole, &request.items) {
                Ok(Read::Deferred(read)) => {
                    let (sender, receiver) = oneshot::channel();
                    own.readers().carry_out(read, move |snapshot| drop(sender.send(snapshot)));
                    let lost = |_| AdapterError::Failed("the read was given up; connect again".into());
                    Box::pin(async move { receiver.await.map_err(lost)? })
                }
                read => Box::pin(std::future::ready(read.and_then(Read::wait))),
            },
            Keeper::Shared(shared) => Box::pin(shared.snapshot(request, ctx.address())),
        }
    }

    /// A call has ended; what waited for it goes on.
    pub(super) fn done(&mut self, Done { lane, ended }: Done, ctx: &mut Context<Self>) {
        let Some((group, ticket)) = lane else { return self.finish(ended, ctx) };
        if let Some(lane) = self.lanes.get_mut(&group) {
            lane.done(ticket, ended);
        }
        self.run_lane(&group, ctx);
        if !self.behind.is_empty() {
            self.let_behind_go(ctx);
        }
    }

    fn finish(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        match ended {
            Ended::Own(submit) => self.apply(submit, ctx),
            Ended::Op(submit, result) => {
                self.record(submit, result);
                self.settle(ctx);
            }
            Ended::Snapshot(request, Ok(snapshot)) => {
                self.catch_up(Some(&request.group), ctx);
                self.snapshot_read(request, Ok(snapshot), ctx);
            }
            Ended::Snapshot(request, Err(error)) => self.send_snapshot(&request, Err(error)),
            Ended::Unread(request, error) => self.snapshot_read(request, Err(error), ctx),
        }
    }

    /// Numbers what a worker has stored for us, and answers whoever called.
    fn record(&mut self, Submit { op, by, reply }: Submit, result: Result<Answered, CallError>) {
        let function = op.called();
        let code = function.error_code();
        let (output, body) = match result {
            Err(error) => (Err(error), None),
            Ok(Answered::Read(output)) => (Ok(output), None),
            Ok(Answered::Written { old, new, errors }) => {
                let body = Body::Written { old: old.clone(), new: new.clone() };
                (Ok(Output::Written { old, new: Some(new), errors }), Some(body))
            }
            Ok(Answered::Deleted(old)) => {
                let body = old.clone().map(|old| Body::Deleted { old });
                (Ok(Output::Written { old, new: None, errors: None }), body)
            }
        };
        let change = match (op, body) {
            (Op::Set { key, .. } | Op::Delete { key } | Op::Update { key, .. }, Some(body)) => Some((key, body)),
            _ => None,
        };
        match (&mut self.keeper, change, output) {
            (Keeper::Own(own), change, output) => {
                let touched = change.map_or(Ok(()), |(key, body)| own.touch(key, body)).map_err(|error| failure(code, &error));
                own.answer(reply, touched.and(output), function);
            }
            (Keeper::Shared(shared), Some((key, body)), Ok(output)) => shared.touch(by, &key, &body, output, function, reply),
            (Keeper::Shared(_), _, output) => {
                self.registry.metrics.served(BuiltIn::Stream(function), &output);
                reply.send(output);
            }
        }
    }
}

/// Update operations by way of the overrides of get and set; the operation, and no result where its result is the adapter's to keep.
async fn update(
    registry: &Registry,
    overrides: Overrides,
    stored: Reading<Option<Json>>,
    key: ItemKey,
    ops: Vec<UpdateOp>,
    raw: Json,
) -> (Op, Option<Result<Answered, CallError>>) {
    let code = "STREAM_UPDATE_ERROR";
    let old = if overrides.has(Override::Get) {
        overrides::get(registry, &key, code).await
    } else {
        stored.await.map_err(|error| failure(code, &error))
    };
    let limit = registry.settings.stream.max_value_bytes;
    let updated = old.and_then(|old| Ok((output::updated(old.as_ref(), &ops, limit)?, old)));
    let result = match updated {
        Err(error) => Err(error),
        Ok(((new, errors), old)) if overrides.has(Override::Set) => {
            let set = Op::Set { key: key.clone(), data: new };
            overrides::call(registry, Override::Set, set, code).await.1.map(|answered| match answered {
                Answered::Written { new, .. } => Answered::Written { old, new, errors },
                other => other,
            })
        }
        // Only `get` is the worker's.
        Ok(((new, _), _)) => return (Op::Set { key, data: new }, None),
    };
    (Op::Update { key, ops, raw }, Some(result))
}

/// The state of a group with the parts that a worker keeps, which are asked for.
async fn complete(
    registry: &Registry,
    overrides: Overrides,
    request: &TakeSnapshot,
    mut snapshot: Snapshot,
) -> Result<Snapshot, CallError> {
    if request.whole && overrides.has(Override::List) {
        snapshot.whole = Some(overrides::list_group(registry, &request.group).await?);
    }
    if overrides.has(Override::Get) {
        for (item, value) in &mut snapshot.items {
            let key = ItemKey { group: request.group.clone(), item: item.clone() };
            *value = overrides::get(registry, &key, "STREAM_GET_GROUP_ERROR").await?;
        }
    }
    Ok(snapshot)
}
