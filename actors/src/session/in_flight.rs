//! The calls that are under way at one worker, and which of them take too long. No actor.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::functions::ReplyTo;
use crate::spans::Begun;

/// One call.
#[derive(Debug)]
pub struct Pending {
    /// The function that was called.
    pub function_id: Box<str>,
    /// Who waits for the result.
    pub reply: ReplyTo,
    /// How long it may take.
    pub timeout: Duration,
    /// When it was sent.
    pub since: Instant,
    /// Its span, where one is made.
    pub span: Option<Box<Begun>>,
    deadline: Instant,
}

/// All calls under way at one worker.
#[derive(Debug, Default)]
pub struct InFlight {
    calls: HashMap<Uuid, Pending>,
    deadlines: BTreeSet<(Instant, Uuid)>,
}

impl InFlight {
    /// Adds a call that was sent as `id`.
    pub fn insert(&mut self, id: Uuid, function_id: Box<str>, reply: ReplyTo, timeout: Duration, span: Option<Box<Begun>>) {
        let since = Instant::now();
        let deadline = since + timeout;
        self.deadlines.insert((deadline, id));
        self.calls.insert(id, Pending { function_id, reply, timeout, since, span, deadline });
    }

    /// Removes the call that is answered with `id` on the wire; `None` where there is none (any more).
    pub fn take(&mut self, id: &str) -> Option<Pending> {
        let id = Uuid::parse_str(id).ok()?;
        let pending = self.calls.remove(&id)?;
        self.deadlines.remove(&(pending.deadline, id));
        Some(pending)
    }

    /// Removes the call that should have been answered first, if its time is over.
    pub fn take_expired(&mut self, now: Instant) -> Option<Pending> {
        let (deadline, id) = self.deadlines.first().copied().filter(|(deadline, _)| *deadline <= now)?;
        self.deadlines.remove(&(deadline, id));
        self.calls.remove(&id)
    }

    /// Removes all calls, in no order.
    pub fn take_all(&mut self) -> impl Iterator<Item = Pending> + use<> {
        self.deadlines.clear();
        std::mem::take(&mut self.calls).into_values()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn calls_expire_in_the_order_of_their_deadlines() {
        let mut calls = InFlight::default();
        for (name, seconds) in [("late", 30), ("soon", 10), ("later", 60)] {
            calls.insert(Uuid::new_v4(), name.into(), ReplyTo::Nobody, Duration::from_secs(seconds), None);
        }
        assert!(calls.take_expired(Instant::now()).is_none());
        let then = Instant::now() + Duration::from_secs(31);
        let expired: Vec<_> = std::iter::from_fn(|| calls.take_expired(then)).map(|call| call.function_id).collect();
        assert_eq!(expired, ["soon".into(), Box::<str>::from("late")]);
        assert_eq!(calls.take_all().count(), 1);
    }

    #[test]
    fn answered_call_neither_expires_nor_is_answered_again() {
        let mut calls = InFlight::default();
        let id = Uuid::new_v4();
        calls.insert(id, "f".into(), ReplyTo::Nobody, Duration::ZERO, None);
        assert!(calls.take("no id").is_none());
        assert!(calls.take(&id.to_string()).is_some());
        assert!(calls.take(&id.to_string()).is_none());
        assert!(calls.take_expired(Instant::now() + Duration::from_secs(1)).is_none());
    }
}
