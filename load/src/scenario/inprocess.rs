//! `inprocess`: streams without a network, by the handle of a program that they are embedded in.
//!
//! The processor time is that of this whole process, the calls included.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;
use weir_actors::streams::{Group, Streams};

use crate::clock;
use crate::crowd::Span;
use crate::payload;
use crate::process::Watched;
use crate::progress::Progress;
use crate::report::{Latencies, Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Sets items of a system in this process.
#[derive(Args, Clone, Debug)]
pub(crate) struct InProcess {
    /// Calls at once; the next ones when the last of these is answered.
    #[arg(long, default_value_t = 256)]
    pub(crate) in_flight: usize,
    /// Bytes of a value.
    #[arg(long, default_value_t = 128)]
    pub(crate) payload: usize,
    /// Items, written over and over.
    #[arg(long, default_value_t = 10_000)]
    pub(crate) items: usize,
}

impl Scenario for InProcess {
    fn run(&self, _: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        ensure!(kind == Kind::Weir, "only Weir is a crate");
        // Where calls are made and waited for; the system has threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let streams = Streams::builder().start().await?;
            let row = self.drive(&streams.group("bench", "group-0"), span).await;
            streams.shutdown().await;
            Ok(vec![row?])
        })
    }
}

impl InProcess {
    async fn drive(&self, group: &Group<String>, span: Span) -> Result<Row> {
        let scenario = format!("inprocess: set, memory, {} bytes, {} in flight", self.payload, self.in_flight);
        let progress = Progress::new(&scenario, span.warm_up + span.seconds);
        let items = self.items.max(1);
        let writes: Vec<_> = (0..items).map(|n| (format!("item-{n}"), payload::noise(self.payload, n as u64))).collect();
        let (watched, began) = (Watched::new(std::process::id()), clock::now());
        let mut latencies = Latencies::new()?;
        let (mut sent, mut from) = (0u64, None);
        let mut turn = writes.iter().cycle();
        let (count, elapsed, cpu) = loop {
            let now = clock::now();
            let past = clock::seconds(now - began);
            match from {
                None if past >= span.warm_up => {
                    from = Some((now, sent, watched.cpu()?));
                    latencies = Latencies::new()?;
                }
                Some((at, before, cpu)) if clock::seconds(now - at) >= span.seconds => {
                    break (sent - before, clock::seconds(now - at), watched.cpu()?.saturating_sub(cpu));
                }
                _ => {}
            }
            let calls: Vec<_> = turn.by_ref().take(self.in_flight.max(1)).map(|(item, value)| group.set(item, value)).collect();
            sent += calls.len() as u64;
            for call in calls {
                let stored = tokio::time::timeout(Duration::from_secs(10), call).await.context("the store does not answer")?;
                stored.context("the store refuses a write")?;
            }
            latencies.record(clock::now() - now);
            if sent.is_multiple_of(10_000 * self.in_flight.max(1) as u64) {
                progress.at(past, format!("{sent} sets"));
            }
        };
        Ok(Row {
            scenario,
            server: Kind::Weir,
            unit: "acks",
            operations: count,
            per_second: count as f64 / elapsed,
            cpu_us: cpu.as_secs_f64() * 1e6 / count as f64,
            latency: latencies.summary(),
            resident_mib: mib(watched.resident_bytes()?),
            lost: 0,
            duplicated: 0,
            reordered: 0,
            more: BTreeMap::new(),
        })
    }
}
