//! The stream port: who may come in, and the health checks.

use std::rc::Rc;
use std::sync::Arc;

use actix_http::RequestHead;
use actix_http::header::{HOST, HeaderName, ORIGIN};
use actix_web::{HttpResponse, web};
use futures_util::future;
use serde::Serialize;

use super::Port;
use super::accept::{Accepted, Session, stopping, verify};
use super::request::{address, auth_input};
use crate::auth::{Grant, authorize};
use crate::error::CloseCode;
use crate::functions::Registry;
use crate::group::local::Local;
use crate::metrics::limit::Limit;
use crate::origin;
use crate::session::subscriber::Entrance;
use crate::session::{Connections, Full, Permit};
use crate::settings::AuthRefusal;

/// The stream port of one HTTP worker thread.
#[derive(Clone)]
pub struct StreamPort {
    local: Rc<Local>,
    connections: Arc<Connections>,
}

impl StreamPort {
    /// Sets up what is this thread's own; call it once per thread.
    #[must_use]
    pub fn new(registry: &Arc<Registry>, connections: &Arc<Connections>) -> Self {
        Self { local: Local::new(registry.clone()), connections: connections.clone() }
    }
}

impl Port for StreamPort {
    /// Serves health checks, and WebSockets on every other path.
    fn configure(&self, config: &mut web::ServiceConfig) {
        let live = || future::ready(HttpResponse::Ok().json(Ready::of(Vec::new())));
        let registry = self.local.registry.clone();
        let ready = move || future::ready(ready(&registry));
        // Some who check ask for the head alone.
        config.service(web::resource("/health/live").route(web::get().to(live)).route(web::head().to(live)));
        config.service(web::resource("/health/ready").route(web::get().to(ready.clone())).route(web::head().to(ready)));
        config.default_service(super::route(self));
    }

    async fn admit(&self, request: &RequestHead, path: &str) -> Result<Accepted, HttpResponse> {
        // The path as the client wrote it: names are decoded one by one, so that an encoded slash stays part of its name.
        let Some(subscribe) = address(path) else {
            let text = "not found; connect a WebSocket to /stream/{stream}/{group}/, or to / and send `join`\n";
            return Err(HttpResponse::NotFound().body(text));
        };
        if !self.local.registry.health.admits_clients() {
            return Err(stopping());
        }
        let settings = &self.local.registry.settings.stream;
        // An `Origin` that is no text is one that nobody has listed.
        let header = |name: HeaderName| request.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        if !origin::admits(self.local.registry.guards.read().allowed_origins.as_ref(), header(ORIGIN), header(HOST)) {
            tracing::warn!(origin = header(ORIGIN), host = header(HOST), "connection refused: `allowed_origins` does not have the page's");
            return Err(
                HttpResponse::Forbidden().body("pages of this origin may not connect; set `allowed_origins` of the stream module\n")
            );
        }
        verify(request)?;
        let metrics = &self.local.registry.metrics;
        if let Some((group, item)) = &subscribe {
            let longest = group.stream().len().max(group.group().len()).max(item.as_ref().map_or(0, |item| item.as_str().len()));
            if longest > settings.max_name_bytes {
                metrics.limit(Limit::Name);
                return Err(
                    HttpResponse::UriTooLong().body(format!("a name has {longest} bytes; the limit is {}\n", settings.max_name_bytes))
                );
            }
        }
        let address = request.peer_addr.map(|address| address.ip());
        let permit = match Permit::take(&self.connections, address, (settings.max_connections, settings.max_connections_per_address)) {
            Ok(permit) => permit,
            Err(Full::Server) => {
                metrics.limit(Limit::StreamConnections);
                tracing::warn!(limit = settings.max_connections, "connection refused: `max_connections` is reached");
                return Err(HttpResponse::ServiceUnavailable()
                    .insert_header(("Retry-After", "5"))
                    .body("too many connections; try again later\n"));
            }
            Err(Full::Address) => {
                metrics.limit(Limit::StreamAddress);
                tracing::debug!(?address, "connection refused: `max_connections_per_address` is reached");
                return Err(HttpResponse::TooManyRequests()
                    .insert_header(("Retry-After", "5"))
                    .body("too many connections from your address; close some, or try again later\n"));
            }
        };
        let input = auth_input(request);
        let (grant, refused) = match authorize(&self.local.registry, &input).await {
            Ok(grant) => (grant, None),
            Err(code) if settings.auth_refusal == AuthRefusal::Http => {
                return Err(match code {
                    CloseCode::Unauthorized => HttpResponse::Unauthorized().body("unauthorized\n"),
                    _ => HttpResponse::ServiceUnavailable().body("the auth function is not available\n"),
                });
            }
            Err(code) => (Grant::default(), Some(code)),
        };
        let entrance = Entrance { grant, input, address: request.peer_addr, subscribe, refused };
        Ok(Accepted {
            session: Session::Subscriber(self.local.clone(), Box::new(entrance)),
            limits: (settings.max_message_bytes, settings.outbox_bytes),
            permit,
            header: None,
        })
    }
}

/// The answer to a health check.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    /// What does not work.
    reasons: Vec<String>,
}

impl Ready {
    fn of(reasons: Vec<String>) -> Self {
        Self { ready: reasons.is_empty(), reasons }
    }
}

/// 200 where everything works, and 503 where a load balancer should send clients to another node.
fn ready(registry: &Registry) -> HttpResponse {
    let ready = Ready::of(registry.not_ready());
    let mut response = if ready.ready { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    response.json(ready)
}
