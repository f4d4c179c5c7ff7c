//! An authorisation that ends, and how a client has it renewed.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::server::{Server, until};
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Calls, Worker, failure};

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A server that asks `my::auth`; the calls of it, of the join and of the leave handler.
async fn start<A: Into<Answer>>(auth: impl Fn(&Value) -> A + Send + 'static) -> (Server, Worker, Calls, Calls, Calls) {
    let server = Server::with(json!({"auth_function": "my::auth", "auth_timeout_ms": 1000}));
    let worker = Worker::open(&server).await;
    let calls = worker.serve("my::auth", auth);
    let (joins, leaves) = (worker.record("on_join"), worker.record("on_leave"));
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    (server, worker, calls, joins, leaves)
}

/// What the first token of a client is good for: `token` of the query is how many milliseconds.
fn good_for(data: &Value) -> Value {
    let token = data["query_params"]["token"][0].as_str().unwrap_or_default();
    match token.parse::<u64>() {
        Ok(ms) => json!({"context": {"token": token}, "expires_at": now() + ms}),
        Err(_) => json!({"unauthorized": true}),
    }
}

async fn refresh(subscriber: &mut Subscriber, token: &str) {
    subscriber.send(&json!({"type": "refresh", "data": {"token": token}})).await;
}

#[tokio::test]
async fn authorisation_that_ends_closes_with_4410_and_the_leave_says_so() {
    let (server, _worker, _, _, mut leaves) = start(good_for).await;
    let since = Instant::now();
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/?token=400").await;
    subscriber.sync().await;
    assert_eq!(subscriber.closed().await, 4410);
    assert!(since.elapsed() >= Duration::from_millis(390), "{:?}", since.elapsed());
    let left = leaves.data().await;
    assert_eq!((&left["reason"], &left["context"]), (&json!("expired"), &json!({"token": "400"})));
}

#[tokio::test]
async fn refresh_replaces_the_end_and_the_context() {
    let (server, worker, mut calls, mut joins, mut leaves) = start(good_for).await;
    let mut subscriber = Subscriber::open(&server, "/?token=2000&x=1").await;
    let since = Instant::now();
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    refresh(&mut subscriber, "60000").await;
    let (mut first, mut second) = (calls.data().await, calls.data().await);
    assert_eq!((&second["query_params"]["token"], &second["headers"]["authorization"]), (&json!(["60000"]), &json!("Bearer 60000")));
    for input in [&mut first, &mut second] {
        input["query_params"].as_object_mut().unwrap().remove("token");
        input["headers"].as_object_mut().unwrap().remove("authorization");
    }
    assert_eq!(first, second);
    // Answered on the worker's socket before what it asks for next.
    worker.settle().await;
    assert!(subscriber.under_way().await.is_empty());
    subscriber.join("2", "s", "other").await;
    subscriber.sync().await;
    assert_eq!(joins.data().await["context"]["token"], "2000");
    assert_eq!(joins.data().await["context"]["token"], "60000");
    // It lives on behind the first end.
    until("the first end", async || since.elapsed() > Duration::from_millis(2200)).await;
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_event().await["type"], "create");
    subscriber.leave("1").await;
    let left = leaves.data().await;
    assert_eq!((&left["reason"], &left["context"]["token"]), (&json!("left"), &json!("60000")));
}

#[tokio::test]
async fn refresh_that_is_refused_is_told_and_the_old_end_stays() {
    let (server, _worker, _, _, mut leaves) = start(|data| match data["query_params"]["token"][0].as_str() {
        Some("throws") => failure("boom"),
        Some("past") => json!({"context": 1, "expires_at": now() - 1}).into(),
        Some("malformed") => json!({"context": 1, "expires_at": "tomorrow"}).into(),
        _ => Answer::Value(good_for(data)),
    })
    .await;
    let refused = ["bad", "throws", "past", "malformed"].map(async |token| {
        let mut subscriber = Subscriber::open(&server, "/stream/s/g/?token=1500").await;
        subscriber.sync().await;
        refresh(&mut subscriber, token).await;
        assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}), "{token}");
        assert_eq!(subscriber.closed().await, 4410, "{token}");
    });
    futures_util::future::join_all(refused).await;
    for _ in 0..4 {
        let left = leaves.data().await;
        assert_eq!((&left["reason"], &left["context"]["token"]), (&json!("expired"), &json!("1500")));
    }
}

#[tokio::test]
async fn refresh_under_way_when_the_authorisation_ends_decides() {
    for (answer, stays) in [(json!({"context": 2, "expires_at": now() + 60_000}), true), (json!({"unauthorized": true}), false)] {
        let (server, worker, _, _, _) = start(good_for).await;
        let mut subscriber = Subscriber::open(&server, "/stream/s/g/?token=500").await;
        let since = Instant::now();
        subscriber.sync().await;
        let mut held = worker.hold("my::auth");
        worker.settle().await;
        refresh(&mut subscriber, "new").await;
        let call = held.next().await;
        until("the end", async || since.elapsed() > Duration::from_millis(600)).await;
        assert!(subscriber.under_way().await.is_empty());
        worker.answer(&call, answer);
        if stays {
            worker.set("s", "g", "i", json!(1)).await;
            assert_eq!(subscriber.next_event().await["type"], "create");
        } else {
            assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
            assert_eq!(subscriber.closed().await, 4410);
        }
    }
}

#[tokio::test]
async fn second_refresh_and_one_without_need_are_ignored() {
    let (server, worker, mut calls, _, _) = start(|data| match data["query_params"]["token"][0].as_str() {
        Some("endless") => json!({"context": 1}),
        _ => good_for(data),
    })
    .await;
    let mut endless = Subscriber::open(&server, "/?token=endless").await;
    let mut subscriber = Subscriber::open(&server, "/?token=60000").await;
    assert_eq!((calls.data().await["path"].take(), calls.data().await["path"].take()), (json!("/"), json!("/")));
    refresh(&mut endless, "60000").await;
    for token in ["60001", "60002", "60003"] {
        refresh(&mut subscriber, token).await;
    }
    assert_eq!(calls.data().await["query_params"]["token"], json!(["60001"]));
    assert!(endless.under_way().await.is_empty() && subscriber.under_way().await.is_empty());
    worker.settle().await;
    assert!(calls.is_empty());
    subscriber.send(&json!({"type": "refresh", "data": {"token": 5}})).await;
    assert!(subscriber.under_way().await.is_empty());
}

#[tokio::test]
async fn grant_that_is_over_or_no_time_refuses() {
    for (expires_at, code) in [(json!(1), 4401), (json!(now() - 1000), 4401), (json!("soon"), 4503), (json!({}), 4503), (json!(-1), 4503)] {
        let answer = json!({"context": 1, "expires_at": expires_at});
        let (server, _worker, _, _, _) = start(move |_| answer.clone()).await;
        let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
        assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}), "{expires_at}");
        assert_eq!(subscriber.closed().await, code, "{expires_at}");
    }
}
