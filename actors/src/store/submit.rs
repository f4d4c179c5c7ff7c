//! Calls on their way to the store, and how many bytes of them there may be.

use std::sync::atomic::Ordering;

use actix::Message;

use super::input::Op;
use crate::functions::{Registry, ReplyTo};
use crate::ids::SocketId;

/// Bytes of values of workers that may wait in the mailbox of the store, where those of one message are not more.
const MAILBOX_BYTES: usize = 64 << 20;

/// Call a stream function.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Submit {
    /// What to do.
    pub op: Op,
    /// Whose calls keep their order; [`SocketId::NONE`] for all of this process together.
    pub by: SocketId,
    /// Who waits for the result.
    pub reply: ReplyTo,
}

/// Calls of one worker that came together, in its order.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct SubmitAll(Vec<Submit>);

impl SubmitAll {
    /// Calls on their way to the store.
    pub(crate) fn new(calls: Vec<Submit>, registry: &Registry) -> Self {
        let message = Self(calls);
        registry.called_bytes.fetch_add(message.bytes(), Ordering::Relaxed);
        message
    }

    /// Whether the mailbox of the store has room for more bytes.
    pub(crate) fn may_come(registry: &Registry) -> bool {
        registry.called_bytes.load(Ordering::Relaxed) <= MAILBOX_BYTES
    }

    /// The calls, which are not on their way any more.
    pub(crate) fn take(self, registry: &Registry) -> Vec<Submit> {
        registry.called_bytes.fetch_sub(self.bytes(), Ordering::Relaxed);
        self.0
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|submit| submit.op.bytes()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::ItemKey;
    use crate::json::Json;
    use crate::settings::Settings;

    #[test]
    fn calls_wait_while_too_many_bytes_of_others_do() {
        let registry = Registry::new(Settings::default());
        let set = || {
            let op = Op::Set { key: ItemKey::new("s", "g", "i"), data: Json::assembled("1".repeat(MAILBOX_BYTES / 2)) };
            SubmitAll::new(vec![Submit { op, by: SocketId::NONE, reply: ReplyTo::Nobody }], &registry)
        };
        let first = set();
        let second = set();
        assert!(SubmitAll::may_come(&registry));
        let third = set();
        assert!(!SubmitAll::may_come(&registry));
        assert_eq!(first.take(&registry).len(), 1);
        assert!(SubmitAll::may_come(&registry));
        drop((second.take(&registry), third.take(&registry)));
        assert_eq!(registry.called_bytes.load(Ordering::Relaxed), 0);
    }
}
