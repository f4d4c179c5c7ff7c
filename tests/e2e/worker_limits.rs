//! What one worker, and all workers together, may use of a server.

use serde_json::{Value, json};

use crate::handshake::upgrade;
use crate::raw::{Raw, TEXT};
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use crate::worker::{Worker, group, key};

#[tokio::test]
async fn worker_that_does_not_read_fails_calls_to_it_and_costs_what_may_wait_for_it() {
    const OUTBOX_BYTES: usize = 1 << 20;
    const CALLS: usize = 1_500;
    let server = Server::configured(json!({}), json!({"outbox_bytes": OUTBOX_BYTES}));
    let (caller, callee) = (Worker::open(&server).await, Worker::open(&server).await);
    drop(callee.serve("echo", serde_json::Value::clone));
    callee.settle().await;
    let mut stuck = Raw::open_narrow(server.workers(), "/").await;
    stuck.json().await;
    stuck.frame(TEXT, br#"{"type":"registerfunction","id":"stuck"}"#).await;
    stuck.frame(TEXT, br#"{"type":"ping"}"#).await;
    assert_eq!(stuck.json().await["type"], "pong");
    let payload = json!("x".repeat(64 << 10));
    let before = server.resident_kib();
    for n in 0..CALLS {
        caller.void("stuck", payload.clone());
        // In turn with others, which nothing happens to.
        if n % 50 == 0 {
            assert_eq!(caller.result("echo", json!(n)).await, n);
        }
    }
    let (code, message) = caller.error("stuck", payload.clone()).await;
    assert!(code == "channel_send_failed" && message.contains("'stuck' does not read its socket"), "{code}: {message}");
    let grown = server.resident_kib().saturating_sub(before);
    let (sent, budget) = ((CALLS * 64) as u64, (OUTBOX_BYTES / 1024) as u64 + (16 << 10));
    eprintln!("{grown} KiB more for a worker that does not read {sent} KiB");
    assert!(grown < budget && budget < sent / 2, "{grown} KiB more for a worker that does not read; {budget} are allowed");
    // It has missed calls and is as good as any other once it reads.
    let reads = tokio::spawn(async move {
        loop {
            if stuck.json().await["data"] == "last" {
                return;
            }
        }
    });
    until("a call that gets through", async || {
        caller.void("stuck", json!("last"));
        caller.settle().await;
        reads.is_finished()
    })
    .await;
    reads.await.unwrap();
}

#[tokio::test]
async fn calls_of_a_worker_that_does_not_read_their_results_are_refused_and_cost_what_may_wait_for_it() {
    results_that_nobody_reads(json!({})).await;
}

#[tokio::test]
async fn results_that_redis_has_sent_and_nobody_reads_are_refused_and_cost_what_may_wait_for_a_worker() {
    let redis = RedisServer::start(&[]);
    results_that_nobody_reads(json!({"adapter": redis.adapter()})).await;
}

/// Asks a server whose stream module has these keys for more than a worker reads.
async fn results_that_nobody_reads(stream: Value) {
    const OUTBOX_BYTES: usize = 1 << 20;
    const CALLS: usize = 1_000;
    let server = Server::configured(stream, json!({"outbox_bytes": OUTBOX_BYTES}));
    let other = Worker::open(&server).await;
    other.set("s", "g", "i", json!("x".repeat(1 << 20))).await;
    let mut stuck = Raw::open_narrow(server.workers(), "/").await;
    stuck.json().await;
    let before = server.resident_kib();
    let call = |function: &str, n: usize| {
        let mut call = json!({"type": "invokefunction", "invocation_id": n.to_string(), "function_id": function});
        call["data"] = json!({"stream_name": "s", "group_id": "g", "item_id": "i"});
        crate::raw::frame(TEXT, call.to_string().as_bytes())
    };
    let calls: Vec<u8> = (0..CALLS).flat_map(|n| call(if n % 2 == 0 { "stream::get" } else { "stream::list" }, n)).collect();
    stuck.write(&calls).await;
    // All of them are answered by now, one way or the other, and nobody else is kept waiting.
    other.set("s", "other", "i", json!(1)).await;
    let grown = server.resident_kib().saturating_sub(before);
    let (asked, budget) = ((CALLS << 10) as u64, (64 << 10) as u64);
    eprintln!("{grown} KiB more for {asked} KiB of results that nobody reads");
    assert!(grown < budget, "{grown} KiB more for {asked} KiB of results that nobody reads; {budget} are allowed");
    let (mut read, mut refused) = (0, 0);
    for _ in 0..CALLS {
        let reply = stuck.json().await;
        match reply["error"]["code"].as_str() {
            None => read += 1,
            Some("overloaded") => refused += 1,
            Some(other) => panic!("{other}"),
        }
    }
    assert!(read >= 4 && refused > CALLS / 2, "{read} results, {refused} refused");
    stuck.write(&call("stream::get", CALLS)).await;
    assert!(stuck.json().await.get("result").is_some(), "it has read everything");
}

#[tokio::test]
async fn worker_over_the_limit_of_connections_is_answered_503_and_telemetry_counts() {
    let server = Server::configured(json!({}), json!({"max_connections": 2}));
    let worker = Worker::open(&server).await;
    let telemetry = Raw::open(server.workers(), "/otel").await;
    for path in ["/", "/otel"] {
        let mut raw = Raw::connect(server.workers()).await;
        let headers =
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13";
        raw.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n").as_bytes()).await;
        let head = raw.head().await;
        assert!(head.starts_with("HTTP/1.1 503 ") && head.to_ascii_lowercase().contains("retry-after: 5"), "{path}: {head}");
    }
    server.logged("worker refused: `max_connections` of the worker module is reached").await;
    // Those that are there, and clients, have nothing to do with it.
    worker.set("s", "g", "i", json!(1)).await;
    crate::subscriber::Subscriber::of(&server, "s", "g").await;
    telemetry.end().await;
    until("room for a worker", async || upgrade(server.workers(), "/").await.starts_with("HTTP/1.1 101 ")).await;
}

#[tokio::test]
async fn result_over_64_mib_is_answered_payload_too_large() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let data = json!("x".repeat(14 << 20));
    for item in ["1", "2", "3", "4", "5"] {
        worker.set("s", "g", item, data.clone()).await;
    }
    let (code, message) = worker.error("stream::list", group("s", "g")).await;
    assert_eq!(code, "payload_too_large", "{message}");
    worker.result("stream::delete", key("s", "g", "1")).await;
    assert_eq!(worker.result("stream::list", group("s", "g")).await.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn triggers_over_the_limit_are_refused() {
    let server = Server::configured(json!({}), json!({"max_functions": 2}));
    let mut worker = Worker::open(&server).await;
    for id in ["1", "2", "3"] {
        worker.trigger(id, "stream", "f", json!({"stream_name": "s"}));
    }
    let refused = worker.next().await;
    assert_eq!((&refused["type"], &refused["id"]), (&json!("triggerregistrationresult"), &json!("3")));
    assert_eq!(refused["error"]["code"], "registration_refused", "{refused}");
    // A place that is given back can be taken.
    worker.send(&json!({"type": "unregistertrigger", "id": "1"}));
    worker.trigger("3", "stream", "f", json!({"stream_name": "s"}));
    worker.nothing_came().await;
}

#[tokio::test]
async fn call_whose_id_is_over_the_limit_is_ignored() {
    let server = Server::start();
    let mut raw = Raw::open(server.workers(), "/").await;
    raw.json().await;
    for length in [257, 256] {
        let call = json!({"type": "invokefunction", "invocation_id": "x".repeat(length), "function_id": "stream::list_all"});
        raw.frame(TEXT, call.to_string().as_bytes()).await;
    }
    assert_eq!(raw.json().await["invocation_id"].as_str().map(str::len), Some(256));
    server.logged("`invocation_id` is longer than 256 bytes").await;
}
