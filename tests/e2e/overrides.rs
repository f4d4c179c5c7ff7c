//! Streams whose functions a worker has taken over with `stream::set(<stream>)` and the like.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Calls, Worker, failure, group, key, write};

/// A server, a worker that overrides, and one that calls.
async fn start() -> (Server, Worker, Worker) {
    let server = Server::start();
    let (owner, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    (server, owner, caller)
}

type Items = Arc<Mutex<Map<String, Value>>>;

/// Serves the five functions of the SDKs' `createStream` for stream `s`, with a map for a store.
fn create_stream(worker: &Worker) -> Items {
    let items = Items::default();
    let at = |data: &Value| format!("{}/{}", data["group_id"].as_str().unwrap(), data["item_id"].as_str().unwrap_or_default());
    let held = items.clone();
    drop(worker.serve("stream::get(s)", move |data| held.lock().unwrap().get(&at(data)).cloned().map_or(Answer::Absent, Answer::Value)));
    let held = items.clone();
    drop(worker.serve("stream::set(s)", move |data| {
        let old = held.lock().unwrap().insert(at(data), data["data"].clone());
        json!({"old_value": old, "new_value": data["data"]})
    }));
    let held = items.clone();
    drop(worker.serve("stream::delete(s)", move |data| json!({"old_value": held.lock().unwrap().shift_remove(&at(data))})));
    let held = items.clone();
    drop(worker.serve("stream::list(s)", move |data| {
        let prefix = at(data);
        held.lock().unwrap().iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, value)| value.clone()).collect::<Value>()
    }));
    drop(worker.serve("stream::list_groups(s)", |_| json!(["g", "of the worker"])));
    items
}

#[tokio::test]
async fn overridden_functions_are_called_in_place_of_the_store() {
    let (_server, owner, caller) = start().await;
    let items = create_stream(&owner);
    owner.settle().await;
    assert_eq!(caller.set("s", "g", "i", json!(1)).await, json!({"old_value": null, "new_value": 1}));
    assert_eq!(caller.set("s", "g", "i", json!(2)).await, json!({"old_value": 1, "new_value": 2}));
    assert_eq!(*items.lock().unwrap(), json!({"g/i": 2}).as_object().unwrap().clone());
    assert_eq!(caller.result("stream::get", key("s", "g", "i")).await, 2);
    assert_eq!(caller.call("stream::get", key("s", "g", "none")).await, Ok(None));
    assert_eq!(caller.result("stream::list", group("s", "g")).await, json!([2]));
    assert_eq!(caller.result("stream::list_groups", json!({"stream_name": "s"})).await, json!(["g", "of the worker"]));
    assert_eq!(caller.result("stream::delete", key("s", "g", "i")).await, json!({"old_value": 2}));
    assert!(items.lock().unwrap().is_empty());
    assert_eq!(caller.result("stream::list_all", json!({})).await, json!({"stream": [], "count": 0}), "nothing of it is in the store");
}

#[tokio::test]
async fn override_gets_the_declared_keys_only() {
    let (_server, owner, caller) = start().await;
    let answers = json!({"old_value": null, "new_value": 0});
    let recorded = |name: &str, answer: Value| owner.serve(name, move |_| answer.clone());
    let mut calls: Vec<Calls> = vec![
        recorded("stream::set(s)", answers.clone()),
        recorded("stream::get(s)", json!(0)),
        recorded("stream::delete(s)", json!({})),
        recorded("stream::list(s)", json!([])),
        recorded("stream::list_groups(s)", json!([])),
        recorded("stream::update(s)", answers),
    ];
    owner.settle().await;
    let ops = json!([{"type": "set", "path": "a", "value": {"z": 1, "a": 2}}]);
    let mut update = key("s", "g", "i");
    update["ops"] = ops;
    let inputs = [
        ("stream::set", write("s", "g", "i", json!({"z": 1, "a": 2}))),
        ("stream::get", key("s", "g", "i")),
        ("stream::delete", key("s", "g", "i")),
        ("stream::list", group("s", "g")),
        ("stream::list_groups", json!({"stream_name": "s"})),
        ("stream::update", update),
    ];
    for ((function, input), calls) in inputs.into_iter().zip(&mut calls) {
        let mut more = input.clone();
        more["_caller_worker_id"] = json!(caller.id);
        more["unknown"] = json!(1);
        caller.call(function, more).await.unwrap();
        let call = calls.next().await;
        assert_eq!(call.data, input);
        assert_eq!(call.frame["function_id"], format!("{function}(s)"));
    }
}

#[tokio::test]
async fn other_streams_stay_with_the_store() {
    let (_server, owner, caller) = start().await;
    let items = create_stream(&owner);
    owner.settle().await;
    for stream in ["t", "s)", "(s", ""] {
        caller.set(stream, "g", "i", json!(1)).await;
        assert_eq!(caller.result("stream::get", key(stream, "g", "i")).await, 1);
    }
    assert!(items.lock().unwrap().is_empty());
}

#[tokio::test]
async fn changes_of_an_overridden_stream_reach_subscribers_and_triggers() {
    let (server, owner, caller) = start().await;
    create_stream(&owner);
    let mut calls = caller.record("seen");
    caller.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    owner.settle().await;
    let (mut subscriber, data) = Subscriber::of(&server, "s", "g").await;
    assert_eq!(data, json!([]));
    caller.set("s", "g", "i", json!(1)).await;
    caller.set("s", "g", "i", json!(2)).await;
    caller.result("stream::delete", key("s", "g", "i")).await;
    caller.result("stream::delete", key("s", "g", "i")).await;
    caller.set("s", "g", "i", json!(3)).await;
    let mut last = 0;
    for (word, data) in [("create", 1), ("update", 2), ("delete", 2), ("create", 3)] {
        let frame = subscriber.next_frame().await;
        assert_eq!(frame["event"], json!({"type": word, "data": data}));
        assert_eq!(calls.data().await, frame);
        let timestamp = frame["timestamp"].as_u64().unwrap();
        assert!(timestamp > last);
        last = timestamp;
    }
}

#[tokio::test]
async fn value_of_the_override_is_what_is_told() {
    let (server, owner, caller) = start().await;
    drop(owner.serve("stream::set(s)", |data| json!({"new_value": {"stored": data["data"]}})));
    owner.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    assert_eq!(caller.set("s", "g", "i", json!(1)).await, json!({"old_value": null, "new_value": {"stored": 1}}));
    assert_eq!(subscriber.next_event().await, json!({"type": "create", "data": {"stored": 1}}));
}

#[tokio::test]
async fn join_reads_the_state_from_the_overrides() {
    let (server, owner, caller) = start().await;
    create_stream(&owner);
    owner.settle().await;
    caller.set("s", "g", "i", json!({"n": 1})).await;
    caller.set("s", "g", "j", json!({"n": 2})).await;
    assert_eq!(Subscriber::of(&server, "s", "g").await.1, json!([{"n": 1}, {"n": 2}]));
    let mut item = Subscriber::open(&server, "/stream/s/g/j").await;
    assert_eq!(item.sync().await, json!({"n": 2}));
    let mut missing = Subscriber::open(&server, "/stream/s/g/k").await;
    assert_eq!(missing.sync().await, json!(null));
}

#[tokio::test]
async fn join_whose_override_fails_closes_with_1011() {
    let (server, owner, _caller) = start().await;
    drop(owner.serve("stream::list(s)", |_| failure("boom")));
    owner.settle().await;
    let mut subscriber = Subscriber::open(&server, "/stream/s/g/").await;
    assert_eq!(subscriber.closed().await, 1011);
}

#[tokio::test]
async fn update_works_through_get_and_set() {
    let (server, owner, caller) = start().await;
    let items = create_stream(&owner);
    owner.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "path": "n", "by": 2}]);
    assert_eq!(caller.result("stream::update", update.clone()).await, json!({"old_value": null, "new_value": {"n": 2}}));
    assert_eq!(caller.result("stream::update", update.clone()).await, json!({"old_value": {"n": 2}, "new_value": {"n": 4}}));
    update["ops"] = json!([{"type": "append", "path": "n", "value": 1}]);
    let result = caller.result("stream::update", update).await;
    assert_eq!(result["errors"][0]["code"], "append.type_mismatch");
    assert_eq!(items.lock().unwrap()["g/i"], json!({"n": 4}));
    for (word, n) in [("create", 2), ("update", 4), ("update", 4)] {
        assert_eq!(subscriber.next_event().await, json!({"type": word, "data": {"n": n}}));
    }
}

#[tokio::test]
async fn concurrent_updates_through_get_and_set_are_all_counted() {
    let (server, owner, first) = start().await;
    let second = Worker::open(&server).await;
    let items = create_stream(&owner);
    owner.settle().await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "path": "n", "by": 1}]);
    for _ in 0..20 {
        first.void("stream::update", update.clone());
        second.void("stream::update", update.clone());
    }
    // A set of the same group waits for them, and so for all of them.
    first.set("s", "g", "end", json!(0)).await;
    second.set("s", "g", "end", json!(0)).await;
    assert_eq!(items.lock().unwrap()["g/i"], json!({"n": 40}));
}

#[tokio::test]
async fn update_override_is_preferred_to_get_and_set() {
    let (_server, owner, caller) = start().await;
    let items = create_stream(&owner);
    let mut calls = owner.serve("stream::update(s)", |_| json!({"old_value": 1, "new_value": 2, "errors": [{"op_index": 0}]}));
    owner.settle().await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([]);
    let result = caller.result("stream::update", update).await;
    assert_eq!(result, json!({"old_value": 1, "new_value": 2, "errors": [{"op_index": 0}]}));
    assert_eq!(calls.data().await["ops"], json!([]));
    assert!(items.lock().unwrap().is_empty());
}

#[tokio::test]
async fn writes_are_told_in_the_order_of_the_calls_whatever_the_override_answers_first() {
    let (server, owner, caller) = start().await;
    let mut calls = owner.hold("stream::set(s)");
    owner.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    for n in 0..4 {
        caller.void("stream::set", write("s", "g", &format!("i{n}"), json!(n)));
    }
    let mut held = Vec::new();
    for n in 0..4 {
        let call = calls.next().await;
        assert_eq!(call.data["data"], n);
        held.push(call);
    }
    for call in held.iter().rev() {
        owner.answer(call, json!({"old_value": 0, "new_value": call.data["data"]}));
    }
    for n in 0..4 {
        assert_eq!(subscriber.next_event().await["data"], n);
    }
}

#[tokio::test]
async fn write_of_an_item_is_sent_to_the_override_after_the_one_before_is_answered() {
    let (server, owner, caller) = start().await;
    let mut calls = owner.hold("stream::set(s)");
    owner.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    for n in 0..3 {
        caller.void("stream::set", write("s", "g", "i", json!(n)));
    }
    for n in 0..3 {
        let call = calls.next().await;
        assert_eq!(call.data["data"], n);
        assert!(calls.is_empty(), "the next write was sent before this one was answered");
        owner.answer(&call, json!({"old_value": 0, "new_value": n}));
    }
    for n in 0..3 {
        assert_eq!(subscriber.next_event().await["data"], n);
    }
}

#[tokio::test]
async fn errors_of_an_override_pass_through_with_their_code() {
    let (server, owner, caller) = start().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let inputs = [
        ("stream::set", write("s", "g", "i", json!(1))),
        ("stream::get", key("s", "g", "i")),
        ("stream::delete", key("s", "g", "i")),
        ("stream::list", group("s", "g")),
        ("stream::list_groups", json!({"stream_name": "s"})),
    ];
    for (function, input) in inputs {
        drop(owner.serve(&format!("{function}(s)"), |_| Answer::Error(json!({"code": "MY_CODE", "message": "mine"}))));
        owner.settle().await;
        assert_eq!(caller.error(function, input).await, ("MY_CODE".to_owned(), "mine".to_owned()), "{function}");
    }
    caller.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "end", "data": 0})).await;
    assert_eq!(subscriber.next_event().await["type"], "event", "nothing was told of what failed");
}

#[tokio::test]
async fn override_that_answers_nothing_fails_a_set_and_empties_a_get() {
    let (_server, owner, caller) = start().await;
    for answer in [Some(json!(null)), None] {
        let set = answer.clone();
        drop(owner.serve("stream::set(s)", move |_| set.clone().map_or(Answer::Absent, Answer::Value)));
        owner.settle().await;
        assert_eq!(caller.error("stream::set", write("s", "g", "i", json!(1))).await.0, "STREAM_SET_ERROR");
    }
    drop(owner.serve("stream::get(s)", |_| Answer::Absent));
    drop(owner.serve("stream::delete(s)", |_| Answer::Absent));
    owner.settle().await;
    assert_eq!(caller.call("stream::get", key("s", "g", "i")).await, Ok(None));
    assert_eq!(caller.result("stream::delete", key("s", "g", "i")).await, json!({"old_value": null}));
}

#[tokio::test]
async fn override_that_answers_in_the_wrong_shape_is_a_json_error() {
    let (_server, owner, caller) = start().await;
    let cases = [
        ("stream::set", write("s", "g", "i", json!(1)), json!({"old_value": 1})),
        ("stream::set", write("s", "g", "i", json!(1)), json!("stored")),
        ("stream::delete", key("s", "g", "i"), json!("gone")),
        ("stream::list", group("s", "g"), json!({"a": 1})),
        ("stream::list_groups", json!({"stream_name": "s"}), json!([1])),
    ];
    for (function, input, answer) in cases {
        drop(owner.serve(&format!("{function}(s)"), move |_| answer.clone()));
        owner.settle().await;
        assert_eq!(caller.error(function, input).await.0, "JSON_ERROR", "{function}");
    }
}

#[tokio::test]
async fn override_may_use_the_store_for_another_stream() {
    let (_server, owner, caller) = start().await;
    let mut calls = owner.hold("stream::set(s)");
    owner.settle().await;
    let serves = async {
        let call = calls.next().await;
        let stored = owner.set("backing", "g", "i", call.data["data"].clone()).await;
        owner.answer(&call, stored);
    };
    let (result, ()) = futures_util::future::join(caller.set("s", "g", "i", json!(1)), serves).await;
    assert_eq!(result, json!({"old_value": null, "new_value": 1}));
    assert_eq!(caller.result("stream::get", key("backing", "g", "i")).await, 1);
}

#[tokio::test]
async fn stream_goes_back_to_the_store_when_its_worker_goes() {
    let (server, owner, caller) = start().await;
    create_stream(&owner);
    owner.settle().await;
    caller.set("s", "g", "i", json!("at the worker")).await;
    owner.disconnect().await;
    server.logged("worker disconnected").await;
    assert_eq!(caller.call("stream::get", key("s", "g", "i")).await, Ok(None));
    assert_eq!(caller.set("s", "g", "i", json!("in the store")).await, json!({"old_value": null, "new_value": "in the store"}));
    assert_eq!(Subscriber::of(&server, "s", "g").await.1, json!(["in the store"]));
}

#[tokio::test]
async fn call_under_way_at_an_override_that_goes_is_stopped() {
    let (_server, owner, caller) = start().await;
    let mut calls = owner.hold("stream::set(s)");
    owner.settle().await;
    let goes = async {
        calls.next().await;
        owner.disconnect().await;
    };
    let (error, ()) = futures_util::future::join(caller.error("stream::set", write("s", "g", "i", json!(1))), goes).await;
    assert_eq!(error.0, "invocation_stopped");
    assert_eq!(caller.set("s", "g", "i", json!(2)).await["new_value"], 2, "the lane goes on");
}

#[tokio::test]
async fn send_and_list_all_have_no_override() {
    let (server, owner, caller) = start().await;
    let calls = [owner.record("stream::send(s)"), owner.record("stream::list_all(s)")];
    owner.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    caller.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": 1})).await;
    assert_eq!(subscriber.next_event().await["type"], "event");
    assert_eq!(caller.result("stream::list_all", json!({})).await["count"], 0);
    assert!(calls.iter().all(Calls::is_empty));
}

#[tokio::test]
async fn override_gets_the_writes_of_a_worker_in_order() {
    let (_server, owner, caller) = start().await;
    let mut calls = owner.serve("stream::set(s)", |data| json!({"new_value": data["data"]}));
    owner.settle().await;
    for n in 0..500 {
        caller.void("stream::set", write("s", "g", "i", json!(n)));
    }
    for n in 0..500 {
        assert_eq!(calls.data().await["data"], n);
    }
}

#[tokio::test]
async fn calls_that_wait_for_an_override_are_bounded() {
    let (_server, owner, caller) = start().await;
    let mut calls = owner.hold("stream::set(mine)");
    owner.settle().await;
    for n in 0..1_024 {
        caller.void("stream::set", write("mine", "g", "i", json!(n)));
    }
    let (code, message) = caller.error("stream::set", write("mine", "g", "i", json!("over"))).await;
    assert!(code == "overloaded" && message.contains("1024 calls wait"), "{code}: {message}");
    // Other groups have lanes of their own, and an answer makes room.
    caller.void("stream::set", write("mine", "other", "i", json!("other")));
    let (first, second) = (calls.next().await, calls.next().await);
    assert_eq!((&first.data["data"], &second.data["data"]), (&json!(0), &json!("other")));
    owner.answer(&first, json!({"old_value": null, "new_value": 0}));
    assert_eq!(calls.data().await["data"], 1);
}
