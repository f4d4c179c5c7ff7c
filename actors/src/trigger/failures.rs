//! What the log is told of handlers and conditions that fail: the first failure at once, and then how many there were. No actor, no clock.

use std::collections::HashMap;
use std::time::Duration;

use crate::error::CallError;

/// How often the log is told that it goes on.
pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Whose calls fail: the trigger, the function, and whether that is its condition.
pub(super) type Who = (Box<str>, Box<str>, bool);

/// Failures since the log was last told, with the last of them.
#[derive(Default)]
pub(super) struct Failures(HashMap<Who, Option<(u64, CallError)>>);

impl Failures {
    /// Whether there were none lately.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Something failed. Whether the log is to be told now; otherwise [`take`](Self::take) has it.
    pub(super) fn add(&mut self, who: &Who, error: &CallError) -> bool {
        match self.0.get_mut(who) {
            None => {
                self.0.insert(who.clone(), None);
                true
            }
            Some(since) => {
                *since = Some((since.as_ref().map_or(0, |(count, _)| *count) + 1, error.clone()));
                false
            }
        }
    }

    /// A [`PERIOD`] is over: who has failed in it, how often, and with what at last. Who has not is forgotten.
    pub(super) fn take(&mut self) -> Vec<(Who, u64, CallError)> {
        let mut failed = Vec::new();
        self.0.retain(|who, since| {
            let Some((count, error)) = since.take() else { return false };
            failed.push((who.clone(), count, error));
            true
        });
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousand_failures_are_told_of_twice() {
        let mut failures = Failures::default();
        let who = |trigger: &str| -> Who { (trigger.into(), "f".into(), false) };
        let error = CallError::function_not_found("f");
        assert!(failures.add(&who("t"), &error));
        for _ in 1..1_000 {
            assert!(!failures.add(&who("t"), &error));
        }
        assert!(failures.add(&who("other"), &error));
        assert_eq!(failures.take(), [(who("t"), 999, error.clone())]);
        assert!(!failures.add(&who("t"), &error));
        assert_eq!(failures.take(), [(who("t"), 1, error.clone())]);
        assert_eq!(failures.take(), []);
        assert!(failures.is_empty());
        assert!(failures.add(&who("t"), &error));
    }
}
