//! `leave_grace_ms`: a client that comes back in time has neither left nor joined.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Calls, Worker};

/// A server whose clients have the context that the query names as `user`; the calls of the join and the leave handlers.
async fn start(grace_ms: u64) -> (Server, Worker, Calls, Calls) {
    let server = Server::with(json!({"auth_function": "my::auth", "leave_grace_ms": grace_ms}));
    let worker = Worker::open(&server).await;
    drop(worker.serve("my::auth", |data| match data["query_params"]["user"][0].as_str() {
        // Equal as JSON, whatever the order of its keys.
        Some("swapped") => json!({"context": {"b": 1, "user": "ann"}}),
        Some(user) => json!({"context": {"user": user, "b": 1}}),
        None => json!({"context": null}),
    }));
    let (joins, leaves) = (worker.record("on_join"), worker.record("on_leave"));
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    (server, worker, joins, leaves)
}

async fn open(server: &Server, query: &str, id: &str) -> Subscriber {
    let mut subscriber = Subscriber::open(server, &format!("/{query}")).await;
    subscriber.join(id, "s", "g").await;
    subscriber.sync().await;
    subscriber
}

fn told(call: &Value) -> (&str, Option<&str>) {
    (call["subscription_id"].as_str().unwrap(), call["reason"].as_str())
}

#[tokio::test]
async fn client_that_comes_back_has_neither_left_nor_joined() {
    let (server, _worker, mut joins, mut leaves) = start(60_000).await;
    let first = open(&server, "?user=ann", "1").await;
    assert_eq!(told(&joins.data().await), ("1", None));
    first.close().await;
    let second = open(&server, "?user=swapped", "2").await;
    drop(second);
    // Whether the loss is found before the next join or after it: then that one is told, and its leave is.
    let other = open(&server, "?user=bob", "3").await;
    assert_eq!(told(&joins.data().await), ("3", None));
    drop(other);
    let mut third = open(&server, "?user=ann", "4").await;
    third.leave("4").await;
    let left = leaves.data().await;
    assert_eq!(left["reason"], "left");
    // Handlers know the subscription by the name of the join that they were told of.
    assert!(["1", "4"].contains(&told(&left).0), "{left}");
}

#[tokio::test]
async fn leave_after_a_return_has_the_name_that_the_join_had() {
    let (server, _worker, mut joins, mut leaves) = start(60_000).await;
    for (id, n) in [("1", 1), ("2", 2), ("3", 3)] {
        let mut subscriber = open(&server, "?user=ann", id).await;
        if n == 3 {
            subscriber.leave(id).await;
        }
        subscriber.close().await;
    }
    assert_eq!(told(&leaves.data().await), ("1", Some("left")));
    assert_eq!(told(&joins.data().await), ("1", None));
    assert!(joins.is_empty());
}

#[tokio::test]
async fn client_that_stays_away_has_left_after_the_grace() {
    let (server, _worker, mut joins, mut leaves) = start(300).await;
    let subscriber = open(&server, "?user=ann", "1").await;
    let since = Instant::now();
    subscriber.close().await;
    let left = leaves.data().await;
    assert_eq!((told(&left), &left["context"]), (("1", Some("closed")), &json!({"user": "ann", "b": 1})));
    assert!(since.elapsed() >= Duration::from_millis(300));
    open(&server, "?user=ann", "2").await.close().await;
    assert_eq!((told(&joins.data().await).0, told(&joins.data().await).0), ("1", "2"));
    assert_eq!(told(&leaves.data().await), ("2", Some("closed")));
}

#[tokio::test]
async fn leave_that_is_meant_is_told_at_once_and_so_is_that_of_an_anonymous_client() {
    let (server, _worker, mut joins, mut leaves) = start(60_000).await;
    open(&server, "", "1").await.close().await;
    assert_eq!(told(&leaves.data().await), ("1", Some("closed")));
    let mut subscriber = open(&server, "?user=ann", "2").await;
    subscriber.leave("2").await;
    assert_eq!(told(&leaves.data().await), ("2", Some("left")));
    subscriber.join("3", "s", "g").await;
    subscriber.sync().await;
    for id in ["1", "2", "3"] {
        assert_eq!(told(&joins.data().await), (id, None));
    }
}

#[tokio::test]
async fn another_client_or_another_group_does_not_swallow_the_leave() {
    let (server, _worker, mut joins, mut leaves) = start(500).await;
    open(&server, "?user=ann", "1").await.close().await;
    let mut bob = open(&server, "?user=bob", "2").await;
    let mut ann = Subscriber::open(&server, "/?user=ann").await;
    ann.join("3", "s", "other").await;
    ann.sync().await;
    ann.join_item("4", "s", "g", "i").await;
    ann.sync().await;
    assert_eq!(told(&leaves.data().await), ("1", Some("closed")));
    for id in ["1", "2", "3", "4"] {
        assert_eq!(told(&joins.data().await).0, id);
    }
    bob.leave("2").await;
    assert_eq!(told(&leaves.data().await), ("2", Some("left")));
}

#[tokio::test]
async fn returns_without_join_triggers_swallow_leaves_as_well() {
    let server = Server::with(json!({"auth_function": "my::auth", "leave_grace_ms": 60_000}));
    let worker = Worker::open(&server).await;
    drop(worker.serve("my::auth", |_| json!({"context": "ann"})));
    let mut leaves = worker.record("on_leave");
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    open(&server, "", "1").await.close().await;
    let mut again = open(&server, "", "2").await;
    again.leave("2").await;
    assert_eq!(told(&leaves.data().await), ("1", Some("left")));
    assert!(leaves.is_empty());
}
