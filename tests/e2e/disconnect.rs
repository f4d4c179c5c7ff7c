//! `stream::disconnect`: a worker has clients closed.

use serde_json::{Value, json};

use crate::raw::{CLOSE, Raw, TEXT};
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Calls, Worker, write};

const DISCONNECT: &str = "stream::disconnect";

/// A server whose clients have the context that their query asks for; the calls of the leave handler.
async fn start() -> (Server, Worker, Calls) {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    let worker = Worker::open(&server).await;
    drop(worker.serve("my::auth", |data| match data["query_params"]["user"][0].as_str() {
        Some(user) => json!({"context": {"user": {"id": user}}}),
        None => json!({"context": null}),
    }));
    let leaves = worker.record("on_leave");
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    (server, worker, leaves)
}

async fn open(server: &Server, user: &str, id: &str, group: &str) -> Subscriber {
    let mut subscriber = Subscriber::open(server, &format!("/?user={user}")).await;
    subscriber.join(id, "s", group).await;
    subscriber.sync().await;
    subscriber
}

fn user(id: &str) -> Value {
    json!({"field": "user.id", "value": id})
}

#[tokio::test]
async fn subscription_is_disconnected_with_4403_and_the_leave_says_so() {
    let (server, worker, mut leaves) = start().await;
    let mut one = open(&server, "ann", "1", "g").await;
    let mut two = open(&server, "ann", "2", "g").await;
    assert_eq!(worker.result(DISCONNECT, json!({"subscription_id": "1"})).await, json!({"count": 1}));
    assert_eq!(one.closed_saying().await, (4403, "disconnected by a worker".to_owned()));
    let left = leaves.data().await;
    assert_eq!((&left["subscription_id"], &left["reason"]), (&json!("1"), &json!("disconnected")));
    assert_eq!(worker.result(DISCONNECT, json!({"subscription_id": "1"})).await, json!({"count": 0}));
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(two.next_event().await["type"], "create");
    assert!(leaves.is_empty());
}

#[tokio::test]
async fn all_clients_of_a_user_are_disconnected_on_every_thread() {
    let (server, worker, mut leaves) = start().await;
    let mut ann = Vec::new();
    for n in 0..20 {
        ann.push(open(&server, "ann", &n.to_string(), "g").await);
    }
    let mut bob = open(&server, "bob", "b", "g").await;
    let mut anonymous = Subscriber::open(&server, "/").await;
    let input = json!({"context": user("ann"), "reason": "go away"});
    assert_eq!(worker.result(DISCONNECT, input).await, json!({"count": 20}));
    for subscriber in &mut ann {
        assert_eq!(subscriber.closed_saying().await, (4403, "go away".to_owned()));
    }
    for _ in 0..20 {
        assert_eq!(leaves.data().await["reason"], "disconnected");
    }
    assert!(bob.under_way().await.is_empty() && anonymous.under_way().await.is_empty());
}

#[tokio::test]
async fn clients_are_narrowed_to_those_joined_there() {
    let (server, worker, _leaves) = start().await;
    let mut there = open(&server, "ann", "1", "g").await;
    let mut elsewhere = open(&server, "ann", "1", "h").await;
    let count = async |input: Value| worker.result(DISCONNECT, input).await["count"].clone();
    assert_eq!(count(json!({"context": user("ann"), "stream_name": "other"})).await, 0);
    assert_eq!(count(json!({"context": user("ann"), "stream_name": "s", "group_id": "x"})).await, 0);
    assert_eq!(count(json!({"context": user("bob"), "stream_name": "s"})).await, 0);
    assert_eq!(count(json!({"context": user("ann"), "stream_name": "s", "group_id": "g"})).await, 1);
    assert_eq!(there.closed().await, 4403);
    assert_eq!(count(json!({"subscription_id": "1", "group_id": "g"})).await, 0);
    assert_eq!(count(json!({"subscription_id": "1", "stream_name": "s"})).await, 1);
    assert_eq!(elsewhere.closed().await, 4403);
}

#[tokio::test]
async fn join_handler_may_disconnect_the_client_that_joins() {
    let (server, worker, mut leaves) = start().await;
    let mut joins = worker.hold("on_join");
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    let call = joins.next().await;
    let input = json!({"subscription_id": call.data["subscription_id"]});
    assert_eq!(worker.result(DISCONNECT, input).await, json!({"count": 1}));
    assert_eq!(subscriber.closed().await, 4403);
    worker.answer(&call, json!(null));
    assert_eq!(leaves.data().await["reason"], "disconnected");
}

#[tokio::test]
async fn input_that_is_not_understood_is_refused() {
    let (server, worker, _leaves) = start().await;
    let mut subscriber = open(&server, "ann", "1", "g").await;
    for input in [
        json!(null),
        json!({}),
        json!({"subscription_id": 1}),
        json!({"subscription_id": "1", "context": user("ann")}),
        json!({"context": {"field": "user.id"}}),
        json!({"context": user("ann"), "stream": "s"}),
        json!({"context": user("ann"), "reason": "x".repeat(121)}),
    ] {
        let (code, message) = worker.error(DISCONNECT, input.clone()).await;
        assert_eq!(code, "deserialization_error", "{input}: {message}");
        assert!(message.contains(DISCONNECT), "{message}");
    }
    assert!(subscriber.under_way().await.is_empty());
}

#[tokio::test]
async fn function_is_reserved_and_listed() {
    let (_server, worker, _leaves) = start().await;
    let calls = worker.record(DISCONNECT);
    worker.settle().await;
    assert_eq!(worker.result(DISCONNECT, json!({"subscription_id": "nobody"})).await, json!({"count": 0}));
    assert!(calls.is_empty());
    let listed = worker.result("engine::functions::list", json!({"include_internal": true})).await;
    let row = |id: &str| listed["functions"].as_array().unwrap().iter().find(|row| row["function_id"] == id).cloned().unwrap();
    assert_eq!(row(DISCONNECT)["worker_name"], row("stream::set")["worker_name"]);
}

#[tokio::test]
async fn nothing_of_a_group_follows_the_close_frame() {
    let (server, worker, _) = start().await;
    let writer = Worker::open(&server).await;
    for round in 0..20 {
        let mut raw = Raw::open(server.streams(), "/").await;
        let join = json!({"type": "join", "data": {"subscriptionId": round.to_string(), "streamName": "s", "groupId": "g"}});
        raw.frame(TEXT, join.to_string().as_bytes()).await;
        raw.json().await;
        for n in 0..200 {
            writer.void("stream::set", write("s", "g", "i", json!({"id": "i", "n": n})));
        }
        worker.result("stream::disconnect", json!({"subscription_id": round.to_string()})).await;
        for n in 0..200 {
            writer.void("stream::set", write("s", "g", "i", json!({"id": "i", "n": n})));
        }
        while raw.next().await.expect("a close frame").0 != CLOSE {}
        raw.frame(CLOSE, &4403_u16.to_be_bytes()).await;
        assert_eq!(raw.next().await, None, "a frame after the close frame");
        writer.settle().await;
    }
}
