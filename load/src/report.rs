//! What a run has come to, and how it is shown.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::server::Kind;

/// The longest time that is told from longer ones.
const LONGEST_NANOS: u64 = 120_000_000_000;

/// Times in nanoseconds, exact to three digits.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LONGEST_NANOS, 3)?))
    }

    pub(crate) fn record(&mut self, nanos: u64) {
        self.0.saturating_record(nanos);
    }

    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    pub(crate) fn summary(&self) -> Latency {
        let us = |nanos: u64| nanos as f64 / 1e3;
        Latency {
            p50_us: us(self.0.value_at_quantile(0.5)),
            p99_us: us(self.0.value_at_quantile(0.99)),
            p999_us: us(self.0.value_at_quantile(0.999)),
            max_us: us(self.0.max()),
        }
    }
}

/// How long operations took.
#[derive(Serialize, Clone, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

/// One run of one scenario against one server.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Row {
    /// What was done, with all that matters of its setting.
    pub(crate) scenario: String,
    pub(crate) server: Kind,
    /// What is counted: deliveries, acks, joins.
    pub(crate) unit: &'static str,
    pub(crate) operations: u64,
    pub(crate) per_second: f64,
    /// Processor time of the server for each.
    pub(crate) cpu_us: f64,
    pub(crate) latency: Latency,
    /// Resident memory of the server at the end.
    pub(crate) resident_mib: f64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    /// What only this scenario has.
    pub(crate) more: BTreeMap<&'static str, f64>,
}

/// Bytes as MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// The rows as a table in Markdown.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| scenario | server | per second | CPU µs each | p50 µs | p99 µs | p99.9 µs | max µs | MiB | lost | twice | out of order |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    for row in rows {
        let Latency { p50_us, p99_us, p999_us, max_us } = row.latency;
        let name = format!("{:?}", row.server).to_lowercase();
        text += &format!(
            "| {} | {name} | {:.0} {} | {:.3} | {p50_us:.0} | {p99_us:.0} | {p999_us:.0} | {max_us:.0} | {:.1} | {} | {} | {} |\n",
            row.scenario, row.per_second, row.unit, row.cpu_us, row.resident_mib, row.lost, row.duplicated, row.reordered
        );
        for (name, value) in &row.more {
            text += &format!("| | {name} | {value:.3} | | | | | | | | | |\n");
        }
    }
    text
}
