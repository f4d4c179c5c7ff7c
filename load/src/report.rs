//! What a run has come to, and how it is shown.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::chart::micros;
use crate::server::Kind;
use crate::suite::{Results, Summary};

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

/// The results as a table in Markdown, with what only some scenarios have below it.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::from(
        "| scenario | server | per second | CPU each | × baseline | p50 ms | p99 ms | p99.9 ms | max ms | MiB | lost, twice, out of order |\n\
         |---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
    );
    let mut below = String::new();
    let mut last = None;
    for Summary { row, ratio, spread, .. } in &results.results {
        let Latency { p50_us, p99_us, p999_us, max_us } = row.latency;
        let ms = |us: f64| format!("{:.*}", if us < 10_000.0 { 2 } else { 0 }, us / 1e3);
        // Named once, as long as it stays the same.
        let scenario = if last == Some(&row.scenario) { "" } else { &row.scenario };
        last = Some(&row.scenario);
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        let spread = spread.filter(|_| results.rounds > 1).map(|[low, high]| format!(" ({low:.2}-{high:.2})")).unwrap_or_default();
        text += &format!(
            "| {scenario} | {} | {:.0} {} | {} | {ratio}{spread} | {} | {} | {} | {} | {:.0} | {}, {}, {} |\n",
            row.server.name(),
            row.per_second,
            row.unit,
            micros(row.cpu_us),
            ms(p50_us),
            ms(p99_us),
            ms(p999_us),
            ms(max_us),
            row.resident_mib,
            row.lost,
            row.duplicated,
            row.reordered
        );
        if !row.more.is_empty() {
            let more: Vec<_> = row.more.iter().map(|(name, value)| format!("{name} {value:.2}")).collect();
            below += &format!("- {}, {}: {}\n", row.scenario, row.server.name(), more.join(" · "));
        }
    }
    if below.is_empty() { text } else { format!("{text}\n{below}") }
}
