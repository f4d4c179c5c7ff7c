use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::*;
use crate::frame::Opcode;
use crate::session::peer::{World, until};
use crate::settings::Settings;

fn join(id: usize) -> Value {
    json!({"type": "join", "data": {"subscriptionId": id.to_string(), "streamName": "s", "groupId": id.to_string()}})
}

#[actix_rt::test]
async fn joins_that_wait_are_done_when_the_trigger_they_wait_for_is_gone() {
    let world = World::new(Settings::default());
    let mut worker = world.worker().await;
    worker.send(&json!({"type": "registerfunction", "id": "guard"}));
    worker.send(&json!({"type": "registertrigger", "id": "t", "trigger_type": "stream:join", "function_id": "guard", "config": {}}));
    worker.settle().await;
    let mut client = world.client();
    for id in 0..ASKING * 4 {
        client.send(&join(id));
    }
    let mut asked = Vec::new();
    for _ in 0..ASKING {
        asked.push(worker.called().await);
    }
    worker.send(&json!({"type": "unregistertrigger", "id": "t"}));
    for call in &asked {
        worker.answer(call, &json!({}));
    }
    for _ in 0..ASKING * 4 {
        assert_eq!(client.next().await["event"]["type"], "sync");
    }
    world.system.stop();
}

#[actix_rt::test]
async fn pings_of_a_client_that_does_not_read_cost_no_memory_and_the_last_is_answered() {
    const PINGS: u32 = 20_000;
    let world = World::new(Settings::default());
    let mut client = world.client();
    for n in 0..PINGS {
        client.frame(Opcode::Ping, &n.to_be_bytes());
    }
    until("all pings", || client.taken() == PINGS as usize).await;
    assert!(client.outbox().queued_bytes() <= 256 * 6, "{} bytes wait", client.outbox().queued_bytes());
    let mut answered = 0;
    loop {
        let (first, payload) = client.next_frame().await;
        assert_eq!(first, 0x80 | Opcode::Pong as u8);
        answered += 1;
        if *payload == (PINGS - 1).to_be_bytes() {
            break;
        }
    }
    assert_eq!(client.outbox().queued_bytes(), 0, "it is the last one");
    eprintln!("{answered} of {PINGS} pings are answered");
    world.system.stop();
}

/// Counts what would be logged.
#[derive(Clone, Default)]
struct Log(Arc<AtomicUsize>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() <= tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[actix_rt::test]
async fn messages_that_mean_nothing_do_not_fill_the_log_and_leave_the_socket_open() {
    const MESSAGES: usize = 10_000;
    let log = Log::default();
    // Of this thread, which the session is on too.
    let _guard = tracing::subscriber::set_default(log.clone());
    let world = World::new(Settings::default());
    let mut client = world.client();
    for _ in 0..MESSAGES {
        client.frame(Opcode::Text, b"x");
    }
    client.send(&join(1));
    assert_eq!(client.next().await["event"]["type"], "sync");
    let lines = log.0.load(Ordering::Relaxed);
    assert!((1..100).contains(&lines), "{lines} lines for {MESSAGES} messages");
    world.system.stop();
}

#[actix_rt::test]
async fn join_that_waits_for_its_turn_is_found_by_a_disconnect() {
    let world = World::new(Settings::default());
    let mut worker = world.worker().await;
    worker.send(&json!({"type": "registerfunction", "id": "guard"}));
    worker.send(&json!({"type": "registertrigger", "id": "t", "trigger_type": "stream:join", "function_id": "guard", "config": {}}));
    worker.settle().await;
    let client = world.client();
    for id in 0..=ASKING {
        client.send(&join(id));
    }
    for _ in 0..ASKING {
        worker.called().await;
    }
    worker.call("d", "stream::disconnect", &json!({"subscription_id": ASKING.to_string()}));
    assert_eq!(worker.next().await["result"], json!({"count": 1}));
    world.system.stop();
}

#[actix_rt::test]
async fn first_client_of_a_thread_is_closed_where_the_draining_has_begun() {
    let world = World::new(Settings::default());
    world.local.registry.health.set_draining();
    let (first, reason) = world.client().next_frame().await;
    assert_eq!((first, &reason[..2]), (0x80 | Opcode::Close as u8, &1012_u16.to_be_bytes()[..]));
    world.system.stop();
}
