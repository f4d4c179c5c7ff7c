//! `idle`: what subscribers cost to whom nothing happens.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::clock;
use crate::connection::Connection;
use crate::crowd::{GROUP, Span};
use crate::dialect::{Content, Dialect};
use crate::poll::Poll;
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
        let mut quiet = Quiet { dialect: server.dialect, poll: Poll::new()?, connections: Vec::new(), buffer: Vec::new() };
        for number in 1..=self.connections {
            quiet.add(connect(&mut latencies)?)?;
            if number % 100 == 0 {
                progress.at(number as f64, format!("{number} connected"));
                quiet.answer(Duration::ZERO)?;
            }
        }
        let (connected, connecting) = (clock::now(), server.watched.cpu()?);
        let end = connected + clock::nanos(span.seconds);
        while clock::now() < end {
            quiet.answer(Duration::from_nanos(end - clock::now().min(end)))?;
        }
        let (after, idle) = (server.watched.resident_bytes()?, server.watched.cpu()?);
        let count = self.connections.max(1) as f64;
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "connections",
            operations: quiet.connections.len() as u64,
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

/// Connections that do nothing but answer who asks whether they are still there.
struct Quiet<'a> {
    dialect: &'a dyn Dialect,
    poll: Poll,
    connections: Vec<Connection>,
    buffer: Vec<u8>,
}

impl Quiet<'_> {
    fn add(&mut self, connection: Connection) -> Result<()> {
        self.poll.add(&connection, self.connections.len())?;
        self.connections.push(connection);
        Ok(())
    }

    /// Answers what comes first within `limit`.
    fn answer(&mut self, limit: Duration) -> Result<()> {
        for token in self.poll.wait(Some(limit))? {
            let connection = &mut self.connections[token];
            let Some(count) = connection.read(&mut self.buffer)? else { continue };
            let mut at = 0;
            while let Some(incoming) = self.dialect.next(&self.buffer[at..count], 0)? {
                at += incoming.end;
                if let Content::Ask(answer) = incoming.content {
                    connection.write(&answer)?;
                }
            }
            connection.hold(&self.buffer[at..count]);
        }
        Ok(())
    }
}
