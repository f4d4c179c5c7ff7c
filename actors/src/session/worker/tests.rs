use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::*;
use crate::adapter::memory::Memory;
use crate::adapter::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;
use crate::session::peer::{Peer, World, until};
use crate::settings::{Settings, WorkerSettings};

const OUTBOX_BYTES: usize = 64 << 10;

fn settings() -> Settings {
    let worker = WorkerSettings { outbox_bytes: OUTBOX_BYTES, invocation_timeout: Duration::from_millis(300), ..WorkerSettings::default() };
    Settings { worker, ..Settings::default() }
}

fn key(item: &str) -> Value {
    json!({"stream_name": "s", "group_id": "g", "item_id": item})
}

/// A worker that serves `f` and does not read the results of what it has called, so that it is not read on either.
async fn deaf(world: &World) -> Peer {
    let mut worker = world.worker().await;
    worker.send(&json!({"type": "registerfunction", "id": "f"}));
    let mut data = key("big");
    data["data"] = json!("x".repeat(OUTBOX_BYTES));
    worker.call("set", "stream::set", &data);
    assert_eq!(worker.next().await["invocation_id"], "set");
    for n in 0..2 {
        worker.call(&n.to_string(), "stream::get", &key("big"));
    }
    until("its results", || worker.outbox().queued_bytes() > 2 * OUTBOX_BYTES).await;
    let before = worker.taken();
    // The first of these finds that it does not read.
    for _ in 0..10 {
        worker.send(&json!({"type": "ping"}));
    }
    until("a look at its socket", || worker.taken() > before).await;
    worker
}

#[actix_rt::test]
async fn call_to_a_worker_that_does_not_read_its_results_fails_at_once() {
    let world = World::new(settings());
    let deaf = deaf(&world).await;
    let mut caller = world.worker().await;
    caller.call("c", "f", &json!("x".repeat(OUTBOX_BYTES)));
    let answer = caller.next().await;
    assert_eq!(answer["error"]["code"], "channel_send_failed", "{answer}");
    assert!(deaf.outbox().queued_bytes() < 3 * OUTBOX_BYTES);
    world.system.stop();
}

#[actix_rt::test]
async fn worker_that_does_not_read_its_results_is_read_on_when_it_does() {
    let world = World::new(settings());
    let mut deaf = deaf(&world).await;
    let (taken, mut caller) = (deaf.taken(), world.worker().await);
    // Others are served meanwhile, many turns long.
    for _ in 0..50 {
        caller.settle().await;
    }
    assert_eq!(deaf.taken(), taken, "it is read on while it does not read");
    for n in 0..2 {
        assert_eq!(deaf.next().await["invocation_id"], n.to_string());
    }
    for _ in 0..10 {
        assert_eq!(deaf.next().await["type"], "pong");
    }
    world.system.stop();
}

/// Commits while nobody holds the lock.
struct Stalling {
    memory: Memory,
    lock: Arc<Mutex<()>>,
    stalls: Arc<AtomicBool>,
}

impl Adapter for Stalling {
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        self.stalls.store(true, Ordering::Release);
        drop(self.lock.lock());
        self.memory.commit(writes, heads)
    }
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.memory.get(key)
    }
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        self.memory.list(group)
    }
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.memory.list_groups(stream)
    }
    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        self.memory.list_all()
    }
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.memory.streams_before(stream)
    }
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        self.memory.head(group)
    }
    fn floor(&self) -> Head {
        self.memory.floor()
    }
    fn epoch(&self) -> u64 {
        self.memory.epoch()
    }
}

#[actix_rt::test]
#[allow(clippy::await_holding_lock, reason = "it is the store that waits for it, on a thread of its own")]
async fn worker_whose_calls_the_store_does_not_take_is_called_and_its_calls_stay_in_order() {
    // More than the mailbox of the store takes.
    const CALLS: usize = 6_000;
    let (lock, stalls) = (Arc::<Mutex<()>>::default(), Arc::<AtomicBool>::default());
    let world = World::on(Settings::default(), Stalling { memory: Memory::new(), lock: lock.clone(), stalls: stalls.clone() });
    let stalled = lock.lock();
    let mut worker = world.worker().await;
    worker.send(&json!({"type": "registerfunction", "id": "f"}));
    worker.settle().await;
    let set = |n: usize| {
        let mut data = key("i");
        data["data"] = json!(n);
        json!({"type": "invokefunction", "function_id": "stream::set", "data": data, "action": {"type": "void"}})
    };
    worker.send(&set(0));
    until("the store's stall", || stalls.load(Ordering::Acquire)).await;
    let before = worker.taken();
    for n in 1..=CALLS {
        worker.send(&set(n));
    }
    until("a full store", || worker.taken() >= before + crate::store::MAILBOX).await;
    let mut caller = world.worker().await;
    caller.call("c", "f", &json!(1));
    let call = worker.called().await;
    assert!(worker.taken() < before + CALLS, "it is read on though the store takes nothing");
    drop(stalled);
    worker.answer(&call, &json!(2));
    assert_eq!(caller.next().await["result"], 2);
    worker.call("get", "stream::get", &key("i"));
    assert_eq!(worker.next().await["result"], CALLS);
    world.system.stop();
}

#[actix_rt::test]
async fn provider_that_does_not_read_what_it_is_told_of_triggers_is_ended() {
    let world = World::new(settings());
    let (mut provider, mut consumer) = (world.worker().await, world.worker().await);
    provider.send(&json!({"type": "registertriggertype", "id": "hook", "description": ""}));
    let bind = |n: usize| {
        let config = json!({"n": n, "text": "x".repeat(OUTBOX_BYTES / 8)});
        json!({"type": "registertrigger", "id": "t", "trigger_type": "hook", "function_id": "f", "config": config})
    };
    consumer.send(&bind(0));
    assert_eq!(provider.next().await["config"]["n"], 0);
    for n in 1..100 {
        consumer.send(&bind(n));
    }
    let workers = world.local.registry.clone();
    until("its end", || workers.workers.read().len() == 1).await;
    consumer.settle().await;
    assert_eq!(provider.outbox().queued_bytes(), 0);
    world.system.stop();
}
