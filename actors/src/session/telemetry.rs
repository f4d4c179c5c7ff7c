//! A worker's telemetry exporter on `/otel`: accepted, because published SDKs retry for ever where it is not, and discarded.
//!
//! - *Owns* its socket.
//! - *Receives* bytes off the socket ([`Chunk`]), and [`Shut`] from the outbox.
//! - *Sends* nothing but pongs.
//! - *Bounded by* `max_message_bytes` in.

use std::time::Duration;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, StreamHandler};

use super::Chunk;
use super::outbox::Shut;
use super::socket::{LINGER, Liveness, Socket};

/// See the [module](self).
pub struct TelemetrySession {
    socket: Socket,
    liveness: (Duration, Duration),
}

impl TelemetrySession {
    /// A session for an accepted socket, pinged in the interval that comes first and given up after a silence of the second.
    #[must_use]
    pub fn new(socket: Socket, liveness: (Duration, Duration)) -> Self {
        Self { socket, liveness }
    }

    fn look(&mut self, ctx: &mut Context<Self>) {
        let (ping_interval, idle_timeout) = self.liveness;
        match self.socket.check(ping_interval, idle_timeout) {
            Liveness::Alive(next) => drop(ctx.run_later(next, Self::look)),
            Liveness::Dead => {
                self.socket.give_up();
                ctx.stop();
            }
        }
    }
}

impl Actor for TelemetrySession {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_later(self.liveness.0, Self::look);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.socket.outbox.end();
    }
}

impl StreamHandler<Chunk> for TelemetrySession {
    fn handle(&mut self, Chunk(bytes): Chunk, ctx: &mut Self::Context) {
        self.socket.feed(bytes);
        while self.socket.receive().is_some() {}
        if self.socket.is_closing() {
            ctx.run_later(LINGER, |_, ctx| ctx.stop());
        }
    }

    fn finished(&mut self, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<Shut> for TelemetrySession {
    type Result = ();

    fn handle(&mut self, _: Shut, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
