//! Calls on their way to whoever serves them, and what answers those that get nowhere.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::dev::SendError;
use tokio::sync::oneshot;

use super::{Invoke, Registry, ReplyTo, ToWorker, disconnect, engine, inside};
use crate::error::{self, CallError, Outcome, Output};
use crate::ids::SocketId;
use crate::json::Json;
use crate::metrics::calls::{BuiltIn, Ending};
use crate::metrics::limit::Limit;
use crate::store::input;
use crate::wire::worker::Trace;

impl Registry {
    /// Calls `id` at the worker that serves it; every failure goes to `call.reply`.
    pub fn invoke(&self, call: Invoke) {
        let (worker, http) = match self.functions.read().get(&call.function_id) {
            Some(entry) => (entry.handle.clone(), entry.info.http),
            None => {
                self.metrics.invoked(&call.function_id, Ending::NotFound, None);
                return call.reply.send(Err(CallError::function_not_found(&call.function_id)));
            }
        };
        if http {
            let text = format!(
                "function '{}' is registered with an HTTP address; Weir calls functions of connected workers only",
                call.function_id
            );
            self.metrics.invoked(&call.function_id, Ending::NotFound, None);
            return call.reply.send(Err(CallError::new(error::FUNCTION_NOT_INVOKABLE, text)));
        }
        let limit = self.settings.worker.max_invocations;
        if worker.in_flight.fetch_add(1, Ordering::Relaxed) >= limit {
            worker.in_flight.fetch_sub(1, Ordering::Relaxed);
            let text = format!("{limit} calls are under way at the worker that serves '{}'; call again later", call.function_id);
            self.metrics.invoked(&call.function_id, Ending::Overloaded, None);
            self.metrics.limit(Limit::Invocations);
            return call.reply.send(Err(CallError::new(error::OVERLOADED, text)));
        }
        if let Err(bytes) = worker.unread.call(&call.data) {
            worker.in_flight.fetch_sub(1, Ordering::Relaxed);
            let text = format!("{bytes} bytes of calls wait for the worker that serves '{}'; call again later", call.function_id);
            self.metrics.invoked(&call.function_id, Ending::Overloaded, None);
            self.metrics.limit(Limit::WorkerOutbox);
            return call.reply.send(Err(CallError::new(error::CHANNEL_SEND_FAILED, text)));
        }
        // Unbounded as far as actix goes; the counts above are the bounds.
        worker.session.do_send(ToWorker::Invoke(call));
    }

    /// Calls any function, built-in ones included, for somebody who is no worker. The call is sent at once, so that calls keep the order in
    /// which they are made; the future waits for the result.
    ///
    /// # Errors
    /// What the function failed with, or `invocation_timeout`.
    pub fn call(&self, function_id: &str, data: Json, timeout: Duration) -> impl Future<Output = Outcome> + use<> {
        let sent = self.send(function_id, data, timeout);
        let function_id: Box<str> = function_id.into();
        async move {
            match tokio::time::timeout(timeout, sent?).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(stopped(&function_id)),
                Err(_) => Err(timed_out(&function_id, timeout)),
            }
        }
    }

    pub(crate) fn send(&self, function_id: &str, data: Json, timeout: Duration) -> Result<oneshot::Receiver<Outcome>, CallError> {
        let (sender, receiver) = oneshot::channel();
        if let Some(op) = input::parse(function_id, data.as_bytes(), &self.settings) {
            let store = self.store().ok_or_else(|| stopped(function_id))?;
            let refused = |error| match error {
                SendError::Full(_) => CallError::new(error::OVERLOADED, "the store is behind; call again later"),
                SendError::Closed(_) => CallError::new(error::INVOCATION_STOPPED, "the store has ended"),
            };
            let submitted = op.and_then(|op| {
                let reply = self.reply_to(&op, sender);
                store.try_send(crate::store::Submit { op, by: SocketId::NONE, reply }).map_err(refused)
            });
            match (&submitted, input::Function::of(function_id)) {
                (Err(_), Some(function)) => self.metrics.served(BuiltIn::Stream(function), &submitted),
                _ => self.metrics.submitted.add(1),
            }
            return submitted.map(|()| receiver);
        }
        let reply = self.awaited(sender);
        if function_id.starts_with("engine::") {
            engine::call(self, function_id, None, &data, reply);
        } else if function_id == disconnect::ID {
            disconnect::call(self, &data, reply);
        } else {
            self.invoke(Invoke { function_id: function_id.into(), data, trace: Trace::default(), reply, timeout });
        }
        Ok(receiver)
    }

    /// Who waits in this process for the result of a call.
    pub(crate) fn awaited(&self, sender: oneshot::Sender<Outcome>) -> ReplyTo {
        ReplyTo::Awaited(sender, self.called.clone())
    }

    /// The same for a call of the store.
    pub(crate) fn reply_to(&self, op: &input::Op, sender: oneshot::Sender<Outcome>) -> ReplyTo {
        // The system waits for what has called it.
        if inside::is_inside(op) { ReplyTo::Inside(sender) } else { self.awaited(sender) }
    }

    /// Whether calls of this process, or on behalf of other nodes, are not answered.
    pub(crate) fn is_called(&self) -> bool {
        Arc::strong_count(&self.called) > 1
    }
}

/// The worker that served the call went away.
pub(crate) fn stopped(function_id: &str) -> CallError {
    CallError::new(error::INVOCATION_STOPPED, format!("the worker that serves '{function_id}' disconnected before it answered"))
}

/// The worker that serves the call took too long.
pub(crate) fn timed_out(function_id: &str, timeout: Duration) -> CallError {
    CallError::new(error::INVOCATION_TIMEOUT, format!("function '{function_id}' did not answer within {} ms", timeout.as_millis()))
}

/// The value of an outcome, `null` where it has none.
pub(crate) fn value_or_null(outcome: Outcome) -> Result<Json, CallError> {
    outcome.map(|output| match output {
        Output::Absent => Json::NULL,
        output => output.into_json(),
    })
}
