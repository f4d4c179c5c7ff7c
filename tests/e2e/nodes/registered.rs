//! When a trigger begins.

use serde_json::{Value, json};

use super::nodes;
use crate::redis_server::RedisServer;
use crate::worker::{Calls, Worker, write};

#[tokio::test]
async fn trigger_sees_what_its_connection_writes_at_once_afterwards() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let (worker, other) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    let mut calls = worker.record("seen");
    for n in 0..50 {
        let stream = format!("stream{n}");
        // Half of the streams are there already.
        if n % 2 == 0 {
            other.set(&stream, "old", "i", json!("before")).await;
            other.set(&stream, "g", "i", json!("before")).await;
        }
        worker.trigger(&stream, "stream", "seen", json!({"stream_name": stream}));
        worker.void("stream::set", write(&stream, "g", "i", json!(n)));
        let call = calls.data().await;
        assert_eq!((&call["streamName"], &call["event"]["data"]), (&json!(stream), &json!(n)), "{call}");
    }
    assert!(calls.is_empty());
}

#[tokio::test]
async fn trigger_sees_the_writes_of_another_node() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let (worker, other) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    // Answered when the trigger has begun.
    worker.set("s", "g", "i", json!(0)).await;
    for n in 1..=100 {
        other.void("stream::set", write("s", &format!("g{}", n % 5), "i", json!(n)));
    }
    let mut seen = Vec::new();
    for _ in 0..=100 {
        seen.push(calls.data().await["event"]["data"].as_u64().unwrap());
    }
    for group in 0..5 {
        let of_group: Vec<_> = seen.iter().copied().filter(|n| *n > 0 && n % 5 == group).collect();
        assert!(of_group.len() == 20 && of_group.is_sorted(), "g{group}: {of_group:?}");
    }
}

/// The next call but for those of groups that the other node writes to whenever it comes to it.
async fn own(calls: &mut Calls) -> Value {
    loop {
        let call = calls.data().await;
        if !call["groupId"].as_str().unwrap().starts_with("other") {
            return call;
        }
    }
}

#[tokio::test]
async fn trigger_that_comes_and_goes_sees_exactly_what_its_connection_wrote_between() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let (worker, other) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    let mut calls = worker.record("seen");
    for n in 0..100 {
        let group = format!("g{}", n % 7);
        worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
        worker.void("stream::set", write("s", &group, "i", json!(n)));
        let call = own(&mut calls).await;
        assert_eq!((&call["groupId"], &call["event"]["data"]), (&json!(group), &json!(n)), "{call}");
        worker.send(&json!({"type": "unregistertrigger", "id": "t", "trigger_type": "stream"}));
        worker.void("stream::set", write("s", &group, "i", json!("unseen")));
        other.void("stream::set", write("s", &format!("other{n}"), "i", json!("perhaps")));
    }
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    worker.void("stream::set", write("s", "g0", "i", json!("end")));
    assert_eq!(own(&mut calls).await["event"]["data"], "end");
}
