//! The calls that a worker serves: their way to it, its results, and their ends without one.

use std::sync::atomic::Ordering;
use std::time::Instant;

use uuid::Uuid;

use super::WorkerSession;
use crate::error::{self, CallError, Output};
use crate::functions::{self, Invoke};
use crate::json::Json;
use crate::metrics::calls::Ending;
use crate::metrics::limit::Limit;
use crate::session::in_flight::Pending;
use crate::wire::worker::{self as wire, Envelope, Trace};

impl WorkerSession {
    pub(super) fn invoke(&mut self, call: Invoke) {
        self.me.unread.called(&call.data);
        let Invoke { function_id, data, mut trace, reply, timeout } = call;
        let id = Uuid::new_v4();
        let mut span = None;
        let failed = if self.ended {
            self.registry().metrics.invoked(&function_id, Ending::Stopped, None);
            Some(functions::stopped(&function_id))
        } else {
            span = self.registry().spans.begin(&mut trace);
            let frame = wire::invoke_function(&id.hyphenated().to_string(), &function_id, &data, &trace);
            (!self.socket.outbox.offer(&frame.frames())).then(|| {
                self.registry().metrics.limit(Limit::WorkerOutbox);
                self.registry().metrics.invoked(&function_id, Ending::Overloaded, None);
                let text = format!(
                    "the worker that serves '{function_id}' does not read its socket; {} bytes wait for it",
                    self.socket.outbox.queued_bytes()
                );
                CallError::new(error::CHANNEL_SEND_FAILED, text)
            })
        };
        if let Some(error) = failed {
            self.me.in_flight.fetch_sub(1, Ordering::Relaxed);
            return reply.send(Err(error));
        }
        self.in_flight.insert(id, function_id, reply, timeout, span);
    }

    pub(super) fn result(&mut self, message: &Envelope<'_>) {
        let Some(pending) = message.invocation_id.as_deref().and_then(|id| self.in_flight.take(id)) else {
            tracing::debug!(worker = %self.me.id, "result of a call that is not under way; ignored");
            return;
        };
        self.me.in_flight.fetch_sub(1, Ordering::Relaxed);
        let ending = if message.error.is_some() { Ending::Error } else { Ending::Ok };
        self.conclude(&pending, ending);
        let outcome = match (message.error, message.result) {
            (Some(error), _) => Err(wire::parse_error(error)),
            (None, Some(value)) => Ok(Output::Value(Json::copy(value))),
            (None, None) => Ok(Output::Absent),
        };
        pending.reply.send_traced(outcome, Some(Trace::of(message)));
    }

    /// A call that had got to this worker has ended.
    fn conclude(&self, pending: &Pending, ending: Ending) {
        let registry = self.registry();
        registry.metrics.invoked(&pending.function_id, ending, Some(pending.since.elapsed()));
        if let Some(span) = &pending.span {
            registry.spans.end(span, &pending.function_id, ending);
        }
    }

    pub(super) fn expire(&mut self) {
        while let Some(pending) = self.in_flight.take_expired(Instant::now()) {
            self.me.in_flight.fetch_sub(1, Ordering::Relaxed);
            // Shorter ones are limits of those who called.
            if pending.timeout >= self.registry().settings.worker.invocation_timeout {
                self.registry().metrics.limit(Limit::Invocation);
            }
            self.conclude(&pending, Ending::Timeout);
            pending.reply.send(Err(functions::timed_out(&pending.function_id, pending.timeout)));
        }
    }

    /// Answers all who wait for it: it has gone.
    pub(super) fn stop_served(&mut self) {
        for pending in self.in_flight.take_all() {
            self.me.in_flight.fetch_sub(1, Ordering::Relaxed);
            self.conclude(&pending, Ending::Stopped);
            pending.reply.send(Err(functions::stopped(&pending.function_id)));
        }
    }
}
