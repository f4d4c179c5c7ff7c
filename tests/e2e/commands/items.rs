//! `get`, `set`, `update`, `delete`, `list`, `streams`, `send` and `call`.

use serde_json::json;

use super::{at, at_with};
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, failure};

#[tokio::test]
async fn items_are_written_and_read_for_people() {
    let server = Server::start();
    let alice = ["s", "g", "alice"];
    let with = |verb: &'static str, last: &'static str| [&[verb][..], &alice, &[last]].concat();
    assert_eq!(at(&server, &with("set", r#"{"id":"alice","n":1}"#)).await.printed(), "old  null\nnew  {\"id\": \"alice\", \"n\": 1}\n");
    assert_eq!(at(&server, &["get", "s", "g", "alice"]).await.printed(), "{\"id\": \"alice\", \"n\": 1}\n");
    let ops = r#"[{"type":"increment","path":"n","by":1},{"type":"increment","path":"id","by":1}]"#;
    let updated = at(&server, &with("update", ops)).await.printed();
    let (values, failed) = updated.split_once("op 1  ").unwrap();
    assert_eq!(values, "old  {\"id\": \"alice\", \"n\": 1}\nnew  {\"id\": \"alice\", \"n\": 2}\n");
    assert!(failed.starts_with("increment.not_number: "), "{failed}");
    assert_eq!(at_with(&server, &["set", "s", "g", "bob", "-"], "[1.0,\n 2]\n").await.printed(), "old  null\nnew  [1.0, 2]\n");
    assert_eq!(at(&server, &["set", "s", "h", "i", "-5"]).await.printed(), "old  null\nnew  -5\n");
    assert_eq!(at(&server, &["list", "s", "g"]).await.printed(), "{\"id\": \"alice\", \"n\": 2}\n[1.0, 2]\n");
    assert_eq!(at(&server, &["streams"]).await.printed(), "s\n  g\n  h\n");
    assert_eq!(at(&server, &["streams", "s"]).await.printed(), "g\nh\n");
    assert_eq!(at(&server, &["delete", "s", "g", "bob"]).await.printed(), "old  [1.0, 2]\n");
    assert_eq!(at(&server, &["delete", "s", "g", "bob"]).await.printed(), "old  null\n");
    at(&server, &with("set", r#"{"new_value":1}"#)).await.printed();
    assert_eq!(at(&server, &["delete", "s", "g", "alice"]).await.printed(), "old  {\"new_value\": 1}\n");
    let nothing = at(&server, &["list", "s", "none"]).await;
    assert!(nothing.code == 0 && nothing.stdout.is_empty() && nothing.stderr.contains("`weir streams`"), "{}", nothing.stderr);
}

#[tokio::test]
async fn items_are_written_and_read_as_one_line_of_json() {
    let server = Server::start();
    // More digits than a double has, and a line that ends in the middle.
    let set = at_with(&server, &["set", "s", "g", "i", "-", "--json"], "{\"n\":\n12345678901234567890.10}").await.printed();
    assert_eq!(set, "{\"old_value\":null,\"new_value\":{\"n\":12345678901234567890.10}}\n");
    assert_eq!(at(&server, &["--json", "get", "s", "g", "i"]).await.printed(), "{\"n\":12345678901234567890.10}\n");
    assert_eq!(at(&server, &["list", "s", "g", "--json"]).await.printed(), "[{\"n\":12345678901234567890.10}]\n");
    assert_eq!(at(&server, &["set", "s", "g", "null", "null", "--json"]).await.json(), json!({"old_value": null, "new_value": null}));
    assert_eq!(at(&server, &["get", "s", "g", "null", "--json"]).await.printed(), "null\n");
    let updated = at(&server, &["update", "s", "g", "i", r#"[{"type":"set","path":"","value":1}]"#, "--json"]).await.json();
    assert_eq!(updated["new_value"], 1);
    assert_eq!(at(&server, &["streams", "--json"]).await.json(), json!({"stream": [{"id": "s", "groups": ["g"]}], "count": 1}));
    assert_eq!(at(&server, &["streams", "s", "--json"]).await.json(), json!(["g"]));
    assert_eq!(at(&server, &["delete", "s", "g", "i", "--json"]).await.json(), json!({"old_value": 1}));
}

#[tokio::test]
async fn long_value_is_broken_into_lines_and_what_steers_a_terminal_is_written_out() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let long = "x".repeat(90);
    worker.set("s", "g", "i", json!({"a": [1, 2], "long": long, "steers": "\u{9b}2J"})).await;
    let expected = format!("{{\n  \"a\": [1, 2],\n  \"long\": \"{long}\",\n  \"steers\": \"\\u009b2J\"\n}}\n");
    assert_eq!(at(&server, &["get", "s", "g", "i"]).await.printed(), expected);
    worker.set("s", "\u{1b}[31m", "i", json!(1)).await;
    assert_eq!(at(&server, &["streams", "s"]).await.printed(), "\\u001b[31m\ng\n");
}

#[tokio::test]
async fn event_is_sent_to_subscribers() {
    let server = Server::start();
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let sent = at(&server, &["send", "s", "g", "typing", r#"{"who":"alice"}"#, "--item", "i"]).await;
    assert_eq!((sent.code, sent.stdout.as_str(), sent.stderr.as_str()), (0, "", "sent\n"));
    let frame = subscriber.next_frame().await;
    assert_eq!((&frame["id"], &frame["event"]["event"]), (&json!("i"), &json!({"type": "typing", "data": {"who": "alice"}})));
    assert_eq!(at(&server, &["send", "s", "g", "ping", "--json"]).await.printed(), "null\n");
    assert_eq!(subscriber.next_event().await["event"], json!({"type": "ping", "data": null}));
}

#[tokio::test]
async fn function_of_a_worker_is_called() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut calls = worker.serve("orders::total", |data| match data["ids"].as_array() {
        Some(ids) => json!(ids.len()).into(),
        None => failure("no ids"),
    });
    worker.settle().await;
    assert_eq!(at(&server, &["call", "orders::total", r#"{"ids":[7,8]}"#]).await.printed(), "2\n");
    assert_eq!(calls.data().await, json!({"ids": [7, 8]}));
    let (code, message) = at(&server, &["call", "orders::total", "--json"]).await.json_error();
    assert_eq!((code.as_str(), message.as_str()), ("invocation_failed", "no ids"));
    assert_eq!(calls.data().await, json!(null));
    let none = at(&server, &["call", "stream::get", r#"{"stream_name":"s","group_id":"g","item_id":"i"}"#]).await;
    assert_eq!((none.code, none.stdout.as_str(), none.stderr.as_str()), (0, "", "no result\n"));
}
