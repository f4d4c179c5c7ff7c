//! The limit of streams that may hold items.

use serde_json::json;

use crate::server::{Server, on_redis};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, key, write};

#[tokio::test]
async fn set_that_would_make_a_stream_too_many_is_refused() {
    if on_redis() {
        return;
    }
    let server = Server::with(json!({"max_streams": 2}));
    let worker = Worker::open(&server).await;
    let (mut subscriber, _) = Subscriber::of(&server, "c", "g").await;
    worker.set("a", "g", "i", json!(1)).await;
    worker.set("b", "g", "i", json!(1)).await;
    let mut update = key("c", "g", "i");
    update["ops"] = json!([{"type": "set", "path": "n", "value": 1}]);
    for (function, input, code) in
        [("stream::set", write("c", "g", "i", json!(1)), "STREAM_SET_ERROR"), ("stream::update", update, "STREAM_UPDATE_ERROR")]
    {
        let (answered, message) = worker.error(function, input).await;
        assert_eq!(answered, code);
        assert!(message.contains("'c'") && message.contains("raise `max_streams`"), "{message}");
    }
    // Streams that are there may grow, and events make none.
    worker.set("a", "other", "i", json!(1)).await;
    worker.result("stream::send", json!({"stream_name": "c", "group_id": "g", "type": "x", "data": null})).await;
    assert_eq!(subscriber.next_event().await["type"], "event", "nobody was told of what was refused");
    assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 2);
    worker.result("stream::delete", key("b", "g", "i")).await;
    worker.set("c", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_event().await["type"], "create");
}

/// A loop with names of its own, which does not wait for answers.
#[tokio::test]
async fn streams_that_are_made_at_once_are_counted_one_by_one() {
    if on_redis() {
        return;
    }
    let server = Server::with(json!({"max_streams": 50}));
    let worker = Worker::open(&server).await;
    for n in 0..500 {
        worker.void("stream::set", write(&n.to_string(), "g", "i", json!(n)));
    }
    assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 50);
}
