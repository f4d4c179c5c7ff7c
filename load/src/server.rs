//! A server to load: one that the run has started, in a folder of its own and on a free port, or one that runs already.

pub(crate) mod yardstick;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::calls::Calls;
use crate::dialect::Dialect;
use crate::dialect::weir::Weir;
use crate::process::{Started, Watched, allow_files};

/// Files that a server has open beside its connections, at most.
pub(crate) const BESIDE: usize = 250;

/// Which server is loaded.
#[derive(Args, Clone, Debug)]
pub(crate) struct Target {
    /// What to load; several take turns.
    #[arg(long = "server", value_enum, global = true, default_value = "weir", value_delimiter = ',', value_name = "NAME")]
    pub(crate) servers: Vec<Kind>,
    /// Where items are kept: by Weir, and by Redis as a yardstick (`file` is then `appendfsync always`).
    #[arg(long, value_enum, global = true, default_value = "memory")]
    pub(crate) store: Store,
    /// The server binary; by default the one beside this program.
    #[arg(long, global = true, value_name = "FILE")]
    binary: Option<PathBuf>,
    /// A Weir that runs already: where clients connect. The stream `bench` is written to.
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = resolve, requires_all = ["workers", "pid"])]
    streams: Option<SocketAddr>,
    /// And where workers connect.
    #[arg(long, global = true, value_name = "HOST:PORT", value_parser = resolve)]
    workers: Option<SocketAddr>,
    /// And its process, for what it costs.
    #[arg(long, global = true, value_name = "PID")]
    pid: Option<u32>,
}

/// A kind of server.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Weir.
    Weir,
    /// The least that a server must do: `weir-load floor`.
    Floor,
    /// Redis: Pub/Sub, or a hash.
    Redis,
    /// NATS.
    Nats,
    /// An MQTT broker, with retained messages.
    Mosquitto,
    /// nginx with its module nchan.
    Nchan,
}

/// Where items are kept.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Store {
    /// In memory.
    Memory,
    /// In files, with a sync before a write is acknowledged.
    File,
    /// In a Redis, which a server shares with others.
    Redis,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) dialect: &'static dyn Dialect,
    /// How items are written and read, where there are any.
    pub(crate) calls: Option<&'static dyn Calls>,
    /// Where publishers and workers connect.
    pub(crate) publishers: SocketAddr,
    /// Where subscribers connect.
    pub(crate) subscribers: SocketAddr,
    pub(crate) watched: Watched,
    /// A Redis that the server keeps its items in.
    pub(crate) behind: Option<Watched>,
    /// End in this order.
    _processes: Vec<Started>,
    /// Held open: a server must be able to write.
    _stdout: Option<BufReader<ChildStdout>>,
    _folder: Option<TempDir>,
}

impl Kind {
    /// What tables and the command line call it.
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

impl Target {
    /// Starts a server of this kind, which holds so many connections, or finds the one that runs.
    pub(crate) fn start(&self, kind: Kind, connections: usize) -> Result<Server> {
        allow_files((connections + BESIDE) as u64)?;
        match kind {
            Kind::Weir => match (self.streams, self.workers, self.pid) {
                (Some(streams), Some(workers), Some(pid)) => Ok(Server::running(streams, workers, pid)),
                _ => self.weir(),
            },
            Kind::Floor => yardstick::floor(),
            Kind::Nats => yardstick::nats(),
            Kind::Mosquitto => yardstick::mosquitto(connections),
            Kind::Nchan => yardstick::nchan(connections),
            Kind::Redis => yardstick::redis(self.store == Store::File),
        }
    }

    /// The same with another store.
    pub(crate) fn with(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// Whether Weir runs already.
    pub(crate) fn is_running(&self) -> bool {
        self.pid.is_some()
    }

    /// The server binary.
    pub(crate) fn binary(&self) -> Result<PathBuf> {
        self.binary.clone().map_or_else(beside, Ok)
    }

    fn weir(&self) -> Result<Server> {
        let binary = self.binary()?;
        let folder = TempDir::with_prefix("weir-load-")?;
        let (class, config, redis) = match self.store {
            Store::Memory => ("KvStore", json!({"store_method": "in_memory"}), None),
            Store::File => ("KvStore", json!({"file_path": "store"}), None),
            Store::Redis => {
                let (redis, address) = yardstick::start_redis(folder.path(), false)?;
                ("RedisAdapter", json!({"redis_url": format!("redis://{address}")}), Some(redis))
            }
        };
        let adapter = json!({"class": format!("modules::stream::adapters::{class}"), "config": config});
        start_weir(&binary, folder, &adapter, redis)
    }
}

/// The first address of a host.
fn resolve(address: &str) -> Result<SocketAddr> {
    address.to_socket_addrs()?.next().with_context(|| format!("{address} has no address"))
}

/// `weir` where this program is, or one folder above, where tests run.
fn beside() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let found = program.ancestors().skip(1).take(2).map(|folder| folder.join("weir")).find(|path| path.is_file());
    found.with_context(|| {
        format!("no `weir` beside {}: build it (`cargo build --release --workspace`) or name it with --binary", program.display())
    })
}

fn start_weir(binary: &Path, folder: TempDir, adapter: &Value, redis: Option<Started>) -> Result<Server> {
    let stream = json!({"host": "127.0.0.1", "port": 0, "adapter": adapter, "max_connections": 100_000, "max_connections_per_address": 100_000, "drain_ms": 1});
    let config = json!({"host": "127.0.0.1", "port": 0, "modules": [{"class": "modules::stream::StreamModule", "config": stream},
        {"class": "modules::admin::AdminModule", "config": {"port": 0}}]});
    let (file, log) = (folder.path().join("config.yaml"), folder.path().join("log"));
    // JSON is YAML.
    fs::write(&file, config.to_string())?;
    let mut command = Command::new(binary);
    command.arg("--config").arg(&file).env("RUST_LOG", "warn").current_dir(folder.path());
    let mut process = Started::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?))?;
    let mut stdout = BufReader::new(process.child().stdout.take().context("no standard output")?);
    let mut address = |name: &str| -> Result<SocketAddr> {
        loop {
            let mut line = String::new();
            if stdout.read_line(&mut line)? == 0 {
                bail!("{} did not start: {}", binary.display(), fs::read_to_string(&log)?);
            }
            if let Some(url) = line.trim().strip_prefix(name).and_then(|url| url.trim().strip_prefix("ws://")) {
                return url.split('/').next().unwrap_or_default().parse().with_context(|| line.clone());
            }
        }
    };
    let (publishers, subscribers) = (address("workers")?, address("streams")?);
    Ok(Server {
        kind: Kind::Weir,
        dialect: &Weir,
        calls: Some(&Weir),
        publishers,
        subscribers,
        watched: Watched::new(process.id()),
        behind: redis.as_ref().map(|redis| Watched::new(redis.id())),
        _processes: std::iter::once(process).chain(redis).collect(),
        _stdout: Some(stdout),
        _folder: Some(folder),
    })
}

impl Server {
    fn running(streams: SocketAddr, workers: SocketAddr, pid: u32) -> Self {
        Self {
            kind: Kind::Weir,
            dialect: &Weir,
            calls: Some(&Weir),
            publishers: workers,
            subscribers: streams,
            watched: Watched::new(pid),
            behind: None,
            _processes: Vec::new(),
            _stdout: None,
            _folder: None,
        }
    }

    /// What tables call it.
    pub(crate) fn name(&self) -> String {
        self.kind.name()
    }
    /// Processor time of the Redis behind it.
    pub(crate) fn behind_cpu(&self) -> Result<std::time::Duration> {
        self.behind.as_ref().map_or(Ok(std::time::Duration::ZERO), Watched::cpu)
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
