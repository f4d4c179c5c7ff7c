//! Names of streams, groups and items are any text, and no two of them meet.

use serde_json::{Value, json};

use crate::handshake::upgrade;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group, key};

/// Names that separators, paths, patterns, encodings and terminals trip over.
const NAMES: [&str; 22] = [
    "a:b",
    "::",
    "a/b",
    "/",
    "a b",
    " ",
    "100%",
    "%2F",
    "%zz",
    "{a}",
    "${HOME:x}",
    "..",
    ".",
    "\"quoted\"",
    "'",
    "back\\slash",
    "nul\u{0}byte",
    "line\r\nbreak",
    "?a=b&c#d",
    "*[a-z]",
    "😀é\u{301}\u{202e}",
    "stream",
];

/// The odd names and one as long as names may be.
pub(crate) fn names() -> Vec<String> {
    NAMES.iter().map(ToString::to_string).chain(["ä".repeat(256)]).collect()
}

/// A segment of a path that stands for `name`: every byte that could mean something is encoded.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[tokio::test]
async fn any_name_is_stored_and_read_under_itself() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for (index, name) in names().iter().enumerate() {
        worker.set(name, name, name, json!(index)).await;
    }
    for (index, name) in names().iter().enumerate() {
        assert_eq!(worker.result("stream::get", key(name, name, name)).await, index, "{name:?}");
        assert_eq!(worker.result("stream::list", group(name, name)).await, json!([index]), "{name:?}");
    }
}

#[tokio::test]
async fn any_name_is_listed_as_it_was_written() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut sorted = names();
    sorted.sort();
    for name in &sorted {
        for group in &sorted {
            worker.void("stream::set", crate::worker::write(name, group, "i", json!(1)));
        }
    }
    for name in &sorted {
        let mut groups = worker.result("stream::list_groups", json!({"stream_name": name})).await;
        groups.as_array_mut().unwrap().sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        assert_eq!(groups, json!(sorted), "{name:?}");
    }
    let streams: Vec<Value> = sorted.iter().map(|name| json!({"id": name, "groups": sorted})).collect();
    assert_eq!(worker.result("stream::list_all", json!({})).await, json!({"stream": streams, "count": sorted.len()}));
}

#[tokio::test]
async fn empty_names_are_names() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    worker.set("", "", "", json!(1)).await;
    worker.set("s", "", "", json!(2)).await;
    worker.set("", "g", "", json!(3)).await;
    assert_eq!(worker.result("stream::list", group("", "")).await, json!([1]));
    assert_eq!(worker.result("stream::get", key("s", "", "")).await, 2);
    assert_eq!(worker.result("stream::list_groups", json!({"stream_name": ""})).await, json!(["", "g"]));
}

#[tokio::test]
async fn group_of_any_name_is_subscribed_by_its_encoded_path() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for name in names() {
        worker.set(&name, &name, "first", json!(1)).await;
        for slash in ["/", ""] {
            let mut subscriber = Subscriber::open(&server, &format!("/stream/{}/{}{slash}", encoded(&name), encoded(&name))).await;
            let sync = subscriber.next_frame().await;
            assert_eq!((&sync["streamName"], &sync["groupId"]), (&json!(name), &json!(name)));
            assert_eq!(sync["event"]["data"], json!([1]), "{name:?}");
            worker.set(&name, &name, &name, json!(2)).await;
            let create = subscriber.next_frame().await;
            assert_eq!((&create["id"], &create["event"]), (&json!(name), &json!({"type": "create", "data": 2})));
            worker.result("stream::delete", key(&name, &name, &name)).await;
        }
    }
}

#[tokio::test]
async fn item_of_any_name_is_subscribed_by_its_encoded_path() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for name in names() {
        worker.set("s", "g", &name, json!(name)).await;
        let mut subscriber = Subscriber::open(&server, &format!("/stream/s/g/{}", encoded(&name))).await;
        let sync = subscriber.next_frame().await;
        assert_eq!((&sync["id"], &sync["event"]), (&json!(name), &json!({"type": "sync", "data": name})));
    }
}

#[tokio::test]
async fn any_name_is_subscribed_by_join() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for name in names() {
        subscriber.join(&name, &name, &name).await;
        let sync = subscriber.next_frame().await;
        assert_eq!((&sync["streamName"], &sync["groupId"], &sync["id"]), (&json!(name), &json!(name), &json!(null)));
        subscriber.join_item(&name, &name, &name, &name).await;
        assert_eq!(subscriber.next_frame().await["id"], json!(name));
        worker.set(&name, &name, &name, json!(1)).await;
        let create = subscriber.next_frame().await;
        assert_eq!((&create["id"], &create["event"]), (&json!(name), &json!({"type": "create", "data": 1})));
        subscriber.leave(&name).await;
    }
}

#[tokio::test]
async fn group_whose_joined_names_read_alike_is_another_group() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let pairs = [("a:b", "c"), ("a", "b:c"), ("a/b", "c"), ("a", "b/c"), ("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")];
    let mut subscribers = Vec::new();
    for (stream, group) in pairs {
        let mut subscriber = Subscriber::open(&server, "/").await;
        subscriber.join("x", stream, group).await;
        assert_eq!(subscriber.sync().await, json!([]));
        subscribers.push(subscriber);
    }
    for (stream, group) in pairs {
        worker.set(stream, group, "i", json!([stream, group])).await;
    }
    for ((stream, name), mut subscriber) in pairs.into_iter().zip(subscribers) {
        assert_eq!(worker.result("stream::list", group(stream, name)).await, json!([[stream, name]]));
        assert_eq!(subscriber.next_event().await, json!({"type": "create", "data": [stream, name]}));
        assert!(subscriber.under_way().await.is_empty(), "{stream:?} {name:?}");
    }
}

#[tokio::test]
async fn names_that_look_alike_are_not_normalised() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let alike = ["é", "e\u{301}", "É", "e", " e", "e ", "E"];
    for name in alike {
        worker.set("s", "g", name, json!(name)).await;
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!(alike));
}

#[tokio::test]
async fn escaped_and_plain_spelling_of_a_name_are_the_same_name() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let set =
        r#"{"function_id":"stream\u003a:set","data":{"stream_name":"\u0073","group_id":"\/","item_\u0069d":"\ud83d\ude00","data":1}}"#;
    worker.reply_text(set).await;
    assert_eq!(worker.result("stream::get", key("s", "/", "😀")).await, 1);
}

#[tokio::test]
async fn name_over_the_limit_in_a_path_is_refused() {
    let server = Server::start();
    let long = "x".repeat(513);
    for path in [format!("/stream/{long}/g/"), format!("/stream/s/{long}/"), format!("/stream/s/g/{long}")] {
        let head = upgrade(server.streams(), &path).await;
        assert!(head.starts_with("HTTP/1.1 414 "), "{head}");
    }
}
