//! Each metric moves by exactly what was done.

use serde_json::{Value, json};

use super::scrape::{Scrape, shows};
use crate::raw::Raw;
use crate::server::{Server, on_redis, until};
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Worker, failure, write};

/// The bytes of a frame that a server sends.
fn frame_bytes(text: &str) -> f64 {
    let header = if text.len() < 126 { 2 } else { 4 };
    (header + text.len()) as f64
}

#[tokio::test]
async fn subscribers_and_what_they_are_told_are_counted() {
    const SUBSCRIBERS: usize = 3;
    const SETS: usize = 5;
    let server = Server::start();
    shows(&server, &[("weir_ready", 1.0), ("weir_subscriptions", 0.0), ("weir_deliveries_total", 0.0)]).await;
    let worker = Worker::open(&server).await;
    let (mut subscribers, mut sync_bytes, mut bytes) = (Vec::new(), 0.0, 0.0);
    for _ in 0..SUBSCRIBERS {
        let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
        sync_bytes += frame_bytes(&subscriber.next_text().await);
        subscribers.push(subscriber);
    }
    for n in 0..SETS {
        worker.set("s", "g", "i", json!({"n": n})).await;
    }
    // Of another group, which nobody sees.
    worker.set("s", "other", "i", json!(1)).await;
    for subscriber in &mut subscribers {
        for _ in 0..SETS {
            bytes += frame_bytes(&subscriber.next_text().await);
        }
    }
    shows(
        &server,
        &[
            ("weir_connections{peer=\"subscriber\"}", 3.0),
            ("weir_connections{peer=\"worker\"}", 1.0),
            ("weir_connections_opened_total{peer=\"subscriber\"}", 3.0),
            ("weir_joins_total{outcome=\"admitted\"}", 3.0),
            ("weir_joins_total{outcome=\"refused\"}", 0.0),
            ("weir_subscriptions", 3.0),
            ("weir_syncs_total", 3.0),
            ("weir_sync_bytes_total", sync_bytes),
            ("weir_deliveries_total", 15.0),
            ("weir_delivered_bytes_total", bytes),
            ("weir_outbox_bytes{peer=\"subscriber\"}", 0.0),
            ("weir_resyncs_total{reason=\"slow\"}", 0.0),
            ("weir_invocations_total{function=\"stream::set\",outcome=\"ok\"}", 6.0),
            ("weir_store_calls_waiting", 0.0),
        ],
    )
    .await;
    if !on_redis() {
        // Each waited for the one before.
        shows(&server, &[("weir_commit_seconds_count", 6.0), ("weir_commit_calls_count", 6.0), ("weir_commit_calls_sum", 6.0)]).await;
        shows(&server, &[("weir_fsync_seconds_count", 6.0), ("weir_commit_failures_total", 0.0)]).await;
        assert!(Scrape::of(&server).await.get("weir_commit_seconds_sum") > 0.0);
    }
    // One ends its subscription, one closes, one vanishes.
    let mut third = subscribers.pop().unwrap();
    third.join("again", "s", "g").await;
    third.sync().await;
    third.leave("again").await;
    shows(&server, &[("weir_leaves_total{reason=\"left\"}", 1.0), ("weir_subscriptions", 3.0)]).await;
    subscribers.pop().unwrap().close().await;
    drop(subscribers);
    drop(third);
    shows(
        &server,
        &[
            ("weir_subscriptions", 0.0),
            ("weir_connections{peer=\"subscriber\"}", 0.0),
            ("weir_leaves_total{reason=\"closed\"}", 1.0),
            ("weir_leaves_total{reason=\"lost\"}", 2.0),
            ("weir_connections_ended_total{peer=\"subscriber\",code=\"1000\"}", 1.0),
            ("weir_connections_ended_total{peer=\"subscriber\",code=\"none\"}", 2.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn item_subscribers_and_events_are_counted() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/a").await;
    subscriber.sync().await;
    worker.set("s", "g", "a", json!(1)).await;
    worker.set("s", "g", "b", json!(1)).await;
    worker.result("stream::send", json!({"stream_name": "s", "group_id": "g", "id": "a", "type": "poke", "data": 1})).await;
    subscriber.frames(2).await;
    shows(&server, &[("weir_deliveries_total", 2.0), ("weir_invocations_total{function=\"stream::send\",outcome=\"ok\"}", 1.0)]).await;
}

#[tokio::test]
async fn calls_are_counted_by_function_and_by_how_they_end() {
    let server = Server::start();
    let (worker, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let _calls = worker.serve("f", |data: &Value| match data.as_u64() {
        Some(n) => Answer::Value(json!(n)),
        None => failure("not a number"),
    });
    let held = worker.hold("held");
    worker.settle().await;
    for n in 0..4 {
        caller.result("f", json!(n)).await;
    }
    caller.error("f", json!("x")).await;
    caller.error("nobody::serves", json!(1)).await;
    caller.error("stream::set", json!({"stream_name": "s"})).await;
    caller.call("stream::get", crate::worker::key("s", "g", "none")).await.unwrap();
    caller.void("stream::set", write("s", "g", "i", json!(1)));
    caller.result("engine::workers::list", json!({})).await;
    caller.result("stream::disconnect", json!({"subscription_id": "none"})).await;
    let waits = caller.reply_text(r#"{"function_id":"held","data":1}"#);
    let mut held = held;
    held.next().await;
    shows(&server, &[("weir_invocations_in_flight", 1.0)]).await;
    worker.disconnect().await;
    waits.await;
    let series = |function: &str, outcome: &str| format!("weir_invocations_total{{function=\"{function}\",outcome=\"{outcome}\"}}");
    let expected = [
        (series("f", "ok"), 4.0),
        (series("f", "error"), 1.0),
        (series("other", "not_found"), 1.0),
        (series("stream::set", "invalid"), 1.0),
        (series("stream::set", "ok"), 1.0),
        (series("stream::get", "ok"), 1.0),
        (series("engine::*", "ok"), 1.0),
        (series("stream::disconnect", "ok"), 1.0),
        (series("held", "stopped"), 1.0),
        ("weir_invocations_in_flight".to_owned(), 0.0),
        ("weir_invocation_seconds_count".to_owned(), 6.0),
    ];
    let expected: Vec<_> = expected.iter().map(|(series, value)| (series.as_str(), *value)).collect();
    shows(&server, &expected).await;
    let counted: f64 = Scrape::of(&server).await.beginning("weir_invocations_total").iter().map(|(_, value)| value).sum();
    assert_eq!(counted, 12.0, "something was counted twice");
}

#[tokio::test]
async fn triggers_are_counted_with_how_long_they_took_to_be_called() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut seen = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    worker.settle().await;
    for n in 0..7 {
        worker.set("s", "g", "i", json!(n)).await;
    }
    for _ in 0..7 {
        seen.next().await;
    }
    shows(
        &server,
        &[
            ("weir_trigger_lag_seconds_count", 7.0),
            ("weir_invocations_total{function=\"seen\",outcome=\"ok\"}", 7.0),
            ("weir_trigger_events_waiting", 0.0),
            ("weir_trigger_batches_waiting", 0.0),
            ("weir_trigger_events_dropped_total", 0.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn slow_clients_are_counted_when_they_begin_anew_and_when_they_are_closed() {
    let server = Server::with(json!({"outbox_bytes": 64 << 10, "overflow_by_stream": {"strict": "close"}}));
    let worker = Worker::open(&server).await;
    let mut clients = Vec::new();
    for stream in ["strict", "patient"] {
        let mut raw = Raw::open_narrow(server.streams(), &format!("/stream/{stream}/g/")).await;
        assert_eq!(raw.json().await["event"]["type"], "sync");
        clients.push(raw);
    }
    let padding = "x".repeat(8_000);
    let overflowed = async |stream: &str| Scrape::of(&server).await.has(&format!("weir_overflows_total{{stream=\"{stream}\"}}"));
    for stream in ["strict", "patient"] {
        let mut n = 0;
        until("a full queue", async || {
            for _ in 0..100 {
                n += 1;
                worker.set(stream, "g", "i", json!({"n": n, "padding": padding})).await;
            }
            overflowed(stream).await
        })
        .await;
    }
    let waiting = Scrape::of(&server).await.get("weir_outbox_bytes{peer=\"subscriber\"}");
    assert!((1.0..1e6).contains(&waiting), "{waiting} bytes wait");
    let mut patient = clients.pop().unwrap();
    until("resync", async || patient.json().await["event"]["type"] == "sync").await;
    shows(
        &server,
        &[
            ("weir_overflows_total{stream=\"strict\"}", 1.0),
            ("weir_overflows_total{stream=\"patient\"}", 1.0),
            ("weir_evictions_total{stream=\"strict\"}", 1.0),
            ("weir_evictions_total{stream=\"patient\"}", 0.0),
            ("weir_resyncs_total{reason=\"slow\"}", 1.0),
            ("weir_syncs_total", 3.0),
            ("weir_limits_reached_total{limit=\"stream.outbox_bytes\"}", 2.0),
            ("weir_connections_ended_total{peer=\"subscriber\",code=\"4409\"}", 1.0),
        ],
    )
    .await;
    assert!(Scrape::of(&server).await.get("weir_dropped_deliveries_total{stream=\"patient\"}") >= 1.0);
}

#[tokio::test]
async fn answers_of_the_auth_function_are_counted_however_clients_are_refused() {
    for refusal in ["close", "http"] {
        let server = Server::with(json!({"auth_function": "my::auth", "auth_refusal": refusal}));
        // Whoever is refused over HTTP has no socket.
        let knock = async || {
            let mut raw = Raw::connect(server.streams()).await;
            let request = format!(
                "GET /stream/s/g/ HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                server.streams()
            );
            raw.write(request.as_bytes()).await;
            raw.head().await;
        };
        knock().await;
        let worker = Worker::open(&server).await;
        let answers = std::sync::Mutex::new(vec![json!({"unauthorized": true}), json!({"context": 1})]);
        let _calls = worker.serve("my::auth", move |_| answers.lock().unwrap().pop().map_or(Answer::Absent, Answer::Value));
        worker.settle().await;
        knock().await;
        knock().await;
        let outcome = |outcome| format!("weir_authorizations_total{{outcome=\"{outcome}\"}}");
        let series = [outcome("granted"), outcome("refused"), outcome("unavailable")];
        shows(&server, &[(&series[0], 1.0), (&series[1], 1.0), (&series[2], 1.0)]).await;
    }
}
