//! What the console asks for: the page's files and the answers that it shows.

use serde_json::{Value, json};

use super::{ask, get};
use crate::raw::Raw;
use crate::server::{Server, until, within};
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Worker};

async fn json_of(server: &Server, path: &str) -> Value {
    let answer = get(server.admin(), path).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

async fn post(server: &Server, path: &str, kind: &str, body: &Value) -> (u16, Value) {
    let mut raw = Raw::connect(server.admin()).await;
    let (host, body) = (server.admin(), body.to_string());
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    raw.write(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await;
    let answer = String::from_utf8(raw.rest().await).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), serde_json::from_str(body).unwrap_or_default())
}

#[tokio::test]
async fn page_and_its_files_are_there_and_may_load_nothing_else() {
    let server = Server::start();
    let page = get(server.admin(), "/").await;
    assert_eq!(page.status, 200);
    assert!(page.head.contains("content-security-policy: default-src 'none';") && page.head.contains("text/html"), "{}", page.head);
    let files: Vec<_> = page.body.split('"').filter(|text| text.starts_with("console/")).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let answer = get(server.admin(), &format!("/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
    }
    assert_eq!(get(server.admin(), "/console/../Cargo.toml").await.status, 404);
}

#[tokio::test]
async fn page_needs_no_token_and_what_it_asks_for_does() {
    let server = Server::administered(json!({}), json!({"token": "s3cret"}));
    for (path, status) in
        [("/", 200), ("/console/console.js", 200), ("/api/overview", 401), ("/api/streams", 401), ("/console/../api/streams", 404)]
    {
        assert_eq!(get(server.admin(), path).await.status, status, "{path}");
    }
    let shown = format!("Host: {}\r\nAuthorization: Bearer s3cret\r\n", server.admin());
    assert_eq!(ask(server.admin(), "/api/overview", &shown).await.status, 200);
}

#[tokio::test]
async fn overview_counts_what_is_there_and_what_was_done() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let (mut client, _) = Subscriber::of(&server, "s", "g").await;
    worker.set("s", "g", "i", json!(1)).await;
    client.next_event().await;
    worker.error("nobody::serves", json!({})).await;
    // A delivery is counted behind the burst that it was written with.
    let mut overview = Value::Null;
    until("the delivery", async || {
        overview = json_of(&server, "/api/overview").await;
        overview["totals"]["deliveries"] == 1
    })
    .await;
    let (gauges, totals) = (&overview["gauges"], &overview["totals"]);
    for (key, expected) in [("connections", 1), ("subscriptions", 1), ("workers", 1)] {
        assert_eq!(gauges[key], expected, "{key}: {overview}");
    }
    for (key, expected) in [("changes", 1), ("joins", 1), ("resyncs", 0), ("invocations_failed", 1)] {
        assert_eq!(totals[key], expected, "{key}: {overview}");
    }
    assert!(gauges["resident_bytes"].as_u64().unwrap() > 1 << 20, "{gauges}");
    assert_eq!((&overview["ready"], &overview["reasons"]), (&json!(true), &json!([])));
    assert!(overview["streams_at"].as_str().unwrap().contains(server.streams()), "{overview}");
}

#[tokio::test]
async fn sessions_show_who_watches_what_and_who_falls_behind() {
    let server = Server::with(json!({"outbox_bytes": 100_000}));
    let worker = Worker::open(&server).await;
    let (client, _) = Subscriber::of(&server, "presence", "Room-1").await;
    let (_stalled, _) = Subscriber::of(&server, "big", "g").await;
    let found = json_of(&server, "/api/sessions?q=room-1").await;
    let session = &found["sessions"][0];
    assert_eq!((&found["total"], &session["address"]), (&json!(1), &json!(client.address)));
    let subscription = &session["subscriptions"][0];
    assert_eq!(
        (&subscription["stream"], &subscription["group"], &subscription["item"]),
        (&json!("presence"), &json!("Room-1"), &Value::Null)
    );
    assert_eq!((&session["lagging"], &session["queued_bytes"], &session["resyncs"]), (&json!(false), &json!(0), &json!(0)));
    // More than the sockets' buffers take.
    let padding = "x".repeat(500_000);
    until("a client that lags", async || {
        worker.set("big", "g", "i", json!({"padding": padding})).await;
        let found = json_of(&server, "/api/sessions").await;
        let first = &found["sessions"][0];
        assert_eq!(found["total"], 2);
        first["lagging"] == true && first["queued_bytes"].as_u64() > Some(0) && first["resyncs"] == 1
    })
    .await;
}

#[tokio::test]
async fn workers_are_shown_with_functions_and_triggers_and_what_nobody_serves_apart() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    worker.serve("mine", |_| Answer::Absent);
    worker.trigger("t1", "stream", "mine", json!({"stream_name": "s"}));
    worker.trigger("t2", "stream", "nobody", json!({"stream_name": "s"}));
    worker.settle().await;
    let shown = json_of(&server, "/api/workers").await;
    let (only, orphan) = (&shown["workers"][0], &shown["orphans"][0]);
    assert_eq!((&only["id"], &only["functions"], &only["triggers"][0]["id"]), (&json!(worker.id), &json!(["mine"]), &json!("t1")));
    assert_eq!((&orphan["id"], &orphan["function_id"]), (&json!("t2"), &json!("nobody")));
    assert!(shown["built_in"].as_array().unwrap().contains(&json!("stream::set")), "{shown}");
}

#[tokio::test]
async fn calls_and_events_from_the_console_are_those_of_anybody() {
    let server = Server::start();
    let (mut client, _) = Subscriber::of(&server, "s", "g").await;
    let set = json!({"function_id": "stream::set", "data": {"stream_name": "s", "group_id": "g", "item_id": "i", "data": {"id": "i"}}});
    let (status, answer) = post(&server, "/api/call", "application/json", &set).await;
    assert_eq!((status, &answer["ok"], &answer["result"]["new_value"]), (200, &json!(true), &json!({"id": "i"})));
    assert_eq!(client.next_event().await["data"], json!({"id": "i"}));
    let (_, answer) = post(&server, "/api/call", "application/json", &json!({"function_id": "nobody", "data": null})).await;
    assert_eq!((&answer["ok"], &answer["error"]["code"]), (&json!(false), &json!("function_not_found")));
    let sent = json!({"stream": "s", "group": "g", "item": null, "type": "typing", "data": [1]});
    assert_eq!(post(&server, "/api/send", "application/json", &sent).await.1["ok"], json!(true));
    assert_eq!(client.next_event().await["event"], json!({"type": "typing", "data": [1]}));
    // What a page of another origin can send without being asked about it.
    let (status, _) = post(&server, "/api/call", "text/plain", &set).await;
    assert_eq!(status, 400);
    let listed = json_of(&server, "/api/streams").await;
    assert_eq!(
        listed,
        json!({"streams": [{"id": "s", "total": 1, "found": 1, "groups": ["g"]}], "whole": {"streams": 1, "groups": 1}, "found": 1, "truncated": false})
    );
}

#[tokio::test]
async fn group_is_shown_live_with_the_frames_that_clients_get() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    worker.set("s", "a group", "i", json!({"n": 1})).await;
    let mut client = Subscriber::open(&server, "/stream/s/a%20group/").await;
    client.sync().await;
    let mut raw = Raw::connect(server.admin()).await;
    raw.write(format!("GET /api/live?stream=s&group=a%20group HTTP/1.1\r\nHost: {}\r\n\r\n", server.admin()).as_bytes()).await;
    let mut seen = String::new();
    let mut until_seen = async |what: &str| {
        while !seen.contains(what) {
            seen.push_str(&String::from_utf8_lossy(&within("more of the stream", raw.some()).await));
        }
    };
    until_seen(r#""items":[{"id":"i","data":{"n":1}}],"total":1}"#).await;
    worker.set("s", "a group", "i", json!({"n": 2})).await;
    let frame = client.next_text().await;
    until_seen(&format!("event: change\ndata: {frame}\n\n")).await;
}

#[tokio::test]
async fn search_finds_streams_and_groups_wherever_they_are() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for (stream, group) in [("chat", "Room-1"), ("chat", "room-2"), ("chat", "lobby"), ("rooms", "a"), ("other", "b")] {
        worker.set(stream, group, "i", json!(1)).await;
    }
    let found = json_of(&server, "/api/streams?q=ROOM").await;
    let row = |id: &str, total: usize, groups: &[&str]| json!({"id": id, "total": total, "found": groups.len(), "groups": groups});
    let expected = json!({"streams": [row("chat", 3, &["Room-1", "room-2"]), row("rooms", 1, &["a"])],
                          "whole": {"streams": 3, "groups": 5}, "found": 3, "truncated": false});
    assert_eq!(found, expected);
    assert_eq!(json_of(&server, "/api/streams?q=nothing").await["streams"], json!([]));
}

#[tokio::test]
async fn state_of_large_values_is_shown_in_part() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let large = "x".repeat(3 << 20);
    for item in ["a", "b", "c"] {
        worker.set("s", "g", item, json!(large)).await;
    }
    let mut raw = Raw::connect(server.admin()).await;
    raw.write(format!("GET /api/live?stream=s&group=g HTTP/1.1\r\nHost: {}\r\n\r\n", server.admin()).as_bytes()).await;
    let mut seen = String::new();
    while !seen.contains(r#""total":3}"#) {
        seen.push_str(&String::from_utf8_lossy(&within("more of the stream", raw.some()).await));
    }
    assert!(seen.contains(r#"{"id":"a","data":"#) && !seen.contains(r#"{"id":"b","data":"#));
}

#[tokio::test]
async fn live_views_leave_room_for_whoever_looks_for_what_is_wrong() {
    let server = Server::start();
    let mut views = Vec::new();
    let refused = loop {
        let mut raw = Raw::connect(server.admin()).await;
        raw.write(format!("GET /api/live?stream=s&group=g HTTP/1.1\r\nHost: {}\r\n\r\n", server.admin()).as_bytes()).await;
        let head = raw.head().await;
        if !head.starts_with("HTTP/1.1 200") {
            break head;
        }
        views.push(raw);
        assert!(views.len() < 1_000, "there is no limit");
    };
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert_eq!(super::get(server.admin(), "/metrics").await.status, 200);
}
