//! How far a worker's socket is read: while the store is full, or its answers are not read, no further.

use std::time::Duration;

use actix::{ActorContext, AsyncContext, Context};

use super::{PAUSE, WorkerSession};
use crate::session::socket::{Data, LINGER};
use crate::wire::worker as wire;

/// Why the socket is not read on.
pub(super) enum Wait {
    /// It is tried again after so long.
    For(Duration),
    /// Until it is told to, by what it waits for.
    UntilTold,
}

impl WorkerSession {
    /// Handles what has come, in order, until it has to wait or nothing is left.
    pub(super) fn read(&mut self, ctx: &mut Context<Self>) {
        self.me.unread.set_queued(self.socket.outbox.queued_bytes());
        let waits = self.read_on(ctx);
        self.gate.set_closed(waits.is_err());
        match waits {
            Err(Wait::For(pause)) if !std::mem::replace(&mut self.retries, true) => {
                ctx.run_later(pause, |session, ctx| {
                    session.retries = false;
                    session.read(ctx);
                });
            }
            Err(_) => {}
            Ok(()) => self.linger(ctx),
        }
    }

    fn read_on(&mut self, ctx: &mut Context<Self>) -> Result<(), Wait> {
        loop {
            if self.is_enough() || self.evicts {
                self.submit()?;
            }
            if self.evicts {
                return Err(Wait::UntilTold);
            }
            // Answers that it does not read must not pile up. If it takes nothing at all, `look` ends it.
            if self.socket.outbox.queued_bytes() > self.registry().settings.worker.outbox_bytes {
                self.submit()?;
                return Err(Wait::For(PAUSE * 5));
            }
            let Some(data) = self.socket.receive() else { break };
            let bytes = match data {
                Data::Binary(bytes) if wire::is_telemetry(&bytes) => continue,
                Data::Text(bytes) | Data::Binary(bytes) => bytes,
            };
            if !bytes.iter().all(u8::is_ascii_whitespace) {
                self.message(&bytes, ctx);
            }
        }
        self.submit()
    }

    /// A closing socket is given some time to read the close frame, then the connection ends.
    fn linger(&mut self, ctx: &mut Context<Self>) {
        if self.socket.is_closing() && !std::mem::replace(&mut self.lingers, true) {
            ctx.run_later(LINGER, |session, ctx| {
                session.socket.outbox.end();
                ctx.stop();
            });
        }
    }
}
