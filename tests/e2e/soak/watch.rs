//! What is looked at while the load runs: the server's memory, its log, and how far everybody is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::steward::Steward;
use super::{Counts, Shared};
use crate::server::Server;

/// How often a line is written.
const LINE: Duration = Duration::from_secs(30);
/// What the server's memory may grow by between the second quarter and the last one: what the file store holds before it writes it into its files,
/// and a tenth.
const STORE_KIB: u64 = 32 << 10;

/// Words of warnings that are explained by what the load does.
const EXPLAINED: [&str; 2] = [
    // Clients that do not read.
    "clients take less than they are sent",
    // A worker that is gone while it is called.
    "trigger handler failed",
];

pub(super) struct Watch {
    server: Arc<Server>,
    shared: Arc<Shared>,
    /// Resident memory in KiB, every second.
    resident: Vec<u64>,
    next_line: Duration,
}

impl Watch {
    pub(super) fn new(server: &Arc<Server>, shared: &Arc<Shared>) -> Self {
        Self { server: server.clone(), shared: shared.clone(), resident: Vec::new(), next_line: Duration::ZERO }
    }

    /// Looks, after so long, and writes a line now and then.
    pub(super) fn look(&mut self, after: Duration, steward: &Steward) {
        self.resident.push(self.server.resident_kib());
        if after >= self.next_line {
            self.next_line += LINE;
            eprint!("{:>5} s  ", after.as_secs());
            self.report(steward);
        }
    }

    pub(super) fn report(&self, steward: &Steward) {
        let counts = &self.shared.counts;
        let count = |counter: &std::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
        eprintln!(
            "{} KiB resident; {} writes, {} frames, {} triggered, {} clients, {} resyncs, {} evicted, {} workers crashed; {}",
            self.resident.last().unwrap_or(&0),
            count(&counts.writes),
            count(&counts.changes),
            count(&counts.triggered),
            count(&counts.clients),
            count(&counts.resyncs),
            count(&counts.evicted),
            count(&counts.crashes),
            steward.told()
        );
    }

    /// Checks that the load has had what it is for.
    pub(super) fn must_have_had_faults(&self) {
        let Counts { resyncs, crashes, .. } = &self.shared.counts;
        for (what, counter) in [("resyncs", resyncs), ("workers that were gone", crashes)] {
            assert!(counter.load(Ordering::Relaxed) > 0, "no {what} in all that time");
        }
        // Whether such a client still gets to its close frame depends on when it reads.
        let closed = |line: &str| line.contains("clients take less than they are sent") && line.contains("overflow=Close");
        assert!(self.server.log().lines().any(closed), "nobody was closed for not reading");
    }

    /// Checks that memory has not grown once everything was under way.
    pub(super) fn must_be_flat(&self) {
        let quarter = self.resident.len() / 4;
        let median = |quarters: usize| {
            let mut part = self.resident[quarters * quarter..(quarters + 1) * quarter].to_vec();
            part.sort_unstable();
            part[part.len() / 2]
        };
        let (early, late) = (median(1), median(3));
        eprintln!("resident: {early} KiB in the second quarter, {late} KiB in the last");
        assert!(late <= early + early / 10 + STORE_KIB, "the server has grown from {early} KiB to {late} KiB");
    }

    /// Checks that each warning of the log comes of what the load does.
    pub(super) fn log_must_be_explained(&self) {
        let log = self.server.log();
        let mut lines = BTreeMap::<&str, usize>::new();
        for line in log.lines().filter(|line| line.contains(" WARN ") || line.contains("ERROR ")) {
            match EXPLAINED.iter().find(|words| line.contains(*words)) {
                Some(words) if line.contains(" WARN ") => *lines.entry(words).or_default() += 1,
                _ => self.shared.fault(format!("in the log: {line}")),
            }
        }
        eprintln!("warnings in the log: {lines:?}");
    }
}
