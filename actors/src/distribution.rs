//! How large values were, in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of durations, in nanoseconds: from what a commit in memory takes to what a person would not wait for.
pub const SECONDS: &[u64] = &[
    10_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Bounds of how many calls there are in a batch.
pub const CALLS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024];

/// Counts values by their size.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [u64],
    /// One for each bound, and one for what is above them all.
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Histogram {
    /// With buckets up to each of these bounds, which rise.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self { bounds, buckets: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(), sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts a duration, where the bounds are nanoseconds.
    pub fn took(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// All values together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// What was counted so far.
    #[must_use]
    pub fn distribution(&self) -> Distribution {
        let mut count = 0;
        let mut buckets: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        for bucket in &mut buckets {
            count += *bucket;
            *bucket = count;
        }
        buckets.pop();
        Distribution { buckets: self.bounds.iter().copied().zip(buckets).collect(), count, sum: self.sum() }
    }
}

/// What a [`Histogram`] had counted at one moment. Durations are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Distribution {
    /// Bounds, and how many values were not above them.
    pub buckets: Vec<(u64, u64)>,
    /// How many values there were.
    pub count: u64,
    /// All of them together.
    pub sum: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_counts_in_every_bucket_that_it_is_not_above() {
        let histogram = Histogram::new(&[1, 4, 16]);
        for value in [0, 1, 2, 4, 5, 17] {
            histogram.record(value);
        }
        let expected = Distribution { buckets: vec![(1, 2), (4, 4), (16, 5)], count: 6, sum: 29 };
        assert_eq!(histogram.distribution(), expected);
    }

    #[test]
    fn bounds_rise() {
        assert!(SECONDS.is_sorted_by(|a, b| a < b) && CALLS.is_sorted_by(|a, b| a < b));
    }
}
