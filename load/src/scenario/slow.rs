//! `slow`: what subscribers that stop reading do to the others.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use clap::Args;

use crate::connection::Connection;
use crate::crowd::{Crowd, GROUP, Outcome, Pace, Span};
use crate::report::{Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Delivers events to subscribers that read beside others that have stopped, and without those before and afterwards.
#[derive(Args, Clone, Debug)]
pub(crate) struct Slow {
    /// Subscribers that read.
    #[arg(long, default_value_t = 180)]
    pub(crate) readers: usize,
    /// Subscribers of the same group that do not.
    #[arg(long, default_value_t = 20)]
    pub(crate) stalled: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 2_048)]
    pub(crate) payload: usize,
    /// Events at once; the next ones when all that read have these.
    #[arg(long, default_value_t = 16)]
    pub(crate) burst: u64,
}

impl Scenario for Slow {
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        let server = target.start(kind, self.readers + self.stalled)?;
        let scenario =
            format!("slow: {} readers beside {} stalled, {} bytes, bursts of {}", self.readers, self.stalled, self.payload, self.burst);
        let name = format!("{scenario}, {}", server.name());
        let mut crowd = Crowd::gather(&server, self.readers, self.payload)?;
        let mut run = || crowd.run(Pace { burst: self.burst, rate: None }, span, &name);

        let before = run()?;
        let resident = server.watched.resident_bytes()?;
        let stalled = (0..self.stalled)
            .map(|_| {
                let mut connection = Connection::open_narrow(server.subscribers)?;
                server.dialect.subscribe(&mut connection, GROUP)?;
                Ok(connection)
            })
            .collect::<Result<Vec<_>>>()
            .context("subscribers that will stall")?;
        let beside = run()?;
        let grown = server.watched.resident_bytes()?.saturating_sub(resident);
        drop(stalled);
        // What else the machine does may have changed, so the pace without them is that of before and of afterwards.
        let after = run()?;

        let pace = |outcome: &Outcome| outcome.deliveries as f64 / outcome.seconds;
        let alone = f64::midpoint(pace(&before), pace(&after));
        let all = [&before, &beside, &after];
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "deliveries",
            operations: beside.deliveries,
            per_second: pace(&beside),
            cpu_us: beside.cpu.as_secs_f64() * 1e6 / beside.deliveries as f64,
            latency: beside.latencies.summary(),
            resident_mib: mib(resident + grown),
            duplicated: all.iter().map(|outcome| outcome.duplicated).sum(),
            reordered: all.iter().map(|outcome| outcome.reordered).sum(),
            lost: crowd.lost(),
            more: BTreeMap::from([
                ("per second without the stalled", alone),
                ("pace kept", pace(&beside) / alone),
                ("MiB grown", mib(grown)),
                ("MiB of events for each", beside.deliveries as f64 / self.readers as f64 * mib(self.payload as u64)),
            ]),
        }])
    }
}
