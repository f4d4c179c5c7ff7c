//! `inprocess`: the actor system without a network, as a Rust program embeds it.
//!
//! The processor time is that of this whole process, the calls included.

use std::collections::BTreeMap;
use std::time::Duration;

use actix::Addr;
use anyhow::{Context, Result, ensure};
use clap::Args;
use tokio::sync::oneshot;
use weir_actors::adapter::memory::Memory;
use weir_actors::functions::ReplyTo;
use weir_actors::ids::{GroupKey, ItemKey, SocketId};
use weir_actors::json::Json;
use weir_actors::settings::Settings;
use weir_actors::store::input::Op;
use weir_actors::store::{Store, Submit};
use weir_actors::system::System;

use crate::clock;
use crate::crowd::Span;
use crate::payload;
use crate::process::Watched;
use crate::progress::Progress;
use crate::report::{Latencies, Row, mib};
use crate::server::{Kind, Target};
use crate::suite::Scenario;

/// Sends `set` calls to the store of a system in this process.
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
        actix::System::new().block_on(async {
            let system = System::start(Settings::default(), Box::new(Memory::new()));
            let store = system.registry().store().context("the system has no store")?.clone();
            let row = self.drive(&store, span).await;
            system.stop();
            Ok(vec![row?])
        })
    }
}

impl InProcess {
    async fn drive(&self, store: &Addr<Store>, span: Span) -> Result<Row> {
        let scenario = format!("inprocess: set, memory, {} bytes, {} in flight", self.payload, self.in_flight);
        let progress = Progress::new(&scenario, span.warm_up + span.seconds);
        let group = GroupKey::new("bench", "group-0");
        let writes: Vec<(ItemKey, Json)> = (0..self.items.max(1))
            .map(|n| {
                let value = serde_json::Value::String(payload::noise(self.payload, n as u64));
                (ItemKey { group: group.clone(), item: format!("item-{n}").as_str().into() }, Json::from_value(&value))
            })
            .collect();
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
            let (reply, answered) = oneshot::channel();
            let mut last = Some(reply);
            for number in (0..self.in_flight.max(1)).rev() {
                let Some((key, data)) = turn.next() else { continue };
                let reply = if number == 0 { last.take() } else { None };
                let reply = reply.map_or(ReplyTo::Nobody, ReplyTo::Once);
                store.do_send(Submit { op: Op::Set { key: key.clone(), data: data.clone() }, by: SocketId::NONE, reply });
                sent += 1;
            }
            let outcome = tokio::time::timeout(Duration::from_secs(10), answered).await.context("the store does not answer")?;
            ensure!(outcome.is_ok_and(|outcome| outcome.is_ok()), "the store refuses a write");
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
