//! Clients that take less than they are sent.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::raw::{CLOSE, Raw, TEXT};
use crate::server::{Server, until, within};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group};

/// What may wait for a client in these tests.
const OUTBOX_BYTES: usize = 64 << 10;
/// Changes that are made, about 8 KiB each: far more than an outbox and the kernel's buffers of a client that does not read.
const CHANGES: u64 = 1_500;
/// Changes after which everybody who reads is waited for.
const ROUND: u64 = 4;

fn server(more: &Value) -> Server {
    let mut keys = json!({"outbox_bytes": OUTBOX_BYTES});
    keys.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Server::with(keys)
}

async fn change(worker: &Worker, stream: &str, n: u64) {
    worker.set(stream, "g", "i", json!({"id": "i", "n": n, "padding": "x".repeat(8_000)})).await;
}

/// A client of the group that has its `sync` and reads nothing more until it is told to.
async fn stalled(server: &Server, stream: &str) -> Raw {
    let mut raw = Raw::open_narrow(server.streams(), &format!("/stream/{stream}/g/")).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    raw
}

#[tokio::test]
async fn stalled_clients_cost_others_nothing_and_the_server_what_may_wait_for_them() {
    const STALLED: usize = 25;
    const READING: usize = 50;
    // In memory: what a file store holds of the changes before it writes them into its files is not what is measured.
    let server = server(&json!({"adapter": {"class": "modules::stream::adapters::KvStore", "config": {"store_method": "in_memory"}}}));
    let worker = Worker::open(&server).await;
    change(&worker, "s", 0).await;
    let mut sleepers = Vec::new();
    for _ in 0..STALLED {
        sleepers.push(stalled(&server, "s").await);
    }
    let round = Arc::new(Barrier::new(READING + 1));
    let mut readers = Vec::new();
    for _ in 0..READING {
        let (mut reader, _) = Subscriber::of(&server, "s", "g").await;
        let round = round.clone();
        readers.push(tokio::spawn(async move {
            for n in 1..=CHANGES {
                let frame = reader.next_frame().await;
                assert_eq!((&frame["event"]["type"], &frame["event"]["data"]["n"]), (&json!("update"), &json!(n)));
                if n % ROUND == 0 {
                    round.wait().await;
                }
            }
        }));
    }
    let before = server.resident_kib();
    for n in 1..=CHANGES {
        change(&worker, "s", n).await;
        if n % ROUND == 0 {
            round.wait().await;
        }
    }
    for reader in readers {
        within("end of a reader", reader).await.unwrap();
    }
    // One frame may pass the limit, and a few MiB are anybody's.
    let grown = server.resident_kib().saturating_sub(before);
    let budget = (STALLED * (OUTBOX_BYTES + (8 << 10)) / 1024) as u64 + (8 << 10);
    eprintln!("{grown} KiB more for {STALLED} clients that do not read");
    assert!(grown < budget, "{grown} KiB more for {STALLED} clients that do not read; {budget} are allowed");
    server.logged("clients take less than they are sent").await;
    // Now they read: what was queued, in order, then one state for all that was not, and everything after that.
    change(&worker, "s", CHANGES + 1).await;
    for sleeper in &mut sleepers {
        let (mut last, mut syncs) = (0, 0);
        while last <= CHANGES {
            let frame = sleeper.json().await;
            if frame["event"]["type"] == "sync" {
                syncs += 1;
                last = frame["event"]["data"][0]["n"].as_u64().unwrap();
                continue;
            }
            let n = frame["event"]["data"]["n"].as_u64().unwrap();
            assert_eq!(n, last + 1, "{syncs} syncs before");
            last = n;
        }
        assert!(syncs >= 1, "it has not been too slow");
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await[0]["n"], CHANGES + 1);
}

#[tokio::test]
async fn stream_may_have_slow_clients_closed() {
    let server = server(&json!({"overflow_by_stream": {"strict": "close"}}));
    let worker = Worker::open(&server).await;
    let mut left = worker.record("left");
    worker.trigger("t", "stream:leave", "left", json!({"stream_name": "strict"}));
    worker.settle().await;
    let (mut strict, mut patient) = (stalled(&server, "strict").await, stalled(&server, "patient").await);
    // Both streams are told as much as a client that does not read cannot take.
    for n in 1..=CHANGES {
        for stream in ["strict", "patient"] {
            change(&worker, stream, n).await;
        }
    }
    left.next().await;
    let mut last = 0;
    loop {
        let (first, payload) = strict.next().await.expect("a close frame");
        if first == CLOSE {
            assert_eq!(u16::from_be_bytes(*payload.first_chunk().unwrap()), 4409);
            break;
        }
        assert_eq!(first, TEXT);
        let frame: Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(frame["event"]["data"]["n"], last + 1);
        last += 1;
    }
    assert!(last < CHANGES);
    until("resync of the other", async || patient.json().await["event"]["type"] == "sync").await;
    assert!(left.is_empty());
}

#[tokio::test]
async fn burst_larger_than_the_queue_is_not_held_against_a_client_that_reads() {
    // As many in one commit as a slow disk makes of a brisk writer.
    const BURST: u64 = 40;
    let server = server(&json!({"overflow": "close"}));
    let worker = Worker::open(&server).await;
    change(&worker, "s", 0).await;
    let (mut reader, _) = Subscriber::of(&server, "s", "g").await;
    for burst in 0..10 {
        for n in 1..=BURST {
            let data = json!({"id": "i", "n": burst * BURST + n, "padding": "x".repeat(8_000)});
            worker.void("stream::set", crate::worker::write("s", "g", "i", data));
        }
        for n in 1..=BURST {
            assert_eq!(reader.next_event().await["data"]["n"], burst * BURST + n);
        }
    }
}
