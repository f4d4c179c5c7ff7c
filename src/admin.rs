//! The admin listener: what Prometheus scrapes, what load balancers ask and what people look at, on a port of its own.
//!
//! A thread of its own answers, from numbers that nobody waits for, so that whoever asks slowly or often holds up nobody else. It listens before
//! the store is opened, which may take long, and says so.
//!
//! `gate` decides who may ask, `console` is the page and what it asks for, `table` has the metrics with what they mean, `process` those of every process, `text` writes them as Prometheus reads them.

mod console;
mod gate;
mod process;
mod table;
mod text;

use std::any::Any;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{DefaultHeaders, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::web::{self, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::Context;
use serde::Serialize;
use weir_actors::clock::{self, Millis};
use weir_actors::metrics::snapshot::Snapshot;
use weir_actors::streams::{Streams, WeakStreams};

use crate::config::AdminConfig;
pub(crate) use gate::Gate;

/// Connections at a time; others wait.
const CONNECTIONS: usize = 512;
/// How long the head of a request may take.
const REQUEST: Duration = Duration::from_secs(5);
/// How long a connection may wait for its next request: longer than Prometheus does between two.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long whoever asks may take nothing of the answer.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);

/// The listener.
pub(crate) struct Admin {
    address: SocketAddr,
    gate: Arc<Gate>,
    system: Data<System>,
}

/// What is shown, once it runs.
type System = OnceLock<Shown>;

/// A system, and what is told of it.
pub(crate) struct Shown {
    streams: WeakStreams,
    started_at: Millis,
    /// Where items are kept, in words.
    store: String,
    /// Where workers connect.
    workers_at: String,
    /// Where clients do.
    streams_at: String,
}

impl Shown {
    /// A system that has just started.
    pub(crate) fn new(streams: &Streams, store: &str, (workers_at, streams_at): (&str, &str)) -> Self {
        let (store, workers_at, streams_at) = (store.to_owned(), workers_at.to_owned(), streams_at.to_owned());
        Self { streams: streams.downgrade(), started_at: clock::wall(), store, workers_at, streams_at }
    }
}

impl Admin {
    /// Looks at the configuration as [`start`](Self::start) does, without listening.
    ///
    /// # Errors
    /// Where it is beyond this machine, and there is no token. A host that is not known here may be known where the server runs.
    pub(crate) fn check(config: &AdminConfig) -> anyhow::Result<()> {
        if config.enabled
            && let Ok(address) = resolve(&config.host, config.port)
        {
            Gate::new(address.ip(), config)?;
        }
        Ok(())
    }

    /// Listens, if it is to.
    ///
    /// # Errors
    /// Where the port cannot be had, or is open beyond this machine without a token.
    pub(crate) fn start(config: &AdminConfig) -> anyhow::Result<Option<Self>> {
        if !config.enabled {
            return Ok(None);
        }
        process::started();
        let listener = bind(&config.host, config.port)?;
        let address = listener.local_addr()?;
        let gate = Arc::new(Gate::new(address.ip(), config)?);
        let system = Data::new(System::new());
        let (asked, shown) = (gate.clone(), system.clone());
        // A system of its own: that of the server is not polled while it opens its store.
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            if let Err(error) = actix_rt::System::new().block_on(serve(listener, asked, shown)) {
                tracing::error!(%error, "the admin port is not served any more");
            }
        })?;
        tracing::info!(admin = %address, "listening for operators");
        Ok(Some(Self { address, gate, system }))
    }

    /// Shows this system from now on.
    pub(crate) fn show(&self, shown: Shown) {
        drop(self.system.set(shown));
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who may ask.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }
}

async fn serve(listener: TcpListener, gate: Arc<Gate>, system: Data<System>) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        let gate = gate.clone();
        App::new()
            .app_data(system.clone())
            .wrap(from_fn(move |request, next| gate::pass(gate.clone(), request, next)))
            .wrap(DefaultHeaders::new().add((CACHE_CONTROL, "no-store")).add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .route("/metrics", web::get().to(metrics))
            .service(web::resource("/health/live").route(web::get().to(live)).route(web::head().to(live)))
            .service(web::resource("/health/ready").route(web::get().to(ready)).route(web::head().to(ready)))
            .configure(console::configure)
            .default_service(web::to(nothing))
    });
    server
        .workers(1)
        .max_connections(CONNECTIONS)
        .client_request_timeout(REQUEST)
        .keep_alive(KEEP_ALIVE)
        .on_connect(|connection: &dyn Any, _| limit(connection))
        .disable_signals()
        .listen(listener)?
        .run()
        .await
}

const WHAT: &str = "the admin port (`port` of modules::admin::AdminModule)";

fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let addresses = (host, port).to_socket_addrs();
    let mut addresses =
        addresses.with_context(|| format!("{WHAT}: host '{host}' is not known; set `host` to an address of this machine"))?;
    addresses.next().with_context(|| format!("{WHAT}: host '{host}' has no address"))
}

fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let address = resolve(host, port)?;
    let listener = TcpListener::bind(address).with_context(|| {
        format!("{WHAT}: cannot listen on {address}; is another server using it? Set another `port`, or `enabled: false`")
    })?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Has the kernel end a connection whose peer takes nothing of what it is sent.
fn limit(connection: &dyn Any) {
    let Some(stream) = connection.downcast_ref::<TcpStream>() else { return };
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(WRITE_DEADLINE)) {
        tracing::warn!(%error, "cannot set TCP_USER_TIMEOUT");
    }
}

async fn metrics(system: Data<System>) -> HttpResponse {
    // While the store starts there is nothing to count, and the server is there all the same, not ready.
    let streams = system.get().and_then(|shown| shown.streams.upgrade());
    let snapshot = streams.map_or_else(Snapshot::default, |streams| streams.snapshot());
    HttpResponse::Ok().insert_header((CONTENT_TYPE, text::CONTENT_TYPE)).body(text::write(&snapshot))
}

/// The answer to a health check.
#[derive(Serialize)]
struct Health {
    ready: bool,
    /// What does not work.
    reasons: Vec<String>,
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { ready: true, reasons: Vec::new() })
}

async fn ready(system: Data<System>) -> HttpResponse {
    let reasons = match system.get() {
        None => vec!["the store is starting".to_owned()],
        Some(shown) => shown.streams.upgrade().map_or_else(|| vec!["the server is stopping".to_owned()], |streams| streams.not_ready()),
    };
    let health = Health { ready: reasons.is_empty(), reasons };
    let mut response = if health.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(health)
}

async fn nothing() -> HttpResponse {
    HttpResponse::NotFound().body("not found; there are /, /metrics, /health/live and /health/ready\n")
}
