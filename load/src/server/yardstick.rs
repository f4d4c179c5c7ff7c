//! What Weir is held against, started for a run.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::{Kind, Server, free_port};
use crate::dialect::Dialect;
use crate::dialect::redis::Redis;
use crate::dialect::weir::Weir;
use crate::process::{Started, Watched};

/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// This program as the floor, in a process of its own so that it is measured like the others.
pub(super) fn floor() -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut process = Started::spawn(command.arg("floor").stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut stdout = BufReader::new(process.child().stdout.take().context("no standard output")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the floor says {line:?}"))?;
    Ok(Server {
        kind: Kind::Floor,
        dialect: &Weir,
        calls: None,
        publishers: address,
        subscribers: address,
        watched: Watched::new(process.id()),
        behind: None,
        _processes: vec![process],
        _stdout: Some(stdout),
        _folder: None,
    })
}

/// Redis for itself, with a sync before every answer if it is to be `durable`.
pub(super) fn redis(durable: bool) -> Result<Server> {
    let folder = TempDir::with_prefix("weir-load-")?;
    let (process, address) = start_redis(folder.path(), durable)?;
    let server = Server { calls: Some(&Redis), ..started(Kind::Redis, &Redis, address, process, folder) };
    Ok(server)
}

/// Redis on a free port, its files in `folder`.
pub(super) fn start_redis(folder: &Path, durable: bool) -> Result<(Started, SocketAddr)> {
    let append = if durable { "yes" } else { "no" };
    start(|port| {
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--maxclients", "30000", "--save", "", "--dir"]).arg(folder);
        command.args(["--appendonly", append, "--appendfsync", "always"]);
        command
    })
}

/// A server of one process and one port.
fn started(kind: Kind, dialect: &'static dyn Dialect, address: SocketAddr, process: Started, folder: TempDir) -> Server {
    Server {
        kind,
        dialect,
        calls: None,
        publishers: address,
        subscribers: address,
        watched: Watched::new(process.id()),
        behind: None,
        _processes: vec![process],
        _stdout: None,
        _folder: Some(folder),
    }
}

/// Starts a command on a free port and waits until it listens there.
fn start(command: impl FnOnce(u16) -> Command) -> Result<(Started, SocketAddr)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut command = command(address.port());
    let name = command.get_program().to_string_lossy().into_owned();
    let mut process = Started::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()))?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if process.has_ended() || began.elapsed() > PATIENCE {
            bail!("{name} does not listen on {address}");
        }
        thread::sleep(POLL);
    }
    Ok((process, address))
}
