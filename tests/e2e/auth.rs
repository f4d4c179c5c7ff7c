//! Who may connect: the auth function, what it is told, and how a client that may not connect learns of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use crate::handshake::upgrade;
use crate::raw::Raw;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Calls, Worker, failure};

/// A server that asks `my::auth`, and a worker that serves it.
async fn asking<A: Into<Answer>>(handler: impl Fn(&Value) -> A + Send + 'static) -> (Server, Worker, Calls) {
    let server = Server::with(json!({"auth_function": "my::auth", "auth_timeout_ms": 300}));
    let worker = Worker::open(&server).await;
    let calls = worker.serve("my::auth", handler);
    worker.settle().await;
    (server, worker, calls)
}

/// Connects, checks that the one frame is `unauthorized`, and that the close comes with `code`, and neither at once nor late.
async fn assert_refused(server: &Server, code: u16) {
    let mut subscriber = Subscriber::open(server, "/stream/s/g/").await;
    let frame = subscriber.next_frame().await;
    let told = Instant::now();
    assert_eq!(
        frame,
        json!({"type": "stream", "timestamp": frame["timestamp"], "streamName": "s", "groupId": "g", "id": null,
                             "event": {"type": "unauthorized"}})
    );
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.closed().await, code);
    let after = told.elapsed();
    // Stock clients come back at once; a second is the least. The upper bound is three, and some for a busy machine.
    assert!((Duration::from_millis(990)..Duration::from_secs(6)).contains(&after), "closed after {after:?}");
}

#[tokio::test]
async fn context_of_the_auth_function_reaches_join_and_leave() {
    let (server, worker, _) = asking(|_| json!({"context": {"userId": "u1", "roles": [1, null]}, "other": 1})).await;
    let mut joins = worker.record("on_join");
    let mut leaves = worker.record("on_leave");
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join_item("sub-1", "s", "g", "i").await;
    subscriber.sync().await;
    let payload = json!({"subscription_id": "sub-1", "stream_name": "s", "group_id": "g", "id": "i",
                         "context": {"userId": "u1", "roles": [1, null]}});
    assert_eq!(joins.data().await, payload);
    subscriber.close().await;
    let mut left = payload;
    left["reason"] = json!("closed");
    assert_eq!(leaves.data().await, left);
}

#[tokio::test]
async fn null_context_connects_and_is_left_out() {
    let (server, worker, _) = asking(|_| json!({"context": null})).await;
    let mut joins = worker.record("on_join");
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
    // The documented Python handlers do `input.get('context', {}).get('userId')`, which a null breaks.
    assert_eq!(joins.data().await, json!({"subscription_id": "1", "stream_name": "s", "group_id": "g"}));
}

#[tokio::test]
async fn context_of_any_type_is_passed_on() {
    let contexts = [json!("text"), json!(0), json!(false), json!([1]), json!({})];
    for context in contexts {
        let answer = json!({"context": context});
        let (server, worker, _) = asking(move |_| answer.clone()).await;
        let mut joins = worker.record("on_join");
        worker.trigger("j", "stream:join", "on_join", json!({}));
        worker.settle().await;
        let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
        subscriber.sync().await;
        assert_eq!(joins.data().await["context"], context);
    }
}

#[tokio::test]
async fn auth_function_is_told_of_the_request() {
    let (server, _worker, mut calls) = asking(|_| json!({"context": null})).await;
    let path = "/stream/s%20x/g/?authToken=a%2Fb+c&authToken=second&flag&=nameless&empty=&bad=%FF&%C3%A9=1";
    let mut request = Subscriber::to(&server, path);
    for (name, value) in [("Authorization", "Bearer t0"), ("X-Twice", "one"), ("X-Twice", "two"), ("X-Dash_ed", " padded ")] {
        request.headers_mut().append(name, HeaderValue::from_static(value));
    }
    let subscriber = Subscriber::request(&server, request).await;
    let input = calls.data().await;
    assert_eq!(input["path"], "/stream/s%20x/g/");
    assert_eq!(input["addr"], subscriber.address);
    let query = json!({"authToken": ["a/b+c", "second"], "flag": [""], "empty": [""], "bad": ["%FF"], "é": ["1"]});
    assert_eq!(input["query_params"], query);
    let headers = &input["headers"];
    assert_eq!(
        (&headers["authorization"], &headers["x-twice"], &headers["x-dash_ed"]),
        (&json!("Bearer t0"), &json!("one, two"), &json!("padded"))
    );
    assert_eq!(headers["host"], server.streams());
    assert_eq!(input.as_object().unwrap().len(), 4, "{input}");
}

#[tokio::test]
async fn header_that_is_no_text_is_left_out() {
    let (server, _worker, mut calls) = asking(|_| json!({"context": null})).await;
    let mut raw = Raw::connect(server.streams()).await;
    let head = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-Binary: \xFF\xFE\r\nX-Text: a\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    raw.write(head).await;
    assert!(raw.head().await.starts_with("HTTP/1.1 101 "));
    let headers = calls.data().await["headers"].take();
    assert_eq!((headers.get("x-binary"), headers.get("x-text")), (None, Some(&json!("a"))));
}

#[tokio::test]
async fn auth_function_is_asked_once_per_connection() {
    let (server, _worker, mut calls) = asking(|_| json!({"context": null})).await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    subscriber.join("1", "s", "other").await;
    subscriber.sync().await;
    assert_eq!(calls.data().await["path"], "/stream/s/g/");
    assert!(calls.is_empty());
}

#[tokio::test]
async fn first_offered_protocol_is_echoed_and_the_header_is_handed_over_whole() {
    let (server, _worker, mut calls) = asking(|_| json!({"context": null})).await;
    for offered in ["Authorization,tok-5", "Authorization, tok-5", "Authorization"] {
        let mut request = Subscriber::to(&server, "/");
        request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static(offered));
        let subscriber = Subscriber::request(&server, request).await;
        let echoed: Vec<_> = subscriber.response.headers().get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(echoed, ["Authorization"]);
        assert_eq!(calls.data().await["headers"]["sec-websocket-protocol"], offered);
    }
}

#[tokio::test]
async fn no_offered_protocol_is_answered_by_none() {
    let server = Server::start();
    let subscriber = Subscriber::open(&server, "/").await;
    assert!(subscriber.response.headers().get("sec-websocket-protocol").is_none());
}

#[tokio::test]
async fn protocol_is_echoed_to_a_client_that_is_refused() {
    let (server, _worker, _) = asking(|_| json!({"unauthorized": true})).await;
    let mut request = Subscriber::to(&server, "/");
    request.headers_mut().insert("Sec-WebSocket-Protocol", HeaderValue::from_static("Authorization, bad"));
    let mut subscriber = Subscriber::request(&server, request).await;
    assert_eq!(subscriber.response.headers()["sec-websocket-protocol"], "Authorization");
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
}

#[tokio::test]
async fn auth_function_that_refuses_closes_with_4401() {
    let (server, _worker, _) = asking(|_| json!({"unauthorized": true, "context": {"a": 1}})).await;
    assert_refused(&server, 4401).await;
}

#[tokio::test]
async fn auth_function_that_nobody_serves_closes_with_4503() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    assert_refused(&server, 4503).await;
}

#[tokio::test]
async fn auth_function_that_throws_closes_with_4503() {
    let (server, _worker, _) = asking(|_| failure("boom")).await;
    assert_refused(&server, 4503).await;
}

#[tokio::test]
async fn auth_function_that_does_not_answer_closes_with_4503() {
    let (server, worker, mut calls) = asking(|_| Answer::Later).await;
    assert_refused(&server, 4503).await;
    // Too late, and for nobody.
    worker.answer(&calls.next().await, json!({"context": 1}));
    worker.settle().await;
}

#[tokio::test]
async fn auth_function_whose_worker_dies_closes_with_4503() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    let worker = Worker::open(&server).await;
    let mut calls = worker.hold("my::auth");
    worker.settle().await;
    let refused = assert_refused(&server, 4503);
    let dies = async {
        calls.next().await;
        worker.disconnect().await;
    };
    futures_util::future::join(refused, dies).await;
}

#[tokio::test]
async fn auth_function_that_answers_nonsense_closes_with_4503() {
    let answers = [
        json!(null),
        json!("context"),
        json!(1),
        json!(true),
        json!([{"context": 1}]),
        json!({}),
        json!({"Context": 1}),
        json!({"context": 1, "unauthorized": "yes"}),
    ];
    let remaining = std::sync::Mutex::new(answers.to_vec());
    let (server, worker, _) = asking(move |_| remaining.lock().unwrap().pop().map_or(Answer::Absent, Answer::Value)).await;
    // All at once: each waits for its close.
    let refused = (0..=answers.len()).map(|_| assert_refused(&server, 4503));
    futures_util::future::join_all(refused).await;
    worker.settle().await;
}

#[tokio::test]
async fn refused_client_joins_nothing() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    let worker = Worker::open(&server).await;
    drop(worker.serve("my::auth", |_| json!({"unauthorized": true})));
    let (joins, leaves) = (worker.record("on_join"), worker.record("on_leave"));
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
    for id in ["1", "2"] {
        subscriber.join(id, "s", "g").await;
    }
    subscriber.leave("1").await;
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.closed().await, 4401);
    worker.settle().await;
    assert!(joins.is_empty() && leaves.is_empty());
}

#[tokio::test]
async fn refused_client_on_the_root_path_is_told_without_names() {
    let (server, _worker, _) = asking(|_| json!({"unauthorized": true})).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    let frame = subscriber.next_frame().await;
    assert_eq!((&frame["type"], &frame["event"]), (&json!("stream"), &json!({"type": "unauthorized"})));
}

#[tokio::test]
async fn client_can_connect_once_the_auth_function_is_there() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    assert_refused(&server, 4503).await;
    let worker = Worker::open(&server).await;
    drop(worker.serve("my::auth", |_| json!({"context": 1})));
    worker.settle().await;
    assert_eq!(Subscriber::of(&server, "s", "g").await.1, json!([]));
}

#[tokio::test]
async fn http_refusal_answers_401_or_503() {
    let server = Server::with(json!({"auth_function": "my::auth", "auth_refusal": "http", "auth_timeout_ms": 300}));
    let head = upgrade(server.streams(), "/").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    let worker = Worker::open(&server).await;
    let answers =
        [("HTTP/1.1 401 ", json!({"unauthorized": true})), ("HTTP/1.1 503 ", json!({})), ("HTTP/1.1 101 ", json!({"context": null}))];
    for (status, answer) in answers {
        drop(worker.serve("my::auth", move |_| answer.clone()));
        worker.settle().await;
        let head = upgrade(server.streams(), "/stream/s/g/").await;
        assert!(head.starts_with(status), "{head}");
    }
    drop(worker.hold("my::auth"));
    worker.settle().await;
    let head = upgrade(server.streams(), "/").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
}

#[tokio::test]
async fn worker_port_asks_nobody() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    let worker = Worker::open(&server).await;
    assert_eq!(worker.set("s", "g", "i", json!(1)).await["new_value"], 1);
}
