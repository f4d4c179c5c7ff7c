//! What one subscriber has seen: whether anything was lost, came twice or out of order.

use std::ops::Range;

/// Numbers that have come, which should be all from 0 on.
#[derive(Default)]
pub(crate) struct Track {
    /// All before were seen, but for `missing`.
    next: u64,
    missing: Vec<Range<u64>>,
}

/// How a number stands to those before it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// It is new, and larger than all before.
    New,
    /// It is new, and a larger one was there before.
    Late,
    /// It was there before.
    Again,
}

impl Track {
    pub(crate) fn see(&mut self, number: u64) -> Arrival {
        if number >= self.next {
            if number > self.next {
                self.missing.push(self.next..number);
            }
            self.next = number + 1;
            return Arrival::New;
        }
        let Some(at) = self.missing.iter().position(|range| range.contains(&number)) else { return Arrival::Again };
        let range = self.missing.swap_remove(at);
        self.missing.extend([range.start..number, number + 1..range.end].into_iter().filter(|part| !part.is_empty()));
        Arrival::Late
    }

    /// How many of the numbers below `sent` have not come.
    pub(crate) fn lost(&self, sent: u64) -> u64 {
        self.missing.iter().map(|range| range.end - range.start).sum::<u64>() + sent.saturating_sub(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn track_tells_lost_late_and_again_apart() {
        let mut track = Track::default();
        assert_eq!([0, 1, 5, 3, 3, 1].map(|number| track.see(number)), {
            use Arrival::{Again, Late, New};
            [New, New, New, Late, Again, Again]
        });
        // 2, 4, and 6 to 9.
        assert_eq!(track.lost(10), 6);
    }
}
