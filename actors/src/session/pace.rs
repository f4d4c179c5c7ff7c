//! How fast a socket may do something: a bucket that fills with time and that each time takes one from. No clock of its own.

use std::time::{Duration, Instant};

/// A bucket that is full at first.
///
/// Kept as the time at which it is full again (the *generic cell rate algorithm* of ATM), so that it is one word and nobody has to fill it.
#[derive(Debug, Default)]
pub(super) struct Pace {
    full_at: Option<Instant>,
}

impl Pace {
    /// Takes one of a bucket that holds `burst` and gets `per_second`, neither of them 0; false where it is empty.
    pub(super) fn take(&mut self, now: Instant, per_second: usize, burst: usize) -> bool {
        let limit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        let one = Duration::from_secs(1) / limit(per_second);
        let full_at = self.full_at.map_or(now, |at| at.max(now));
        let missing = full_at.duration_since(now);
        if missing + one > one.saturating_mul(limit(burst)) {
            return false;
        }
        self.full_at = Some(full_at + one);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_taken_at_once_and_then_as_many_as_time_brings() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut taken = |after_ms: u64| (0..1_000).take_while(|_| pace.take(start + Duration::from_millis(after_ms), 100, 250)).count();
        assert_eq!(taken(0), 250);
        assert_eq!(taken(9), 0);
        assert_eq!(taken(10), 1);
        assert_eq!(taken(1_010), 100);
        assert_eq!(taken(60_000), 250, "a pause does not save up more than a burst");
    }

    #[test]
    fn loop_without_a_pause_gets_the_rate_and_no_more() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let taken = (0..10_000).filter(|ms| pace.take(start + Duration::from_millis(*ms), 50, 1)).count();
        assert_eq!(taken, 500);
    }
}
