//! Actors on other threads, whose mailbox has its size from the first message on.
//!
//! `Actor::start_in_arbiter` (actix 0.13) begins with room for 16 messages until the actor has started and said otherwise. Whoever is handed the address may
//! send more than that before.

use actix::dev::channel;
use actix::{Actor, Addr, ArbiterHandle, Context};

/// Starts an actor on the thread of `arbiter`, with room for `capacity` messages.
pub(crate) fn start<A: Actor<Context = Context<A>>>(
    arbiter: &ArbiterHandle,
    capacity: usize,
    actor: impl FnOnce() -> A + Send + 'static,
) -> Addr<A> {
    let (sender, receiver) = channel::channel(capacity);
    // Refused only by an arbiter that has ended; what is sent there is dropped.
    arbiter.spawn_fn(move || drop(Context::with_receiver(receiver).run(actor())));
    Addr::new(sender)
}
