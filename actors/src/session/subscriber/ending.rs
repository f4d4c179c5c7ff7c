//! The ends of a client's subscriptions.

use std::collections::HashSet;

use super::{State, SubscriberSession, Subscription};
use crate::group::{Gone, Unsubscribe};
use crate::trigger::Left;
use crate::trigger::reason::Reason;

impl SubscriberSession {
    pub(super) fn leave(&mut self, id: &str, reason: Reason) {
        self.waiting.retain(|waiting| *waiting.subscription_id != *id);
        if let Some(subscription) = self.subscriptions.remove(id) {
            if let State::Joined(group) = &subscription.state {
                group.do_send(Unsubscribe { socket: self.socket.id, subscription_id: id.into() });
            }
            self.end(subscription, reason);
        }
    }

    /// The one end of every subscription: a leave, a replaced join, a lost socket and an eviction all pass here once. Its group has been told.
    fn end(&self, mut subscription: Subscription, reason: Reason) {
        match subscription.state {
            State::Joining(admission) => {
                if !admission.abandon(reason) {
                    return;
                }
                subscription.membership.known_as = admission.known_as.get().cloned();
            }
            State::Joined(_) => {
                self.local.exit(&subscription.membership.group);
                self.local.registry.metrics.joins.left[reason as usize].add(1);
            }
        }
        if let Some(dispatcher) = self.dispatcher() {
            dispatcher.do_send(Left(subscription.membership, reason));
        }
    }

    /// Ends what there is of subscriptions when the socket does.
    pub(super) fn end_all(&mut self) {
        self.waiting.clear();
        let reason = match self.socket.closed_for() {
            Some(code) => code.into(),
            None if self.socket.was_unresponsive(self.local.registry.settings.stream.write_deadline) => Reason::Unresponsive,
            None => Reason::Lost,
        };
        // Each group once: it may have a thousand of them.
        let mut told = HashSet::new();
        for (_, subscription) in std::mem::take(&mut self.subscriptions) {
            if let State::Joined(group) = &subscription.state
                && !told.contains(&subscription.membership.group)
            {
                group.do_send(Gone(self.socket.id));
                told.insert(subscription.membership.group.clone());
            }
            self.end(subscription, reason);
        }
    }
}
