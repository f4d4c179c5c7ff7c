//! Whether the store commits, and what of that the log is told. No actor.

use std::time::{Duration, Instant};

/// How often a store that does not commit says so in the log: on a full disk the log must not take what room there is.
const COMPLAINT: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Trouble {
    is: bool,
    /// Whether the log was told of this one.
    said: bool,
    /// When the log was last told of any.
    told: Option<Instant>,
    /// Failures that it was not told of.
    unsaid: usize,
}

impl Trouble {
    /// Whether nothing has been stored since something failed.
    pub(super) fn is(&self) -> bool {
        self.is
    }

    /// Something has failed. How many failures the log has not been told of, where it should be told now.
    pub(super) fn failed(&mut self, now: Instant) -> Option<usize> {
        self.is = true;
        if self.told.is_some_and(|told| now.duration_since(told) < COMPLAINT) {
            self.unsaid += 1;
            return None;
        }
        self.said = true;
        self.told = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// It has failed again to go on. Whether the log should be told now, since it was not told of the failure itself.
    pub(super) fn lasts(&mut self, now: Instant) -> Option<usize> {
        if self.said { None } else { self.failed(now) }
    }

    /// It goes on. Whether the log should be told: it is where it was told of the trouble.
    pub(super) fn ended(&mut self) -> bool {
        self.is = false;
        std::mem::take(&mut self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_turn_with_recoveries_are_told_of_once_in_a_while() {
        let (mut trouble, mut now) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.failed(now), Some(0));
        assert!(trouble.is() && trouble.ended() && !trouble.is());
        for _ in 0..1_000 {
            now += COMPLAINT / 2_000;
            assert_eq!(trouble.failed(now), None);
            assert!(trouble.is() && !trouble.ended());
        }
        assert_eq!(trouble.failed(now + COMPLAINT), Some(1_000));
        assert!(trouble.ended());
    }

    #[test]
    fn trouble_that_lasts_is_told_of_although_nothing_else_fails() {
        let (mut trouble, now) = (Trouble::default(), Instant::now());
        assert_eq!(trouble.failed(now), Some(0));
        assert_eq!(trouble.lasts(now + COMPLAINT), None);
        assert!(trouble.ended());
        assert_eq!(trouble.failed(now + COMPLAINT / 2), None);
        assert_eq!(trouble.lasts(now + COMPLAINT / 2), None);
        assert_eq!(trouble.lasts(now + COMPLAINT), Some(2));
        assert!(trouble.ended());
    }
}
