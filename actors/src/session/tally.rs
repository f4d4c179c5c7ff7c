//! What a peer does again and again, for a log that it must not fill.

/// How often it is told of each time.
const FEW: u64 = 8;

/// How often a peer has done something that the log is told of.
#[derive(Debug, Default)]
pub(super) struct Tally(u64);

impl Tally {
    /// Once more: how often by now, where that is to be told, the first few times and then each time it has doubled.
    pub(super) fn add(&mut self) -> Option<u64> {
        self.0 += 1;
        (self.0 <= FEW || self.0.is_power_of_two()).then_some(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_times_are_told_of_two_dozen_times() {
        let mut tally = Tally::default();
        let told: Vec<_> = std::iter::repeat_with(|| tally.add()).take(1_000_000).flatten().collect();
        assert_eq!(told[..10], [1, 2, 3, 4, 5, 6, 7, 8, 16, 32]);
        assert_eq!((told.len(), told.last()), (24, Some(&524_288)));
    }
}
