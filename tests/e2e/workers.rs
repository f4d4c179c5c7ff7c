//! A worker's connection: its greeting, its paths, its pings and telemetry, and the lists it appears in.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::calls::{cleared, start};
use crate::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT};
use crate::server::Server;
use crate::worker::{Worker, key, write};

#[tokio::test]
async fn greeting_has_a_uuid_and_a_token_that_differ_between_connections() {
    let (_server, first, second) = start().await;
    for worker in [&first, &second] {
        assert_eq!(Uuid::parse_str(&worker.id).unwrap().hyphenated().to_string(), worker.id);
        assert!(worker.token.len() >= 32, "{}", worker.token);
    }
    assert!(first.id != second.id && first.token != second.token);
}

#[tokio::test]
async fn description_of_a_worker_is_listed_under_its_own_id() {
    let (_server, worker, other) = start().await;
    let about = json!({"runtime": "node", "version": "0.22.1", "name": "pricing", "os": "linux", "pid": 4711, "isolation": null,
                       "_caller_worker_id": other.id, "telemetry": {"language": "en"}});
    assert_eq!(worker.result("engine::workers::register", about).await, json!({"success": true}));
    drop(worker.record("f"));
    worker.settle().await;
    let listed = other.result("engine::workers::list", json!({"worker_id": worker.id})).await;
    let row = &listed["workers"][0];
    assert_eq!((&row["id"], &row["name"], &row["pid"]), (&json!(worker.id), &json!("pricing"), &json!(4711)));
    assert_eq!((&row["status"], &row["functions"], &row["function_count"]), (&json!("connected"), &json!(["f"]), &json!(1)));
    assert!(listed["timestamp"].is_u64() && row["connected_at_ms"].is_u64(), "{listed}");
    let listed = other.result("engine::workers::list", json!({"worker_id": other.id})).await;
    assert_eq!(listed["workers"][0]["name"], json!(null));
}

#[tokio::test]
async fn functions_are_listed_with_what_was_said_of_them() {
    let (_server, worker, other) = start().await;
    worker.send(&json!({"type": "registerfunction", "id": "orders::total", "description": "sum", "request_format": {"type": "object"},
                        "response_format": null, "metadata": {"team": "billing"}}));
    worker.settle().await;
    let find = |listed: &Value, id: &str| listed["functions"].as_array().unwrap().iter().find(|row| row["function_id"] == id).cloned();
    let listed = other.result("engine::functions::list", json!({})).await;
    let row = find(&listed, "orders::total").unwrap();
    assert_eq!((&row["description"], &row["request_format"]), (&json!("sum"), &json!({"type": "object"})));
    assert_eq!((&row["response_format"], &row["metadata"]), (&json!(null), &json!({"team": "billing"})));
    assert!(find(&listed, "engine::workers::list").is_none());
    let internal = other.result("engine::functions::list", json!({"include_internal": true})).await;
    assert!(find(&internal, "engine::workers::list").is_some());
}

#[tokio::test]
async fn workers_that_come_and_go_are_told() {
    let server = Server::start();
    let watcher = Worker::open(&server).await;
    let mut calls = watcher.record("watch");
    watcher.trigger("w", "engine::workers-available", "watch", json!({}));
    watcher.settle().await;
    let worker = Worker::open(&server).await;
    let id = worker.id.clone();
    let mut told = async || loop {
        let event = calls.data().await;
        // The watcher's own coming may still be on its way.
        if event["worker_id"] != watcher.id {
            return event;
        }
    };
    assert_eq!(told().await, json!({"event": "worker_connected", "worker_id": id}));
    worker.result("engine::workers::register", json!({"name": "x"})).await;
    assert_eq!(told().await, json!({"event": "worker_metadata_updated", "worker_id": id}));
    worker.disconnect().await;
    assert_eq!(told().await, json!({"event": "worker_disconnected", "worker_id": id}));
}

#[tokio::test]
async fn functions_that_come_and_go_are_told() {
    let (_server, watcher, worker) = start().await;
    let mut calls = watcher.record("watch");
    watcher.trigger("w", "engine::functions-available", "watch", json!({}));
    watcher.settle().await;
    let has = |told: &Value| told["functions"].as_array().unwrap().iter().any(|row| row["function_id"] == "orders::total");
    drop(worker.record("orders::total"));
    let told = loop {
        let told = calls.data().await;
        assert_eq!(told["event"], "functions_changed");
        if has(&told) {
            break told;
        }
    };
    assert!(told["functions"].is_array());
    worker.disconnect().await;
    while has(&calls.data().await) {}
}

#[tokio::test]
async fn ping_message_is_answered_with_pong_in_text() {
    let server = Server::start();
    let mut raw = Raw::open(server.workers(), "/").await;
    raw.json().await;
    for first in [TEXT, BINARY] {
        raw.frame(first, br#" {"extra": 1, "type": "ping"} "#).await;
        assert_eq!(raw.json().await, json!({"type": "pong"}));
    }
    raw.frame(TEXT, br#"{"type":"pong"}"#).await;
    raw.frame(TEXT, br#"{"type":"registerservice","id":"s","name":"s"}"#).await;
    raw.frame(PING, b"x").await;
    assert_eq!(raw.next().await, Some((PONG, b"x".to_vec())));
}

#[tokio::test]
async fn telemetry_frames_on_the_root_are_ignored() {
    let server = Server::start();
    let mut raw = Raw::open(server.workers(), "/").await;
    raw.json().await;
    for prefix in ["OTLP", "MTRC", "LOGS"] {
        raw.frame(BINARY, format!("{prefix}{{\"type\":\"ping\"}}").as_bytes()).await;
        raw.frame(BINARY, prefix.as_bytes()).await;
    }
    raw.frame(TEXT, br#"{"type":"ping"}"#).await;
    assert_eq!(raw.json().await, json!({"type": "pong"}));
}

#[tokio::test]
async fn otel_path_takes_everything_and_answers_pings_only() {
    let server = Server::start();
    for path in ["/otel", "/otel?x=1", "/base/otel"] {
        let mut raw = Raw::open(server.workers(), path).await;
        raw.frame(BINARY, b"OTLP{}").await;
        raw.frame(BINARY, &[0xFF; 100]).await;
        raw.frame(TEXT, br#"{"type":"ping"}"#).await;
        raw.frame(PING, b"x").await;
        assert_eq!(raw.next().await, Some((PONG, b"x".to_vec())), "{path}");
        raw.frame(CLOSE, &1000_u16.to_be_bytes()).await;
        assert_eq!(raw.closed().await, Some(1000));
        raw.ended().await;
    }
}

#[tokio::test]
async fn worker_connects_behind_any_path_and_query() {
    let server = Server::start();
    for path in ["/?token=x", "/base", "/base/"] {
        let worker = Worker::at(&server, path).await;
        assert_eq!(worker.set("s", "g", "i", json!(1)).await["new_value"], 1, "{path}");
    }
}

#[tokio::test]
async fn data_stays_when_its_worker_goes() {
    let (_server, worker, other) = start().await;
    let id = worker.id.clone();
    worker.void("stream::set", write("s", "g", "i", json!(1)));
    worker.settle().await;
    worker.disconnect().await;
    cleared(&other, &id).await;
    assert_eq!(other.result("stream::get", key("s", "g", "i")).await, 1);
}
