//! Notices when an actor that must not end has ended.
//!
//! A panic drops an actor and closes its address, and actix (0.13) tells nobody; its `Supervisor` does not see it. So such an actor holds a
//! [`Sentinel`], which speaks up when it is dropped.
//!
//! - *Owns* the reason for which the system has failed.
//! - *Receives* [`Died`] from sentinels.
//! - *Sends* that reason to whoever waits for it with [`Failure`].
//! - *Bounded by* the number of sentinels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, Context, Handler, Message, Recipient};
use tokio::sync::watch;

/// An actor has ended that must not.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Died(pub &'static str);

/// Speaks up when it is dropped, unless the system closes.
///
/// An actor cannot disarm its own when it stops: actix (0.13) calls `stopped` after a panic too.
#[derive(Debug)]
pub struct Sentinel {
    actor: &'static str,
    closing: Arc<AtomicBool>,
    guardian: Recipient<Died>,
}

impl Sentinel {
    /// A sentinel for the actor named so in logs; silent once `closing` is set.
    #[must_use]
    pub fn new(actor: &'static str, closing: Arc<AtomicBool>, guardian: Recipient<Died>) -> Self {
        Self { actor, closing, guardian }
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if !self.closing.load(Ordering::Acquire) {
            self.guardian.do_send(Died(self.actor));
        }
    }
}

/// Waits for the system to fail.
pub type Failure = watch::Receiver<Option<&'static str>>;

/// See the [module](self).
pub struct Guardian {
    failure: watch::Sender<Option<&'static str>>,
}

impl Guardian {
    /// A guardian, and what tells of a failure.
    #[must_use]
    pub fn new() -> (Self, Failure) {
        let (failure, receiver) = watch::channel(None);
        (Self { failure }, receiver)
    }
}

impl Actor for Guardian {
    type Context = Context<Self>;
}

impl Handler<Died> for Guardian {
    type Result = ();

    fn handle(&mut self, Died(actor): Died, _: &mut Self::Context) {
        // Going on without it would accept calls that nobody answers; its state cannot be told to be whole after a panic.
        tracing::error!(actor, "an actor has died; the system closes");
        self.failure.send_replace(Some(actor));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    struct Fragile(#[expect(dead_code, reason = "held to be dropped")] Sentinel);

    impl Actor for Fragile {
        type Context = Context<Self>;
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Break;

    impl Handler<Break> for Fragile {
        type Result = ();
        fn handle(&mut self, _: Break, _: &mut Self::Context) {
            panic!("on purpose");
        }
    }

    #[test]
    fn panic_of_an_actor_is_noticed() {
        let failure = actix_rt::System::new().block_on(async {
            let (guardian, mut failure) = Guardian::new();
            let sentinel = Sentinel::new("fragile", Arc::default(), guardian.start().recipient());
            Fragile(sentinel).start().do_send(Break);
            let noticed = tokio::time::timeout(std::time::Duration::from_secs(10), failure.changed()).await;
            assert!(matches!(noticed, Ok(Ok(()))));
            *failure.borrow()
        });
        assert_eq!(failure, Some("fragile"));
    }
}
