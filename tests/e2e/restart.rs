//! What a server that ends in order leaves to the next one.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group, key};

#[tokio::test]
async fn server_that_starts_again_has_the_items_in_order_and_goes_on_above_their_timestamps() {
    let store = TempDir::new().unwrap();
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let worker = Worker::open(&server).await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    for item in ["c", "a", "b"] {
        worker.set("s", "g", item, json!({"id": item})).await;
    }
    worker.result("stream::delete", key("s", "g", "c")).await;
    worker.set("s", "g", "c", json!({"id": "c"})).await;
    worker.set("s", "gone", "i", json!(1)).await;
    worker.result("stream::delete", key("s", "gone", "i")).await;
    let mut last = Value::Null;
    for _ in 0..5 {
        last = subscriber.next_frame().await["timestamp"].take();
    }
    server.terminate();

    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let worker = Worker::open(&server).await;
    let items = json!([{"id": "a"}, {"id": "b"}, {"id": "c"}]);
    assert_eq!(worker.result("stream::list", group("s", "g")).await, items);
    assert_eq!(worker.result("stream::list_all", json!({})).await, json!({"stream": [{"id": "s", "groups": ["g"]}], "count": 1}));
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    let sync = subscriber.next_frame().await;
    assert_eq!((&sync["event"]["type"], &sync["event"]["data"], &sync["timestamp"]), (&json!("sync"), &items, &last));
    worker.set("s", "g", "a", json!({"id": "a", "n": 1})).await;
    assert!(subscriber.next_frame().await["timestamp"].as_u64() > last.as_u64());
}

#[tokio::test]
async fn second_server_on_the_same_store_is_refused_with_the_one_that_has_it() {
    let store = TempDir::new().unwrap();
    let _server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let log = Server::on(store.path(), &json!({}), &[]).err().unwrap();
    assert!(log.contains(&*store.path().to_string_lossy()) && log.contains("is in use by process"), "{log}");
}
