//! `write`: calls that are answered when they are as durable as the store makes them.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;

use crate::callers::{self, Setting};
use crate::calls::Op;
use crate::crowd::Span;
use crate::report::{Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Writes and reads items, with many calls in flight.
#[derive(Args, Clone, Debug)]
pub(crate) struct Write {
    /// Connections that call, each to a group of its own.
    #[arg(long, default_value_t = 4)]
    pub(crate) connections: usize,
    /// Calls in flight, all connections together.
    #[arg(long, default_value_t = 256)]
    pub(crate) in_flight: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 128)]
    pub(crate) payload: usize,
    /// Items of a group, written over and over.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) items: usize,
    /// Groups that are written to in turn; by default, as many as connections.
    #[arg(long)]
    pub(crate) groups: Option<usize>,
    /// Of a turn, so many are `set` calls,
    #[arg(long, default_value_t = 1)]
    pub(crate) set: usize,
    /// so many `get` calls,
    #[arg(long, default_value_t = 0)]
    pub(crate) get: usize,
    /// and so many `update` calls.
    #[arg(long, default_value_t = 0)]
    pub(crate) update: usize,
    /// Calls per second; latency counts from when they should have been made.
    #[arg(long)]
    pub(crate) rate: Option<f64>,
}

impl Default for Write {
    fn default() -> Self {
        Self { connections: 4, in_flight: 256, payload: 128, items: 10_000, groups: None, set: 1, get: 0, update: 0, rate: None }
    }
}

impl Scenario for Write {
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        let server = target.start(kind, self.connections)?;
        let scenario = self.name(target);
        let parts = [(Op::Set, self.set), (Op::Get, self.get), (Op::Update, self.update)];
        let setting = Setting {
            connections: self.connections.max(1),
            in_flight: self.in_flight.max(1),
            payload_bytes: self.payload,
            items: self.items.max(1),
            groups: self.groups.unwrap_or(self.connections).max(1),
            mix: parts.into_iter().flat_map(|(op, count)| std::iter::repeat_n(op, count)).collect(),
            rate: self.rate,
        };
        anyhow::ensure!(!setting.mix.is_empty(), "nothing to call: one of --set, --get and --update must not be 0");
        let outcome = callers::run(&server, &setting, span, &format!("{scenario}, {}", server.name()))?;
        let each = |time: std::time::Duration| time.as_secs_f64() * 1e6 / outcome.answers as f64;
        let behind = server.behind.is_some().then(|| ("Redis CPU µs each", each(outcome.behind)));
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "acks",
            operations: outcome.answers,
            per_second: outcome.answers as f64 / outcome.seconds,
            cpu_us: each(outcome.cpu),
            latency: outcome.latencies.summary(),
            resident_mib: mib(server.watched.resident_bytes()?),
            lost: outcome.lost,
            duplicated: outcome.duplicated,
            reordered: outcome.reordered,
            more: behind.into_iter().collect::<BTreeMap<_, _>>(),
        }])
    }
}

impl Write {
    fn name(&self, target: &Target) -> String {
        let parts = [("set", self.set), ("get", self.get), ("update", self.update)];
        let called: Vec<_> = parts.into_iter().filter(|(_, count)| *count > 0).collect();
        let mix = match called[..] {
            [(only, _)] => only.to_owned(),
            ref several => several.iter().map(|(name, count)| format!("{count} {name}")).collect::<Vec<_>>().join(", "),
        };
        let store = format!("{:?}", target.store).to_lowercase();
        let load = match (self.connections, self.in_flight) {
            (1, 1) => "one at a time".to_owned(),
            (connections, in_flight) => format!("{connections} connections, {in_flight} in flight"),
        };
        let groups = self.groups.map(|groups| format!(", groups: {groups}")).unwrap_or_default();
        let pace = self.rate.map(|rate| format!(", {rate} a second")).unwrap_or_default();
        format!("write: {mix}, {store}, {} bytes, {load}{groups}{pace}", self.payload)
    }
}
