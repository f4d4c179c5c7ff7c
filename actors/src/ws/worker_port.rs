//! The worker port: who may come in.

use std::rc::Rc;
use std::sync::Arc;

use actix_http::RequestHead;
use actix_http::header::{HeaderName, HeaderValue};
use actix_web::{HttpResponse, web};

use super::Port;
use super::accept::{Accepted, Session, stopping, verify};
use super::request::shows;
use crate::functions::Registry;
use crate::group::local::Local;
use crate::metrics::limit::Limit;
use crate::session::{Connections, Permit};

/// The worker port of one HTTP worker thread.
#[derive(Clone)]
pub struct WorkerPort {
    local: Rc<Local>,
    connections: Arc<Connections>,
}

impl WorkerPort {
    /// Sets up what is this thread's own; call it once per thread.
    #[must_use]
    pub fn new(registry: &Arc<Registry>, connections: &Arc<Connections>) -> Self {
        Self { local: Local::new(registry.clone()), connections: connections.clone() }
    }
}

impl Port for WorkerPort {
    /// Serves workers on every path.
    fn configure(&self, config: &mut web::ServiceConfig) {
        config.default_service(super::route(self));
    }

    async fn admit(&self, request: &RequestHead, path: &str) -> Result<Accepted, HttpResponse> {
        let settings = &self.local.registry.settings.worker;
        if let Some(token) = &self.local.registry.guards.read().token
            && !shows(request, token)
        {
            let address = request.peer_addr.map(|address| address.ip());
            tracing::warn!(
                address = address.map(tracing::field::display),
                "worker refused: it does not show the `token` of the worker port"
            );
            return Err(HttpResponse::Unauthorized().insert_header(("WWW-Authenticate", "Bearer")).body(
                "unauthorized; show the `token` of the worker port: append ?token=TOKEN to the URL, or send Authorization: Bearer TOKEN\n",
            ));
        }
        if path.starts_with("/stream/") || path.contains("/ws/channels/") {
            return Err(HttpResponse::NotFound().body("not found; this is the worker port\n"));
        }
        verify(request)?;
        if !self.local.registry.health.admits_workers() {
            return Err(stopping());
        }
        let Ok(permit) = Permit::take(&self.connections, None, (settings.max_connections, usize::MAX)) else {
            self.local.registry.metrics.limit(Limit::WorkerConnections);
            tracing::warn!(limit = settings.max_connections, "worker refused: `max_connections` of the worker module is reached");
            return Err(HttpResponse::ServiceUnavailable()
                .insert_header(("Retry-After", "5"))
                .body("too many connections of workers; close some, or raise `max_connections` of the worker module\n"));
        };
        // Appended by the SDKs to whatever path they were given.
        let session = if path.ends_with("/otel") {
            let stream = &self.local.registry.settings.stream;
            Session::Telemetry(self.local.registry.metrics.clone(), (stream.ping_interval, stream.idle_timeout))
        } else {
            let Some(store) = self.local.registry.store().cloned() else {
                return Err(HttpResponse::ServiceUnavailable().body("the server is starting; try again\n"));
            };
            let address = request.peer_addr.map_or_else(String::new, |addr| addr.ip().to_string());
            Session::Worker { local: self.local.clone(), address, store }
        };
        // Published Rust SDKs (0.25) turn Nagle's algorithm off only for a server that says so.
        let header = Some((HeaderName::from_static("x-iii-capabilities"), HeaderValue::from_static("tcp-nodelay")));
        Ok(Accepted { session, limits: (settings.max_message_bytes, settings.outbox_bytes), permit, header })
    }
}
