//! What a system has done and what waits in it, in plain numbers for whoever operates it.
//!
//! Everything is counted with relaxed atomics where it happens, once per batch, burst or message off a socket and not once per call or
//! subscriber, so that counting costs a few nanoseconds of what is microseconds. What different threads count stands on different cache
//! lines. [`Streams::snapshot`](crate::streams::Streams::snapshot) reads it all; nothing is locked for longer than a name takes to copy.

pub mod calls;
pub mod limit;
pub mod peer;
pub mod snapshot;

use std::ops::Deref;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use calls::Calls;
use limit::Limit;
use peer::{Peer, PeerMetrics};

use crate::distribution::{CALLS, Histogram, SECONDS};
use crate::trigger::reason::Reason;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Counts so many more.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// How many there were.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How much there is now.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicU64);

impl Gauge {
    /// So many more.
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// So many less.
    pub(crate) fn sub(&self, count: u64) {
        self.0.fetch_sub(count, Ordering::Relaxed);
    }

    /// So many, whatever there were.
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Relaxed);
    }

    /// How many there are. One thread may take away what another has not added yet; that is none, and not very many.
    pub(crate) fn get(&self) -> u64 {
        let count = self.0.load(Ordering::Relaxed);
        if count > u64::MAX / 2 { 0 } else { count }
    }
}

/// A value on cache lines of its own; two, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Apart<T>(T);

impl<T> Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// What groups have told their subscribers.
#[derive(Debug, Default)]
pub(crate) struct Fanout {
    pub(crate) deliveries: Counter,
    pub(crate) delivered_bytes: Counter,
    pub(crate) syncs: Counter,
    pub(crate) sync_bytes: Counter,
    pub(crate) resyncs_slow: Counter,
    pub(crate) resyncs_missed: Counter,
}

/// Who joins and leaves.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    pub(crate) subscriptions: Gauge,
    pub(crate) admitted: Counter,
    pub(crate) refused: Counter,
    /// By [`Reason`].
    pub(crate) left: [Counter; Reason::ALL.len()],
}

/// What the auth function has said.
#[derive(Debug, Default)]
pub(crate) struct Authorized {
    pub(crate) granted: Counter,
    pub(crate) refused: Counter,
    /// Nobody answered, or not in a way that is understood.
    pub(crate) unavailable: Counter,
}

/// What the store has done.
#[derive(Debug)]
pub(crate) struct Committed {
    /// Calls that one commit has answered.
    pub(crate) calls: Histogram,
    pub(crate) seconds: Histogram,
    pub(crate) failed: Counter,
    /// Calls that its mailbox was given, as those count who give them.
    pub(crate) taken: Counter,
    /// Batches for the trigger dispatcher that its mailbox has no room for.
    pub(crate) news_waiting: Gauge,
}

impl Default for Committed {
    fn default() -> Self {
        Self {
            calls: Histogram::new(CALLS),
            seconds: Histogram::new(SECONDS),
            failed: Counter::default(),
            taken: Counter::default(),
            news_waiting: Gauge::default(),
        }
    }
}

/// What the trigger dispatcher has done.
#[derive(Debug)]
pub(crate) struct Dispatched {
    /// From the commit, or whatever else it was, until the handler is called.
    pub(crate) lag: Histogram,
    pub(crate) waiting: Gauge,
    pub(crate) dropped: Counter,
}

impl Default for Dispatched {
    fn default() -> Self {
        Self { lag: Histogram::new(SECONDS), waiting: Gauge::default(), dropped: Counter::default() }
    }
}

/// All that is counted, by who counts it.
#[derive(Debug, Default)]
pub struct Metrics {
    peers: [Apart<PeerMetrics>; Peer::ALL.len()],
    pub(crate) fanout: Apart<Fanout>,
    pub(crate) joins: Apart<Joins>,
    pub(crate) authorized: Apart<Authorized>,
    /// Calls on their way to the store, counted by those who send them.
    pub(crate) submitted: Apart<Counter>,
    pub(crate) committed: Apart<Committed>,
    pub(crate) dispatched: Apart<Dispatched>,
    pub(crate) calls: Apart<Calls>,
    limits: [Counter; Limit::ALL.len()],
    /// How long the adapter took to force what was written onto the disk.
    syncs: OnceLock<Arc<Histogram>>,
}

impl Metrics {
    pub(crate) fn peer(&self, peer: Peer) -> &PeerMetrics {
        &self.peers[peer as usize]
    }

    /// A limit was reached, which somebody was told.
    pub(crate) fn limit(&self, limit: Limit) {
        self.limits(limit, 1);
    }

    /// The same for several at once.
    pub(crate) fn limits(&self, limit: Limit, times: u64) {
        self.limits[limit as usize].add(times);
    }

    /// Where an adapter says how long its syncs take; later calls change nothing.
    pub(crate) fn set_syncs(&self, syncs: Arc<Histogram>) {
        drop(self.syncs.set(syncs));
    }
}
