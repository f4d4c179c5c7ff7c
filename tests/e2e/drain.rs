//! The end of a server that is told to stop.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::raw::Raw;
use crate::redis_server::RedisServer;
use crate::server::{Server, until, within};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, write};

/// A server that closes its clients within that time.
fn server(drain_ms: u64) -> Server {
    Server::with(json!({"drain_ms": drain_ms}))
}

#[tokio::test]
async fn clients_are_closed_one_after_the_other_and_told_when_to_come_back() {
    let server = server(1_000);
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(Subscriber::of(&server, "s", "g").await.0);
    }
    let began = Instant::now();
    server.signal("TERM");
    let mut closed = Vec::new();
    let mut pauses = Vec::new();
    let ends = clients.into_iter().map(|mut client| async move {
        let (code, reason) = client.closed_saying().await;
        (code, reason, began.elapsed())
    });
    for (code, reason, at) in futures_util::future::join_all(ends).await {
        assert_eq!(code, 1012);
        let pause = reason.strip_prefix("the server stops; come back in ").and_then(|rest| rest.strip_suffix(" ms"));
        pauses.push(pause.unwrap_or_else(|| panic!("{reason}")).parse::<u64>().unwrap());
        closed.push(at);
    }
    closed.sort_unstable();
    assert!(closed[45] - closed[5] > Duration::from_millis(400), "{closed:?}");
    pauses.sort_unstable();
    assert!(pauses[49] < 5_000 && pauses[49] - pauses[0] > 1_000, "{pauses:?}");
    server.ended();
}

#[tokio::test]
async fn nobody_else_gets_in_and_calls_under_way_are_answered() {
    let server = server(100);
    let (caller, slow) = (Worker::open(&server).await, Worker::open(&server).await);
    let mut calls = slow.hold("slow");
    slow.settle().await;
    let (mut client, _) = Subscriber::of(&server, "s", "g").await;
    let call = caller.call("slow", json!(1));
    let rest = async {
        let held = calls.next().await;
        server.signal("TERM");
        let (code, _) = client.closed_saying().await;
        assert_eq!(code, 1012);
        // Each port is closed by a thread of its own.
        for port in [server.streams(), server.workers()] {
            until("refusal of new connections", async || tokio::net::TcpStream::connect(port).await.is_err()).await;
        }
        // Workers are served to the end.
        caller.set("s", "g", "i", json!(1)).await;
        slow.answer(&held, json!("done"));
    };
    let (answer, ()) = tokio::join!(call, rest);
    assert_eq!(answer, Ok(Some(json!("done"))));
    assert_eq!(caller.ended().await, None, "published Python workers would not come back after a close frame");
    server.ended();
}

#[tokio::test]
async fn writes_under_way_are_answered_or_not_stored() {
    let redis = RedisServer::start(&[]);
    let server = Server::with(json!({"drain_ms": 100, "adapter": redis.adapter()}));
    let worker = Worker::open(&server).await;
    let answered = AtomicUsize::new(0);
    let callers = (0..64).map(async |caller| {
        for n in 0.. {
            if !worker.succeeds("stream::set", &write("s", "g", &format!("{caller} {n}"), json!(n))).await {
                return;
            }
            answered.fetch_add(1, Ordering::Relaxed);
        }
    });
    let stop = async {
        until("some writes", async || answered.load(Ordering::Relaxed) > 1_000).await;
        // So that there are some under way when it is told.
        redis.signal("STOP");
        server.signal("TERM");
        server.logged("closing").await;
        redis.signal("CONT");
    };
    within("end of the connection", futures_util::future::join(futures_util::future::join_all(callers), stop)).await;
    assert_eq!(redis.cli(&["HLEN", "stream:s:g"]), answered.into_inner().to_string());
    server.ended();
}

#[tokio::test]
async fn every_leave_is_told_before_the_end() {
    let server = server(200);
    let worker = Worker::open(&server).await;
    let mut left = worker.record("left");
    worker.trigger("t", "stream:leave", "left", json!({"stream_name": "s"}));
    worker.settle().await;
    let mut clients = Vec::new();
    for n in 0..30 {
        clients.push(Subscriber::of(&server, "s", &format!("g{n}")).await.0);
    }
    server.signal("TERM");
    let mut groups = Vec::new();
    for _ in 0..30 {
        let data = left.data().await;
        assert_eq!(data["reason"], "draining", "{data}");
        groups.push(data["group_id"].as_str().unwrap().to_owned());
    }
    groups.sort_unstable();
    groups.dedup();
    assert_eq!(groups.len(), 30);
    server.ended();
}

#[tokio::test]
async fn server_without_clients_stops_at_once_and_a_second_signal_waits_for_nobody() {
    let idle = server(60_000);
    let worker = Worker::open(&idle).await;
    worker.set("s", "g", "i", json!(1)).await;
    let began = Instant::now();
    idle.terminate();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());

    let busy = server(60_000);
    let _client = Subscriber::of(&busy, "s", "g").await;
    let (mut raw, _other) = (Raw::connect(busy.streams()).await, Subscriber::of(&busy, "s", "g").await);
    raw.write(b"GET /health/ready HTTP/1.1\r\nHost: any\r\n\r\n").await;
    raw.head().await;
    busy.signal("TERM");
    busy.logged("closing").await;
    busy.signal("TERM");
    within("end of the server", tokio::task::spawn_blocking(move || busy.ended_with(1))).await.unwrap();
}
