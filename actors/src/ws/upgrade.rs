//! Taking a connection over from the HTTP server, once its handshake is answered.

use std::convert::Infallible;
use std::io;
use std::rc::Rc;

use actix_codec::Framed;
use actix_http::body::{BodySize, to_bytes};
use actix_http::h1::{Codec, Message};
use actix_http::header::SEC_WEBSOCKET_PROTOCOL;
use actix_http::ws::handshake_response;
use actix_http::{Request, Response};
use actix_service::{ServiceFactory, fn_service};
use actix_web::HttpResponse;
use futures_util::SinkExt;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Port;
use super::request::protocol;
use crate::session::transport::{Incoming, Pump, Transport};

/// The service that actix-http hands requests for an upgrade to, each with its connection, which `transport` makes one of ours.
pub(super) fn service<P: Port, T: AsyncRead + AsyncWrite + Unpin + 'static>(
    port: &P,
    transport: fn(T) -> Transport,
) -> impl ServiceFactory<(Request, Framed<T, Codec>), Config = (), Response = (), Error = Infallible, InitError = (), Future: 'static> + use<P, T>
{
    let port = port.clone();
    fn_service(move |(request, framed): (Request, Framed<T, Codec>)| {
        let port = port.clone();
        async move {
            let answered = take_over(&port, &request, framed, transport).await;
            // It is there for as long as the connection lasts, and the rest is not.
            drop((port, request));
            match answered {
                Ok(Some(pump)) => pump.await,
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a connection ended while it was answered"),
            }
            Ok::<_, Infallible>(())
        }
    })
}

/// Answers a request; what then serves the connection, unless it was refused.
async fn take_over<P: Port, T: AsyncRead + AsyncWrite + Unpin + 'static>(
    port: &P,
    request: &Request,
    mut framed: Framed<T, Codec>,
    transport: fn(T) -> Transport,
) -> io::Result<Option<Pump>> {
    let accepted = match port.admit(request.head(), request.head().uri.path()).await {
        Ok(accepted) => accepted,
        Err(refusal) => return refuse(framed, refusal).await.map(|()| None),
    };
    let mut response = handshake_response(request.head());
    if let Some(header) = accepted.header {
        response.insert_header(header);
    }
    if let Some(protocol) = protocol(request.head()) {
        response.insert_header((SEC_WEBSOCKET_PROTOCOL, protocol));
    }
    framed.send(Message::Item((response.finish().drop_body(), BodySize::Stream))).await?;
    let parts = framed.into_parts();
    let transport = Rc::new(transport(parts.io));
    // A client need not wait for the answer.
    let first = Some(parts.read_buf.freeze()).filter(|first| !first.is_empty());
    let incoming = Incoming::new(transport.clone(), first);
    let outbox = accepted.session.start(accepted.limits, incoming, Some(transport.clone()));
    Ok(Some(Pump::new(transport, outbox, Some(accepted.permit))))
}

/// Answers with something else than an upgrade, and ends the connection.
async fn refuse<T: AsyncRead + AsyncWrite + Unpin>(mut framed: Framed<T, Codec>, refusal: HttpResponse) -> io::Result<()> {
    let (mut response, body) = refusal.into_parts();
    response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    let response = Response::from(response);
    let body = to_bytes(body).await.unwrap_or_default();
    framed.feed(Message::Item((response, BodySize::Sized(body.len() as u64)))).await?;
    // Closing does not flush what is encoded (actix-codec 0.5).
    framed.send(Message::Chunk(Some(body))).await?;
    framed.close().await
}
