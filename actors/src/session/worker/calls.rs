//! What a worker calls: its way to the store or to another worker, and its results.

use std::borrow::Cow;

use bytes::Bytes;

use super::reading::Wait;
use super::{PAUSE, Unsent, WorkerSession};
use crate::error::{self, CallError};
use crate::frame::Burst;
use crate::functions::{Answer, Caller, Invocation, Invoke, ReplyTo, disconnect, engine};
use crate::json::Json;
use crate::metrics::calls::BuiltIn;
use crate::store::input::{self, Function, Op};
use crate::store::{Submit, SubmitAll};
use crate::wire::call;
use crate::wire::worker::{self as wire, Envelope, Trace};

/// Longest id of a call that is echoed.
const MAX_INVOCATION_ID_BYTES: usize = 256;
/// No published SDK receives more in one message (protocol.md A.13).
const MAX_RESULT_BYTES: usize = 64 << 20;
/// Calls that the store gets in one message. A wake-up of its thread and a place in its mailbox cost as much as a small call itself; more at
/// once would gain little, and count for too little in the bound of that mailbox.
const CALLS: usize = 32;
/// Answers are put together up to about this size, and longer ones sent by themselves.
const BURST_BYTES: usize = 48 << 10;

impl WorkerSession {
    /// Whether the store should get what there is for it before more is read.
    pub(super) fn is_enough(&self) -> bool {
        self.unsent.len() > 1 || matches!(self.unsent.front(), Some(Unsent::Calls(calls)) if calls.len() >= CALLS)
    }

    /// Gives the store what it has not got, unless it does not take it now.
    pub(super) fn submit(&mut self) -> Result<(), Wait> {
        while let Some(unsent) = self.unsent.pop_front() {
            let refused = match unsent {
                Unsent::Calls(calls) if !SubmitAll::may_come(self.registry()) => Some(Unsent::Calls(calls)),
                Unsent::Calls(calls) => {
                    let count = calls.len() as u64;
                    match self.store.try_send(SubmitAll::new(calls, self.registry())) {
                        Err(actix::dev::SendError::Full(calls)) => Some(Unsent::Calls(calls.take(self.registry()))),
                        Err(actix::dev::SendError::Closed(calls)) => {
                            for submit in calls.take(self.registry()) {
                                submit.reply.send(Err(CallError::new(error::INVOCATION_STOPPED, "the store has ended")));
                            }
                            None
                        }
                        Ok(()) => {
                            self.registry().metrics.submitted.add(count);
                            None
                        }
                    }
                }
                Unsent::Triggered(triggered) => match self.store.try_send(triggered) {
                    Err(actix::dev::SendError::Full(triggered)) => Some(Unsent::Triggered(triggered)),
                    _ => None,
                },
            };
            if let Some(refused) = refused {
                self.unsent.push_front(refused);
                // It is not heard, so its silence says nothing.
                self.socket.excuse();
                return Err(Wait::For(PAUSE));
            }
        }
        Ok(())
    }

    /// The same for a session that ends and cannot wait: what was read before the end still counts, in order.
    pub(super) fn submit_all(&mut self) {
        while let Some(unsent) = self.unsent.pop_front() {
            match unsent {
                Unsent::Calls(calls) => {
                    self.registry().metrics.submitted.add(calls.len() as u64);
                    self.store.do_send(SubmitAll::new(calls, self.registry()));
                }
                Unsent::Triggered(triggered) => self.store.do_send(triggered),
            }
        }
    }

    /// Puts a call to those that the store gets next.
    fn collect(&mut self, op: Op, reply: ReplyTo) {
        let submit = Submit { op, by: self.socket.id, reply };
        match self.unsent.back_mut() {
            Some(Unsent::Calls(calls)) if calls.len() < CALLS => calls.push(submit),
            _ => self.unsent.push_back(Unsent::Calls(vec![submit])),
        }
    }

    /// Handles a message that is a call in the usual form, if it is one.
    pub(super) fn plain_call(&mut self, bytes: &Bytes) -> bool {
        let Some(call) = call::read(bytes) else { return false };
        let id = call.invocation_id.filter(|_| !call.is_void);
        if id.is_some_and(|id| id.len() > MAX_INVOCATION_ID_BYTES) {
            return false;
        }
        let Some((function, op)) = input::plain(&call, &self.registry().settings) else { return false };
        let reply = id.map_or(ReplyTo::Nobody, |id| {
            let trace = Trace::context(call.traceparent, call.baggage);
            ReplyTo::Worker(Caller::new(self.me.clone(), Invocation { id: id.into(), function_id: Cow::Borrowed(function), trace }))
        });
        self.collect(op, reply);
        true
    }

    pub(super) fn call(&mut self, message: &Envelope<'_>) -> Result<(), String> {
        let function_id = message.function_id.as_deref().ok_or("missing field `function_id`")?;
        let action = message.action.as_ref().map(|action| &*action.kind);
        let invocation_id = message.invocation_id.as_deref().filter(|_| action != Some("void"));
        if invocation_id.is_some_and(|id| id.len() > MAX_INVOCATION_ID_BYTES) {
            return Err(format!("`invocation_id` is longer than {MAX_INVOCATION_ID_BYTES} bytes"));
        }
        let built_in = input::function(function_id);
        let reply = invocation_id.map_or(ReplyTo::Nobody, |id| {
            let function_id = built_in.map_or_else(|| Cow::Owned(function_id.to_owned()), Cow::Borrowed);
            let invocation = Invocation {
                id: id.into(),
                function_id,
                trace: Trace::context(message.traceparent.as_deref(), message.baggage.as_deref()),
            };
            ReplyTo::Worker(Caller::new(self.me.clone(), invocation))
        });
        if action == Some("enqueue") {
            let text = "Weir has no queue; call the function without `enqueue`, or use a queue of your own";
            reply.send(Err(CallError::new(error::ENQUEUE_ERROR, text)));
            return Ok(());
        }
        let namespace = message.namespace.as_deref().unwrap_or("default");
        if namespace != "default" {
            let text = format!("function '{function_id}' is not registered in namespace '{namespace}'; only `default` exists");
            reply.send(Err(CallError::new(error::FUNCTION_NOT_FOUND, text)));
            return Ok(());
        }
        let data = message.data.map_or("null", |raw| raw.get());
        if let Some(parsed) = input::parse(function_id, data.as_bytes(), &self.registry().settings) {
            match parsed {
                Ok(op) => self.collect(op, reply),
                Err(error) => {
                    tracing::debug!(worker = %self.me.id, function = function_id, code = %error.code, %error, "call refused");
                    let outcome = Err(error);
                    if let Some(function) = Function::of(function_id) {
                        self.registry().metrics.served(BuiltIn::Stream(function), &outcome);
                    }
                    reply.send(outcome);
                }
            }
            return Ok(());
        }
        let data = message.data.map_or(Json::NULL, Json::copy);
        if function_id == disconnect::ID {
            disconnect::call(self.registry(), &data, reply);
            return Ok(());
        }
        if function_id.starts_with("engine::") {
            engine::call(self.registry(), function_id, Some(&self.me), &data, reply);
            return Ok(());
        }
        let timeout = self.registry().settings.worker.invocation_timeout;
        let trace = Trace::of(message);
        self.registry().invoke(Invoke { function_id: function_id.into(), data, trace, reply, timeout });
        Ok(())
    }

    /// Sends results of calls that ended together, most of them in one piece.
    ///
    /// Whatever waits already: a worker that called gets its answers, and is not read on while too many of them wait.
    pub(super) fn answers(&self, answers: Vec<Answer>) {
        let size = |Answer { invocation, outcome }: &Answer| {
            wire::invocation_result_size(invocation.id.as_str(), &invocation.function_id, outcome)
        };
        let mut burst = Burst::with_capacity(answers.iter().map(size).sum::<usize>().min(BURST_BYTES));
        for Answer { invocation, mut outcome } in answers {
            self.me.unread.queue(&outcome);
            if let Ok(output) = &outcome
                && output.size() > MAX_RESULT_BYTES
            {
                let text = format!("the result has {} bytes; no worker can receive more than {MAX_RESULT_BYTES}", output.size());
                outcome = Err(CallError::new(error::PAYLOAD_TOO_LARGE, text));
            }
            let (id, function, trace) = (invocation.id.as_str(), &invocation.function_id, invocation.trace.as_deref());
            let size = wire::invocation_result_size(id, function, &outcome);
            if burst.len() + size > BURST_BYTES && !burst.is_empty() {
                self.send(burst.take());
            }
            if size > BURST_BYTES {
                self.send(wire::invocation_result(id, function, &outcome, trace).frames());
            } else {
                burst.text(|out| wire::put_invocation_result(out, id, function, &outcome, trace));
            }
        }
        if !burst.is_empty() {
            self.send(burst.take());
        }
        self.me.unread.set_queued(self.socket.outbox.queued_bytes());
    }
}
