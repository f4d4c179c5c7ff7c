//! Limits that are reached, and joins that are refused.

use serde_json::json;

use super::scrape::shows;
use crate::handshake::upgrade;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::Worker;

fn reached(limit: &str) -> String {
    format!("weir_limits_reached_total{{limit=\"{limit}\"}}")
}

async fn counted(server: &Server, expected: &[(&str, f64)]) {
    let expected: Vec<_> = expected.iter().map(|(limit, count)| (reached(limit), *count)).collect();
    shows(server, &expected.iter().map(|(series, count)| (series.as_str(), *count)).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn limits_of_clients_are_counted() {
    let keys =
        json!({"max_subscriptions": 1, "max_joins_per_second": 3, "max_name_bytes": 20, "max_connections": 2, "max_message_bytes": 1024});
    let server = Server::with(keys);
    let mut subscriber = Subscriber::open(&server, "/").await;
    let mut code = async |id: &str, stream: &str| {
        subscriber.join(id, stream, "g").await;
        subscriber.next_event().await["data"]["code"].clone()
    };
    assert_eq!(code("1", "s").await, json!(null));
    assert_eq!(code("2", "s").await, "too_many_subscriptions");
    assert_eq!(code("1", &"n".repeat(21)).await, "name_too_long");
    // Each takes the place of the one before, until there have been too many.
    let mut joined = 0;
    while code("1", "s").await != "too_many_joins" {
        joined += 1;
        assert!(joined < 100);
    }
    assert!(upgrade(server.streams(), &format!("/stream/{}/g", "n".repeat(21))).await.starts_with("HTTP/1.1 414 "));
    let mut large = Subscriber::open(&server, "/").await;
    assert!(upgrade(server.streams(), "/").await.starts_with("HTTP/1.1 503 "));
    large.send(&json!({"padding": "x".repeat(2_000)})).await;
    assert_eq!(large.closed().await, 1009);
    drop(large);
    counted(
        &server,
        &[
            ("stream.max_subscriptions", 1.0),
            ("stream.max_name_bytes", 2.0),
            ("stream.max_joins_per_second", 1.0),
            ("stream.max_connections", 1.0),
            ("stream.max_message_bytes", 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn limits_of_workers_are_counted() {
    let server = Server::configured(json!({}), json!({"max_connections": 2, "max_invocations": 1, "invocation_timeout_ms": 50}));
    let (worker, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    assert!(upgrade(server.workers(), "/").await.starts_with("HTTP/1.1 503 "));
    let mut calls = worker.hold("slow");
    worker.settle().await;
    let first = caller.reply_text(r#"{"function_id":"slow","data":1}"#);
    calls.next().await;
    assert_eq!(caller.error("slow", json!(2)).await.0, "overloaded");
    assert!(first.await.contains("invocation_timeout"));
    counted(&server, &[("worker.max_connections", 1.0), ("worker.max_invocations", 1.0), ("worker.invocation_timeout_ms", 1.0)]).await;
    let series = |outcome: &str| format!("weir_invocations_total{{function=\"slow\",outcome=\"{outcome}\"}}");
    shows(&server, &[(&series("overloaded"), 1.0), (&series("timeout"), 1.0)]).await;
}

#[tokio::test]
async fn limits_of_what_is_stored_are_counted() {
    let keys = json!({"max_value_bytes": 1024, "max_streams": 1, "max_name_bytes": 20});
    let server = Server::configured(keys, json!({"max_functions": 1}));
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!({"n": 1})).await;
    let item = |stream: &str, data: serde_json::Value| json!({"stream_name": stream, "group_id": "g", "item_id": "i", "data": data});
    assert_eq!(worker.error("stream::set", item("s", json!("x".repeat(1_023)))).await.0, "deserialization_error");
    let grow = json!([{"type": "set", "path": "text", "value": "x".repeat(1_020)}]);
    let update = json!({"stream_name": "s", "group_id": "g", "item_id": "i", "ops": grow});
    assert_eq!(worker.error("stream::update", update).await.0, "STREAM_UPDATE_ERROR");
    assert_eq!(worker.error("stream::set", item("another", json!(1))).await.0, "STREAM_SET_ERROR");
    assert_eq!(worker.error("stream::get", item(&"n".repeat(21), json!(1))).await.0, "deserialization_error");
    let _functions = ["one", "two"].map(|id| worker.serve(id, |_| json!(null)));
    worker.trigger("one", "stream", "one", json!({"stream_name": "s"}));
    worker.trigger("two", "stream", "one", json!({"stream_name": "s"}));
    worker.settle().await;
    counted(
        &server,
        &[
            ("stream.max_value_bytes", 2.0),
            ("stream.max_streams", 1.0),
            ("stream.max_name_bytes", 1.0),
            ("stream.min_free_bytes", 0.0),
            ("worker.max_functions", 2.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn refused_and_late_join_handlers_are_counted() {
    let server = Server::with(json!({"join_timeout_ms": 50}));
    let worker = Worker::open(&server).await;
    let _refuses = worker.serve("refuses", |_| json!({"unauthorized": true}));
    let _late = worker.hold("late");
    worker.trigger("r", "stream:join", "refuses", json!({"stream_name": "closed"}));
    worker.trigger("l", "stream:join", "late", json!({"stream_name": "late"}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for stream in ["closed", "late"] {
        subscriber.join("1", stream, "g").await;
        assert_eq!(subscriber.next_event().await["type"], "unauthorized");
    }
    shows(&server, &[("weir_joins_total{outcome=\"refused\"}", 2.0), ("weir_joins_total{outcome=\"admitted\"}", 0.0)]).await;
    counted(&server, &[("stream.join_timeout_ms", 1.0), ("worker.invocation_timeout_ms", 0.0)]).await;
}

#[tokio::test]
async fn late_auth_function_is_counted() {
    let server = Server::with(json!({"auth_function": "auth", "auth_timeout_ms": 50, "auth_refusal": "http"}));
    let worker = Worker::open(&server).await;
    let _calls = worker.hold("auth");
    worker.settle().await;
    assert!(upgrade(server.streams(), "/").await.starts_with("HTTP/1.1 503 "));
    counted(&server, &[("stream.auth_timeout_ms", 1.0)]).await;
}
