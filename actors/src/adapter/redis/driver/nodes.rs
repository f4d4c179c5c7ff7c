//! The connections of the driver, and what is under way on each.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::{ConnectionInfo, PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;

use super::super::call::Batch;
use super::super::error::is_lost;
use super::super::node::{self, Connection};
use super::super::options::{self, RedisOptions};
use super::FREE;

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;
type Replies = Result<Vec<Value>, RedisError>;
/// To whom, by which generation.
type Connected = (String, u64, Result<Connection, RedisError>);
/// Which connections are closed.
type Notices = (mpsc::UnboundedSender<(String, u64)>, mpsc::UnboundedReceiver<(String, u64)>);

/// Answers of one node that are taken at once.
const BURST: usize = 256;

/// Connections are counted, so that news of an old one is not taken for news of its successor.
static GENERATION: AtomicU64 = AtomicU64::new(1);

/// One node.
struct Node<F> {
    info: ConnectionInfo,
    connection: Option<Connection>,
    generation: u64,
    /// In the order of sending, which is the order of the answers; taken in another one, a refusal would seem to come after what it did not
    /// keep from being carried out.
    flights: VecDeque<Boxed<(u64, u64, Replies)>>,
    carried: HashMap<u64, F>,
    /// Whether it was never tried yet: worth waiting for.
    untried: bool,
    /// Which connection is being made.
    connecting: Option<u64>,
    attempt: u32,
    /// The connection before this one: the server's run, and its number there.
    last: Option<(String, i64)>,
}

/// What happens at the nodes.
pub(super) enum Event<F> {
    /// An answer, or none any more.
    Landed { address: String, flight: F, replies: Replies },
    /// A connection is there.
    Opened(String),
    /// A connection is gone.
    Closed,
}

pub(super) struct Nodes<F> {
    nodes: HashMap<String, Node<F>>,
    seeds: Vec<ConnectionInfo>,
    connects: FuturesUnordered<Boxed<Connected>>,
    notices: Notices,
    launched: u64,
    buffer: usize,
    timeout: Duration,
    text: Arc<str>,
}

impl<F> Nodes<F> {
    pub(super) fn new(seeds: Vec<ConnectionInfo>, options: &RedisOptions, text: Arc<str>) -> Self {
        Self {
            nodes: HashMap::new(),
            seeds,
            connects: FuturesUnordered::new(),
            notices: mpsc::unbounded_channel(),
            launched: 0,
            // All calls, all reads without a place, and a few words of our own.
            buffer: options.max_calls + FREE + 64,
            timeout: options.response_timeout,
            text,
        }
    }

    /// Makes sure that the node is known, and connects it.
    pub(super) fn ensure(&mut self, address: &str) {
        if self.nodes.contains_key(address) {
            return;
        }
        let known = self.seeds.iter().find(|seed| options::address(seed) == address).cloned();
        let Some(info) = known.or_else(|| self.seeds.first().and_then(|seed| options::at(seed, address))) else { return };
        let node = Node {
            info,
            connection: None,
            generation: 0,
            flights: VecDeque::new(),
            carried: HashMap::new(),
            untried: true,
            connecting: None,
            attempt: 0,
            last: None,
        };
        self.nodes.insert(address.to_owned(), node);
        self.connect(address, Duration::ZERO);
    }

    /// Nodes that are no more forget their connections once nothing is under way there.
    pub(super) fn keep(&mut self, addresses: &[String]) {
        self.nodes.retain(|address, node| addresses.contains(address) || !node.carried.is_empty());
    }

    /// Tries all addresses of the configuration, too: those that a Cluster told may all be gone.
    pub(super) fn ensure_seeds(&mut self) {
        for address in self.seeds.iter().map(options::address).collect::<Vec<_>>() {
            self.ensure(&address);
        }
    }

    pub(super) fn is_up(&self, address: &str) -> bool {
        self.nodes.get(address).is_some_and(|node| node.connection.is_some())
    }

    /// Whether it may be there in a moment.
    pub(super) fn is_untried(&self, address: &str) -> bool {
        self.nodes.get(address).is_some_and(|node| node.untried)
    }

    pub(super) fn connected(&self) -> Vec<String> {
        self.nodes.iter().filter(|(_, node)| node.connection.is_some()).map(|(address, _)| address.clone()).collect()
    }

    pub(super) fn connection(&self, address: &str) -> Option<&Connection> {
        self.nodes.get(address)?.connection.as_ref()
    }

    fn connect(&mut self, address: &str, pause: Duration) {
        let Some(node) = self.nodes.get_mut(address) else { return };
        if node.connecting.is_some() {
            return;
        }
        let generation = GENERATION.fetch_add(1, Ordering::Relaxed);
        node.connecting = Some(generation);
        let (info, last, name, notices) = (node.info.clone(), node.last.clone(), address.to_owned(), self.notices.0.clone());
        let (buffer, timeout, text) = (self.buffer, self.timeout, self.text.clone());
        self.connects.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let watched = name.clone();
            let pushed = move |push: PushInfo| match push.kind {
                PushKind::Disconnection => notices.send((watched.clone(), generation)).map_err(|_closed| ()),
                _ => Ok(()),
            };
            let mut opened = node::open(info, pushed, buffer, timeout, &text).await;
            if let (Ok(connection), Some((run, id))) = (&mut opened, &last) {
                node::bury(connection, run, *id).await;
            }
            (name, generation, opened)
        }));
    }

    /// Sends now, or gives `flight` back where there is no connection.
    pub(super) fn send(&mut self, address: &str, batch: Batch, flight: F) -> Result<(), F> {
        let Some(node) = self.nodes.get_mut(address) else { return Err(flight) };
        let Some(connection) = &node.connection else { return Err(flight) };
        self.launched += 1;
        let (id, generation, mut redis) = (self.launched, node.generation, connection.redis.clone());
        let send = async move {
            let replies = match batch {
                Batch::One(cmd) => redis.send_packed_command(&cmd).await.map(|reply| vec![reply]),
                Batch::Many(pipe) => redis.send_packed_commands(&pipe, 0, pipe.len()).await,
                Batch::Asking(pipe) => {
                    let replies = redis.send_packed_commands(&pipe, 0, pipe.len()).await;
                    replies.map(|replies| replies.into_iter().skip(1).step_by(2).collect())
                }
                Batch::Atomic(pipe) => redis.send_packed_commands(&pipe, pipe.len() + 1, 1).await.map(|replies| {
                    replies.into_iter().flat_map(|reply| if let Value::Array(replies) = reply { replies } else { vec![reply] }).collect()
                }),
            };
            (id, generation, replies)
        };
        // Unconstrained: a task that has used up its budget would find the queue full, and the next call might get in first.
        let mut send: Boxed<_> = Box::pin(tokio::task::unconstrained(send));
        match send.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Pending => node.flights.push_back(send),
            Poll::Ready(landed) => node.flights.push_back(Box::pin(std::future::ready(landed))),
        }
        node.carried.insert(id, flight);
        Ok(())
    }

    /// The link does not answer any more: gives up all that is under way there, in the order in which it was sent.
    pub(super) fn give_up(&mut self, address: &str) -> Vec<F> {
        let Some(node) = self.nodes.get_mut(address) else { return Vec::new() };
        node.flights.clear();
        let mut carried: Vec<_> = node.carried.drain().collect();
        carried.sort_unstable_by_key(|(id, _)| *id);
        self.close(address);
        carried.into_iter().map(|(_, flight)| flight).collect()
    }

    /// Makes a new connection, which calls wait for.
    pub(super) fn reconnect(&mut self, address: &str) {
        self.close(address);
        if let Some(node) = self.nodes.get_mut(address) {
            node.untried = true;
        }
    }

    fn close(&mut self, address: &str) {
        let Some(node) = self.nodes.get_mut(address) else { return };
        if let Some(connection) = node.connection.take() {
            tracing::warn!(address, "lost the link to redis; calls fail until it is back");
            node.last = Some((connection.run, connection.id));
            node.attempt = 0;
            node.generation = 0;
            self.connect(address, node::pause(0));
        }
    }

    /// Waits for what happens next.
    pub(super) async fn events(&mut self) -> Vec<Event<F>> {
        poll_fn(|cx| {
            let events = self.poll(cx);
            if events.is_empty() { Poll::Pending } else { Poll::Ready(events) }
        })
        .await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Vec<Event<F>> {
        let mut events = Vec::new();
        let mut broken = Vec::new();
        for (address, node) in &mut self.nodes {
            let most = events.len() + BURST;
            while events.len() < most
                && let Some(first) = node.flights.front_mut()
                && let Poll::Ready((id, generation, replies)) = first.as_mut().poll(cx)
            {
                node.flights.pop_front();
                let Some(flight) = node.carried.remove(&id) else { continue };
                let lost = replies.as_ref().is_err_and(is_lost);
                if lost && generation == node.generation {
                    broken.push(address.clone());
                }
                events.push(Event::Landed { address: address.clone(), flight, replies });
            }
        }
        while let Poll::Ready(Some((address, generation))) = self.notices.1.poll_recv(cx) {
            if self.nodes.get(&address).is_some_and(|node| node.generation == generation) {
                broken.push(address);
            }
        }
        for address in broken {
            if self.is_up(&address) {
                self.close(&address);
                events.push(Event::Closed);
            }
        }
        while let Poll::Ready(Some((address, generation, opened))) = self.connects.poll_next_unpin(cx) {
            // A node may have been forgotten and found again meanwhile.
            let Some(node) = self.nodes.get_mut(&address).filter(|node| node.connecting == Some(generation)) else { continue };
            node.connecting = None;
            node.untried = false;
            match opened {
                Ok(connection) => {
                    tracing::info!(address, version = connection.version, "connected to redis");
                    node.connection = Some(connection);
                    node.generation = generation;
                    node.attempt = 0;
                    events.push(Event::Opened(address));
                }
                Err(error) => {
                    tracing::debug!(address, %error, "redis is not reached");
                    node.attempt += 1;
                    let pause = node::pause(node.attempt);
                    self.connect(&address, pause);
                }
            }
        }
        events
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.nodes.values().all(|node| node.carried.is_empty())
    }

    /// Names of all nodes.
    pub(super) fn addresses(&self) -> Vec<String> {
        self.nodes.keys().cloned().collect()
    }
}
