//! `slow`: what subscribers that stop reading do to the others.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::connection::Connection;
use crate::crowd::{Crowd, GROUP, Outcome, Pace, Span};
use crate::poll::Poll;
use crate::report::{Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// What is published for that, in events of so many bytes: a server of ours lets 1 MiB wait, the kernel about 3 MiB.
const FLOOD_BYTES: u64 = 8 << 20;
const FLOOD_PAYLOAD: usize = 32 << 10;
/// How long nothing comes when all has come.
const QUIET: Duration = Duration::from_millis(500);

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
        let run = |crowd: &mut Crowd<'_>| crowd.run(Pace { burst: self.burst, rate: None }, span, &name);

        let before = run(&mut crowd)?;
        let resident = server.watched.resident_bytes()?;
        let stalled = (0..self.stalled)
            .map(|_| {
                let mut connection = Connection::open_narrow(server.subscribers)?;
                server.dialect.subscribe(&mut connection, GROUP)?;
                Ok(connection)
            })
            .collect::<Result<Vec<_>>>()
            .context("subscribers that will stall")?;
        flood(&mut crowd, self.readers, span)?;
        let beside = run(&mut crowd)?;
        let grown = server.watched.resident_bytes()?.saturating_sub(resident);
        let waited = match stalled.into_iter().next() {
            Some(one) => drain(one)?,
            None => 0,
        };
        // What else the machine does may have changed, so the pace without them is that of before and of afterwards.
        let after = run(&mut crowd)?;

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
                ("MiB that one of the stalled still got", mib(waited)),
            ]),
        }])
    }
}

/// Publishes more than an outbox and the kernel hold, so that those that do not read have stalled when the measurement begins.
fn flood(crowd: &mut Crowd<'_>, readers: usize, span: Span) -> Result<()> {
    let before = crowd.set_payload(FLOOD_PAYLOAD);
    let mut sent = 0;
    while sent < FLOOD_BYTES {
        let span = Span { seconds: 0.1, warm_up: 0.0, ..span };
        let outcome = crowd.run(Pace { burst: 4, rate: None }, span, "slow: filling what waits for the stalled")?;
        sent += outcome.deliveries / readers.max(1) as u64 * FLOOD_PAYLOAD as u64;
    }
    crowd.set_payload(before);
    Ok(())
}

/// Reads what has waited for a client, until nothing more comes; bytes.
fn drain(mut connection: Connection) -> Result<u64> {
    connection.widen()?;
    let mut poll = Poll::new()?;
    poll.add(&connection, 0)?;
    let (mut bytes, mut buffer) = (0, Vec::new());
    while poll.wait(Some(QUIET))?.next().is_some() {
        match connection.read(&mut buffer) {
            Ok(count) => bytes += count.unwrap_or(0) as u64,
            // Some servers end the connection of who is too slow.
            Err(_) => break,
        }
    }
    Ok(bytes)
}
