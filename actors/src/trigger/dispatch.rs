//! From what happened to calls of the handlers: one queue per trigger, told as fast as its worker takes it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context, Handler, Message};

use super::config::Kind;
use super::failures::Who;
use super::queue::{self, Queue, Step};
use super::table::Binding;
use super::{Triggers, failures, is_false};
use crate::error::{self, CallError};
use crate::functions::{Registry, engine};
use crate::json::Json;

/// How soon a trigger is tried again whose worker has too much under way.
const RETRY: Duration = Duration::from_millis(10);

/// A handler (no answer) or a condition of a trigger has ended.
#[derive(Message)]
#[rtype(result = "()")]
struct Ended {
    binding: Arc<Binding>,
    answer: Option<(queue::Ticket, bool)>,
    error: Option<CallError>,
}

/// A trigger with something to tell.
pub(super) struct Trigger {
    pub(super) binding: Arc<Binding>,
    condition: Option<Box<str>>,
    pub(super) queue: Queue,
    retry_due: bool,
    /// Whether joins are refused for it.
    behind: bool,
}

impl Trigger {
    /// Has joins wait while too many leaves do.
    fn look(&mut self, registry: &Registry) {
        let behind = matches!(self.binding.kind, Kind::Leave(_)) && registry.leaves.is_over(self.queue.len());
        if behind != std::mem::replace(&mut self.behind, behind) {
            registry.leaves.set(&self.binding.id, behind);
            if behind {
                let (trigger, function, waiting) = (&self.binding.id, &self.binding.function_id, self.queue.len());
                tracing::error!(%trigger, %function, waiting, "a leave trigger is behind; joins that it watches are refused");
            }
        }
    }

    /// The trigger has ended. What waits for it was for a worker that has taken it back or gone; one that comes with the same id may be
    /// another version, and begins with what happens from then on.
    pub(super) fn give_up(self, registry: &Registry) {
        let (dispatched, dropped) = (&registry.metrics.dispatched, self.queue.len() as u64);
        if self.behind {
            registry.leaves.set(&self.binding.id, false);
        }
        if dropped > 0 {
            dispatched.waiting.sub(dropped);
            dispatched.dropped.add(dropped);
            let (trigger, function) = (&self.binding.id, &self.binding.function_id);
            tracing::warn!(%trigger, %function, dropped, "trigger has ended; events that waited for it were dropped");
        }
    }
}

impl Triggers {
    /// Has the handler of a trigger called with `payload`, when its turn comes.
    pub(super) fn offer(
        &mut self,
        binding: &Arc<Binding>,
        condition: Option<&str>,
        payload: Json,
        since: Instant,
        ctx: &mut Context<Self>,
    ) {
        let new = || {
            let queue = Queue::new(condition.is_some(), !matches!(binding.kind, Kind::Leave(_)));
            let queue = if binding.one_at_a_time { queue.one_at_a_time() } else { queue };
            Trigger { binding: binding.clone(), condition: condition.map(Into::into), queue, retry_due: false, behind: false }
        };
        let dispatched = &self.registry.metrics.dispatched;
        let trigger = self.active.entry(binding.id.clone()).or_insert_with(new);
        if !Arc::ptr_eq(&trigger.binding, binding) {
            // Registered anew with the same id.
            std::mem::replace(trigger, new()).give_up(&self.registry);
        }
        if trigger.queue.push(payload, since) {
            dispatched.waiting.add(1);
            trigger.look(&self.registry);
        } else {
            dispatched.dropped.add(1);
            let dropped = trigger.queue.dropped;
            if dropped.is_power_of_two() {
                tracing::warn!(trigger = %binding.id, function = %binding.function_id, dropped, "trigger is behind; events were dropped");
            }
        }
        self.pump(&binding.id.clone(), ctx);
    }

    fn pump(&mut self, id: &str, ctx: &mut Context<Self>) {
        loop {
            let Some(trigger) = self.active.get_mut(id) else { return };
            if engine::is_busy(&self.registry, &trigger.binding.function_id) {
                return self.retry(id, ctx);
            }
            // A condition that its worker refuses would count as one that says no.
            let may_ask = !trigger.condition.as_deref().is_some_and(|condition| engine::is_busy(&self.registry, condition));
            let waiting = trigger.queue.len();
            let step = trigger.queue.step(may_ask);
            let dispatched = &self.registry.metrics.dispatched;
            dispatched.waiting.sub((waiting - trigger.queue.len()) as u64);
            trigger.look(&self.registry);
            let Some(step) = step else {
                if trigger.queue.is_idle() {
                    // Its last condition has said no.
                    self.active.remove(id);
                } else if !may_ask {
                    self.retry(id, ctx);
                }
                return;
            };
            let registry = self.registry.clone();
            let binding = trigger.binding.clone();
            // Not futures of this actor: actix (0.13) polls all of those whenever one of them wakes, and not in the order of their making.
            let dispatcher = ctx.address();
            match step {
                Step::Call(payload, since) => {
                    dispatched.lag.took(since.elapsed());
                    let limit = self.registry.settings.worker.invocation_timeout;
                    let call = registry.call(&binding.function_id, payload, limit);
                    actix::spawn(async move {
                        let error = call.await.err();
                        dispatcher.do_send(Ended { binding, answer: None, error });
                    });
                }
                Step::Ask(ticket, payload) => {
                    let Some(condition) = trigger.condition.clone() else { return };
                    let limit = self.registry.settings.stream.join_timeout;
                    let call = registry.call(&condition, payload, limit);
                    actix::spawn(async move {
                        let (passed, error) = match call.await {
                            Ok(output) => (!is_false(&output), None),
                            Err(error) => (false, Some(error)),
                        };
                        dispatcher.do_send(Ended { binding, answer: Some((ticket, passed)), error });
                    });
                }
            }
        }
    }

    /// A handler, or a condition, has failed.
    fn failed(&mut self, binding: &Binding, asked: bool, error: &CallError, ctx: &mut Context<Self>) {
        if [error::FUNCTION_NOT_FOUND, error::OVERLOADED, error::CHANNEL_SEND_FAILED].contains(&&*error.code) {
            // It was not called at all. A worker that goes has its functions taken back before the dispatcher hears that the trigger has ended.
            self.registry.metrics.dispatched.dropped.add(1);
        }
        let function = if asked { binding.kind.condition().unwrap_or_default() } else { &binding.function_id };
        let was_empty = self.failures.is_empty();
        let who = (binding.id.clone(), function.into(), asked);
        if self.failures.add(&who, error) {
            complain(&who, 1, error);
        }
        if was_empty {
            self.report_later(ctx);
        }
    }

    fn report_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(failures::PERIOD, |triggers, ctx| {
            for (who, times, error) in triggers.failures.take() {
                complain(&who, times, &error);
            }
            if !triggers.failures.is_empty() {
                triggers.report_later(ctx);
            }
        });
    }

    fn retry(&mut self, id: &str, ctx: &mut Context<Self>) {
        let Some(trigger) = self.active.get_mut(id).filter(|trigger| !trigger.retry_due) else { return };
        trigger.retry_due = true;
        let id: Box<str> = id.into();
        ctx.run_later(RETRY, move |triggers, ctx| {
            if let Some(trigger) = triggers.active.get_mut(&id) {
                trigger.retry_due = false;
            }
            triggers.pump(&id, ctx);
        });
    }
}

/// Calls for a trigger have failed so many times since the log was last told, with this at last.
fn complain((trigger, function, asked): &Who, times: u64, error: &CallError) {
    if *asked {
        tracing::warn!(%trigger, %function, times, code = %error.code, %error, "condition failed; handler skipped");
    } else {
        tracing::warn!(%trigger, %function, times, code = %error.code, %error, "trigger handler failed");
    }
}

impl Handler<Ended> for Triggers {
    type Result = ();

    fn handle(&mut self, Ended { binding, answer, error }: Ended, ctx: &mut Self::Context) {
        if let Some(error) = error {
            self.failed(&binding, answer.is_some(), &error, ctx);
        }
        // A trigger that was replaced or removed meanwhile has nothing to go on with.
        let Some(trigger) = self.active.get_mut(&binding.id).filter(|trigger| Arc::ptr_eq(&trigger.binding, &binding)) else { return };
        match answer {
            Some((ticket, passed)) => trigger.queue.answer(ticket, passed),
            None => trigger.queue.done(),
        }
        if trigger.queue.is_idle() {
            self.active.remove(&binding.id);
        } else {
            self.pump(&binding.id, ctx);
        }
    }
}
