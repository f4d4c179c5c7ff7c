//! The ports: free, or a Weir answers there; and the collector of spans.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Check, Owner, Verdict};
use crate::admin::Admin;
use crate::client::http::{self, Health};
use crate::client::{Address, ClientError, Worker};
use crate::config::Config;
use crate::json::visible;
use crate::otlp::{Endpoint, Source};

const WORKERS: &str = "worker port";
const STREAMS: &str = "stream port";
const ADMIN: &str = "admin port";
/// How long a server may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// The ports of a configuration whose store `owner` has.
pub(super) async fn check(config: &Config, owner: &Owner) -> Vec<Check> {
    let workers = match free(WORKERS, &config.worker.host, config.worker.port) {
        Ok(check) => check,
        Err(at) => ours(workers(at, Address::of_workers(None, None, config)).await, at, owner),
    };
    let streams = match free(STREAMS, &config.stream.host, config.stream.port) {
        Ok(check) => check,
        Err(at) => ours(health(STREAMS, at, Address::of_streams(None, None, config)).await, at, owner),
    };
    if !config.admin.enabled {
        return vec![workers, streams];
    }
    let admin = match (Admin::check(&config.admin), free(ADMIN, &config.admin.host, config.admin.port)) {
        (Err(error), _) => Check::fail(ADMIN, format!("{error:#}"), "the server does not start like this"),
        (Ok(()), Ok(check)) => check,
        (Ok(()), Err(at)) => ours(health(ADMIN, at, Address::of_admin(None, None, config)).await, at, owner),
    };
    vec![workers, streams, admin]
}

/// What a port comes to where a Weir has it: well, unless that is not the one of this configuration, since nobody has the store.
fn ours(check: Check, at: SocketAddr, owner: &Owner) -> Check {
    if *owner != Owner::Nobody || check.verdict == Verdict::Fail {
        return check;
    }
    let detail = format!("{at} is taken by another Weir, which is not on the store of this configuration");
    Check::fail(check.what, detail, "set another `port`, or the `file_path` of that one")
}

/// What a port that nobody has comes to.
///
/// # Errors
/// The address, where somebody has it.
fn free(what: &'static str, host: &str, port: u16) -> Result<Check, SocketAddr> {
    let Ok(Some(address)) = (host, port).to_socket_addrs().map(|mut found| found.next()) else {
        return Ok(Check::fail(what, format!("host {host:?} is not known"), "set `host` to an address of this machine"));
    };
    if port == 0 {
        return Ok(Check::ok(what, "any free port"));
    }
    match bind(address) {
        Ok(()) => Ok(Check::ok(what, format!("{address} is free"))),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(address),
        Err(error) => {
            let advice = match error.kind() {
                io::ErrorKind::PermissionDenied => {
                    "ports below 1024 need a right: take another `port`, or AmbientCapabilities=CAP_NET_BIND_SERVICE"
                }
                _ => "set `host` to an address of this machine",
            };
            Ok(Check::fail(what, format!("cannot listen on {address}: {error}"), advice))
        }
    }
}

/// As the server does it.
fn bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())
}

async fn workers(at: SocketAddr, address: Result<Address, ClientError>) -> Check {
    let opened = match address {
        Ok(address) => Worker::open(&address).await,
        Err(error) => Err(error),
    };
    match opened {
        Ok(worker) => {
            worker.close().await;
            Check::ok(WORKERS, format!("a server on {at} takes workers"))
        }
        Err(ClientError::Unauthorized { .. }) => {
            Check::warn(WORKERS, format!("a server on {at} wants another token"), "is it the one of this configuration? Set its `token`")
        }
        Err(error @ ClientError::Unreachable { .. }) => taken(WORKERS, at, &error.to_string()),
        Err(error) => taken(WORKERS, at, &error.message()),
    }
}

/// A port that answers health checks.
async fn health(what: &'static str, at: SocketAddr, address: Result<Address, ClientError>) -> Check {
    let asked = match address {
        Ok(address) => http::health(&address, "/health/ready", PATIENCE).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(Health { ready: true, .. }) => Check::ok(what, format!("a Weir on {at} is ready")),
        Ok(Health { reasons, .. }) => {
            let reasons = reasons.join("; ");
            Check::warn(what, format!("a Weir on {at} is not ready: {}", visible(&reasons)), "its log may say more")
        }
        Err(ClientError::Unreachable { reason, .. } | ClientError::Protocol { reason, .. }) => taken(what, at, &reason),
        Err(ClientError::Answered { .. }) => taken(what, at, "what came back is not /health/ready of a Weir"),
        Err(error) => taken(what, at, &error.message()),
    }
}

/// Whether anybody is where spans are to be sent.
pub(super) async fn collector(config: &Config) -> Option<Check> {
    const WHAT: &str = "collector";
    const ADVICE: &str = "without it spans are dropped and nothing else changes; correct the address, or start the collector";
    let (source, endpoint) = Endpoint::of(&config.admin)?;
    let endpoint = match (endpoint, source) {
        (Ok(endpoint), _) => endpoint,
        (Err(error), Source::Configuration) => {
            return Some(Check::fail(WHAT, format!("{source}: {error}"), "correct it, or set it to null"));
        }
        (Err(error), Source::Variable(_)) => return Some(Check::warn(WHAT, format!("{source}: {error}"), "no spans are exported")),
    };
    Some(match timeout(PATIENCE, TcpStream::connect(endpoint.address())).await {
        Ok(Ok(_)) => Check::ok(WHAT, format!("somebody listens at {endpoint}")),
        Ok(Err(error)) => Check::warn(WHAT, format!("{endpoint}: {error}"), ADVICE),
        Err(_) => Check::warn(WHAT, format!("{endpoint}: no answer within {} s", PATIENCE.as_secs()), ADVICE),
    })
}

fn taken(what: &'static str, at: SocketAddr, reason: &str) -> Check {
    let advice = format!("`ss -ltnp 'sport = :{}'` names it; stop it, or set another `port`", at.port());
    Check::fail(what, format!("{at} is taken by something else: {reason}"), advice)
}
