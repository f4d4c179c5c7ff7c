//! What is counted by stream, for those who operate a system.

use std::collections::HashMap;

use parking_lot::Mutex;

/// Streams that are counted apart; all others together count under the empty name, which no limit on names keeps clients from using up.
const STREAMS: usize = 1_000;

/// What slow clients have cost them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// How often the queue of a client was full.
    pub overflows: u64,
    /// Changes that such clients were not told one by one.
    pub changes: u64,
    /// Clients that were closed for it.
    pub closed: u64,
}

/// The counts of all streams.
#[derive(Debug, Default)]
pub struct Counts(Mutex<HashMap<Box<str>, Dropped>>);

impl Counts {
    /// Adds to the counts of a stream; what they are now.
    pub fn add(&self, stream: &str, more: Dropped) -> Dropped {
        let mut streams = self.0.lock();
        let stream = if streams.contains_key(stream) || streams.len() < STREAMS { stream } else { "" };
        let dropped = streams.entry(stream.into()).or_default();
        dropped.overflows += more.overflows;
        dropped.changes += more.changes;
        dropped.closed += more.closed;
        *dropped
    }

    /// The counts of every stream that has any, in no order.
    #[must_use]
    pub fn dropped(&self) -> Vec<(Box<str>, Dropped)> {
        self.0.lock().iter().map(|(stream, dropped)| (stream.clone(), *dropped)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_beyond_the_bound_count_together() {
        let counts = Counts::default();
        for n in 0..STREAMS + 10 {
            counts.add(&n.to_string(), Dropped { changes: 1, ..Dropped::default() });
        }
        assert_eq!(counts.add("0", Dropped { changes: 1, ..Dropped::default() }).changes, 2);
        let dropped = counts.dropped();
        assert_eq!(dropped.len(), STREAMS + 1);
        assert_eq!(dropped.iter().map(|(_, dropped)| dropped.changes).sum::<u64>(), STREAMS as u64 + 11);
    }
}
