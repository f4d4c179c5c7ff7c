//! Messages from node to node, over channels of Redis.
//!
//! A message comes at most once, and those of one sender in their order. With a link messages get lost; [`MeshItem::Joined`] says that this
//! may have been so.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, ConnectionInfo, PushInfo, PushKind, Value};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::error::{away, examine};
use super::node::{self, Connection};
use super::script::Constants;
use super::{Line, keys, options};
use crate::adapter::AdapterError;

/// Messages that wait to be taken.
const INCOMING: usize = 1_024;
/// How often the link is looked after.
const TICK: Duration = Duration::from_secs(1);

/// What is needed to join.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) seeds: Vec<ConnectionInfo>,
    pub(super) constants: Constants,
    pub(super) timeout: Duration,
    pub(super) text: Arc<str>,
}

/// This node among the others. Its clones share the link and the order of messages.
#[derive(Debug, Clone)]
pub struct Mesh {
    id: Arc<str>,
    outgoing: mpsc::UnboundedSender<Out>,
}

/// What comes from the other nodes.
#[derive(Debug)]
pub enum MeshItem {
    /// The link is there, for the first time or again.
    Joined,
    /// It is not any more.
    Parted,
    /// About once a second while it is there: Redis has answered, and what it had sent before has come.
    Beat,
    /// A message, to this node or to all; one to all comes to its sender as well.
    Message(Bytes),
}

/// What comes, in order.
pub type MeshFeed = mpsc::Receiver<MeshItem>;

#[derive(Debug)]
pub(crate) struct Out {
    /// To all where there is nobody.
    pub(crate) to: Option<Box<str>>,
    pub(crate) text: Vec<u8>,
    pub(crate) done: oneshot::Sender<Result<usize, AdapterError>>,
}

impl Mesh {
    /// The name of this node, another one in each process.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a message to a node, or to all. It is handed over before this returns; the future tells how many took it.
    ///
    /// # Errors
    /// Where it was not sent, and by [`AdapterError::Unknown`] where that is not known.
    pub fn send(&self, to: Option<&str>, text: Vec<u8>) -> impl Future<Output = Result<usize, AdapterError>> + use<> {
        let (done, sent) = oneshot::channel();
        // Without a task nobody answers, which is told below.
        let _ = self.outgoing.send(Out { to: to.map(Into::into), text, done });
        async move { sent.await.unwrap_or_else(|_lost| Err(AdapterError::Unknown("the link to the other nodes broke".into()))) }
    }
}

#[cfg(test)]
impl Mesh {
    /// A node without a link, and what it sends.
    pub(crate) fn alone(id: &str) -> (Self, mpsc::UnboundedReceiver<Out>) {
        let (outgoing, sent) = mpsc::unbounded_channel();
        (Self { id: id.into(), outgoing }, sent)
    }
}

struct Link {
    id: Arc<str>,
    line: Line,
    setup: Arc<Setup>,
    outgoing: mpsc::UnboundedReceiver<Out>,
    incoming: mpsc::Sender<MeshItem>,
}

/// Whether anybody is interested still.
type Going = Option<()>;

pub(super) fn join(line: Line, setup: Arc<Setup>) -> (Mesh, MeshFeed) {
    let id: Arc<str> = Uuid::new_v4().simple().to_string().into();
    let ((sender, outgoing), (incoming, feed)) = (mpsc::unbounded_channel(), mpsc::channel(INCOMING));
    tokio::spawn(Link { id: id.clone(), line, setup, outgoing, incoming }.run());
    (Mesh { id, outgoing: sender }, feed)
}

impl Link {
    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let (pushed, pushes) = mpsc::unbounded_channel();
            let opened = self.open(pushed);
            let Some(opened) = self.meanwhile(opened).await else { return };
            if let Ok(connection) = opened {
                attempt = 0;
                if self.serve(connection, pushes).await.is_none() || self.incoming.send(MeshItem::Parted).await.is_err() {
                    return;
                }
            }
            if self.meanwhile(tokio::time::sleep(node::pause(attempt))).await.is_none() {
                return;
            }
            attempt += 1;
        }
    }

    fn address(&self) -> String {
        let slot = keys::slot(&keys::mesh(None, self.setup.constants.db));
        self.line.seen.borrow().topology.owner(slot).unwrap_or_default().to_owned()
    }

    fn open(
        &self,
        pushed: mpsc::UnboundedSender<PushInfo>,
    ) -> impl Future<Output = Result<Connection, redis::RedisError>> + Send + 'static + use<> {
        let (setup, address) = (self.setup.clone(), self.address());
        async move {
            let known = setup.seeds.iter().find(|seed| options::address(seed) == address).cloned();
            let info = known.or_else(|| setup.seeds.first().and_then(|seed| options::at(seed, &address)));
            let info = info.ok_or_else(|| std::io::Error::other("nobody serves the slot of the mesh"))?;
            let pushed = move |push| pushed.send(push).map_err(|_closed| ());
            node::open(info, pushed, 4_096, setup.timeout, &setup.text).await
        }
    }

    /// The output of `future`; whoever sends meanwhile is told that there is no link. `None` once nobody can.
    async fn meanwhile<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return Some(output),
                out = self.outgoing.recv() => {
                    let _ = out?.done.send(Err(away(&self.address())));
                }
            }
        }
    }

    /// Passes messages on in both directions until the link breaks.
    async fn serve(&mut self, mut connection: Connection, mut pushes: mpsc::UnboundedReceiver<PushInfo>) -> Going {
        let (subscribe, publish, db) = (self.setup.constants.verbs().0, self.setup.constants.publish(), self.setup.constants.db);
        for to in [Some(&*self.id), None] {
            let mut cmd = redis::cmd(subscribe);
            cmd.arg(keys::mesh(to, db));
            let subscribed = tokio::time::timeout(self.setup.timeout, connection.redis.send_packed_command(&cmd)).await;
            if !subscribed.is_ok_and(|reply| examine(reply.map(|reply| vec![reply])).is_ok()) {
                return Some(());
            }
        }
        self.incoming.send(MeshItem::Joined).await.ok()?;
        let mut sending = FuturesUnordered::new();
        let send = |cmd: Cmd, done: Option<oneshot::Sender<Result<usize, AdapterError>>>, sending: &mut FuturesUnordered<_>| {
            let (mut redis, timeout) = (connection.redis.clone(), self.setup.timeout);
            // Queued at the connection when it is first polled, which those in here are in their order.
            sending.push(async move {
                let reply = tokio::time::timeout(timeout, redis.send_packed_command(&cmd)).await;
                let reply = reply.unwrap_or_else(|_elapsed| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
                let alive = examine(reply.map(|reply| vec![reply]));
                let is_beat = done.is_none();
                if let (Some(done), Ok(replies)) = (done, &alive) {
                    let taken = if let Some(Value::Int(taken)) = replies.first() { usize::try_from(*taken).unwrap_or(0) } else { 0 };
                    let _ = done.send(Ok(taken));
                }
                (alive.is_ok(), is_beat)
            });
        };
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                push = pushes.recv() => match push {
                    Some(PushInfo { kind: PushKind::Message | PushKind::SMessage, data }) => {
                        if let Some(Value::BulkString(text)) = data.into_iter().nth(1) {
                            self.incoming.send(MeshItem::Message(text.into())).await.ok()?;
                        }
                    }
                    // Nobody but Redis ends a subscription: the slot has moved.
                    Some(PushInfo { kind: PushKind::Disconnection | PushKind::SUnsubscribe, .. }) | None => return Some(()),
                    Some(_) => {}
                },
                out = self.outgoing.recv() => {
                    let Out { to, text, done } = out?;
                    let mut cmd = redis::cmd(publish);
                    cmd.arg(keys::mesh(to.as_deref(), db)).arg(text);
                    send(cmd, Some(done), &mut sending);
                }
                Some((alive, is_beat)) = sending.next(), if !sending.is_empty() => {
                    if !alive {
                        return Some(());
                    }
                    if is_beat {
                        self.incoming.send(MeshItem::Beat).await.ok()?;
                    }
                }
                _ = tick.tick() => send(redis::cmd("PING"), None, &mut sending),
            }
        }
    }
}
