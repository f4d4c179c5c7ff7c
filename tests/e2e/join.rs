//! `stream:join` triggers: who may join a group, and what a handler that fails means.

use serde_json::{Value, json};

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Calls, Worker, failure};

/// A server, and a worker whose `on_join` answers with `handler`; its `on_leave` is recorded.
pub(crate) async fn start<A: Into<Answer>>(handler: impl Fn(&Value) -> A + Send + 'static) -> (Server, Worker, Calls, Calls) {
    start_with(json!({}), handler).await
}

pub(crate) async fn start_with<A: Into<Answer>>(
    stream: Value,
    handler: impl Fn(&Value) -> A + Send + 'static,
) -> (Server, Worker, Calls, Calls) {
    let server = Server::with(stream);
    let worker = Worker::open(&server).await;
    let (joins, leaves) = (worker.serve("on_join", handler), worker.record("on_leave"));
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    (server, worker, joins, leaves)
}

/// The payload of a subscription to the group of these tests.
pub(crate) fn payload(id: &str) -> Value {
    json!({"subscription_id": id, "stream_name": "s", "group_id": "g"})
}

/// What the leave of that subscription tells.
pub(crate) fn left(id: &str, reason: &str) -> Value {
    json!({"subscription_id": id, "stream_name": "s", "group_id": "g", "reason": reason})
}

/// Checks that the next leave is that of a subscription made and ended now: no other was waiting.
pub(crate) async fn no_other_leave(server: &Server, leaves: &mut Calls) {
    let mut last = Subscriber::open(server, "/").await;
    last.join("last", "s", "g").await;
    assert!(matches!(last.next_event().await["type"].as_str(), Some("sync")));
    last.leave("last").await;
    assert_eq!(leaves.data().await, left("last", "left"));
}

#[tokio::test]
async fn join_calls_the_handler_with_the_names_before_the_sync() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    let call = joins.next().await;
    assert_eq!(call.data, payload("1"));
    assert!(subscriber.under_way().await.is_empty(), "a frame before the handler has answered");
    worker.set("s", "g", "i", json!(1)).await;
    worker.answer(&call, json!({}));
    assert_eq!(subscriber.sync().await, json!([1]));
    subscriber.join_item("2", "s", "g", "i").await;
    let call = joins.next().await;
    assert_eq!(call.data, json!({"subscription_id": "2", "stream_name": "s", "group_id": "g", "id": "i"}));
    worker.answer(&call, Answer::Absent);
    assert_eq!(subscriber.sync().await, json!(1));
}

#[tokio::test]
async fn path_joins_with_a_subscription_id_of_its_own() {
    let (server, _worker, mut joins, mut leaves) = start(|_| json!(null)).await;
    let (subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let (second, _) = Subscriber::of(&server, "s", "g").await;
    let (first, other) = (joins.data().await, joins.data().await);
    assert_ne!(first["subscription_id"], other["subscription_id"]);
    assert_eq!(first["subscription_id"].as_str().unwrap().len(), 36, "{first}");
    subscriber.close().await;
    let left = |mut joined: Value, reason: &str| {
        joined["reason"] = json!(reason);
        joined
    };
    assert_eq!(leaves.data().await, left(first, "closed"));
    drop(second);
    assert_eq!(leaves.data().await, left(other, "lost"));
}

#[tokio::test]
async fn join_handler_refuses_with_the_boolean_true_only() {
    let (server, _worker, _, mut leaves) = start(|data| match data["subscription_id"].as_str().unwrap() {
        "absent" => Answer::Absent,
        answer => Answer::Value(serde_json::from_str(answer).unwrap()),
    })
    .await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join(r#"{"unauthorized":true}"#, "s", "g").await;
    let frame = subscriber.next_frame().await;
    let timestamp = frame["timestamp"].as_u64().unwrap();
    assert_eq!(
        frame,
        json!({"type": "stream", "timestamp": timestamp, "streamName": "s", "groupId": "g", "id": null,
                             "event": {"type": "unauthorized"}})
    );
    let admitted =
        ["absent", "null", "{}", "true", "[true]", r#"{"unauthorized":false}"#, r#"{"unauthorized":"true"}"#, r#"{"unauthorized":1}"#];
    for answer in admitted {
        subscriber.join(answer, "s", "g").await;
        assert_eq!(subscriber.sync().await, json!([]), "{answer}");
        subscriber.leave(answer).await;
        assert_eq!(leaves.data().await["subscription_id"], answer);
    }
}

#[tokio::test]
async fn refused_join_gets_no_frames_and_no_leave() {
    let (server, worker, _, mut leaves) =
        start(|data| if data["subscription_id"] == "last" { json!(null) } else { json!({"unauthorized": true}) }).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join_item("1", "s", "g", "i").await;
    let frame = subscriber.next_frame().await;
    assert_eq!((&frame["id"], &frame["event"]), (&json!("i"), &json!({"type": "unauthorized"})));
    worker.set("s", "g", "i", json!(1)).await;
    subscriber.leave("1").await;
    assert!(subscriber.under_way().await.is_empty());
    subscriber.close().await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn join_handler_that_throws_refuses() {
    let (server, _worker, _, _) = start(|_| failure("boom")).await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
}

#[tokio::test]
async fn join_handler_that_nobody_serves_refuses() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    worker.unregister("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
}

#[tokio::test]
async fn join_handler_that_does_not_answer_refuses() {
    let (server, _worker, _, _) = start_with(json!({"join_timeout_ms": 200}), |_| Answer::Later).await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
}

#[tokio::test]
async fn failure_that_is_allowed_admits() {
    let settings = json!({"join_failure": "allow", "join_timeout_ms": 200});
    let (server, worker, _, _) = start_with(settings, |data| match data["subscription_id"].as_str().unwrap() {
        "throws" => failure("boom"),
        "refuses" => json!({"unauthorized": true}).into(),
        _ => Answer::Later,
    })
    .await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for id in ["throws", "times out"] {
        subscriber.join(id, "s", "g").await;
        assert_eq!(subscriber.sync().await, json!([]), "{id}");
    }
    subscriber.join("refuses", "s", "g").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    worker.unregister("on_join");
    worker.settle().await;
    subscriber.join("missing", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
}

#[tokio::test]
async fn refused_client_can_join_other_groups() {
    let (server, _worker, _, _) = start(|data| json!({"unauthorized": data["group_id"] == "closed"})).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "closed").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
}

#[tokio::test]
async fn join_handlers_are_asked_in_order_until_one_refuses() {
    let (server, worker, mut first, _) = start(|_| json!(null)).await;
    let second = worker.serve("second", |data| json!({"unauthorized": data["group_id"] == "closed"}));
    let mut third = worker.record("third");
    worker.trigger("a", "stream:join", "second", json!({}));
    worker.trigger("0", "stream:join", "third", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "closed").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    subscriber.join("2", "s", "g").await;
    subscriber.sync().await;
    assert_eq!((first.data().await["group_id"].as_str(), first.data().await["group_id"].as_str()), (Some("closed"), Some("g")));
    assert_eq!(third.data().await, payload("2"));
    drop(second);
}

#[tokio::test]
async fn join_filter_is_honoured() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    let mut calls = worker.serve("filtered", |_| json!({"unauthorized": true}));
    worker.trigger("f", "stream:join", "filtered", json!({"stream_name": "closed"}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
    subscriber.join("2", "closed", "g").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    assert_eq!(calls.data().await["subscription_id"], "2");
}

#[tokio::test]
async fn join_condition_that_is_false_skips_the_handler_and_the_join_goes_on() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    let mut asked = worker.serve("condition", |data| json!(data["group_id"] != "g"));
    let mut calls = worker.serve("guarded", |_| json!({"unauthorized": true}));
    worker.trigger("c", "stream:join", "guarded", json!({"condition_function_id": "condition"}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
    assert_eq!(asked.data().await, payload("1"));
    subscriber.join("2", "s", "other").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    assert_eq!(calls.data().await["subscription_id"], "2");
}

#[tokio::test]
async fn join_condition_that_fails_refuses() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    worker.trigger("c", "stream:join", "on_join", json!({"condition_function_id": "nobody::serves"}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
}

#[tokio::test]
async fn joins_of_one_socket_are_asked_about_32_at_a_time() {
    let (server, worker, _, _) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for n in 0..40 {
        subscriber.join(&n.to_string(), "s", "g").await;
    }
    let mut held = Vec::new();
    for _ in 0..32 {
        held.push(joins.next().await);
    }
    // Another client is not kept waiting by it.
    let mut other = Subscriber::open(&server, "/").await;
    other.join("other", "s", "g").await;
    let call = joins.next().await;
    assert_eq!(call.data, payload("other"));
    worker.answer(&call, json!(null));
    other.sync().await;
    assert!(subscriber.under_way().await.is_empty() && joins.is_empty());
    for n in 32..40 {
        worker.answer(&held.remove(0), json!(null));
        let call = joins.next().await;
        assert_eq!(call.data, payload(&n.to_string()));
        held.push(call);
    }
}
