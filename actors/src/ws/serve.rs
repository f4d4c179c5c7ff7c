//! A host's server and its streams, from start to signal.

use std::io;

use actix_web::dev::Server;
use actix_web::rt::signal::unix::{Signal, SignalKind, signal};

use crate::streams::Streams;

/// What asks a process to end.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

impl Streams {
    /// Runs the server of a host's application until SIGINT or SIGTERM comes, or the streams are [shut down](Self::shutdown), and ends both in order: the server
    /// takes no new connections, the streams are shut down while those that there are still served, so that clients are told to come back and leave handlers
    /// have run, and then the server ends, at the latest after its `shutdown_timeout`. With a second signal nothing is waited for any more.
    ///
    /// The server is one with [`disable_signals`](actix_web::HttpServer::disable_signals): with signals of its own it ends connections, and the actix system,
    /// before anybody is told. Its `shutdown_timeout` is longer than `drain` of the settings, as it is by default (30 s).
    ///
    /// ```no_run
    /// # use actix_web::{App, HttpServer};
    /// # use weir_actors::streams::Streams;
    /// # use weir_actors::ws::nodelay;
    /// # #[actix_web::main]
    /// # async fn main() -> std::io::Result<()> {
    /// # let streams = Streams::builder().start().await.map_err(std::io::Error::other)?;
    /// let live = streams.clone();
    /// let server = HttpServer::new(move || App::new().configure(live.routes()));
    /// let server = server.on_connect(nodelay).disable_signals().bind(("127.0.0.1", 8080))?;
    /// streams.serve(server.run()).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the server fails, no signal can be waited for, or an actor has [died](Self::failed).
    pub async fn serve(&self, mut server: Server) -> io::Result<()> {
        let mut signals = Signals::new()?;
        let failed = tokio::select! {
            ended = &mut server => {
                // By itself, so that nobody is left to be told.
                self.shutdown().await;
                return ended;
            }
            () = signals.next() => None,
            () = self.ended() => None,
            actor = self.failed() => Some(actor),
        };
        tracing::info!("closing");
        // It stops listening at once, and waits for its connections, which shutting down ends. Nobody waits for the answer: the server itself ends.
        drop(server.handle().stop(true));
        let ended = tokio::select! {
            (ended, ()) = async { tokio::join!(&mut server, self.shutdown()) } => ended,
            () = signals.next() => {
                tracing::warn!("a second signal; waiting for nothing");
                Ok(())
            }
        };
        match failed {
            Some(actor) => Err(io::Error::other(format!("the actor '{actor}' of the streams has died, see the log"))),
            None => ended,
        }
    }
}
