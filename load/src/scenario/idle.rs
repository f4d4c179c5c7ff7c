//! `idle`: what subscribers cost to whom nothing happens.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::clock;
use crate::connection::Connection;
use crate::crowd::{GROUP, Span};
use crate::progress::Progress;
use crate::report::{Latencies, Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Connects subscribers and leaves them alone.
#[derive(Args, Clone, Debug)]
pub(crate) struct Idle {
    /// Subscribers.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) connections: usize,
}

impl Scenario for Idle {
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        let server = target.start(kind, self.connections)?;
        let scenario = format!("idle: {} subscribers", self.connections);
        let progress = Progress::new(&format!("{scenario}, {}", server.name()), self.connections as f64);
        let connect = |latencies: &mut Latencies| -> Result<Connection> {
            let began = clock::now();
            let mut connection = Connection::open(server.subscribers)?;
            server.dialect.subscribe(&mut connection, GROUP)?;
            latencies.record(clock::now() - began);
            Ok(connection)
        };
        // What the first one brings about stays, and is not one connection's.
        drop(connect(&mut Latencies::new()?)?);
        let (before, cpu, began) = (server.watched.resident_bytes()?, server.watched.cpu()?, clock::now());
        let mut latencies = Latencies::new()?;
        let mut connections = Vec::with_capacity(self.connections);
        for number in 1..=self.connections {
            connections.push(connect(&mut latencies)?);
            if number % 100 == 0 {
                progress.at(number as f64, format!("{number} connected"));
            }
        }
        let (connected, connecting) = (clock::now(), server.watched.cpu()?);
        thread::sleep(Duration::from_secs_f64(span.seconds));
        let (after, idle) = (server.watched.resident_bytes()?, server.watched.cpu()?);
        let count = self.connections.max(1) as f64;
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "connections",
            operations: connections.len() as u64,
            per_second: count / clock::seconds(connected - began),
            cpu_us: connecting.saturating_sub(cpu).as_secs_f64() * 1e6 / count,
            latency: latencies.summary(),
            resident_mib: mib(after),
            lost: 0,
            duplicated: 0,
            reordered: 0,
            more: BTreeMap::from([
                ("KiB each", after.saturating_sub(before) as f64 / 1024.0 / count),
                ("idle CPU µs a second each", idle.saturating_sub(connecting).as_secs_f64() * 1e6 / span.seconds.max(0.001) / count),
            ]),
        }])
    }
}
