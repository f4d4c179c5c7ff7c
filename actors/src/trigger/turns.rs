//! How many joins ask one function at a time. No actor.
//!
//! Each function has turns of its own, so that a handler that hangs holds up the joins that it guards and no others.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

use super::admission::{Admission, Verdict};

/// Functions with turns that are kept before those are looked for that nobody waits for.
const KEPT: usize = 64;

/// The turns at all functions that joins ask.
pub(super) struct Turns {
    at_a_time: usize,
    functions: HashMap<Box<str>, Arc<Semaphore>>,
    look_above: usize,
}

impl Turns {
    pub(super) fn new(at_a_time: usize) -> Self {
        Self { at_a_time, functions: HashMap::new(), look_above: KEPT }
    }

    /// The turns at a function.
    pub(super) fn of(&mut self, function: &str) -> Arc<Semaphore> {
        if let Some(turns) = self.functions.get(function) {
            return turns.clone();
        }
        if self.functions.len() >= self.look_above {
            self.functions.retain(|_, turns| Arc::strong_count(turns) > 1);
            self.look_above = KEPT.max(2 * self.functions.len());
        }
        let turns = Arc::new(Semaphore::new(self.at_a_time));
        self.functions.insert(function.into(), turns.clone());
        turns
    }
}

/// Waits for a turn, in order. `None` where the client goes before: nobody need be asked about it then, and whoever comes and goes while a
/// handler hangs leaves nothing behind.
pub(super) async fn wait<'a>(
    turns: &'a Semaphore,
    admission: &Admission,
    reply: &mut oneshot::Sender<Verdict>,
) -> Option<SemaphorePermit<'a>> {
    let turn = tokio::select! {
        biased;
        () = reply.closed() => return None,
        turn = turns.acquire() => turn.ok()?,
    };
    // One that has left while its connection goes on.
    (!admission.is_abandoned()).then_some(turn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_that_nobody_waits_for_are_forgotten() {
        let mut turns = Turns::new(1);
        let held = turns.of("held");
        for n in 0..10 * KEPT {
            turns.of(&n.to_string());
        }
        assert!(turns.functions.len() <= KEPT);
        assert!(Arc::ptr_eq(&held, &turns.of("held")));
    }
}
