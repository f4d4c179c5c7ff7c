//! Subscribing: by path and by join, what a subscriber gets, and how it stops.

use serde_json::{Value, json};

use crate::server::{Server, until};
use crate::subscriber::{Subscriber, words};
use crate::worker::{Worker, key};

async fn start() -> (Server, Worker) {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    (server, worker)
}

/// `stream::send` to the group of these tests.
async fn send(worker: &Worker, name: &str, id: Value, data: Value) {
    let mut event = json!({"stream_name": "s", "group_id": "g", "type": name});
    event["id"] = id;
    event["data"] = data;
    worker.result("stream::send", event).await;
}

/// The envelope of a frame from the group of these tests.
fn envelope(frame: &Value, id: &Value, event: &Value) -> Value {
    json!({"type": "stream", "timestamp": frame["timestamp"], "streamName": "s", "groupId": "g", "id": id, "event": event})
}

#[tokio::test]
async fn group_path_with_and_without_last_slash_gets_sync_and_changes() {
    let (server, worker) = start().await;
    worker.set("s", "g", "a", json!(1)).await;
    worker.set("s", "g", "b", json!({"id": "b"})).await;
    for path in ["/stream/s/g/", "/stream/s/g", "/stream/s/g/?token=x", "/stream/s/g?token=x"] {
        let mut subscriber = Subscriber::open(&server, path).await;
        let sync = subscriber.next_frame().await;
        assert_eq!(sync, envelope(&sync, &json!(null), &json!({"type": "sync", "data": [1, {"id": "b"}]})), "{path}");
        worker.set("s", "g", "c", json!(3)).await;
        let create = subscriber.next_frame().await;
        assert_eq!(create, envelope(&create, &json!("c"), &json!({"type": "create", "data": 3})), "{path}");
        worker.result("stream::delete", key("s", "g", "c")).await;
        let delete = subscriber.next_frame().await;
        assert_eq!(delete, envelope(&delete, &json!("c"), &json!({"type": "delete", "data": 3})), "{path}");
    }
}

#[tokio::test]
async fn item_path_gets_the_item_and_its_changes_only() {
    let (server, worker) = start().await;
    worker.set("s", "g", "a", json!(1)).await;
    for path in ["/stream/s/g/a", "/stream/s/g/a/"] {
        let mut subscriber = Subscriber::open(&server, path).await;
        let sync = subscriber.next_frame().await;
        assert_eq!(sync, envelope(&sync, &json!("a"), &json!({"type": "sync", "data": 1})), "{path}");
        worker.set("s", "g", "b", json!(2)).await;
        worker.set("s", "g", "a", json!(1)).await;
        let update = subscriber.next_frame().await;
        assert_eq!(update, envelope(&update, &json!("a"), &json!({"type": "update", "data": 1})), "{path}");
    }
}

#[tokio::test]
async fn sync_of_an_empty_group_is_an_empty_array_and_of_a_missing_item_null() {
    let server = Server::start();
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
    subscriber.join_item("2", "s", "g", "i").await;
    let sync = subscriber.next_frame().await;
    assert_eq!(sync, envelope(&sync, &json!("i"), &json!({"type": "sync", "data": null})));
}

#[tokio::test]
async fn root_path_without_a_join_gets_nothing() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    worker.set("s", "g", "i", json!(1)).await;
    assert!(subscriber.under_way().await.is_empty());
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([1]));
}

#[tokio::test]
async fn socket_of_a_path_can_join_more_groups() {
    let (server, worker) = start().await;
    worker.set("s", "other", "i", json!(2)).await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    subscriber.join("1", "s", "other").await;
    assert_eq!(subscriber.sync().await, json!([2]));
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_frame().await["groupId"], "g");
    worker.set("s", "other", "i", json!(3)).await;
    assert_eq!(subscriber.next_frame().await["groupId"], "other");
}

#[tokio::test]
async fn empty_or_null_item_in_a_join_means_the_group() {
    let (server, worker) = start().await;
    worker.set("s", "g", "", json!(1)).await;
    worker.set("s", "g", "i", json!(2)).await;
    for id in [json!(""), json!(null)] {
        let mut subscriber = Subscriber::open(&server, "/").await;
        subscriber.send(&json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g", "id": id}})).await;
        let sync = subscriber.next_frame().await;
        assert_eq!(sync, envelope(&sync, &json!(null), &json!({"type": "sync", "data": [1, 2]})));
    }
}

#[tokio::test]
async fn join_in_a_binary_frame_is_answered_in_text() {
    let server = Server::start();
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.send_binary(&json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g"}})).await;
    assert_eq!(subscriber.sync().await, json!([]));
}

#[tokio::test]
async fn second_join_with_the_same_id_replaces_the_first() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "old").await;
    subscriber.sync().await;
    subscriber.join("1", "s", "new").await;
    assert_eq!(subscriber.next_frame().await["groupId"], "new");
    worker.set("s", "old", "i", json!(1)).await;
    worker.set("s", "new", "i", json!(2)).await;
    assert_eq!(subscriber.next_frame().await["groupId"], "new");
    assert!(subscriber.under_way().await.is_empty());
}

#[tokio::test]
async fn second_join_of_the_same_group_gets_a_sync_of_its_own() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(words(&[subscriber.next_frame().await]), ["create"]);
    for id in ["2", "1"] {
        subscriber.join(id, "s", "g").await;
        assert_eq!(subscriber.sync().await, json!([1]));
    }
}

#[tokio::test]
async fn leave_stops_frames_and_is_not_answered() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    subscriber.leave("1").await;
    assert!(subscriber.under_way().await.is_empty());
    worker.set("s", "g", "i", json!(1)).await;
    assert!(subscriber.under_way().await.is_empty());
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([1]));
}

#[tokio::test]
async fn leave_of_one_of_two_subscriptions_keeps_the_other() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for id in ["1", "2"] {
        subscriber.join(id, "s", "g").await;
        subscriber.sync().await;
    }
    subscriber.leave("1").await;
    subscriber.leave("unknown").await;
    assert!(subscriber.under_way().await.is_empty());
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_event().await, json!({"type": "create", "data": 1}));
}

#[tokio::test]
async fn leave_of_the_group_keeps_the_item() {
    let (server, worker) = start().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("group", "s", "g").await;
    subscriber.sync().await;
    subscriber.join_item("item", "s", "g", "i").await;
    subscriber.sync().await;
    subscriber.leave("group").await;
    assert!(subscriber.under_way().await.is_empty());
    worker.set("s", "g", "j", json!(1)).await;
    worker.set("s", "g", "i", json!(2)).await;
    assert_eq!(subscriber.next_frame().await["id"], "i");
}

#[tokio::test]
async fn event_without_id_goes_to_the_group_only() {
    let (server, worker) = start().await;
    let (mut group, _) = Subscriber::of(&server, "s", "g").await;
    let mut item = Subscriber::open(&server, "/stream/s/g/i").await;
    item.sync().await;
    for id in [json!(null), json!("i")] {
        send(&worker, "blink", id, json!({"ms": 300})).await;
    }
    let event = json!({"type": "event", "event": {"type": "blink", "data": {"ms": 300}}});
    for id in [json!(null), json!("i")] {
        let frame = group.next_frame().await;
        assert_eq!(frame, envelope(&frame, &id, &event));
    }
    let frame = item.next_frame().await;
    assert_eq!(frame, envelope(&frame, &json!("i"), &event));
    assert!(item.under_way().await.is_empty());
}

#[tokio::test]
async fn event_with_null_data_and_odd_type_is_delivered() {
    let (server, worker) = start().await;
    let (mut group, _) = Subscriber::of(&server, "s", "g").await;
    send(&worker, "a\"b\\\u{0}", json!(null), json!(null)).await;
    assert_eq!(group.next_event().await, json!({"type": "event", "event": {"type": "a\"b\\\u{0}", "data": null}}));
}

#[tokio::test]
async fn event_has_its_place_in_the_order_of_the_group() {
    let (server, worker) = start().await;
    let (mut group, _) = Subscriber::of(&server, "s", "g").await;
    for n in 0..20 {
        worker.void("stream::set", crate::worker::write("s", "g", "i", json!(n)));
        worker.void("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": n, "id": "i"}));
    }
    let mut last = 0;
    for n in 0..20 {
        let (set, event) = (group.next_frame().await, group.next_frame().await);
        assert_eq!((&set["event"]["data"], &event["event"]["event"]["data"]), (&json!(n), &json!(n)));
        for frame in [set, event] {
            let timestamp = frame["timestamp"].as_u64().unwrap();
            assert!(timestamp > last);
            last = timestamp;
        }
    }
}

#[tokio::test]
async fn item_that_holds_null_is_absent_to_the_group_and_present_to_its_subscribers() {
    let (server, worker) = start().await;
    let (mut group, _) = Subscriber::of(&server, "s", "g").await;
    let mut item = Subscriber::open(&server, "/stream/s/g/i").await;
    item.sync().await;
    for data in [json!(null), json!(null), json!(1), json!(2), json!(null), json!(3), json!(null)] {
        worker.set("s", "g", "i", data).await;
    }
    worker.result("stream::delete", key("s", "g", "i")).await;
    worker.set("s", "g", "i", json!("end")).await;
    let seen_by_group = [("create", json!(1)), ("update", json!(2)), ("delete", json!(2)), ("create", json!(3)), ("delete", json!(3))];
    for (word, data) in seen_by_group.into_iter().chain([("create", json!("end"))]) {
        assert_eq!(group.next_event().await, json!({"type": word, "data": data}));
    }
    let seen_by_item = [
        ("create", json!(null)),
        ("update", json!(null)),
        ("update", json!(1)),
        ("update", json!(2)),
        ("update", json!(null)),
        ("update", json!(3)),
        ("update", json!(null)),
        ("delete", json!(null)),
        ("create", json!("end")),
    ];
    for (word, data) in seen_by_item {
        assert_eq!(item.next_event().await, json!({"type": word, "data": data}));
    }
}

#[tokio::test]
async fn sync_of_a_group_leaves_nulls_out_and_list_keeps_them() {
    let (server, worker) = start().await;
    for (item, data) in [("a", json!(null)), ("b", json!(1)), ("c", json!(null))] {
        worker.set("s", "g", item, data).await;
    }
    assert_eq!(Subscriber::of(&server, "s", "g").await.1, json!([1]));
    assert_eq!(worker.result("stream::list", crate::worker::group("s", "g")).await, json!([null, 1, null]));
}

#[tokio::test]
async fn delete_of_a_missing_item_is_not_told() {
    let (server, worker) = start().await;
    let (mut group, _) = Subscriber::of(&server, "s", "g").await;
    worker.result("stream::delete", key("s", "g", "i")).await;
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(group.next_event().await["type"], "create");
}

#[tokio::test]
async fn values_reach_subscribers_as_they_were_written() {
    let (server, worker) = start().await;
    let text = r#"{"z":123456789012345678901234567890,"a":1.10,"m":{"y":-0.0,"b":9007199254740993}}"#;
    let set = format!(r#"{{"function_id":"stream::set","data":{{"stream_name":"s","group_id":"g","item_id":"i","data":{text}}}}}"#);
    let (mut early, _) = Subscriber::of(&server, "s", "g").await;
    worker.reply_text(&set).await;
    assert!(early.next_text().await.ends_with(&format!(r#""event":{{"type":"create","data":{text}}}}}"#)));
    let mut late = Subscriber::open(&server, "/stream/s/g/").await;
    assert!(late.next_text().await.ends_with(&format!(r#""event":{{"type":"sync","data":[{text}]}}}}"#)));
}

#[tokio::test]
async fn frame_of_several_megabytes_arrives_whole() {
    let (server, worker) = start().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let large = json!("x".repeat(10 << 20));
    worker.set("s", "g", "i", large.clone()).await;
    assert!(subscriber.next_event().await["data"] == large);
    // Larger than the whole outbox: a snapshot must be sendable all the same.
    assert!(Subscriber::of(&server, "s", "g").await.1 == json!([large]));
}

#[tokio::test]
async fn join_over_the_limit_of_subscriptions_gets_an_error_event() {
    let server = Server::with(json!({"max_subscriptions": 2}));
    let mut subscriber = Subscriber::open(&server, "/").await;
    for id in ["1", "2"] {
        subscriber.join(id, "s", "g").await;
        subscriber.sync().await;
    }
    subscriber.join_item("3", "s", "g", "i").await;
    let frame = subscriber.next_frame().await;
    assert_eq!((&frame["streamName"], &frame["groupId"], &frame["id"]), (&json!("s"), &json!("g"), &json!("i")));
    assert_eq!((&frame["event"]["type"], &frame["event"]["data"]["code"]), (&json!("error"), &json!("too_many_subscriptions")));
    assert!(frame["event"]["data"]["message"].is_string(), "{frame}");
    subscriber.join("2", "s", "other").await;
    assert_eq!(subscriber.sync().await, json!([]), "a join that replaces is not one more");
    subscriber.leave("1").await;
    subscriber.join("3", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]), "a leave makes room");
}

#[tokio::test]
async fn client_that_joins_and_leaves_in_a_loop_gets_error_events_and_no_reads() {
    let server = Server::with(json!({"max_subscriptions": 20, "max_joins_per_second": 1}));
    let worker = Worker::open(&server).await;
    let mut reads = worker.serve("stream::list(s)", |_| json!([]));
    let mut joins = worker.record("on_join");
    worker.trigger("j", "stream:join", "on_join", json!({}));
    worker.settle().await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for _ in 0..200 {
        subscriber.join("1", "s", "g").await;
        subscriber.leave("1").await;
    }
    let frame = loop {
        let frame = subscriber.next_frame().await;
        if frame["event"]["type"] != "sync" {
            break frame;
        }
    };
    assert_eq!((&frame["streamName"], &frame["groupId"], &frame["timestamp"]), (&json!("s"), &json!("g"), &json!(0)));
    assert_eq!((&frame["event"]["type"], &frame["event"]["data"]["code"]), (&json!("error"), &json!("too_many_joins")));
    let refused = 1 + subscriber.under_way().await.iter().filter(|frame| frame["event"]["type"] == "error").count();
    // Twenty at once, and one in each second that this takes.
    assert!((170..=180).contains(&refused), "{refused}");
    worker.settle().await;
    let asked = std::iter::from_fn(|| joins.try_next()).count() + std::iter::from_fn(|| reads.try_next()).count();
    assert!(asked <= 2 * (200 - refused), "{asked}");
    // It was not closed, and time makes room.
    until("room for a join", async || {
        subscriber.join("2", "s", "g").await;
        subscriber.next_event().await["type"] == "sync"
    })
    .await;
}

#[tokio::test]
async fn join_with_a_name_over_the_limit_gets_an_error_event() {
    let server = Server::start();
    let mut subscriber = Subscriber::open(&server, "/").await;
    let long = "x".repeat(513);
    for [id, stream, group, item] in [[&*long, "s", "g", "i"], ["1", &long, "g", "i"], ["1", "s", &long, "i"], ["1", "s", "g", &long]] {
        subscriber.join_item(id, stream, group, item).await;
        let event = subscriber.next_event().await;
        assert_eq!((&event["type"], &event["data"]["code"]), (&json!("error"), &json!("name_too_long")));
    }
    subscriber.join("1", "s", "g").await;
    assert_eq!(subscriber.sync().await, json!([]));
}
