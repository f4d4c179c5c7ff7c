//! What operators and workers ask all sessions.

use actix::Handler;

use super::{State, SubscriberSession, Subscription};
use crate::error::CloseCode;
use crate::session::clients::{Client, ClientSubscription};
use crate::session::subscribers::Question;

impl SubscriberSession {
    /// What those who operate the system see of the client.
    fn describe(&mut self) -> Client {
        let silence = self.socket.silence();
        let outbox = &self.socket.outbox;
        let subscriptions = self.subscriptions.values().map(|Subscription { membership, state }| ClientSubscription {
            id: membership.subscription_id.clone(),
            stream: membership.group.stream().to_owned(),
            group: membership.group.group().to_owned(),
            item: membership.item.as_ref().map(|item| item.as_str().to_owned()),
            joining: matches!(state, State::Joining(_)),
        });
        Client {
            silent_ms: u64::try_from(silence.as_millis()).unwrap_or(u64::MAX),
            context: self.context.clone(),
            queued_bytes: outbox.queued_bytes(),
            lagging: outbox.is_lagging(),
            resyncs: outbox.overflows(),
            subscriptions: subscriptions.collect(),
            subscribed: self.subscriptions.len(),
            ..Client::new(self.socket.id.get(), self.address, self.connected_at)
        }
    }
}

impl Handler<Question> for SubscriberSession {
    type Result = ();

    fn handle(&mut self, question: Question, ctx: &mut Self::Context) {
        let inquiry = match question {
            Question::Disconnect(inquiry) => inquiry,
            Question::Describe(listing) => return listing.add(self.describe()),
        };
        let joined = self.subscriptions.values().map(|subscription| &subscription.membership).chain(&self.waiting);
        if !self.socket.is_closing() && inquiry.is_about(self.context.as_ref(), joined) {
            tracing::info!(session = %self.socket.id, "disconnected by a worker");
            inquiry.count();
            self.socket.close_saying(CloseCode::Disconnected, inquiry.reason());
            self.linger(ctx);
        }
    }
}
