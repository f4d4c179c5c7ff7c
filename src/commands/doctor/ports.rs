//! The two ports: free, or a Weir answers there.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use serde::Deserialize;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Check;
use crate::client::{Address, ClientError, Worker, dial};
use crate::config::Config;
use crate::json::visible;

const WORKERS: &str = "worker port";
const STREAMS: &str = "stream port";
/// How long a server may take to say whether it is ready.
const PATIENCE: Duration = Duration::from_secs(5);
/// An answer to a health check is shorter.
const ANSWER_BYTES: u64 = 64 << 10;

/// What a health check answers.
#[derive(Deserialize)]
struct Ready {
    ready: bool,
    reasons: Vec<String>,
}

pub(super) async fn check(config: &Config) -> Vec<Check> {
    let workers = match free(WORKERS, &config.worker.host, config.worker.port) {
        Ok(check) => check,
        Err(at) => workers(at, Address::of_workers(None, None, config)).await,
    };
    let streams = match free(STREAMS, &config.stream.host, config.stream.port) {
        Ok(check) => check,
        Err(at) => streams(at, Address::of_streams(None, None, config)).await,
    };
    vec![workers, streams]
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

async fn streams(at: SocketAddr, address: Result<Address, ClientError>) -> Check {
    let asked = async {
        let address = address.map_err(|error| error.to_string())?;
        let mut stream = dial(&address).await.map_err(|error| error.to_string())?;
        let request = format!("GET /health/ready HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", address.authority());
        stream.write_all(request.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut answer = Vec::new();
        // Who closes TLS without a word has answered all the same.
        let _ = stream.take(ANSWER_BYTES).read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (_, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP came back")?;
        serde_json::from_str::<Ready>(body).map_err(|_malformed| "what came back is not /health/ready of a Weir".to_owned())
    };
    match timeout(PATIENCE, asked).await {
        Ok(Ok(Ready { ready: true, .. })) => Check::ok(STREAMS, format!("a Weir on {at} is ready")),
        Ok(Ok(Ready { reasons, .. })) => {
            let reasons = reasons.join("; ");
            Check::warn(STREAMS, format!("a Weir on {at} is not ready: {}", visible(&reasons)), "its log may say more")
        }
        Ok(Err(reason)) => taken(STREAMS, at, &reason),
        Err(_) => taken(STREAMS, at, "nothing came back"),
    }
}

fn taken(what: &'static str, at: SocketAddr, reason: &str) -> Check {
    let advice = format!("`ss -ltnp 'sport = :{}'` names it; stop it, or set another `port`", at.port());
    Check::fail(what, format!("{at} is taken by something else: {reason}"), advice)
}
