//! The start: finds Redis, learns what it is, enters what was there before us into the index, and sets the tasks going.

use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{ConnectionInfo, Pipeline, Value};
use tokio::sync::{mpsc, watch};

use super::call::Load;
use super::driver::{Driver, Seen};
use super::error::{RedisError, is_final};
use super::feed::{self, Feed};
use super::node::{self, Connection};
use super::options::{self, RedisOptions};
use super::script;
use super::topology::Topology;
use super::{Line, Redis, index, keys, mesh};
use crate::health::Link;

/// How often a start that waits for Redis says so.
const COMPLAINT: Duration = Duration::from_secs(5);
/// Keys that are looked at in one step when a Redis is looked through.
const SCANNED: usize = 1_000;

pub(super) async fn connect(options: RedisOptions) -> Result<(Redis, Feed), RedisError> {
    // Another crate of the process may have chosen the TLS implementation already; ours is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let seeds = options.seeds()?;
    let deadline = Instant::now() + options.connect_timeout;
    let mut waiting = Waiting { said: None, deadline, timeout: options.connect_timeout };

    let topology = loop {
        match find(&seeds, &options).await {
            Ok(topology) => break topology,
            Err(Failed::For(error)) => return Err(error),
            Err(Failed::Now(address, detail)) => waiting.wait(&address, detail).await?,
        }
    };
    let db = seeds.first().map_or(0, |seed| seed.redis_settings().db());
    let (text, constants) = script::new(&options, topology.is_cluster(), db);

    let (seen_by, seen) = watch::channel(Seen { topology: topology.clone(), ..Seen::default() });
    let (commands, received) = mpsc::unbounded_channel();
    let link = Arc::<Link>::default();
    let driver = Driver::new(&options, constants.clone(), (seeds.clone(), topology), received, (seen_by, link.clone()), text.clone());
    tokio::spawn(driver.run());
    while !link.is_whole() {
        if Instant::now() > deadline {
            let address = seeds.first().map(options::address).unwrap_or_default();
            let detail = "not all nodes of the cluster are reached".to_owned();
            return Err(RedisError::Unreachable { address, timeout: options.connect_timeout, detail });
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let line = Line { commands, seen };
    let (asks, feed) = feed::spawn(&options, constants.clone(), seeds.clone(), line.clone(), text.clone());
    let setup = Arc::new(mesh::Setup { seeds, constants, timeout: options.response_timeout, text });
    let (max_calls, max_bytes) = (options.max_calls, options.max_bytes);
    Ok((Redis { line, feed: asks, load: Arc::new(Load::default()), link, setup, max_calls, max_bytes }, feed))
}

enum Failed {
    /// Trying again will not help.
    For(RedisError),
    /// It may.
    Now(String, String),
}

struct Waiting {
    said: Option<Instant>,
    deadline: Instant,
    timeout: Duration,
}

impl Waiting {
    async fn wait(&mut self, address: &str, detail: String) -> Result<(), RedisError> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(RedisError::Unreachable { address: address.to_owned(), timeout: self.timeout, detail });
        }
        if self.said.is_none_or(|said| said.elapsed() >= COMPLAINT) {
            self.said = Some(now);
            tracing::warn!(address, detail, left = ?(self.deadline - now), "waiting for redis");
        }
        tokio::time::sleep(Duration::from_millis(200).min(self.deadline - now)).await;
        Ok(())
    }
}

/// Asks the first address that answers who has what, and looks through all nodes if nobody has yet.
async fn find(seeds: &[ConnectionInfo], options: &RedisOptions) -> Result<Topology, Failed> {
    let mut last = Failed::Now(String::new(), String::new());
    for seed in seeds {
        let address = options::address(seed);
        let error = match open(seed, options).await {
            Ok(mut connection) => {
                let topology = learn(&mut connection, seeds, &address).await?;
                let done = look_through(&mut connection, &topology, seed, options).await;
                match done {
                    Ok(()) => return Ok(topology),
                    Err(error) => error,
                }
            }
            Err(error) => error,
        };
        if is_final(&error) {
            return Err(Failed::For(RedisError::Refused { address, detail: error.to_string() }));
        }
        last = Failed::Now(address, error.to_string());
    }
    Err(last)
}

async fn open(info: &ConnectionInfo, options: &RedisOptions) -> Result<Connection, redis::RedisError> {
    node::open(info.clone(), |_push| Ok(()), 16, options.response_timeout, "return 0").await
}

/// What kind of Redis it is, and who has which slot.
async fn learn(connection: &mut Connection, seeds: &[ConnectionInfo], address: &str) -> Result<Topology, Failed> {
    if !node::is_supported(&connection.version) {
        let detail = format!("its version is {}; Weir needs 6.2 or later, or Valkey", connection.version);
        return Err(Failed::For(RedisError::Refused { address: address.to_owned(), detail }));
    }
    if !connection.cluster {
        if seeds.len() > 1 {
            let text = format!("redis at {address} is not a Cluster, so that it must be the only address");
            return Err(Failed::For(RedisError::Config(text)));
        }
        return Ok(Topology::single(address.to_owned()));
    }
    let slots: Result<Value, _> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection.redis).await;
    let topology = slots.map_err(|error| Failed::Now(address.to_owned(), error.to_string()))?;
    Topology::parse(&topology, address).ok_or_else(|| Failed::Now(address.to_owned(), "the cluster serves no slots yet".into()))
}

/// Enters the groups that were there before us into the index, once in the life of a Redis.
async fn look_through(
    connection: &mut Connection,
    topology: &Topology,
    seed: &ConnectionInfo,
    options: &RedisOptions,
) -> Result<(), redis::RedisError> {
    let mut nodes = Vec::new();
    if topology.is_cluster() {
        for address in topology.nodes() {
            let Some(info) = options::at(seed, &address) else { continue };
            nodes.push((address, open(&info, options).await?.redis));
        }
    } else {
        nodes.extend(topology.nodes().into_iter().map(|address| (address, connection.redis.clone())));
    }
    let home = topology.owner(keys::slot(keys::INDEXED)).map(str::to_owned);
    let Some(mut home) = nodes.iter().find(|(address, _)| Some(address) == home.as_ref()).map(|(_, node)| node.clone()) else {
        return Err(std::io::Error::other("nobody serves the slot of the index").into());
    };
    if redis::cmd("EXISTS").arg(keys::INDEXED).query_async(&mut home).await? {
        return Ok(());
    }
    let (mut found, mut odd) = (0usize, 0usize);
    for (_, node) in &mut nodes {
        let mut cursor = "0".to_owned();
        loop {
            let (next, keys) = scan(node, &cursor).await?;
            let groups: Vec<_> = keys.iter().filter_map(|key| keys::parse_items(key)).collect();
            odd += keys.len() - groups.len();
            found += groups.len();
            if !groups.is_empty() {
                let mut pipe = Pipeline::new();
                for group in &groups {
                    for cmd in index::enter(group, seed.redis_settings().db()).cmd_iter() {
                        pipe.add_command(cmd.clone());
                    }
                }
                pipe.exec_async(&mut home).await?;
            }
            if next == "0" {
                break;
            }
            cursor = next;
        }
    }
    if found > 0 {
        tracing::info!(groups = found, "found groups that were there before");
    }
    if odd > 0 {
        tracing::warn!(keys = odd, "these keys look like groups, but a name in them has a `:` that is not escaped; they are left alone");
    }
    redis::cmd("SET").arg(keys::INDEXED).arg(1).exec_async(&mut home).await
}

async fn scan(node: &mut MultiplexedConnection, cursor: &str) -> Result<(String, Vec<String>), redis::RedisError> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(cursor).arg("MATCH").arg("stream:*").arg("COUNT").arg(SCANNED).arg("TYPE").arg("hash");
    let (next, keys): (String, Vec<Vec<u8>>) = scan.query_async(node).await?;
    Ok((next, keys.into_iter().filter_map(|key| String::from_utf8(key).ok()).collect()))
}
