//! The two WebSocket ports as actix-web routes: handshake, addresses, and the way from a request to a session.
//!
//! The only file that uses actix-web and actix-web-actors; of the latter, the handshake. Its codec checks a frame's size after it has
//! buffered the frame, joins no continuations and answers no pings, so frames are read by [`frame`](crate::frame).

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use actix::{Actor, AsyncContext, Context};
use actix_web::http::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use futures_util::{StreamExt, future};
use parking_lot::RwLock;
use serde::Serialize;
use uuid::Uuid;

use crate::auth::{AuthInput, Grant, authorize};
use crate::clock;
use crate::error::CloseCode;
use crate::functions::{Registry, Worker};
use crate::group::local::Local;
use crate::ids::{GroupKey, Name, SocketId};
use crate::origin;
use crate::session::outbox::{OutboxBody, OutboxRef, Shut};
use crate::session::socket::Socket;
use crate::session::subscriber::{Entrance, SubscriberSession};
use crate::session::telemetry::TelemetrySession;
use crate::session::worker::WorkerSession;
use crate::session::{Chunk, Connections, Full, Permit};
use crate::settings::AuthRefusal;
use crate::token::Token;

/// Serves the stream port: health checks, and WebSockets on every other path. Call it once per HTTP worker thread; what it sets up is that
/// thread's own.
pub fn stream_port(registry: &Arc<Registry>, connections: &Arc<Connections>) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let (local, connections) = (Local::new(registry.clone()), connections.clone());
    move |config| {
        let registry = local.registry.clone();
        config.route("/health/live", web::get().to(|| future::ready(HttpResponse::Ok().json(Ready::of(Vec::new())))));
        config.route("/health/ready", web::get().to(move || future::ready(ready(&registry))));
        let handler = move |request: HttpRequest, payload: web::Payload| subscribe(local.clone(), connections.clone(), request, payload);
        config.default_service(web::to(handler));
    }
}

/// Serves the worker port on every path. Call it once per HTTP worker thread.
pub fn worker_port(registry: &Arc<Registry>, connections: &Arc<Connections>) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
    let (local, connections) = (Local::new(registry.clone()), connections.clone());
    move |config| {
        let handler = move |request: HttpRequest, payload: web::Payload| future::ready(connect(&local, &connections, &request, payload));
        config.default_service(web::to(handler));
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

async fn subscribe(local: Rc<Local>, connections: Arc<Connections>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    // The path as the client wrote it: names are decoded one by one, so that an encoded slash stays part of its name.
    let Some(subscribe) = address(request.uri().path()) else {
        return HttpResponse::NotFound().body("not found; connect a WebSocket to /stream/{stream}/{group}/, or to / and send `join`\n");
    };
    let settings = &local.registry.settings.stream;
    // An `Origin` that is no text is one that nobody has listed.
    let header = |name: HeaderName| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if !origin::admits(local.registry.guards.read().allowed_origins.as_ref(), header(ORIGIN), header(HOST)) {
        tracing::warn!(origin = header(ORIGIN), host = header(HOST), "connection refused: `allowed_origins` does not have the page's");
        return HttpResponse::Forbidden().body("pages of this origin may not connect; set `allowed_origins` of the stream module\n");
    }
    let mut response = match handshake(&request) {
        Ok(response) => response,
        Err(refusal) => return refusal,
    };
    if let Some((group, item)) = &subscribe {
        let longest = group.stream().len().max(group.group().len()).max(item.as_ref().map_or(0, |item| item.as_str().len()));
        if longest > settings.max_name_bytes {
            return HttpResponse::UriTooLong().body(format!("a name has {longest} bytes; the limit is {}\n", settings.max_name_bytes));
        }
    }
    let address = request.peer_addr().map(|address| address.ip());
    let permit = match Permit::take(&connections, address, (settings.max_connections, settings.max_connections_per_address)) {
        Ok(permit) => permit,
        Err(Full::Server) => {
            tracing::warn!(limit = settings.max_connections, "connection refused: `max_connections` is reached");
            return HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "5")).body("too many connections; try again later\n");
        }
        Err(Full::Address) => {
            tracing::debug!(?address, "connection refused: `max_connections_per_address` is reached");
            return HttpResponse::TooManyRequests()
                .insert_header(("Retry-After", "5"))
                .body("too many connections from your address; close some, or try again later\n");
        }
    };
    let input = auth_input(&request);
    let (grant, refused) = match authorize(&local.registry, &input).await {
        Ok(grant) => (grant, None),
        Err(code) if settings.auth_refusal == AuthRefusal::Http => {
            return match code {
                CloseCode::Unauthorized => HttpResponse::Unauthorized().body("unauthorized\n"),
                _ => HttpResponse::ServiceUnavailable().body("the auth function is not available\n"),
            };
        }
        Err(code) => (Grant::default(), Some(code)),
    };
    let entrance = Entrance { grant, input, subscribe, refused };
    let limits = (settings.max_message_bytes, settings.outbox_bytes);
    response.streaming(start(payload, limits, Some(permit), move |socket, _| SubscriberSession::new(socket, local, entrance)))
}

fn connect(local: &Rc<Local>, connections: &Arc<Connections>, request: &HttpRequest, payload: web::Payload) -> HttpResponse {
    let settings = &local.registry.settings.worker;
    if let Some(token) = &local.registry.guards.read().token
        && !shows(request, token)
    {
        let address = request.peer_addr().map(|address| address.ip());
        tracing::warn!(address = address.map(tracing::field::display), "worker refused: it does not show the `token` of the worker port");
        return HttpResponse::Unauthorized().insert_header(("WWW-Authenticate", "Bearer")).body(
            "unauthorized; show the `token` of the worker port: append ?token=TOKEN to the URL, or send Authorization: Bearer TOKEN\n",
        );
    }
    let path = request.path();
    if path.starts_with("/stream/") || path.contains("/ws/channels/") {
        return HttpResponse::NotFound().body("not found; this is the worker port\n");
    }
    let mut response = match handshake(request) {
        Ok(response) => response,
        Err(refusal) => return refusal,
    };
    let Ok(permit) = Permit::take(connections, None, (settings.max_connections, usize::MAX)) else {
        tracing::warn!(limit = settings.max_connections, "worker refused: `max_connections` of the worker module is reached");
        return HttpResponse::ServiceUnavailable()
            .insert_header(("Retry-After", "5"))
            .body("too many connections of workers; close some, or raise `max_connections` of the worker module\n");
    };
    // Published Rust SDKs (0.25) turn Nagle's algorithm off only for a server that says so.
    response.insert_header(("x-iii-capabilities", "tcp-nodelay"));
    let limits = (settings.max_message_bytes, settings.outbox_bytes);
    // Appended by the SDKs to whatever path they were given.
    if path.ends_with("/otel") {
        let liveness = (local.registry.settings.stream.ping_interval, local.registry.settings.stream.idle_timeout);
        return response.streaming(start(payload, limits, Some(permit), move |socket, _| TelemetrySession::new(socket, liveness)));
    }
    let Some(store) = local.registry.store().cloned() else {
        return HttpResponse::ServiceUnavailable().body("the server is starting; try again\n");
    };
    let address = request.peer_addr().map_or_else(String::new, |addr| addr.ip().to_string());
    let local = local.clone();
    let session = move |socket: Socket, ctx: &mut Context<WorkerSession>| {
        let me = Arc::new(Worker {
            id: Uuid::new_v4().hyphenated().to_string(),
            reattach_token: Uuid::new_v4().simple().to_string(),
            socket: socket.id,
            address,
            connected_at: clock::wall(),
            details: RwLock::default(),
            in_flight: AtomicUsize::new(0),
            session: ctx.address().recipient(),
        });
        WorkerSession::new(socket, local, me, store)
    };
    response.streaming(start(payload, limits, Some(permit), session))
}

/// Whether a worker shows `token`, in a header or in the URL, where published SDKs can be given it.
fn shows(request: &HttpRequest, token: &Token) -> bool {
    let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
    let in_header = bearer.is_some_and(|(scheme, shown)| scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(shown.trim_ascii()));
    let in_url = |pair: &str| {
        let shown = pair.strip_prefix("token=");
        shown.is_some_and(|shown| token.is(&percent_encoding::percent_decode_str(shown).collect::<Vec<_>>()))
    };
    in_header || request.query_string().split('&').any(in_url)
}

/// Starts a session on this thread; what it returns is the response body that carries the session's frames.
fn start<A>(
    payload: web::Payload,
    (max_message_bytes, outbox_bytes): (usize, usize),
    permit: Option<Permit>,
    session: impl FnOnce(Socket, &mut Context<A>) -> A,
) -> OutboxBody
where
    A: Actor<Context = Context<A>> + actix::StreamHandler<Chunk> + actix::Handler<Shut>,
{
    let id = SocketId::next();
    let mut body = None;
    A::create(|ctx| {
        let outbox = OutboxRef::new(id, outbox_bytes, ctx.address().recipient());
        body = Some(outbox.body(permit));
        ctx.add_stream(payload.scan((), |(), chunk| future::ready(chunk.ok().map(Chunk))));
        session(Socket::new(id, outbox, max_message_bytes), ctx)
    });
    // `create` runs its closure before it returns.
    body.unwrap_or_else(OutboxBody::ended)
}

/// Answers the handshake, or says what is wrong with it.
#[expect(clippy::result_large_err, reason = "once per connection")]
fn handshake(request: &HttpRequest) -> Result<HttpResponseBuilder, HttpResponse> {
    // Browsers fail a connection whose offers are not answered by one of them. The first: the second is a token, which logs must not see.
    let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let first = offered.and_then(|value| value.split(',').next()).map(str::trim).unwrap_or_default();
    actix_web_actors::ws::handshake_with_protocols(request, &[first]).map_err(|error| {
        let text = format!("{error}; this is a WebSocket port\n");
        match error {
            actix_web_actors::ws::HandshakeError::UnsupportedVersion | actix_web_actors::ws::HandshakeError::NoVersionHeader => {
                HttpResponse::UpgradeRequired().insert_header(("Sec-WebSocket-Version", "13")).body(text)
            }
            actix_web_actors::ws::HandshakeError::NoWebsocketUpgrade | actix_web_actors::ws::HandshakeError::NoConnectionUpgrade => {
                HttpResponse::UpgradeRequired().insert_header(("Upgrade", "websocket")).body(text)
            }
            actix_web_actors::ws::HandshakeError::GetMethodRequired => {
                HttpResponse::MethodNotAllowed().insert_header(("Allow", "GET")).body(text)
            }
            _ => HttpResponse::BadRequest().body(text),
        }
    })
}

/// What a path subscribes to: `Some(None)` for `/`, `None` for a path that is not served.
fn address(path: &str) -> Option<Option<(GroupKey, Option<Name>)>> {
    if path == "/" || path.is_empty() {
        return Some(None);
    }
    let names = path.strip_prefix("/stream/")?;
    let names = names.strip_suffix('/').unwrap_or(names);
    let names: Vec<String> = names.split('/').map(decode).collect::<Option<_>>()?;
    match &names[..] {
        [stream, group] => Some(Some((GroupKey::new(stream, group), None))),
        // An empty item name means the whole group, as in a `join`.
        [stream, group, item] => {
            Some(Some((GroupKey::new(stream, group), Some(item.as_str()).filter(|item| !item.is_empty()).map(Name::from))))
        }
        _ => None,
    }
}

/// Percent-decodes one segment; `None` where the result is not UTF-8.
fn decode(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

fn auth_input(request: &HttpRequest) -> AuthInput {
    let mut query_params = std::collections::BTreeMap::<String, Vec<String>>::new();
    for pair in request.query_string().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // What is not UTF-8 after decoding is handed over as it came.
        let decoded = |text: &str| decode(text).unwrap_or_else(|| text.to_owned());
        if !name.is_empty() {
            query_params.entry(decoded(name)).or_default().push(decoded(value));
        }
    }
    AuthInput {
        headers: headers(request.headers()),
        path: request.uri().path().to_owned(),
        query_params,
        addr: request.peer_addr().map_or_else(String::new, |addr| addr.to_string()),
    }
}

fn headers(map: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    let mut headers = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in map {
        let Ok(value) = value.to_str() else { continue };
        headers
            .entry(name.as_str().to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(stream: &str, group: &str) -> Option<Option<(GroupKey, Option<Name>)>> {
        Some(Some((GroupKey::new(stream, group), None)))
    }

    #[test]
    fn group_address_takes_a_last_slash_or_none() {
        assert_eq!(address("/"), Some(None));
        assert_eq!(address("/stream/a/b/"), group("a", "b"));
        assert_eq!(address("/stream/a/b"), group("a", "b"));
        assert_eq!(address("/stream/a/b/c"), Some(Some((GroupKey::new("a", "b"), Some("c".into())))));
        assert_eq!(address("/stream/a/b/c/"), address("/stream/a/b/c"));
    }

    #[test]
    fn names_are_decoded_one_by_one() {
        assert_eq!(address("/stream/a%2Fb/c%20d%25/"), group("a/b", "c d%"));
        assert_eq!(address("/stream/%F0%9F%98%80/../"), group("😀", ".."));
        assert_eq!(address("/stream/%FF/b/"), None);
    }

    #[test]
    fn other_addresses_are_not_served() {
        for path in ["/stream", "/stream/a", "/stream/a/b/c/d", "/other", "/stream/"] {
            assert_eq!(address(path), None, "{path}");
        }
    }
}
