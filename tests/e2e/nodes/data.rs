//! What is in Redis: items as other programs write and read them.

use serde_json::{Value, json};

use super::nodes;
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use crate::worker::{Worker, group, key, write};

#[tokio::test]
async fn hash_that_was_there_before_is_read() {
    let redis = RedisServer::start(&[]);
    redis.cli(&["HSET", "stream:todo:inbox", "milk", r#"{"id":"milk","n":1}"#, "bread", r#"{"id":"bread","n":2}"#]);
    let nodes = nodes(&redis, 2);
    for node in &nodes {
        let worker = Worker::open(node).await;
        assert_eq!(worker.result("stream::get", key("todo", "inbox", "milk")).await, json!({"id": "milk", "n": 1}));
        let listed = worker.result("stream::list", group("todo", "inbox")).await;
        let mut names: Vec<_> = listed.as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["bread", "milk"]);
        assert_eq!(worker.result("stream::list_groups", json!({"stream_name": "todo"})).await, json!(["inbox"]));
        let all = json!({"stream": [{"id": "todo", "groups": ["inbox"]}], "count": 1});
        assert_eq!(worker.result("stream::list_all", json!({})).await, all);
    }
    let worker = Worker::open(&nodes[0]).await;
    let written = worker.set("todo", "inbox", "milk", json!({"id": "milk", "n": 3})).await;
    assert_eq!(written["old_value"], json!({"id": "milk", "n": 1}));
}

#[tokio::test]
async fn item_is_read_by_hand() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 1);
    let worker = Worker::open(&nodes[0]).await;
    worker.set("todo", "inbox", "milk", json!({"id": "milk", "tags": ["ä", 1.5, null]})).await;
    let all = redis.cli(&["HGETALL", "stream:todo:inbox"]);
    let (name, value) = all.split_once('\n').unwrap();
    assert_eq!((name, serde_json::from_str::<Value>(value).unwrap()), ("milk", json!({"id": "milk", "tags": ["ä", 1.5, null]})));
    worker.result("stream::delete", key("todo", "inbox", "milk")).await;
    assert_eq!(redis.cli(&["EXISTS", "stream:todo:inbox"]), "0");
    assert_eq!(worker.result("stream::list_all", json!({})).await, json!({"stream": [], "count": 0}));
}

#[tokio::test]
async fn names_with_colons_and_percent_signs_never_meet() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let (writer, reader) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    let names = [
        ("a:b", "c"),
        ("a", "b:c"),
        ("a%3Ab", "c"),
        ("a", "b%3Ac"),
        ("a%", "3Ab:c"),
        ("a%253Ab", "c"),
        ("{a}", "c"),
        ("a", "{c}"),
        ("%7Ba%7D", "c"),
        (":", "%"),
        ("%", ":"),
    ];
    for (n, (stream, group)) in names.iter().enumerate() {
        writer.set(stream, group, "i:%", json!({"id": n})).await;
    }
    for (n, (stream, of)) in names.iter().enumerate() {
        assert_eq!(reader.result("stream::list", group(stream, of)).await, json!([{"id": n}]), "{stream} {of}");
        assert_eq!(reader.result("stream::get", key(stream, of, "i:%")).await, json!({"id": n}), "{stream} {of}");
    }
    let keys = redis.cli(&["KEYS", "stream:*"]);
    assert_eq!(keys.lines().count(), names.len(), "{keys}");
    assert!(keys.lines().any(|key| key == "stream:a%3Ab:c"), "{keys}");
    let all = reader.result("stream::list_all", json!({})).await;
    let mut listed = Vec::new();
    for stream in all["stream"].as_array().unwrap() {
        for group in stream["groups"].as_array().unwrap() {
            listed.push((stream["id"].as_str().unwrap(), group.as_str().unwrap()));
        }
    }
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(listed, expected);
}

#[tokio::test]
async fn values_of_more_than_may_be_under_way_wait_for_room_and_none_is_lost() {
    let redis = RedisServer::start(&[]);
    let server = Server::node(&redis.adapter());
    let worker = Worker::open(&server).await;
    // Nobody waits for an answer, so one that is refused would be gone. 64 MiB may be under way, and Redis answers nothing for now.
    redis.signal("STOP");
    for n in 0..12 {
        worker.void("stream::set", write("s", "g", &n.to_string(), json!("x".repeat(12 << 20))));
    }
    worker.settle().await;
    redis.signal("CONT");
    until("all items", async || redis.cli(&["HLEN", "stream:s:g"]) == "12").await;
}
