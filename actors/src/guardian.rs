//! Notices when an actor that must not end has ended.
//!
//! A panic drops an actor and closes its address, and actix (0.13) tells nobody; its `Supervisor` does not see it. So such an actor holds a
//! [`Sentinel`], which speaks up when it is dropped.
//!
//! - *Owns* the reason for which the system has failed.
//! - *Receives* [`Died`] from sentinels.
//! - *Sends* that reason to whoever waits for it with [`Failure`].
//! - *Bounded by* the number of sentinels.

use actix::{Actor, Context, Handler, Message, Recipient};
use tokio::sync::watch;

/// An actor has ended that must not.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub struct Died(pub &'static str);

/// Speaks up when it is dropped armed.
#[derive(Debug)]
pub struct Sentinel {
    actor: &'static str,
    guardian: Option<Recipient<Died>>,
}

impl Sentinel {
    /// A sentinel for the actor named so in logs.
    #[must_use]
    pub fn new(actor: &'static str, guardian: Recipient<Died>) -> Self {
        Self { actor, guardian: Some(guardian) }
    }

    /// A sentinel that nobody listens to, for actors in tests.
    #[must_use]
    pub fn silent() -> Self {
        Self { actor: "", guardian: None }
    }

    /// The actor ends in order.
    pub fn disarm(&mut self) {
        self.guardian = None;
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        if let Some(guardian) = self.guardian.take() {
            guardian.do_send(Died(self.actor));
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
