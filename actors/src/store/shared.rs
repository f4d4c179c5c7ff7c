//! Redis as the keeper of the items: calls go there as they come, and what they change comes back through the [`relay`](super::relay).
//!
//! Three things must hold all the same. A snapshot reaches its group in order with the changes, so one that is ahead of the feed waits for
//! it. A trigger sees what its worker calls after it was registered, so calls to its stream wait until the stream is watched. And while Redis
//! is away nobody is told so but those who call: a snapshot is asked for again.

mod answers;
mod watched;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Addr, AsyncContext, Context, Handler, Recipient};
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use self::answers::Answers;
use self::watched::{Followed, WatchedFrom, Watching};
use super::abroad::ABROAD;
use super::input::{Function, Op};
use super::ledger::Body;
use super::output;
use super::peers::{AWAY, Peers};
use super::relay::Relayed;
use super::{Keeper, Store, Submit, TakeSnapshot};
use crate::adapter::AdapterError;
use crate::adapter::redis::{Applied, FeedItem, MeshFeed, Redis, RedisOptions};
use crate::change::{Position, Snapshot};
use crate::error::{self, CallError, Output};
use crate::functions::{Registry, ReplyTo};
use crate::group::Feed;
use crate::guardian::Sentinel;
use crate::hash::HashMap;
use crate::ids::{GroupKey, ItemKey, SocketId};
use crate::json::Json;
use crate::trigger::News;

/// Calls that may wait until a stream is watched.
const HELD: usize = 4_096;
/// How soon what failed because Redis is away is tried again.
const RETRY: Duration = Duration::from_millis(250);
/// How long a snapshot may be ahead of the feed. Changes take milliseconds, and a lost link seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What may be under way at Redis itself. More than the store lets go, so that nothing is refused there: a call that nobody waits for would
/// be lost.
pub(crate) fn allow(options: &mut RedisOptions, max_value_bytes: usize) {
    options.max_calls = options.max_calls.max(answers::CALLS + 2 * HELD);
    options.max_bytes = options.max_bytes.max(answers::BYTES + 2 * max_value_bytes);
}

/// See the [module](self).
pub(super) struct Shared {
    redis: Redis,
    max_value_bytes: usize,
    answers: Answers,
    /// Up to where the changes of groups that are watched have come.
    groups: HashMap<GroupKey, Position>,
    /// Snapshots that are ahead of the changes.
    early: Vec<(Instant, TakeSnapshot, Snapshot)>,
    /// Streams with a trigger.
    streams: HashMap<Box<str>, Followed>,
    watchings: Watching,
    /// The other nodes, and what comes from them until somebody listens.
    pub(super) peers: Peers,
    mesh: Option<(MeshFeed, Sentinel)>,
    /// Snapshots that other nodes have asked for, by number: which node, and its own number.
    pub(super) guests: HashMap<u64, (Box<str>, u64)>,
    pub(super) requests: u64,
    /// Changes that no trigger was told of.
    missed: u64,
}

impl Shared {
    /// A keeper whose answers are handed out on the present arbiter.
    fn new(redis: Redis, registry: &Registry, met: oneshot::Sender<()>, [answers, mesh_sentinel]: [Sentinel; 2]) -> Self {
        let (mesh, feed) = redis.join();
        Self {
            redis,
            max_value_bytes: registry.settings.stream.max_value_bytes,
            answers: Answers::start(answers, registry.metrics.clone()),
            groups: HashMap::default(),
            early: Vec::new(),
            streams: HashMap::default(),
            watchings: 0,
            peers: Peers::new(mesh, met),
            mesh: Some((feed, mesh_sentinel)),
            guests: HashMap::default(),
            requests: 0,
            missed: 0,
        }
    }

    /// Sends a call to Redis; the answer goes to whoever waits for it.
    pub(super) fn call(&mut self, Submit { op, by, reply }: Submit) {
        let by = by.get();
        let function = op.called();
        let (redis, answers) = (&self.redis, &mut self.answers);
        match op {
            Op::Set { key, data } => {
                let size = data.as_bytes().len();
                answers.add(reply, function, size, redis.set(by, &key, data), written);
            }
            Op::Delete { key } => answers.add(reply, function, 0, redis.delete(by, &key), written),
            Op::Update { key, ops, raw } => {
                answers.add(reply, function, raw.as_bytes().len(), redis.update(by, &key, ops, self.max_value_bytes), written);
            }
            Op::Send { group, item, name, data } => {
                let size = data.as_bytes().len();
                answers.add(reply, function, size, redis.event(by, &group, item, &name, data), |()| Output::Value(Json::NULL));
            }
            Op::Get { key } => answers.read(reply, function, redis.get(by, &key), |value| value.map_or(Output::Absent, Output::Value)),
            Op::List { group } => answers.list(reply, function, redis.list(by, &group), output::list),
            Op::ListGroups { stream } => answers.list(reply, function, redis.list_groups(stream.as_str()), output::groups),
            Op::ListAll => answers.list(reply, function, redis.list_all(), output::streams),
        }
    }

    /// Numbers a change of an item that a worker has stored, and then answers with `output`.
    pub(super) fn touch(&mut self, by: SocketId, key: &ItemKey, body: &Body, output: Output, function: Function, reply: ReplyTo) {
        self.answers.add(reply, function, output.size(), self.redis.touch(by.get(), key, body), |()| output);
    }

    /// The value of an item.
    pub(super) fn get(&self, by: SocketId, key: &ItemKey) -> impl Future<Output = Result<Option<Json>, AdapterError>> + use<> {
        self.redis.get(by.get(), key)
    }

    /// The state of a group. It is watched from before that on, and `store` told from where, unless it is for another node.
    pub(super) fn snapshot(&mut self, request: &TakeSnapshot, store: Addr<Store>) -> BoxFuture<'static, Result<Snapshot, AdapterError>> {
        let (redis, group) = (self.redis.clone(), request.group.clone());
        let (whole, items) = (request.whole, request.items.clone());
        if request.link == ABROAD {
            return Box::pin(redis.snapshot(SocketId::NONE.get(), &group, whole, &items));
        }
        let watched = self.redis.watch(&group);
        let home = self.peers.home(group.stream()).map(str::to_owned);
        let elsewhere = home.map(|home| self.peers.take(&home, request));
        Box::pin(async move {
            let position = watched.await?;
            store.do_send(WatchedFrom { group: group.clone(), position });
            let Some(taken) = elsewhere else { return redis.snapshot(SocketId::NONE.get(), &group, whole, &items).await };
            let snapshot = taken.await?;
            if rank(snapshot.position) < rank(position) {
                // Between the two there may be changes that nobody tells.
                return Err(AdapterError::Away("the state is older than what is watched; it is read again".into()));
            }
            Ok(snapshot)
        })
    }

    /// Sends a call to the node that carries it out.
    ///
    /// It is no part of the load: two nodes that wait for each other would take no more messages, and answer none.
    pub(super) fn send_to(&self, home: &str, Submit { op, mut reply, .. }: Submit) {
        let (call, reads) = (self.peers.call(home, &op), op.is_read());
        actix::spawn(async move {
            let mut outcome = call.await;
            if reads && let Some(text) = reply.refusal() {
                outcome = Err(CallError::new(error::OVERLOADED, text));
            }
            reply.count(&outcome);
            reply.send(outcome);
        });
    }

    /// Stops taking messages while too much is under way.
    pub(super) fn make_room(&self, ctx: &mut Context<Store>) {
        if let Some(room) = self.answers.wait_for_room() {
            ctx.wait(actix::fut::wrap_future(room));
        }
    }
    /// The changes of a group have come up to `position`, or begin there.
    fn advance(&mut self, group: &GroupKey, position: Position) {
        match self.groups.get_mut(group) {
            Some(at) if rank(*at) < rank(position) => *at = position,
            Some(_) => {}
            None => drop(self.groups.insert(group.clone(), position)),
        }
    }

    /// Whether the changes up to the snapshot have come.
    fn is_due(&self, request: &TakeSnapshot, snapshot: &Snapshot) -> bool {
        self.groups.get(&request.group).is_some_and(|at| rank(*at) >= rank(snapshot.position))
    }
}

/// Epochs are times, so that a later one is higher.
fn rank(position: Position) -> (u64, u64) {
    (position.epoch, position.seq)
}

fn written(Applied { old, new, errors }: Applied) -> Output {
    Output::Written { old, new, errors }
}

impl Store {
    /// A store on Redis, on the present arbiter.
    ///
    /// The sentinels are for it and the two tasks beside it: one hands out answers, one listens to the other nodes. `met` is told when
    /// these have said which streams workers serve there.
    pub fn shared(
        registry: Arc<Registry>,
        redis: Redis,
        news_to: Recipient<News>,
        [sentinel, answers, mesh]: [Sentinel; 3],
        met: oneshot::Sender<()>,
    ) -> Self {
        let shared = Shared::new(redis, &registry, met, [answers, mesh]);
        Self::on(Keeper::Shared(shared), registry, news_to, sentinel)
    }

    pub(super) fn begin(&mut self, ctx: &mut Context<Self>) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        ctx.run_interval(PATIENCE / 10, |store, _| store.give_up());
        if let Some((feed, sentinel)) = shared.mesh.take() {
            let errands = shared.peers.errands();
            self.meet(feed, errands, sentinel, ctx);
        }
    }

    /// The call, if it need not wait until its stream is watched.
    pub(super) fn hold(&mut self, submit: Submit) -> Option<Submit> {
        let Keeper::Shared(shared) = &mut self.keeper else { return Some(submit) };
        let stream = submit.op.group().map(GroupKey::stream).filter(|_| !shared.streams.is_empty());
        let followed = stream.and_then(|stream| shared.streams.get_mut(stream));
        let Some(waiting) = followed.and_then(|followed| followed.waiting.as_mut()) else { return Some(submit) };
        if waiting.len() < HELD {
            waiting.push(submit);
        } else {
            let text = format!("{HELD} calls wait for the first trigger of this stream to begin; call again later");
            self.refuse(submit, CallError::new(error::OVERLOADED, text));
        }
        None
    }

    /// The snapshot, if it is its turn among the changes, or its failure, if that is final.
    pub(super) fn in_turn(
        &mut self,
        request: TakeSnapshot,
        snapshot: Result<Snapshot, AdapterError>,
        ctx: &mut Context<Self>,
    ) -> Option<(TakeSnapshot, Result<Snapshot, AdapterError>)> {
        let Keeper::Shared(shared) = &mut self.keeper else { return Some((request, snapshot)) };
        if request.link == ABROAD {
            if let Err(error @ (AdapterError::Away(_) | AdapterError::Overloaded(_))) = snapshot {
                self.send_abroad(&request, Err(CallError::new(AWAY, error.to_string())));
                return None;
            }
            return Some((request, snapshot));
        }
        match snapshot {
            Ok(snapshot) if !shared.is_due(&request, &snapshot) => {
                shared.early.push((Instant::now(), request, snapshot));
                None
            }
            // Whoever waits for it stays connected meanwhile.
            Err(AdapterError::Away(_) | AdapterError::Overloaded(_)) => {
                ctx.run_later(RETRY, |store, ctx| {
                    if store.interest.has_link(&request.group, request.link) {
                        store.handle(request, ctx);
                    }
                });
                None
            }
            snapshot => Some((request, snapshot)),
        }
    }

    /// Answers for snapshots whose changes do not come.
    fn give_up(&mut self) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        for (_, request, _) in shared.early.extract_if(.., |(since, ..)| since.elapsed() > PATIENCE).collect::<Vec<_>>() {
            tracing::error!(stream = request.group.stream(), group = request.group.group(), "the changes of a group do not come");
            let text = format!("the changes of the group did not come within {PATIENCE:?}; connect again");
            self.send_snapshot(&request, Err(CallError::new("STREAM_GET_GROUP_ERROR", text)));
        }
    }

    /// A group is watched by one less.
    pub(super) fn leave(&mut self, group: &GroupKey) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        if !self.interest.is_watched(group) {
            shared.redis.unwatch(group);
            shared.groups.remove(group);
            shared.early.retain(|(_, request, _)| request.group != *group);
        }
    }

    /// Hands out the snapshots that were ahead of the changes and are not any more.
    fn hand_out_early(&mut self) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        if shared.early.is_empty() {
            return;
        }
        let early = std::mem::take(&mut shared.early);
        let (due, early): (Vec<_>, _) = early.into_iter().partition(|(_, request, snapshot)| shared.is_due(request, snapshot));
        shared.early = early;
        for (_, request, snapshot) in due {
            self.send_snapshot(&request, Ok(Arc::new(snapshot)));
        }
    }

    /// Tells all who watch a group that changes of it are lost.
    fn resync(&mut self, group: &GroupKey, missed: Option<u64>) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        if self.interest.has_trigger(group.stream()) {
            shared.missed += missed.unwrap_or(0);
            let (stream, group, total) = (group.stream(), group.group(), shared.missed);
            tracing::error!(stream, group, missed, total, "redis does not have these changes any more; triggers miss them");
        }
        let Some(watched) = self.interest.get_mut(group) else { return };
        tracing::warn!(
            stream = group.stream(),
            group = group.group(),
            missed,
            "changes of a group are lost; its subscribers get a new sync"
        );
        for link in &mut watched.links {
            if !link.lagging && link.send(Feed::Resync) {
                self.lagging.push((group.clone(), link.id));
            }
        }
    }
}

impl Handler<Relayed> for Store {
    type Result = ();

    fn handle(&mut self, Relayed(items): Relayed, ctx: &mut Self::Context) {
        let mut changes = Vec::with_capacity(items.len());
        for item in items {
            let Keeper::Shared(shared) = &mut self.keeper else { return };
            match item {
                FeedItem::Change(change) => {
                    if self.interest.is_watched(&change.group) {
                        shared.advance(&change.group, change.position);
                    }
                    changes.push(change);
                }
                FeedItem::Resync { group, position, missed } => {
                    if self.interest.is_watched(&group) {
                        shared.groups.insert(group.clone(), position);
                    }
                    self.publish(std::mem::take(&mut changes), ctx);
                    self.resync(&group, missed);
                }
            }
        }
        self.publish(changes, ctx);
        self.hand_out_early();
    }
}
