//! `stream:leave` triggers: exactly one for every subscription that was admitted, however it ends.

use serde_json::json;

use crate::join::{left, no_other_leave, payload, start, start_with};
use crate::raw::{Raw, TEXT};
use crate::subscriber::Subscriber;

#[tokio::test]
async fn leave_message_fires_one_leave_with_the_joined_names() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    for _ in 0..2 {
        // Whatever names it has: the subscription's own count.
        subscriber.leave("1").await;
        subscriber.leave("never joined").await;
    }
    assert_eq!(leaves.data().await, left("1", "left"));
    subscriber.close().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn close_fires_one_leave_for_each_subscription() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    let mut expected = Vec::new();
    for id in ["1", "2", "3"] {
        subscriber.join(id, "s", "g").await;
        subscriber.sync().await;
        expected.push(left(id, "closed"));
    }
    subscriber.close().await;
    let mut gone = vec![leaves.data().await, leaves.data().await, leaves.data().await];
    gone.sort_by_key(|payload| payload["subscription_id"].to_string());
    assert_eq!(gone, expected);
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn dropped_connection_fires_one_leave() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut raw = Raw::open(server.streams(), "/").await;
    let join = json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g"}});
    raw.frame(TEXT, join.to_string().as_bytes()).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    raw.end().await;
    assert_eq!(leaves.data().await, left("1", "lost"));
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn connection_closed_for_bad_frames_fires_one_leave() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut raw = Raw::open(server.streams(), "/").await;
    let join = json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g"}});
    raw.frame(TEXT, join.to_string().as_bytes()).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    raw.frame(0xFF, b"").await;
    assert_eq!(raw.closed().await, Some(1002));
    assert_eq!(leaves.data().await, left("1", "evicted"));
    raw.ended().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn silent_client_that_is_closed_fires_one_leave() {
    let (server, _worker, _, mut leaves) = start_with(json!({"ping_interval_ms": 100, "idle_timeout_ms": 400}), |_| json!(null)).await;
    let mut raw = Raw::open(server.streams(), "/").await;
    let join = json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g"}});
    raw.frame(TEXT, join.to_string().as_bytes()).await;
    // Read by nobody from now on.
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn join_that_replaces_fires_the_leave_of_the_replaced() {
    let (server, _worker, mut joins, mut leaves) = start(|_| json!(null)).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    subscriber.join("1", "s", "other").await;
    subscriber.sync().await;
    assert_eq!(leaves.data().await, left("1", "replaced"));
    assert_eq!((joins.data().await, joins.data().await["group_id"].as_str()), (payload("1"), Some("other")));
    subscriber.close().await;
    assert_eq!(leaves.data().await["group_id"], "other");
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn leave_while_the_join_handler_runs_fires_one_leave_after_it_admits() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    let call = joins.next().await;
    subscriber.leave("1").await;
    assert!(subscriber.under_way().await.is_empty());
    assert!(leaves.is_empty());
    worker.answer(&call, json!(null));
    assert_eq!(leaves.data().await, left("1", "left"));
    assert!(subscriber.under_way().await.is_empty(), "no sync for a subscription that has ended");
    drop(worker.serve("on_join", |_| json!(null)));
    worker.settle().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn leave_while_the_join_handler_runs_fires_none_after_it_refuses() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    let call = joins.next().await;
    subscriber.leave("1").await;
    assert!(subscriber.under_way().await.is_empty());
    worker.answer(&call, json!({"unauthorized": true}));
    drop(worker.serve("on_join", |_| json!(null)));
    worker.settle().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn connection_lost_while_the_join_handler_runs_fires_one_leave_after_it_admits() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    let call = joins.next().await;
    subscriber.close().await;
    worker.answer(&call, json!(null));
    assert_eq!(leaves.data().await, left("1", "closed"));
    drop(worker.serve("on_join", |_| json!(null)));
    worker.settle().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn join_repeated_while_the_handler_runs_counts_once_each() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "old").await;
    let old = joins.next().await;
    subscriber.join("1", "s", "g").await;
    let new = joins.next().await;
    // The newer one is answered first; the older must not take its place.
    worker.answer(&new, json!(null));
    assert_eq!(subscriber.next_frame().await["groupId"], "g");
    worker.answer(&old, json!(null));
    assert_eq!(leaves.data().await["group_id"], "old");
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_event().await["type"], "create");
    assert!(subscriber.under_way().await.is_empty());
    subscriber.close().await;
    assert_eq!(leaves.data().await, left("1", "closed"));
}

#[tokio::test]
async fn leave_comes_after_its_join_and_leaves_come_in_order() {
    let (server, _worker, mut joins, mut leaves) = start(|_| json!(null)).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for n in 0..50 {
        let id = n.to_string();
        subscriber.join(&id, "s", "g").await;
        subscriber.sync().await;
        subscriber.leave(&id).await;
    }
    for n in 0..50 {
        assert_eq!(joins.data().await, payload(&n.to_string()));
        assert_eq!(leaves.data().await, left(&n.to_string(), "left"));
    }
}

#[tokio::test]
async fn leave_condition_that_is_false_skips_the_handler() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    drop(worker.serve("condition", |data| json!(data["subscription_id"] != "1")));
    worker.trigger("l", "stream:leave", "on_leave", json!({"condition_function_id": "condition"}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    subscriber.leave("1").await;
    no_other_leave(&server, &mut leaves).await;
}
