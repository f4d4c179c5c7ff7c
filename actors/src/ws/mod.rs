//! The two WebSocket ports: handshake, addresses, and the way from a request to a session.
//!
//! Each port is there twice: as routes of a host's actix-web application, where a response body carries what is sent, and as a service for upgrades of an
//! actix-http server, which gives the connection away after the handshake; the latter costs less, see [`transport`](crate::session::transport).
//!
//! The only module that uses actix-web, actix-http and actix-web-actors; of the last, the handshake. Its codec checks a frame's size after it has
//! buffered the frame, joins no continuations and answers no pings, so frames are read by [`frame`](crate::frame).

mod accept;
mod request;
mod routes;
mod serve;
mod stream_port;
mod upgrade;
mod worker_port;

use std::convert::Infallible;
use std::future::Future;

use actix_codec::Framed;
use actix_http::h1::Codec;
use actix_http::{Request, RequestHead};
use actix_service::ServiceFactory;
use actix_web::{HttpRequest, HttpResponse, Route, web};
use tokio::io::{AsyncRead, AsyncWrite};

pub use request::shows;
pub use routes::nodelay;
pub use stream_port::StreamPort;
pub use worker_port::WorkerPort;

pub use crate::session::transport::Transport;
use accept::Accepted;

/// What is asked of whoever wants to connect.
pub trait Port: Clone + 'static {
    /// Lets a request for `path` in, or answers it.
    #[doc(hidden)]
    fn admit(&self, request: &RequestHead, path: &str) -> impl Future<Output = Result<Accepted, HttpResponse>>;

    /// Serves the port as a whole application.
    fn configure(&self, config: &mut web::ServiceConfig);

    /// The service for upgrades of an actix-http server: `transport` makes its connections ours. It takes all WebSockets; other requests go to what
    /// the server serves beside it.
    fn upgrade<T: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        transport: fn(T) -> Transport,
    ) -> impl ServiceFactory<(Request, Framed<T, Codec>), Config = (), Response = (), Error = Infallible, InitError = (), Future: 'static>
    + use<Self, T> {
        upgrade::service(self, transport)
    }
}

/// A route that answers every request for the port, with a WebSocket where it asks for one.
fn route<P: Port>(port: &P) -> Route {
    let port = port.clone();
    web::to(move |request: HttpRequest, payload: web::Payload| {
        let port = port.clone();
        async move { routes::answer(&port, &request, request.head().uri.path(), payload).await }
    })
}
