//! One order: what a worker sends to a group is applied and told in that order, to subscribers and triggers alike.

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::subject::Subject;
use crate::server::until;
use crate::subscriber::{Subscriber, assert_timestamps_rise};
use crate::worker::{Calls, Worker, group, key, write};

/// A call to the one group of these checks, with what it must answer and what must then be told.
pub(super) struct Call {
    pub(super) function: &'static str,
    pub(super) input: Value,
    pub(super) result: Value,
    /// Word, item and value.
    pub(super) told: Option<(&'static str, Value, Value)>,
}

/// `count` calls by chance to five items of group `s`, `g`, and what the group holds after them.
pub(super) fn random_calls(seed: u64, count: usize) -> (Vec<Call>, Map<String, Value>) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut held = Map::new();
    let calls = (0..count).map(|n| {
        let item = format!("i{}", random.random_range(0..5));
        let old = held.get(&item).cloned();
        let word = if old.is_some() { "update" } else { "create" };
        let mut input = key("s", "g", &item);
        let (function, result, told) = match random.random_range(0..10) {
            0..4 => {
                let new = json!({"id": item, "n": n, "sum": 0});
                input["data"] = new.clone();
                held.insert(item.clone(), new.clone());
                ("stream::set", json!({"old_value": old, "new_value": new}), Some((word, json!(item), new)))
            }
            4..7 => {
                let ops = json!([{"type": "increment", "path": "sum", "by": n}, {"type": "set", "path": "id", "value": item}]);
                let raw: Box<RawValue> = serde_json::from_str(&ops.to_string()).unwrap();
                let new = weir_actors::ops::apply(old.clone(), &weir_actors::ops::parse(&raw).unwrap()).value;
                input["ops"] = ops;
                held.insert(item.clone(), new.clone());
                ("stream::update", json!({"old_value": old, "new_value": new}), Some((word, json!(item), new)))
            }
            7 | 8 => {
                held.shift_remove(&item);
                ("stream::delete", json!({"old_value": old}), old.map(|old| ("delete", json!(item), old)))
            }
            _ => {
                let id = if random.random() { json!(item) } else { Value::Null };
                let event = json!({"type": "t", "data": n});
                input = json!({"stream_name": "s", "group_id": "g", "type": "t", "data": n, "id": id});
                ("stream::send", Value::Null, Some(("event", id, event)))
            }
        };
        Call { function, input, result, told }
    });
    let calls = calls.collect();
    (calls, held)
}

/// What a frame tells, as [`Call::told`] has it.
fn told(frame: &Value) -> (&str, Value, Value) {
    let event = &frame["event"];
    let word = event["type"].as_str().unwrap();
    (word, frame["id"].clone(), event[if word == "event" { "event" } else { "data" }].clone())
}

/// Waits until a trigger is called, which on another node than the writer's nobody announces; the calls of it.
async fn watched(worker: &Worker, watcher: &Worker) -> Calls {
    let mut calls = watcher.record("seen");
    watcher.trigger("t", "stream", "seen", json!({"stream_name": "s", "group_id": "g"}));
    until("call of the trigger", async || {
        worker.set("s", "g", "ready", json!({"id": "ready"})).await;
        watcher.settle().await;
        !calls.is_empty()
    })
    .await;
    worker.result("stream::delete", key("s", "g", "ready")).await;
    while calls.data().await["event"]["type"] != "delete" {}
    calls
}

/// Checks what a subscriber and a trigger were told of `calls`.
async fn check_told(calls: &[Call], subscriber: &mut Subscriber, mut triggered: Calls) {
    let expected: Vec<_> = calls.iter().filter_map(|call| call.told.clone()).collect();
    let frames = subscriber.frames(expected.len()).await;
    assert_eq!(frames.iter().map(told).collect::<Vec<_>>(), expected);
    assert_timestamps_rise(&frames);
    for frame in frames.iter().filter(|frame| frame["event"]["type"] != "event") {
        assert_eq!(triggered.data().await, *frame, "a trigger gets what subscribers get, but for events");
    }
    assert!(subscriber.under_way().await.is_empty());
}

pub(super) async fn calls_are_applied_and_told_in_the_order_of_one_worker(subject: &Subject) {
    let (worker, watcher) = (subject.worker().await, subject.other().await);
    let triggered = watched(&worker, &watcher).await;
    let (mut subscriber, data) = Subscriber::of(subject.watcher(), "s", "g").await;
    assert_eq!(data, json!([]));
    let (calls, held) = random_calls(7, 200);
    let replies: Vec<_> =
        calls.iter().map(|call| worker.reply_text(&json!({"function_id": call.function, "data": call.input}).to_string())).collect();
    for (call, reply) in calls.iter().zip(join_all(replies).await) {
        let reply: Value = serde_json::from_str(&reply).unwrap();
        assert_eq!(reply["result"], call.result, "{} {}: {reply}", call.function, call.input);
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, held.values().cloned().collect::<Value>());
    check_told(&calls, &mut subscriber, triggered).await;
}

pub(super) async fn void_calls_are_applied_and_told_in_the_order_of_one_worker(subject: &Subject) {
    let (worker, watcher) = (subject.worker().await, subject.other().await);
    let triggered = watched(&worker, &watcher).await;
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    let (calls, held) = random_calls(8, 200);
    for call in &calls {
        worker.void(call.function, call.input.clone());
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, held.values().cloned().collect::<Value>());
    check_told(&calls, &mut subscriber, triggered).await;
}

pub(super) async fn last_change_of_two_workers_is_what_is_stored(subject: &Subject) {
    let workers = [subject.worker().await, subject.other().await];
    let (mut one, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    let (mut other, _) = Subscriber::of(subject.writer(), "s", "g").await;
    for n in 0..100 {
        for (writer, worker) in workers.iter().enumerate() {
            worker.void("stream::set", write("s", "g", "i", json!({"writer": writer, "n": n})));
        }
    }
    let (one, other) = (one.frames(200).await, other.frames(200).await);
    assert!(one == other, "two subscribers saw two orders");
    assert_timestamps_rise(&one);
    for writer in 0..2 {
        let own = one.iter().map(|frame| &frame["event"]["data"]).filter(|data| data["writer"] == writer);
        assert!(own.map(|data| data["n"].as_u64().unwrap()).eq(0..100), "the writes of worker {writer} are not in its order");
    }
    for worker in &workers {
        assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, one[199]["event"]["data"]);
    }
}

pub(super) async fn worker_reads_what_it_wrote(subject: &Subject) {
    let worker = subject.worker().await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "by": 1}]);
    for n in 0..50 {
        worker.void("stream::set", write("s", "g", "i", json!(n)));
        assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, n);
        worker.void("stream::set", write("s", "g", &format!("j{n}"), json!(n)));
        worker.void("stream::update", update.clone());
        let list = worker.result("stream::list", group("s", "g")).await;
        assert!(list.as_array().unwrap().len() == n + 2 && list.as_array().unwrap().contains(&json!(n + 1)), "{list}");
        worker.void("stream::delete", key("s", "g", "i"));
        assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(None));
    }
}

pub(super) async fn worker_lists_where_it_wrote(subject: &Subject) {
    let worker = subject.worker().await;
    for n in 0..20 {
        let name = format!("{n:02}");
        let mut update = key(&name, &name, "i");
        update["ops"] = json!([{"type": "increment", "path": "n", "by": 1}]);
        worker.void("stream::update", update);
        assert_eq!(worker.result("stream::list_groups", json!({"stream_name": name})).await, json!([name]));
        worker.void("stream::set", write(&name, &name, "i", json!(1)));
        worker.void("stream::delete", key(&name, &name, "i"));
        assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 0);
    }
}

pub(super) async fn change_that_was_told_can_be_read(subject: &Subject) {
    let (writer, reader) = (subject.worker().await, subject.other().await);
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    for n in 0..200 {
        writer.void("stream::set", write("s", "g", "i", json!(n)));
    }
    for n in 0..200 {
        assert_eq!(subscriber.next_event().await["data"], n);
        let read = reader.result("stream::get", key("s", "g", "i")).await;
        assert!(read.as_u64().unwrap() >= n, "{read} after {n} was told");
    }
}
