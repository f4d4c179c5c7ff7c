//! Calls to streams whose functions a worker has taken over, from the lane to the batch.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};

use super::input::Op;
use super::lanes::{Share, Ticket};
use super::overrides::{self, Answered};
use super::{Store, TakeSnapshot};
use crate::change::Snapshot;
use crate::error::{self, CallError, Outcome, Output};
use crate::functions::ReplyTo;
use crate::functions::table::Override;
use crate::group::Feed;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

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
    if let Op::ListGroups { stream } = op {
        let overridden = store.registry.overrides(stream.as_str()).has(Override::ListGroups);
        return if overridden { Route::Call(Override::ListGroups) } else { Route::Own };
    }
    let Some(group) = op.group().filter(|group| store.has_lane(group)) else { return Route::Own };
    let overrides = store.registry.overrides(group.stream());
    let with = overrides::of(op).filter(|with| overrides.has(*with));
    if !op.is_read() {
        // An update that is put together from other calls must not overlap with them.
        let together = matches!(op, Op::Update { .. }) && with.is_none();
        return Route::Lane(group.clone(), if together { Share::Exclusive } else { Share::Ordered });
    }
    match with {
        // An override that reads its own group while an exclusive call waits for it must not wait for that call.
        Some(with) if reply.caller().is_some() && store.registry.owner_of(&with.id(group.stream())) == reply.caller() => Route::Call(with),
        // A read goes where the writes before it went, and those reach the worker in order.
        _ => Route::Lane(group.clone(), Share::Free),
    }
}

type Parts = (Option<Vec<(Name, Json)>>, Vec<(Name, Option<Json>)>);

impl Store {
    /// Whether calls to this group must stand in line.
    pub(super) fn has_lane(&self, group: &GroupKey) -> bool {
        self.lanes.contains_key(group) || !self.registry.overrides(group.stream()).is_empty()
    }

    /// Calls an override outside all lanes.
    pub(super) fn call_override(&mut self, with: Override, op: Op, reply: ReplyTo, ctx: &mut Context<Self>) {
        let registry = self.registry.clone();
        let future = async move { (overrides::call(registry, with, &op).await, op, reply) };
        ctx.spawn(future.into_actor(self).map(|(result, op, reply), store, ctx| {
            let outcome = result.and_then(|answered| store.record(&op, answered));
            store.answer(reply, outcome, op.error_code(), ctx);
        }));
    }

    pub(super) fn enqueue(&mut self, group: &GroupKey, share: Share, call: Call, ctx: &mut Context<Self>) {
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
                self.answer(reply, outcome, op.error_code(), ctx);
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

    pub(super) fn send_snapshot(&mut self, request: &TakeSnapshot, result: Result<Arc<Snapshot>, CallError>) {
        let feed = Feed::Snapshot { request: request.request, result };
        if self.interest.send(&request.group, request.link, feed) && !self.lagging.contains(&(request.group.clone(), request.link)) {
            self.lagging.push((request.group.clone(), request.link));
        }
    }
}
