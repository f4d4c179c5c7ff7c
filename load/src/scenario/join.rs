//! `join`: many clients join one group at the same moment, as they do after a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::callers;
use crate::clock;
use crate::connection::{BUFFER_BYTES, Connection, check_upgrade, head_end};
use crate::crowd::{GROUP, Span};
use crate::dialect::weir;
use crate::frame::{self, TEXT};
use crate::poll::Poll;
use crate::progress::Progress;
use crate::report::{Latencies, Row, mib};
use crate::server::{Kind, Server, Target};
use crate::suite::Scenario;

/// How long nothing may come before the rest counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets many clients join one group all at once.
#[derive(Args, Clone, Debug)]
pub(crate) struct Join {
    /// Clients.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) clients: usize,
    /// Items of the group, all of which each client gets.
    #[arg(long, default_value_t = 100)]
    pub(crate) items: usize,
    /// Bytes of an item.
    #[arg(long, default_value_t = 128)]
    pub(crate) payload: usize,
}

/// How far a client has come.
enum Stage {
    Handshake,
    /// Of its `sync`, so many bytes are to come.
    Sync(usize),
    Joined,
}

impl Scenario for Join {
    fn run(&self, target: &Target, kind: Kind, _: Span) -> Result<Vec<Row>> {
        ensure!(kind == Kind::Weir, "only Weir is joined");
        let server = target.start(kind, self.clients)?;
        callers::fill(&server, self.items, self.payload)?;
        let scenario = format!("join: {} clients at once, a group of {} items", self.clients, self.items);
        let progress = Progress::new(&format!("{scenario}, {}", server.name()), self.clients as f64);
        let (cpu, began) = (server.watched.cpu()?, clock::now());
        let mut latencies = Latencies::new()?;
        let (joined, last) = self.storm(&server, &mut latencies, &progress)?;
        let cpu = server.watched.cpu()?.saturating_sub(cpu);
        let each = cpu.as_secs_f64() * 1e6 / joined as f64;
        Ok(vec![Row {
            scenario,
            server: kind,
            unit: "joins",
            operations: joined,
            per_second: joined as f64 / clock::seconds(last - began),
            cpu_us: each,
            latency: latencies.summary(),
            resident_mib: mib(server.watched.resident_bytes()?),
            lost: self.clients as u64 - joined,
            duplicated: 0,
            reordered: 0,
            more: BTreeMap::from([("CPU µs per item sent", each / self.items.max(1) as f64)]),
        }])
    }
}

impl Join {
    /// How many have joined, and when the last one had.
    fn storm(&self, server: &Server, latencies: &mut Latencies, progress: &Progress) -> Result<(u64, u64)> {
        let opened = (0..self.clients).map(|_| Ok((Connection::open(server.subscribers)?, Stage::Handshake)));
        let mut clients = opened.collect::<Result<Vec<_>>>()?;
        let mut poll = Poll::new()?;
        for (token, (connection, _)) in clients.iter().enumerate() {
            poll.add(connection, token)?;
        }
        let began = clock::now();
        for (connection, _) in &mut clients {
            connection.request_upgrade(&weir::path(GROUP))?;
        }
        let (mut joined, mut last, mut buffer) = (0, began, vec![0; BUFFER_BYTES]);
        while joined < self.clients as u64 {
            let mut quiet = true;
            for token in poll.wait(Some(PATIENCE))? {
                quiet = false;
                let (connection, stage) = &mut clients[token];
                self.take(connection, stage, &mut buffer)?;
                if matches!(stage, Stage::Sync(0)) {
                    *stage = Stage::Joined;
                    last = clock::now();
                    latencies.record(last - began);
                    joined += 1;
                    progress.at(joined as f64, format!("{joined} joined"));
                }
            }
            if quiet {
                break;
            }
        }
        Ok((joined, last))
    }

    /// Reads once. The items themselves are counted by their bytes: a large group should cost the server and not us.
    fn take(&self, connection: &mut Connection, stage: &mut Stage, buffer: &mut Vec<u8>) -> Result<()> {
        let Some(count) = connection.read(buffer)? else { return Ok(()) };
        let bytes = &buffer[..count];
        match stage {
            Stage::Handshake => {
                let frame = head_end(bytes).and_then(|head| Some((head, frame::extent(&bytes[head..])?)));
                let Some((head, (header, end))) = frame else {
                    connection.hold(bytes);
                    return Ok(());
                };
                check_upgrade(bytes)?;
                ensure!(bytes[head] == TEXT && end - header >= self.items * self.payload, "a sync of {} bytes lacks items", end - header);
                *stage = Stage::Sync((head + end).checked_sub(count).context("more than a sync")?);
            }
            Stage::Sync(rest) => *rest = rest.checked_sub(count).context("more than a sync")?,
            Stage::Joined => {}
        }
        Ok(())
    }
}
