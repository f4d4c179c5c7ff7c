//! `fanout`: one publisher, many subscribers of one group.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use crate::crowd::{Crowd, Pace, Span};
use crate::report::{Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Delivers events to many subscribers.
#[derive(Args, Clone, Debug)]
pub(crate) struct Fanout {
    /// Subscribers of the group.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) subscribers: usize,
    /// Bytes of an event's data.
    #[arg(long, default_value_t = 128)]
    pub(crate) payload: usize,
    /// Events at once; the next ones when all subscribers have these.
    #[arg(long, default_value_t = 1)]
    pub(crate) burst: u64,
    /// Events per second instead, whether or not the last ones have arrived; latency counts from when they should have been sent.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

impl Scenario for Fanout {
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        let server = target.start(kind, self.subscribers)?;
        let mut crowd = Crowd::gather(&server, self.subscribers, self.payload)?;
        let scenario = self.name();
        let pace = Pace { burst: self.burst, rate: self.rate };
        let outcome = crowd.run(pace, span, &format!("{scenario}, {}", server.name()))?;
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "deliveries",
            operations: outcome.deliveries,
            per_second: outcome.deliveries as f64 / outcome.seconds,
            cpu_us: outcome.cpu.as_secs_f64() * 1e6 / outcome.deliveries as f64,
            latency: outcome.latencies.summary(),
            resident_mib: mib(server.watched.resident_bytes()?),
            lost: crowd.lost(),
            duplicated: outcome.duplicated,
            reordered: outcome.reordered,
            more: BTreeMap::new(),
        }])
    }
}

impl Fanout {
    fn name(&self) -> String {
        let pace = match (self.rate, self.burst) {
            (Some(rate), burst) => format!("{rate} a second in bursts of {burst}"),
            (None, 1) => "one at a time".to_owned(),
            (None, burst) => format!("bursts of {burst}"),
        };
        format!("fanout: {} subscribers, {} bytes, {pace}", self.subscribers, self.payload)
    }
}
