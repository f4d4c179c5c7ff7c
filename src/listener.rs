//! A port on which actix-http answers requests, and gives the connections away that become WebSockets.

use std::net::TcpListener;
use std::time::Duration;

use actix_http::HttpService;
use actix_server::Server;
use actix_service::map_config;
use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::App;
use actix_web::dev::AppConfig;
use actix_web::rt::net::TcpStream;
use rustls::ServerConfig;
use weir_actors::ws::{Port, Transport};

/// A port that listens.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<ServerConfig>,
    /// One per processor, unless said otherwise.
    pub(crate) threads: Option<usize>,
    /// How many WebSockets the port allows.
    pub(crate) max_connections: usize,
    /// How long a peer may take nothing of what it is sent.
    pub(crate) write_deadline: Duration,
}

impl Listener {
    /// Serves; `port` is called on every thread.
    ///
    /// # Errors
    /// Where the operating system refuses.
    pub(crate) fn serve<P: Port>(self, name: &str, port: impl Fn() -> P + Send + Clone + 'static) -> std::io::Result<Server> {
        let Self { socket, tls, threads, max_connections, write_deadline } = self;
        let max_connections = beyond(max_connections);
        let mut server = Server::build().max_concurrent_connections(max_connections).disable_signals();
        if let Some(threads) = threads {
            server = server.workers(threads);
        }
        // An application answers what is no WebSocket.
        let application = |port: P| map_config(App::new().configure(move |config| port.configure(config)), |()| AppConfig::default());
        let server = match tls {
            None => server.listen(name, socket, move || {
                let port = port();
                HttpService::build()
                    .on_connect_ext(move |stream: &TcpStream, _| prepare(stream, write_deadline))
                    .upgrade(port.upgrade(Transport::tcp))
                    .h1(application(port))
                    .tcp()
            })?,
            Some(tls) => {
                // Those in a TLS handshake; the first few who do not finish theirs must not keep the others out.
                actix_tls::accept::max_concurrent_tls_connect(max_connections);
                server.listen(name, socket, move || {
                    let port = port();
                    HttpService::build()
                        .on_connect_ext(move |stream: &TlsStream<TcpStream>, _| prepare(stream.get_ref().0, write_deadline))
                        .upgrade(port.upgrade(Transport::other))
                        .h1(application(port))
                        .rustls_0_23(tls.clone())
                })?
            }
        };
        Ok(server.run())
    }
}

/// How many connections actix-web may take where so many WebSockets are allowed: those that are one too many want an answer, and so do health checks.
fn beyond(max_connections: usize) -> usize {
    max_connections.saturating_add(1_000)
}

/// Has the kernel send what is written at once, and end a connection whose peer takes nothing for so long of what it is sent, a closed window
/// included: nobody else would where a write is blocked, so a client that stops reading would be kept for ever.
fn prepare(stream: &TcpStream, write_deadline: Duration) {
    let socket = socket2::SockRef::from(stream);
    if let Err(error) = socket.set_tcp_nodelay(true).and_then(|()| socket.set_tcp_user_timeout(Some(write_deadline))) {
        tracing::warn!(%error, "cannot set TCP_NODELAY and TCP_USER_TIMEOUT");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[actix_rt::test]
    async fn accepted_socket_gives_up_on_silence_and_sends_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        accepted.set_nonblocking(true).unwrap();
        let accepted = TcpStream::from_std(accepted).unwrap();
        prepare(&accepted, Duration::from_secs(30));
        let socket = socket2::SockRef::from(&accepted);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
        assert!(socket.tcp_nodelay().unwrap());
    }
}
