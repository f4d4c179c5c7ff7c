//! What subscribers get: the state, and from there every change, whatever the backend.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::order::random_calls;
use super::subject::Subject;
use crate::subscriber::{Subscriber, assert_timestamps_rise};
use crate::worker::{group, key, write};

/// Applies a change of a group to its state as a client does, and finds it possible.
fn follow(state: &mut Vec<(Value, Value)>, frame: &Value) {
    let (id, event) = (&frame["id"], &frame["event"]);
    let at = state.iter().position(|(known, _)| known == id);
    match (event["type"].as_str().unwrap(), at) {
        ("create", None) => state.push((id.clone(), event["data"].clone())),
        ("update", Some(at)) => state[at].1 = event["data"].clone(),
        ("delete", Some(at)) => assert_eq!(state.remove(at).1, event["data"], "what was deleted is not what was there"),
        ("event", _) => {}
        _ => panic!("{frame} does not follow on {state:?}"),
    }
}

pub(super) async fn those_who_join_during_writes_end_with_what_is_stored(subject: &Subject) {
    let worker = subject.worker().await;
    let (calls, mut held) = random_calls(9, 600);
    held.insert("end".to_owned(), json!({"id": "end"}));
    let writes = async {
        for (n, call) in calls.iter().enumerate() {
            worker.void(call.function, call.input.clone());
            if n % 20 == 0 {
                worker.call("stream::get", key("s", "g", "i0")).await.unwrap();
            }
        }
        worker.set("s", "g", "end", json!({"id": "end"})).await;
    };
    let joins = join_all((0..8).map(|_| async {
        let mut subscriber = Subscriber::open(subject.watcher(), "/stream/s/g/").await;
        let mut frames = vec![subscriber.next_frame().await];
        assert_eq!(frames[0]["event"]["type"], "sync");
        let data = frames[0]["event"]["data"].as_array().unwrap();
        let mut state: Vec<_> = data.iter().map(|value| (value["id"].clone(), value.clone())).collect();
        while state.last().is_none_or(|(id, _)| id != "end") {
            let frame = subscriber.next_frame().await;
            follow(&mut state, &frame);
            frames.push(frame);
        }
        assert_timestamps_rise(&frames);
        (state, frames.len())
    }));
    let (joined, ()) = futures_util::future::join(joins, writes).await;
    let stored: Vec<Value> = held.values().cloned().collect();
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!(stored));
    assert!(joined.iter().any(|(_, frames)| *frames > 2), "all of them joined too late to see a change");
    for (state, _) in joined {
        assert_eq!(state.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), stored);
    }
}

pub(super) async fn item_subscription_gets_the_item_and_its_changes_only(subject: &Subject) {
    let worker = subject.worker().await;
    worker.set("s", "g", "i", json!(1)).await;
    let mut item = Subscriber::open(subject.watcher(), "/stream/s/g/i").await;
    let mut missing = Subscriber::open(subject.watcher(), "/stream/s/g/missing").await;
    let sync = item.next_frame().await;
    assert_eq!((&sync["id"], &sync["event"]), (&json!("i"), &json!({"type": "sync", "data": 1})));
    assert_eq!(missing.sync().await, Value::Null);
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "by": 1}]);
    for n in 0..3 {
        worker.void("stream::set", write("s", "g", "j", json!(n)));
        worker.void("stream::update", update.clone());
        worker.void("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": n, "id": "i"}));
        worker.void("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": n}));
        worker.void("stream::set", write("s", "h", "i", json!(n)));
    }
    worker.void("stream::delete", key("s", "g", "i"));
    worker.set("s", "g", "missing", json!("end")).await;
    let mut frames = vec![sync];
    for n in 0..3 {
        frames.extend(item.frames(2).await);
        assert_eq!(frames[frames.len() - 2]["event"], json!({"type": "update", "data": n + 2}));
        assert_eq!(frames[frames.len() - 1]["event"], json!({"type": "event", "event": {"type": "t", "data": n}}));
    }
    frames.push(item.next_frame().await);
    assert_eq!(frames[frames.len() - 1]["event"], json!({"type": "delete", "data": 4}));
    assert_timestamps_rise(&frames);
    assert_eq!(missing.next_event().await, json!({"type": "create", "data": "end"}));
    assert!(item.under_way().await.is_empty() && missing.under_way().await.is_empty());
}

pub(super) async fn sent_events_are_told_and_change_nothing(subject: &Subject) {
    let worker = subject.worker().await;
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    let mut frames = Vec::new();
    for id in [json!(null), json!("i"), json!("none")] {
        for data in [json!(null), json!({"n": 1})] {
            let event = json!({"stream_name": "s", "group_id": "g", "type": "blink", "data": data, "id": id});
            assert_eq!(worker.result("stream::send", event).await, Value::Null);
            let frame = subscriber.next_frame().await;
            assert_eq!((&frame["id"], &frame["event"]), (&id, &json!({"type": "event", "event": {"type": "blink", "data": data}})));
            frames.push(frame);
        }
    }
    assert_timestamps_rise(&frames);
    assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(None));
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([]));
    assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 0);
    assert_eq!(Subscriber::of(subject.watcher(), "s", "g").await.1, json!([]));
}

pub(super) async fn delete_of_nothing_is_not_told(subject: &Subject) {
    let worker = subject.worker().await;
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    worker.result("stream::delete", key("s", "g", "i")).await;
    worker.set("s", "g", "i", json!(1)).await;
    for _ in 0..2 {
        worker.void("stream::delete", key("s", "g", "i"));
    }
    worker.set("s", "g", "i", json!(2)).await;
    for (word, data) in [("create", 1), ("delete", 1), ("create", 2)] {
        assert_eq!(subscriber.next_event().await, json!({"type": word, "data": data}));
    }
    assert!(subscriber.under_way().await.is_empty());
}
