//! The two listeners around one system, from start to signal.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpServer};
use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use weir_actors::adapter::file::FileStore;
use weir_actors::adapter::memory::Memory;
use weir_actors::session::Connections;
use weir_actors::settings::Settings;
use weir_actors::system::System;
use weir_actors::ws;

use crate::config::{AdapterConfig, Config, TlsFiles};
use crate::control::Control;
use crate::reload::Reload;
use crate::tls::Certificates;

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4_096;

/// How long answers to calls under way, and close frames, may take beyond `drain_ms` when the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// Serves until a signal comes or an actor dies; `config` is what the file at `path` says.
///
/// # Errors
/// Where a port cannot be had, or the system fails.
pub(crate) async fn serve(config: Config, path: Option<PathBuf>) -> anyhow::Result<()> {
    // Before anything that may take time: by itself, SIGHUP ends a process.
    let mut hangup = signal(SignalKind::hangup())?;
    let tls = Certificates::read(&config)?;
    let workers = Port::bind(&config.worker.host, config.worker.port, "the worker port (top-level `port`)")?;
    let streams = Port::bind(&config.stream.host, config.stream.port, "the stream port (`port` of the stream module)")?;
    let (system, control) = start(&config).await?;
    // Not before there is somebody to accept: a start may wait for Redis.
    let (workers, streams) = (workers.listen()?, streams.listen()?);
    let addresses = (workers.local_addr()?, streams.local_addr()?);

    let (worker_deadline, stream_deadline) = (config.worker.settings.write_deadline, config.stream.settings.write_deadline);
    let registry = system.registry().clone();
    let connections = Arc::<Connections>::default();
    let max_connections = beyond(config.worker.settings.max_connections);
    let worker_server = HttpServer::new(move || App::new().configure(ws::worker_port(&registry, &connections)))
        .workers(1)
        .tcp_nodelay(true)
        .on_connect(move |connection, _| give_up_on_silence(connection, worker_deadline))
        .max_connections(max_connections)
        .max_connection_rate(max_connections)
        .disable_signals();
    let worker_server = match &tls.workers {
        None => worker_server.listen(workers)?,
        Some(tls) => worker_server.listen_rustls_0_23(workers, tls.config()?)?,
    };
    let registry = system.registry().clone();
    let connections = Arc::<Connections>::default();
    let max_connections = beyond(config.stream.settings.max_connections);
    let stream_server = HttpServer::new(move || App::new().configure(ws::stream_port(&registry, &connections)))
        .tcp_nodelay(true)
        .on_connect(move |connection, _| give_up_on_silence(connection, stream_deadline))
        .max_connections(max_connections)
        // Those in a TLS handshake; the first few who do not finish theirs must not keep the others out.
        .max_connection_rate(max_connections)
        .disable_signals();
    let stream_server = match &tls.streams {
        None => stream_server.listen(streams)?,
        Some(tls) => stream_server.listen_rustls_0_23(streams, tls.config()?)?,
    };
    let (worker_server, stream_server) = (worker_server.run(), stream_server.run());
    announce(addresses, &config);

    let reload = Arc::new(Reload::new(path, config.clone(), tls, system.registry().clone()));
    let (handles, span) = ((worker_server.handle(), stream_server.handle()), config.stream.settings.drain);
    let servers = (actix_rt::spawn(worker_server), actix_rt::spawn(stream_server));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let failed = loop {
        tokio::select! {
            _ = interrupt.recv() => break None,
            _ = terminate.recv() => break None,
            actor = system.failed() => break Some(actor),
            _ = hangup.recv() => {
                // Not here: a file may be on a disk that hangs.
                let reload = reload.clone();
                drop(actix_rt::task::spawn_blocking(move || reload.again()));
            }
        }
    };
    tracing::info!("closing");
    if failed.is_none() {
        // Both stop listening at once, and wait for their connections until they are told not to.
        let graceful = (actix_rt::spawn(handles.0.stop(true)), actix_rt::spawn(handles.1.stop(true)));
        tokio::select! {
            drained = system.drain(span, span + GRACE) => if !drained {
                tracing::warn!("not everything was answered in time; closing all the same");
            },
            _ = interrupt.recv() => end_at_once(),
            _ = terminate.recv() => end_at_once(),
        }
        drop(graceful);
    }
    // Worker sockets end with the process, without a close frame: published Python workers take an orderly close for the end and never come
    // back.
    drop((servers, control));
    tokio::select! {
        stopped = actix_rt::task::spawn_blocking(move || system.stop()) => stopped?,
        _ = interrupt.recv() => end_at_once(),
        _ = terminate.recv() => end_at_once(),
    }
    match failed {
        Some(actor) => bail!("the actor '{actor}' has died, see the log; this is a bug of Weir: please report it"),
        None => Ok(()),
    }
}

/// How many connections actix-web may take where so many WebSockets are allowed: those that are one too many want an answer, and so do health checks.
fn beyond(max_connections: usize) -> usize {
    max_connections.saturating_add(1_000)
}

/// Starts the system on the adapter of the configuration, and what serves the commands that look after its files.
async fn start(config: &Config) -> anyhow::Result<(System, Option<Control>)> {
    let mut settings = Settings { worker: config.worker.settings.clone(), stream: config.stream.settings.clone() };
    Ok(match &config.stream.adapter {
        AdapterConfig::InMemory => (System::start(settings, Box::new(Memory::new())), None),
        // The worker keeps the items; what is numbered here is lost with the process, and so is every subscriber.
        AdapterConfig::Functions(prefix) => {
            settings.stream.adapter_functions = Some(prefix.clone());
            (System::start(settings, Box::new(Memory::new())), None)
        }
        AdapterConfig::File { path, options } => {
            let store = FileStore::open(path, options.clone()).context("the file store (`adapter` of the stream module)")?;
            let handle = store.handle();
            let system = System::start(settings, Box::new(store));
            let control = Control::start(path, handle, system.registry().clone());
            (system, control)
        }
        AdapterConfig::Redis(options) => {
            let system = System::start_on_redis(settings, options.clone()).await;
            (system.context("the Redis store (`adapter` of the stream module)")?, None)
        }
    })
}

/// Ends the process while the store is being closed, which a disk that hangs may make long. Nothing is lost: it is in the log.
fn end_at_once() -> ! {
    tracing::warn!("a second signal; ending at once");
    std::process::exit(1);
}

/// A port that is taken.
struct Port {
    socket: socket2::Socket,
    address: SocketAddr,
    what: &'static str,
}

impl Port {
    fn bind(host: &str, port: u16, what: &'static str) -> anyhow::Result<Self> {
        let addresses: Vec<SocketAddr> = (host, port)
            .to_socket_addrs()
            .with_context(|| format!("{what}: host '{host}' is not known; set `host` to an address of this machine"))?
            .collect();
        let Some(&address) = addresses.first() else { bail!("{what}: host '{host}' has no address") };
        let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
        // With port 0 two sockets that do not listen yet could otherwise be given the same one.
        socket.set_reuse_address(port != 0)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into()).with_context(|| Self::taken(address, what))?;
        Ok(Self { socket, address, what })
    }

    fn listen(self) -> anyhow::Result<TcpListener> {
        self.socket.listen(BACKLOG).with_context(|| Self::taken(self.address, self.what))?;
        Ok(self.socket.into())
    }

    fn taken(address: SocketAddr, what: &str) -> String {
        format!("{what}: cannot listen on {address}; is another server using it? Set another port or host")
    }
}

/// Has the kernel end a connection whose peer takes nothing for so long of what it is sent, a closed window included.
///
/// actix-http (3.20) has no timer of its own while a write is blocked, so without this a client that stops reading would be kept for ever.
fn give_up_on_silence(connection: &dyn std::any::Any, write_deadline: Duration) {
    let Some(stream) = socket_of(connection) else {
        tracing::error!("a connection of an unknown kind, which will be kept however long it takes nothing; this is a bug of Weir");
        return;
    };
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(write_deadline)) {
        tracing::warn!(%error, "cannot set TCP_USER_TIMEOUT");
    }
}

/// The socket below what actix-web has accepted.
fn socket_of(connection: &dyn std::any::Any) -> Option<&TcpStream> {
    let below_tls = || connection.downcast_ref::<TlsStream<TcpStream>>().map(|stream| stream.get_ref().0);
    connection.downcast_ref::<TcpStream>().or_else(below_tls)
}

/// Tells people and scripts where to connect, on standard output.
fn announce((workers, streams): (SocketAddr, SocketAddr), config: &Config) {
    let version = env!("CARGO_PKG_VERSION");
    let store = match &config.stream.adapter {
        AdapterConfig::InMemory => "in memory; everything is gone when the server stops".to_owned(),
        AdapterConfig::File { path, .. } => path.display().to_string(),
        AdapterConfig::Redis(options) => options.addresses(),
        AdapterConfig::Functions(prefix) => format!("functions {prefix}::… of a connected worker"),
    };
    let scheme = |tls: &Option<TlsFiles>| if tls.is_some() { "wss" } else { "ws" };
    let (for_workers, for_streams) = (scheme(&config.worker.tls), scheme(&config.stream.tls));
    let text = format!(
        "weir {version}\n  workers  {for_workers}://{workers}\n  streams  {for_streams}://{streams}/stream/{{stream}}/{{group}}/\n  \
         store    {store}\n"
    );
    // A closed standard output leaves nobody to tell; the log has it too.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    tracing::info!(%workers, %streams, "listening");
    if !workers.ip().is_loopback() && config.worker.settings.token.is_none() {
        tracing::warn!(
            %workers,
            "the worker port is open beyond this machine, and whoever reaches it may read, write and serve everything; set `token` beside its `host`"
        );
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::process::{Command, Stdio};
    use std::sync::mpsc;

    use super::*;
    use crate::tls::Tls;

    const WRITE_DEADLINE: Duration = Duration::from_secs(30);

    /// What the sockets have that a server accepts which is like those above.
    fn accepted(tls: Option<&Tls>, connect: impl FnOnce(SocketAddr)) -> (Option<Duration>, bool) {
        let (sender, receiver) = mpsc::channel();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        actix_rt::System::new().block_on(async {
            let server = HttpServer::new(App::new).workers(1).tcp_nodelay(true).disable_signals().on_connect(move |connection, _| {
                give_up_on_silence(connection, WRITE_DEADLINE);
                let socket = socket2::SockRef::from(socket_of(connection).unwrap());
                let _ = sender.send((socket.tcp_user_timeout().unwrap(), socket.tcp_nodelay().unwrap()));
            });
            let server = match tls {
                None => server.listen(listener).unwrap(),
                Some(tls) => server.listen_rustls_0_23(listener, tls.config().unwrap()).unwrap(),
            };
            let server = server.run();
            let handle = server.handle();
            let running = actix_rt::spawn(server);
            connect(address);
            let seen = actix_rt::task::spawn_blocking(move || receiver.recv_timeout(Duration::from_secs(10)).unwrap()).await.unwrap();
            handle.stop(false).await;
            running.await.unwrap().unwrap();
            seen
        })
    }

    #[test]
    fn accepted_socket_gives_up_on_silence_with_tls_and_without() {
        let mut connected = None;
        let seen = accepted(None, |address| connected = std::net::TcpStream::connect(address).ok());
        assert_eq!(seen, (Some(WRITE_DEADLINE), true));

        let folder = tempfile::tempdir().unwrap();
        let openssl = |args: &str| {
            let mut command = Command::new("openssl");
            command.args(args.split(' ')).current_dir(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        assert!(openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key -out crt -subj /CN=test").status().unwrap().success());
        let tls = Tls::read(&TlsFiles { cert: folder.path().join("crt"), key: folder.path().join("key") }).unwrap();
        let mut client = None;
        let seen = accepted(Some(&tls), |address| client = openssl(&format!("s_client -connect {address}")).spawn().ok());
        let mut client = client.unwrap();
        let _ = client.kill();
        client.wait().unwrap();
        assert_eq!(seen, (Some(WRITE_DEADLINE), true));
    }
}
