//! The ports as routes of a host's own application, under whatever prefix, and beside what else it serves.

use actix_web::guard::GuardContext;
use actix_web::http::header::UPGRADE;
use actix_web::{HttpRequest, HttpResponse, Resource, guard, web};
use futures_util::{StreamExt, future};

use super::{Port, StreamPort, WorkerPort, accept, request};
use crate::session::Chunk;
use crate::session::body::Body;
use crate::streams::Streams;

/// What of a path is behind the prefix, in the pattern of a route.
const TAIL: &str = "tail";

impl Streams {
    /// The stream socket, for [`App::configure`](actix_web::App::configure) or [`Scope::configure`](actix_web::Scope::configure): clients connect to
    /// `…/stream/{stream}/{group}/`, or to `…/` and send `join`. Under a prefix, put it in a scope of its own; an own route for `/` goes before it.
    ///
    /// Call it inside the closure of `HttpServer::new`, so that each thread has what is its own. Turn on `TCP_NODELAY` with
    /// [`nodelay`], or small frames wait for the client's acknowledgements. Turn actix's own signals off (`disable_signals`) and run the server by
    /// [`serve`](Streams::serve): otherwise connections break, and nobody is told to come back, before the streams hear of the end. Once the streams stop, whoever
    /// connects is answered 503. The middleware that sees the handshake is the host's; TLS too.
    ///
    /// ```
    /// # use actix_web::{App, web};
    /// # fn app(streams: &weir_actors::streams::Streams) {
    /// let app = App::new().service(web::scope("/live").configure(streams.routes()));
    /// # }
    /// ```
    pub fn routes(&self) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
        let port = self.stream_port();
        move |config| {
            config.service(resource(&["/stream/{tail:.*}"], &port, "/stream/"));
            config.service(resource(&["", "/"], &port, "/").guard(guard::fn_guard(is_upgrade)));
        }
    }

    /// The worker socket, likewise: workers connect to `ws://host/PREFIX`. Whoever reaches it may read, write and serve everything, unless `token` of the
    /// settings says what a worker must show.
    pub fn worker_routes(&self) -> impl FnOnce(&mut web::ServiceConfig) + use<> {
        let port = self.worker_port();
        move |config| {
            config.service(resource(&["", "/{tail:.*}"], &port, "/").guard(guard::fn_guard(is_upgrade)));
        }
    }

    /// The stream port, for a server that gives its connections away after the handshake, see [`Port::upgrade`]. Call it once per thread.
    #[must_use]
    pub fn stream_port(&self) -> StreamPort {
        StreamPort::new(self.registry(), self.client_connections())
    }

    /// The worker port, likewise.
    #[must_use]
    pub fn worker_port(&self) -> WorkerPort {
        WorkerPort::new(self.registry(), self.worker_connections())
    }
}

/// Has small frames sent at once, for [`HttpServer::on_connect`](actix_web::HttpServer::on_connect): actix leaves Nagle's algorithm on.
pub fn nodelay(connection: &dyn std::any::Any, _: &mut actix_web::dev::Extensions) {
    let stream = connection.downcast_ref::<actix_web::rt::net::TcpStream>();
    // Of no connection that can be told anything; it is slower then, and works.
    let _ = stream.map(|stream| stream.set_nodelay(true));
}

fn is_upgrade(context: &GuardContext<'_>) -> bool {
    context.head().headers().get(UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn resource<P: Port>(patterns: &[&str], port: &P, before: &'static str) -> Resource {
    let port = port.clone();
    let handler = move |request: HttpRequest, payload: web::Payload| {
        let (port, path) = (port.clone(), path(&request, before));
        async move { answer(&port, &request, &path, payload).await }
    };
    web::resource(patterns.to_vec()).to(handler)
}

/// The path as the client wrote it, without the prefix: actix-web has decoded what it shows, a slash apart, and names are to be decoded one by one.
fn path(request: &HttpRequest, before: &str) -> String {
    let segments = request.match_info().get(TAIL).map_or(0, |tail| tail.split('/').count());
    let raw = request.head().uri.path();
    let bytes = raw.rsplit('/').take(segments).map(|segment| segment.len() + 1).sum::<usize>().saturating_sub(1);
    let tail = raw.get(raw.len().saturating_sub(bytes)..).unwrap_or_default();
    format!("{before}{tail}")
}

/// Answers a request, with a WebSocket where it asks for one and may have it.
pub(super) async fn answer<P: Port>(port: &P, request: &HttpRequest, path: &str, payload: web::Payload) -> HttpResponse {
    let accepted = match port.admit(request.head(), path).await {
        Ok(accepted) => accepted,
        Err(refusal) => return refusal,
    };
    let protocol = request::protocol(request.head()).unwrap_or_default();
    let mut response = match actix_web_actors::ws::handshake_with_protocols(request, &[protocol]) {
        Ok(response) => response,
        Err(error) => return accept::refusal(error),
    };
    if let Some(header) = accepted.header {
        response.insert_header(header);
    }
    let incoming = payload.scan((), |(), chunk| future::ready(chunk.ok().map(Chunk)));
    let outbox = accepted.session.start(accepted.limits, incoming, None);
    response.streaming(Body::new(outbox, Some(accepted.permit)))
}
