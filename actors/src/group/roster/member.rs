//! A socket that subscribes to a group, and what it is sent of a change.

use bytes::Bytes;

use super::{Scope, Sink};
use crate::change::Change;
use crate::group::burst::group_frame;
use crate::group::told::Told;

#[derive(Debug)]
pub(super) struct Member<S> {
    pub(super) sink: S,
    pub(super) subscriptions: Vec<Subscription>,
    /// Its queue was full; it waits to be told that the queue has drained.
    pub(super) lagging: bool,
    /// How many of the kept changes it got before it was held.
    pub(super) seen: usize,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: Box<str>,
    pub(super) scope: Scope,
    pub(super) state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Waits for a snapshot to be asked for.
    Joining,
    /// Waits for the snapshot that was asked for.
    Asked,
    /// Gets changes.
    Active,
}

impl<S> Member<S> {
    pub(super) fn is_held(&self) -> bool {
        self.lagging || self.subscriptions.iter().any(|subscription| subscription.state != State::Active)
    }

    /// All its subscriptions wait for a state anew.
    pub(super) fn restart(&mut self) {
        self.seen = 0;
        for subscription in &mut self.subscriptions {
            subscription.state = State::Joining;
        }
    }
}

impl<S: Sink> Member<S> {
    /// Pushes a change if an active subscription matches it; false where the queue is full.
    pub(super) fn push(&self, change: &Change, told: &mut Told) -> bool {
        let mut send = |frame: &Bytes| {
            let taken = self.sink.push(frame);
            if taken {
                told.changes += 1;
                told.bytes += frame.len() as u64;
            }
            taken
        };
        let active = |wanted: &dyn Fn(&Scope) -> bool| {
            self.subscriptions.iter().any(|subscription| subscription.state == State::Active && wanted(&subscription.scope))
        };
        if active(&|scope| *scope == Scope::Group) {
            return group_frame(change).is_none_or(|frame| send(&frame));
        }
        let watched = active(&|scope| matches!((scope, &change.item), (Scope::Item(name), Some(item)) if name == item));
        !watched || send(&change.frame.frames())
    }
}
