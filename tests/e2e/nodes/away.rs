//! A Redis that goes away, and comes back with all that it has acknowledged.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::watcher::Watcher;
use super::writer::{Outcome, Pace};
use super::{STREAM, begin, end, groups, nodes, ready};
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use crate::worker::{Worker, group, key, write};

/// How soon a call must fail while Redis is away.
const AT_ONCE: Duration = Duration::from_secs(1);
/// How long it is away.
const AWAY: Duration = Duration::from_millis(1_500);

/// Calls of every function fail at once, each with its code, and name what is wrong.
async fn calls_fail(node: &Server) {
    let worker = Worker::open(node).await;
    let mut update = key(STREAM, "g0", "i");
    update["ops"] = json!([]);
    let calls = [
        ("stream::set", write(STREAM, "g0", "i", json!(1)), "STREAM_SET_ERROR"),
        ("stream::get", key(STREAM, "g0", "i"), "STREAM_GET_ERROR"),
        ("stream::update", update, "STREAM_UPDATE_ERROR"),
        ("stream::delete", key(STREAM, "g0", "i"), "STREAM_DELETE_ERROR"),
        ("stream::list", group(STREAM, "g0"), "STREAM_GET_GROUP_ERROR"),
        ("stream::send", json!({"stream_name": STREAM, "group_id": "g0", "type": "t", "data": 1}), "STREAM_SEND_ERROR"),
        ("stream::list_groups", json!({"stream_name": STREAM}), "STREAM_LIST_GROUPS_ERROR"),
        ("stream::list_all", json!({}), "STREAM_LIST_ALL_ERROR"),
    ];
    for (function, input, expected) in calls {
        let asked = Instant::now();
        let (code, message) = worker.error(function, input).await;
        assert!(asked.elapsed() < AT_ONCE, "{function} took {:?}", asked.elapsed());
        assert!(code == expected && message.contains("redis") && message.contains("not connected"), "{function}: {code}: {message}");
    }
}

async fn is_not_ready(node: &Server) {
    until("503 of the health check", async || ready(node).await.0 == 503).await;
    let (_, body) = ready(node).await;
    assert_eq!(body, json!({"ready": false, "reasons": ["redis is not connected"]}));
}

#[tokio::test]
async fn restart_of_redis_costs_no_acknowledged_change_and_no_sync() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (nodes, groups) = (nodes(&redis, 2), groups(3));
    // As fast as it goes: while Redis is away nothing changes, and so nothing is missed.
    let pace = Pace { in_flight: 32, rest: Duration::from_millis(2) };
    let (mut watchers, work) = begin(&nodes, &groups, 6, pace).await;
    for _ in 0..2 {
        work.answer(1_000).await;
        redis.kill();
        let killed = Instant::now();
        for (n, node) in nodes.iter().enumerate() {
            is_not_ready(node).await;
            calls_fail(node).await;
            watchers.push(Watcher::late(node, n, "g0").await);
        }
        let late: Vec<_> = watchers.iter().rev().take(nodes.len()).collect();
        assert!(late.iter().all(|watcher| watcher.len() == 0), "a sync without a Redis");
        tokio::time::sleep(AWAY.saturating_sub(killed.elapsed())).await;
        redis.restart();
        for watcher in late {
            watcher.more_than(0).await;
        }
    }
    work.answer(1_000).await;
    let story = end(&nodes, &groups, watchers, work).await;
    story.holds();
    story.is_without_gaps();
    let (done, refused, unknown) = story.tally();
    // Whether a call was just under way is left to chance.
    assert!(done > 2_000 && refused > 0, "{done} done, {refused} refused, {unknown} unknown");
    for call in story.calls().filter(|call| !matches!(call.outcome, Outcome::Done(_))) {
        assert!(call.took < AT_ONCE, "failed late: {call:?}");
    }
}

#[tokio::test]
async fn worker_with_a_trigger_sees_all_again_when_redis_is_back() {
    let mut redis = RedisServer::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let nodes = nodes(&redis, 2);
    let (worker, other) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    redis.kill();
    for node in &nodes {
        is_not_ready(node).await;
    }
    // Registered while nothing can be watched.
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": STREAM}));
    let failed = worker.error("stream::set", write(STREAM, "g", "i", json!("never"))).await;
    assert_eq!(failed.0, "STREAM_SET_ERROR", "{failed:?}");
    redis.restart();
    super::all_ready(&nodes).await;
    // From some moment on; which one, nobody is told.
    let mut n = 0;
    until("call of the trigger", async || {
        n += 1;
        other.set(STREAM, "g", "i", json!(n)).await;
        !calls.is_empty()
    })
    .await;
    other.set(STREAM, "g", "i", json!("end")).await;
    let mut last = Value::Null;
    while last != "end" {
        let value = calls.data().await["event"]["data"].take();
        assert!(value == "end" || last.is_null() || value.as_u64() == last.as_u64().map(|last| last + 1), "{value} after {last}");
        last = value;
    }
}
