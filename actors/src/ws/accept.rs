//! A connection that may come in: what is checked of every handshake, and the session that is started for it.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix::{Addr, AsyncContext, Context};
use actix_http::RequestHead;
use actix_http::header::{HeaderName, HeaderValue};
use actix_http::ws::{HandshakeError, verify_handshake};
use actix_web::HttpResponse;
use futures_util::Stream;
use parking_lot::RwLock;
use uuid::Uuid;

use crate::clock;
use crate::functions::Worker;
use crate::functions::unread::Unread;
use crate::group::local::Local;
use crate::metrics::Metrics;
use crate::metrics::peer::{Counted, Peer};
use crate::session::gate::Gate;
use crate::session::outbox::OutboxRef;
use crate::session::socket::Socket;
use crate::session::subscriber::{Entrance, SubscriberSession};
use crate::session::telemetry::TelemetrySession;
use crate::session::transport::Transport;
use crate::session::worker::WorkerSession;
use crate::session::{Chunk, Permit, start};
use crate::store::Store;

/// A connection that may come in: what a [`Port`](super::Port) says of a request.
pub struct Accepted {
    pub(super) session: Session,
    /// The largest message, and how many bytes may wait for the peer.
    pub(super) limits: (usize, usize),
    pub(super) permit: Permit,
    /// Something that the answer says beside the handshake.
    pub(super) header: Option<(HeaderName, HeaderValue)>,
}

/// Whose session it is to be.
pub(super) enum Session {
    Subscriber(Rc<Local>, Box<Entrance>),
    Worker {
        local: Rc<Local>,
        address: String,
        store: Addr<Store>,
    },
    /// With the interval of pings and the time of silence after which it ends.
    Telemetry(Arc<Metrics>, (Duration, Duration)),
}

impl Session {
    /// Starts the session on this thread, with what comes over its connection; what it sends is put in the outbox.
    pub(super) fn start(
        self,
        limits: (usize, usize),
        incoming: impl Stream<Item = Chunk> + 'static,
        transport: Option<Rc<Transport>>,
    ) -> OutboxRef {
        match self {
            Self::Subscriber(local, entrance) => {
                let counted = Counted::new(local.registry.metrics.clone(), Peer::Subscriber);
                start(incoming, transport, limits, counted, move |socket, _| SubscriberSession::new(socket, local, *entrance))
            }
            Self::Telemetry(metrics, liveness) => {
                let counted = Counted::new(metrics, Peer::Telemetry);
                start(incoming, transport, limits, counted, move |socket, _| TelemetrySession::new(socket, liveness))
            }
            Self::Worker { local, address, store } => {
                let counted = Counted::new(local.registry.metrics.clone(), Peer::Worker);
                let gate = Rc::<Gate>::default();
                let incoming = gate.before(incoming);
                let session = move |socket: Socket, ctx: &mut Context<WorkerSession>| {
                    let me = Arc::new(Worker {
                        id: Uuid::new_v4().hyphenated().to_string(),
                        reattach_token: Uuid::new_v4().simple().to_string(),
                        socket: socket.id,
                        address,
                        connected_at: clock::wall(),
                        details: RwLock::default(),
                        in_flight: AtomicUsize::new(0),
                        unread: Unread::new(limits.1),
                        session: ctx.address().recipient(),
                    });
                    WorkerSession::new(socket, local, me, store, gate)
                };
                start(incoming, transport, limits, counted, session)
            }
        }
    }
}

/// Says what is wrong with a handshake, if something is.
#[expect(clippy::result_large_err, reason = "once per connection")]
pub(super) fn verify(request: &RequestHead) -> Result<(), HttpResponse> {
    verify_handshake(request).map_err(refusal)
}

/// The answer to whoever comes while the system stops: in an application that goes on serving, it is the only one that does not.
pub(super) fn stopping() -> HttpResponse {
    HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "5")).body("the streams are stopping; try again later\n")
}

/// The answer to a handshake that is none.
pub(super) fn refusal(error: HandshakeError) -> HttpResponse {
    let text = format!("{error}; this is a WebSocket port\n");
    match error {
        HandshakeError::UnsupportedVersion | HandshakeError::NoVersionHeader => {
            HttpResponse::UpgradeRequired().insert_header(("Sec-WebSocket-Version", "13")).body(text)
        }
        HandshakeError::NoWebsocketUpgrade | HandshakeError::NoConnectionUpgrade => {
            HttpResponse::UpgradeRequired().insert_header(("Upgrade", "websocket")).body(text)
        }
        HandshakeError::GetMethodRequired => HttpResponse::MethodNotAllowed().insert_header(("Allow", "GET")).body(text),
        _ => HttpResponse::BadRequest().body(text),
    }
}
