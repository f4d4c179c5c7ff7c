//! What the sockets of a group were told, for those who count it: once for many.

use crate::metrics::Fanout;

/// What sockets were told, or were promised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// Changes, one for each socket that was told.
    pub changes: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// States.
    pub syncs: u64,
    /// The bytes of these.
    pub sync_bytes: u64,
    /// Sockets that begin anew because their queue was full.
    pub resyncs_slow: u64,
    /// Sockets that begin anew because changes were missed.
    pub resyncs_missed: u64,
}

impl Told {
    /// Adds it to what all groups have told.
    pub(super) fn add_to(self, fanout: &Fanout) {
        let Self { changes, bytes, syncs, sync_bytes, resyncs_slow, resyncs_missed } = self;
        let counts = [
            (changes, &fanout.deliveries),
            (bytes, &fanout.delivered_bytes),
            (syncs, &fanout.syncs),
            (sync_bytes, &fanout.sync_bytes),
            (resyncs_slow, &fanout.resyncs_slow),
            (resyncs_missed, &fanout.resyncs_missed),
        ];
        for (count, counter) in counts {
            // Most of them are nothing, and other threads count here too.
            if count > 0 {
                counter.add(count);
            }
        }
    }
}
