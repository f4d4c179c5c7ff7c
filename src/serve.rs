//! The two listeners around one system, from start to signal.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use tokio::signal::unix::{SignalKind, signal};
use weir_actors::adapter::file::FileStore;
use weir_actors::settings::Settings;
use weir_actors::streams::{Placement, Streams};

use crate::admin::{Admin, Shown};
use crate::config::{AdapterConfig, Config, TlsFiles};
use crate::control::Control;
use crate::listener::Listener;
use crate::log;
use crate::otlp::{self, Exporter};
use crate::reload::Reload;
use crate::tls::Certificates;

/// How many connections may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
pub(crate) const BACKLOG: i32 = 4_096;
const REDIS: &str = "the Redis store (`adapter` of the stream module)";

/// Looks at what a start refuses of a configuration whose keys are right one by one, without taking a port or opening a store.
///
/// # Errors
/// What the start would say.
pub(crate) fn check(config: &Config) -> anyhow::Result<()> {
    log::check(&config.log)?;
    Certificates::read(config)?;
    Admin::check(&config.admin)?;
    otlp::check(&config.admin)?;
    if let AdapterConfig::Redis(options) = &config.stream.adapter {
        options.check().context(REDIS)?;
    }
    Ok(())
}

/// Serves until a signal comes or an actor dies; `config` is what the file at `path` says.
///
/// # Errors
/// Where a port cannot be had, or the system fails.
pub(crate) async fn serve(config: Config, path: Option<PathBuf>) -> anyhow::Result<()> {
    // Before anything that may take time: by itself, SIGHUP ends a process.
    let mut hangup = signal(SignalKind::hangup())?;
    let tls = Certificates::read(&config)?;
    let for_workers = Port::bind(&config.worker.host, config.worker.port, "the worker port (top-level `port`)")?;
    let for_streams = Port::bind(&config.stream.host, config.stream.port, "the stream port (`port` of the stream module)")?;
    // Before the store, so that it can say that there is none yet.
    let admin = Admin::start(&config.admin)?;
    let collector = otlp::collector(&config.admin)?;
    let (streams, control) = start(&config).await?;
    let exporter = collector.map(|collector| Exporter::start(collector, streams.spans())).transpose()?.flatten();
    // Not before there is somebody to accept: a start may wait for Redis.
    let (for_workers, for_streams) = (for_workers.listen()?, for_streams.listen()?);
    let addresses = (for_workers.local_addr()?, for_streams.local_addr()?);
    let told = Told::of(addresses, &config);
    if let Some(admin) = &admin {
        admin.show(Shown::new(&streams, &told.store, (&told.workers, &told.streams)));
    }

    let (worker_limits, stream_limits) = (&config.worker.settings, &config.stream.settings);
    let port = streams.clone();
    let worker_server = Listener {
        socket: for_workers,
        tls: tls.workers.as_ref().map(|tls| tls.config()).transpose()?,
        // One is never busy: what workers ask for is done by the store.
        threads: Some(1),
        max_connections: worker_limits.max_connections,
        write_deadline: worker_limits.write_deadline,
    }
    .serve("workers", move || port.worker_port())?;
    let port = streams.clone();
    let stream_server = Listener {
        socket: for_streams,
        tls: tls.streams.as_ref().map(|tls| tls.config()).transpose()?,
        threads: None,
        max_connections: stream_limits.max_connections,
        write_deadline: stream_limits.write_deadline,
    }
    .serve("streams", move || port.stream_port())?;
    announce(&told, admin.as_ref().map(Admin::address));
    warn_of_open_port(addresses.0, &config);

    let reload = Arc::new(Reload::new(path, config, tls, streams.clone(), admin.as_ref().map(Admin::gate)));
    let handles = (worker_server.handle(), stream_server.handle());
    let servers = (actix_rt::spawn(worker_server), actix_rt::spawn(stream_server));
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let failed = loop {
        tokio::select! {
            _ = interrupt.recv() => break None,
            _ = terminate.recv() => break None,
            actor = streams.failed() => break Some(actor),
            _ = hangup.recv() => {
                // Not here: a file may be on a disk that hangs.
                let reload = reload.clone();
                drop(actix_rt::task::spawn_blocking(move || reload.again()));
            }
        }
    };
    tracing::info!("closing");
    // Both stop listening at once, and wait for their connections until they are told not to.
    let graceful = (actix_rt::spawn(handles.0.stop(true)), actix_rt::spawn(handles.1.stop(true)));
    let closed = async {
        streams.shutdown().await;
        // Now there are no more spans to come. Those that there are take a moment.
        drop(actix_rt::task::spawn_blocking(move || drop(exporter)).await);
    };
    tokio::select! {
        () = closed => {}
        _ = interrupt.recv() => end_at_once(),
        _ = terminate.recv() => end_at_once(),
    }
    drop((graceful, servers, control));
    match failed {
        Some(actor) => bail!("the actor '{actor}' has died, see the log; this is a bug of Weir: please report it"),
        None => Ok(()),
    }
}

/// Starts the system on the adapter of the configuration, and what serves the commands that look after its files.
async fn start(config: &Config) -> anyhow::Result<(Streams, Option<Control>)> {
    let mut settings = Settings { worker: config.worker.settings.clone(), stream: config.stream.settings.clone() };
    let builder = Streams::builder().placement(Placement::Here);
    Ok(match &config.stream.adapter {
        AdapterConfig::InMemory => (builder.settings(settings).start().await?, None),
        // The worker keeps the items; what is numbered here is lost with the process, and so is every subscriber.
        AdapterConfig::Functions(prefix) => {
            settings.stream.adapter_functions = Some(prefix.clone());
            (builder.settings(settings).start().await?, None)
        }
        AdapterConfig::File { path, options } => {
            let store = FileStore::open(path, options.clone()).context("the file store (`adapter` of the stream module)")?;
            let handle = store.handle();
            let streams = builder.settings(settings).adapter(store).start().await?;
            let control = Control::start(path, handle, &streams);
            (streams, control)
        }
        AdapterConfig::Redis(options) => {
            let streams = builder.settings(settings).redis(options.clone()).start().await;
            (streams.context(REDIS)?, None)
        }
    })
}

/// Ends the process while the store is being closed, which a disk that hangs may make long. Nothing is lost: it is in the log.
fn end_at_once() -> ! {
    tracing::warn!("a second signal; ending at once");
    // Without what runs at an orderly exit: all other threads still use it.
    signal_hook::low_level::exit(1);
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

/// Where to connect, and where items are kept, in words.
struct Told {
    workers: String,
    streams: String,
    store: String,
}

impl Told {
    fn of((workers, streams): (SocketAddr, SocketAddr), config: &Config) -> Self {
        let store = match &config.stream.adapter {
            AdapterConfig::InMemory => "in memory; everything is gone when the server stops".to_owned(),
            AdapterConfig::File { path, .. } => path.display().to_string(),
            AdapterConfig::Redis(options) => options.addresses(),
            AdapterConfig::Functions(prefix) => format!("functions {prefix}::… of a connected worker"),
        };
        let scheme = |tls: &Option<TlsFiles>| if tls.is_some() { "wss" } else { "ws" };
        let (for_workers, for_streams) = (scheme(&config.worker.tls), scheme(&config.stream.tls));
        Self { workers: format!("{for_workers}://{workers}"), streams: format!("{for_streams}://{streams}"), store }
    }
}

/// Tells people and scripts where to connect, on standard output.
fn announce(Told { workers, streams, store }: &Told, admin: Option<SocketAddr>) {
    let version = env!("CARGO_PKG_VERSION");
    let admin = admin.map_or_else(String::new, |admin| format!("  admin    http://{admin}/\n"));
    let text =
        format!("weir {version}\n  workers  {workers}\n  streams  {streams}/stream/{{stream}}/{{group}}/\n  store    {store}\n{admin}");
    // A closed standard output leaves nobody to tell; the log has it too.
    let _ = std::io::stdout().write_all(text.as_bytes());
    let _ = std::io::stdout().flush();
    tracing::info!(workers, streams, "listening");
}

fn warn_of_open_port(workers: SocketAddr, config: &Config) {
    if !workers.ip().is_loopback() && config.worker.settings.token.is_none() {
        tracing::warn!(
            %workers,
            "the worker port is open beyond this machine, and whoever reaches it may read, write and serve everything; set `token` beside its `host`"
        );
    }
}
