//! Calls to streams whose functions a worker has taken over, from the lane to the batch.

use std::sync::Arc;

use actix::{AsyncContext, Context, Message};
use tokio::sync::oneshot;

use super::input::Op;
use super::lanes::{Lane, Share, Ticket};
use super::ledger;
use super::overrides::{self, Answered};
use super::{Store, TakeSnapshot};
use crate::adapter::{AdapterError, Read};
use crate::change::Snapshot;
use crate::error::{self, CallError, Outcome, Output};
use crate::functions::table::{Override, Overrides};
use crate::functions::{Registry, ReplyTo};
use crate::group::Feed;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;
use crate::ops::UpdateOp;

/// Calls that may wait in the lane of one group.
const LANE: usize = 1_024;

/// A call in a lane.
pub(super) enum Call {
    Op(Op, ReplyTo),
    Snapshot(TakeSnapshot),
}

/// How a call in a lane ended.
pub(super) enum Ended {
    Op(Op, ReplyTo, Result<Answered, CallError>),
    /// The call was no override's after all: it is applied when its turn comes.
    Own(Op, ReplyTo),
    Snapshot(TakeSnapshot, Result<Parts, CallError>),
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
}

/// Where a call has to go, by the overrides that are registered now.
pub(super) fn route(store: &Store, op: &Op, reply: &ReplyTo) -> Route {
    let wide = match op {
        Op::ListGroups { stream } => Some((Override::ListGroups, stream.as_str())),
        Op::ListAll => Some((Override::ListAll, "")),
        _ => None,
    };
    if let Some((with, stream)) = wide {
        return if store.registry.overrides(stream).has(with) { Route::Call(with) } else { Route::Own };
    }
    let Some(group) = op.group().filter(|group| store.has_lane(group)) else { return Route::Own };
    let overrides = store.registry.overrides(group.stream());
    let with = overrides::of(op).filter(|with| overrides.has(*with));
    let now = with.map_or(Route::Own, Route::Call);
    // A handler may call its own group while the lane waits for that handler. It cannot be told from the worker's other calls, so only
    // what would wait for ever goes ahead: reads while an exclusive call is under way, and events that are waited for.
    let inside = reply.caller().is_some_and(|caller| {
        overrides.iter().any(|op| store.registry.owner_of(&store.registry.override_id(op, group.stream())) == Some(caller))
    });
    let exclusive = store.lanes.get(group).is_some_and(Lane::is_exclusive);
    if inside && (matches!(op, Op::Send { .. }) || (op.is_read() && exclusive)) {
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

type Parts = (Option<Vec<(Name, Json)>>, Vec<(Name, Option<Json>)>);

impl Store {
    /// Whether calls to this group must stand in line.
    pub(super) fn has_lane(&self, group: &GroupKey) -> bool {
        self.lanes.contains_key(group) || !self.registry.overrides(group.stream()).is_empty()
    }

    /// Calls an override outside all lanes.
    pub(super) fn call_override(&mut self, with: Override, op: Op, reply: ReplyTo, ctx: &mut Context<Self>) {
        let (call, store) = (overrides::call(&self.registry, with, op), ctx.address());
        // Not a future of this actor: actix (0.13) polls all of those whenever one of them wakes, and not in the order of their making.
        actix::spawn(async move {
            let (op, result) = call.await;
            store.do_send(Done { lane: None, ended: Ended::Op(op, reply, result) });
        });
    }

    pub(super) fn enqueue(&mut self, group: &GroupKey, share: Share, call: Call, ctx: &mut Context<Self>) {
        let lane = self.lanes.entry(group.clone()).or_default();
        if lane.len() >= LANE {
            let error = CallError::new(error::OVERLOADED, format!("{LANE} calls wait for the overrides of this stream; call again later"));
            match call {
                Call::Op(_, reply) => reply.send(Err(error)),
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
            Call::Op(op, reply) => match overrides::of(&op).filter(|with| overrides.has(*with)) {
                Some(with) => {
                    let call = overrides::call(&registry, with, op);
                    drop(actix::spawn(async move {
                        let (op, result) = call.await;
                        store.do_send(Done { lane, ended: Ended::Op(op, reply, result) });
                    }));
                }
                None => match op {
                    Op::Update { key, ops, raw } if overrides.has(Override::Get) || overrides.has(Override::Set) => {
                        let stored = self.ledger.get(&key).map_err(|error| CallError::new("STREAM_UPDATE_ERROR", error.to_string()));
                        drop(actix::spawn(async move {
                            let ended = update(&registry, overrides, stored, key, ops, raw, reply).await;
                            store.do_send(Done { lane, ended });
                        }));
                    }
                    op => {
                        if let Some(lane) = self.lanes.get_mut(group) {
                            lane.done(ticket, Ended::Own(op, reply));
                        }
                    }
                },
            },
            Call::Snapshot(request) => {
                // What the worker has not taken over is read here, what it has is asked for; nothing else runs in this lane meanwhile.
                self.catch_up(&request.group, ctx);
                let (sender, own) = oneshot::channel();
                let failed = |error: AdapterError| CallError::new("STREAM_GET_GROUP_ERROR", error.to_string());
                match self.ledger.snapshot(&request.group, request.whole, &request.items) {
                    Ok(Read::Deferred(read)) => {
                        self.readers.carry_out(read, move |own| drop(sender.send(own.and_then(|own| own.map_err(failed)))));
                    }
                    own => drop(sender.send(own.and_then(Read::wait).map_err(failed))),
                }
                drop(actix::spawn(async move {
                    let lost = |_| CallError::new("STREAM_GET_GROUP_ERROR", "the read was given up; connect again");
                    let own = own.await.map_err(lost).and_then(|own| own);
                    let parts = snapshot(&registry, overrides, &request, own).await;
                    store.do_send(Done { lane, ended: Ended::Snapshot(request, parts) });
                }));
            }
        }
    }

    /// A call has ended; what waited for it goes on.
    pub(super) fn done(&mut self, Done { lane, ended }: Done, ctx: &mut Context<Self>) {
        let Some((group, ticket)) = lane else { return self.finish(ended, ctx) };
        if let Some(lane) = self.lanes.get_mut(&group) {
            lane.done(ticket, ended);
        }
        self.run_lane(&group, ctx);
    }

    fn finish(&mut self, ended: Ended, ctx: &mut Context<Self>) {
        match ended {
            Ended::Own(op, reply) => self.apply(op, reply, ctx),
            Ended::Op(op, reply, result) => {
                let outcome = result.and_then(|answered| self.record(&op, answered));
                self.answer(reply, outcome, op.error_code(), ctx);
            }
            Ended::Snapshot(request, parts) => {
                self.catch_up(&request.group, ctx);
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
        let failed = |error: AdapterError| CallError::new(op.error_code(), error.to_string());
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

    pub(super) fn send_snapshot(&mut self, request: &TakeSnapshot, result: Result<Arc<Snapshot>, CallError>) {
        let feed = Feed::Snapshot { request: request.request, result };
        if self.interest.send(&request.group, request.link, feed) && !self.lagging.contains(&(request.group.clone(), request.link)) {
            self.lagging.push((request.group.clone(), request.link));
        }
    }
}

/// Update operations by way of the overrides of get and set.
async fn update(
    registry: &Registry,
    overrides: Overrides,
    stored: Result<Option<Json>, CallError>,
    key: ItemKey,
    ops: Vec<UpdateOp>,
    raw: Json,
    reply: ReplyTo,
) -> Ended {
    let old = if overrides.has(Override::Get) { overrides::get(registry, &key).await } else { stored };
    let limit = registry.settings.stream.max_value_bytes;
    let updated = old.and_then(|old| Ok((ledger::updated(old.as_ref(), &ops, limit)?, old)));
    let result = match updated {
        Err(error) => Err(error),
        Ok(((new, errors), old)) if overrides.has(Override::Set) => {
            let set = Op::Set { key: key.clone(), data: new };
            overrides::call(registry, Override::Set, set).await.1.map(|answered| match answered {
                Answered::Written { new, .. } => Answered::Written { old, new, errors },
                other => other,
            })
        }
        // Only `get` is the worker's: the result is the adapter's to keep.
        Ok(((new, _), _)) => return Ended::Own(Op::Set { key, data: new }, reply),
    };
    Ended::Op(Op::Update { key, ops, raw }, reply, result)
}

/// The state of a group, with the parts that a worker keeps asked for.
async fn snapshot(
    registry: &Registry,
    overrides: Overrides,
    request: &TakeSnapshot,
    own: Result<Snapshot, CallError>,
) -> Result<Parts, CallError> {
    let Snapshot { mut whole, mut items, .. } = own?;
    if request.whole && overrides.has(Override::List) {
        whole = Some(overrides::list_group(registry, &request.group).await?);
    }
    if overrides.has(Override::Get) {
        for (item, value) in &mut items {
            *value = overrides::get(registry, &ItemKey { group: request.group.clone(), item: item.clone() }).await?;
        }
    }
    Ok((whole, items))
}
