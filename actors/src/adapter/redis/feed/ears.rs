//! The connections that listen. Apart from those that write, so that a flood of messages delays no answer.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use redis::aio::MultiplexedConnection;
use redis::{Cmd, ConnectionInfo, PushInfo};
use tokio::sync::mpsc;

use super::super::error::{Trouble, examine};
use super::super::node::{self, Connection};
use super::super::options;

static GENERATION: AtomicU64 = AtomicU64::new(1);

/// Which connection to which node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) address: String,
    pub(super) generation: u64,
}

struct Ear {
    info: ConnectionInfo,
    connection: Option<MultiplexedConnection>,
    generation: u64,
    /// Which connection is being made.
    opening: Option<u64>,
    attempt: u32,
}

type Pushes = (mpsc::UnboundedSender<(Place, PushInfo)>, mpsc::UnboundedReceiver<(Place, PushInfo)>);
type Opening = Pin<Box<dyn Future<Output = (Place, Result<Connection, redis::RedisError>)> + Send>>;

pub(super) struct Ears {
    ears: HashMap<String, Ear>,
    seeds: Vec<ConnectionInfo>,
    openings: FuturesUnordered<Opening>,
    pushes: Pushes,
    timeout: Duration,
    text: Arc<str>,
}

/// What the ears tell.
pub(super) enum Sound {
    /// A message, a confirmation, or that the connection is closed.
    Push(Place, PushInfo),
    Opened,
    /// Not reached; it is being tried again.
    Failed(String),
}

impl Ears {
    pub(super) fn new(seeds: Vec<ConnectionInfo>, timeout: Duration, text: Arc<str>) -> Self {
        Self { ears: HashMap::new(), seeds, openings: FuturesUnordered::new(), pushes: mpsc::unbounded_channel(), timeout, text }
    }

    /// The open connection to a node; one is being made where there is none.
    pub(super) fn place(&mut self, address: &str) -> Option<Place> {
        if !self.ears.contains_key(address) {
            let known = self.seeds.iter().find(|seed| options::address(seed) == address).cloned();
            let info = known.or_else(|| self.seeds.first().and_then(|seed| options::at(seed, address)))?;
            self.ears.insert(address.to_owned(), Ear { info, connection: None, generation: 0, opening: None, attempt: 0 });
            self.open(address, Duration::ZERO);
        }
        let ear = self.ears.get(address)?;
        ear.connection.as_ref().map(|_| Place { address: address.to_owned(), generation: ear.generation })
    }

    /// Whether it was tried in vain.
    pub(super) fn is_away(&self, address: &str) -> bool {
        self.ears.get(address).is_some_and(|ear| ear.connection.is_none() && ear.attempt > 0)
    }

    fn open(&mut self, address: &str, pause: Duration) {
        let Some(ear) = self.ears.get_mut(address) else { return };
        if ear.opening.is_some() {
            return;
        }
        let place = Place { address: address.to_owned(), generation: GENERATION.fetch_add(1, Ordering::Relaxed) };
        ear.opening = Some(place.generation);
        let (info, pushes, timeout, text) = (ear.info.clone(), self.pushes.0.clone(), self.timeout, self.text.clone());
        self.openings.push(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let from = place.clone();
            let pushed = move |push: PushInfo| pushes.send((from.clone(), push)).map_err(|_closed| ());
            let opened = node::open(info, pushed, 4_096, timeout, &text).await;
            (place, opened)
        }));
    }

    /// Gives a connection up, and makes a new one.
    pub(super) fn close(&mut self, place: &Place) {
        let Some(ear) = self.ears.get_mut(&place.address) else { return };
        if ear.generation == place.generation && ear.connection.take().is_some() {
            ear.generation = 0;
            ear.attempt = 0;
            self.open(&place.address.clone(), node::pause(0));
        }
    }

    /// Forgets nodes that are no more.
    pub(super) fn keep(&mut self, addresses: &[String]) {
        self.ears.retain(|address, _| addresses.contains(address));
    }

    /// All open connections.
    pub(super) fn places(&self) -> Vec<Place> {
        let open = self.ears.iter().filter(|(_, ear)| ear.connection.is_some());
        open.map(|(address, ear)| Place { address: address.clone(), generation: ear.generation }).collect()
    }

    /// Subscribes to a channel, or leaves it.
    pub(super) fn send(&self, place: &Place, verb: &str, channel: &[u8]) -> impl Future<Output = Result<(), Trouble>> + Send + use<> {
        let open = self.ears.get(&place.address).filter(|ear| ear.generation == place.generation);
        let connection = open.and_then(|ear| ear.connection.clone());
        let mut cmd = Cmd::new();
        cmd.arg(verb);
        if !channel.is_empty() {
            cmd.arg(channel);
        }
        async move {
            let mut connection = connection.ok_or(Trouble::Lost)?;
            examine(connection.send_packed_command(&cmd).await.map(|reply| vec![reply])).map(drop)
        }
    }

    pub(super) async fn sound(&mut self) -> Sound {
        loop {
            tokio::select! {
                Some((place, push)) = self.pushes.1.recv() => {
                    if self.ears.get(&place.address).is_some_and(|ear| ear.generation == place.generation) {
                        return Sound::Push(place, push);
                    }
                }
                Some((place, opened)) = self.openings.next(), if !self.openings.is_empty() => {
                    // A node may have been forgotten and found again meanwhile.
                    let Some(ear) = self.ears.get_mut(&place.address).filter(|ear| ear.opening == Some(place.generation)) else { continue };
                    ear.opening = None;
                    match opened {
                        Ok(connection) => {
                            ear.connection = Some(connection.redis);
                            ear.generation = place.generation;
                            ear.attempt = 0;
                            return Sound::Opened;
                        }
                        Err(_) => {
                            ear.attempt += 1;
                            let pause = node::pause(ear.attempt);
                            self.open(&place.address, pause);
                            return Sound::Failed(place.address);
                        }
                    }
                }
            }
        }
    }
}
