//! An adapter of a worker's own: `class: my::store` means the functions `my::store::get`, `::set` and so on.

use std::sync::{Arc, Mutex};

use serde_json::{Map, Value, json};

use crate::raw::ready;
use crate::server::{Server, until};
use crate::subscriber::Subscriber;
use crate::worker::{Answer, Worker, group, key, write};

fn server() -> Server {
    Server::with(json!({"adapter": {"class": "my::store"}}))
}

/// Items by `stream/group/item`, in insertion order.
type Items = Arc<Mutex<Map<String, Value>>>;

/// Serves `my::store` from a map.
fn store(worker: &Worker) -> Items {
    let items = Items::default();
    let name = |data: &Value, keys: &[&str]| keys.iter().map(|key| data[key].as_str().unwrap()).collect::<Vec<_>>().join("/");
    let item = move |data: &Value| name(data, &["stream_name", "group_id", "item_id"]);
    let (get, set, delete, list, groups, all) = (items.clone(), items.clone(), items.clone(), items.clone(), items.clone(), items.clone());
    worker.serve("my::store::get", move |data| {
        get.lock().unwrap().get(&item(data)).map_or(Answer::Absent, |value| Answer::Value(value.clone()))
    });
    worker.serve("my::store::set", move |data| {
        let old = set.lock().unwrap().insert(item(data), data["data"].clone());
        json!({"old_value": old, "new_value": data["data"]})
    });
    worker.serve("my::store::delete", move |data| json!({"old_value": delete.lock().unwrap().shift_remove(&item(data))}));
    worker.serve("my::store::list", move |data| {
        let within = name(data, &["stream_name", "group_id"]) + "/";
        let items = list.lock().unwrap();
        Value::Array(items.iter().filter(|(name, _)| name.starts_with(&within)).map(|(_, value)| value.clone()).collect())
    });
    worker.serve("my::store::list_groups", move |data| {
        let within = name(data, &["stream_name"]) + "/";
        let items = groups.lock().unwrap();
        let mut groups: Vec<&str> = items.keys().filter_map(|name| name.strip_prefix(&within)?.split('/').next()).collect();
        groups.dedup();
        json!(groups)
    });
    worker.serve("my::store::list_all", move |_| {
        let items = all.lock().unwrap();
        let mut streams: Vec<&str> = items.keys().filter_map(|name| name.split('/').next()).collect();
        streams.dedup();
        json!({"stream": streams.iter().map(|stream| json!({"id": stream, "groups": []})).collect::<Vec<_>>(), "count": streams.len()})
    });
    items
}

async fn start() -> (Server, Worker, Worker, Items) {
    let server = server();
    let (keeper, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let items = store(&keeper);
    keeper.settle().await;
    (server, keeper, caller, items)
}

#[tokio::test]
async fn functions_of_the_worker_serve_every_stream() {
    let (_server, _keeper, caller, items) = start().await;
    assert_eq!(caller.set("s", "g", "i", json!({"n": 1})).await, json!({"old_value": null, "new_value": {"n": 1}}));
    assert_eq!(caller.set("t", "g", "i", json!(2)).await, json!({"old_value": null, "new_value": 2}));
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "path": "n", "by": 4}]);
    assert_eq!(caller.result("stream::update", update).await, json!({"old_value": {"n": 1}, "new_value": {"n": 5}}));
    assert_eq!(Value::Object(items.lock().unwrap().clone()), json!({"s/g/i": {"n": 5}, "t/g/i": 2}));
    assert_eq!(caller.result("stream::get", key("s", "g", "i")).await, json!({"n": 5}));
    assert_eq!(caller.call("stream::get", key("s", "g", "none")).await, Ok(None));
    assert_eq!(caller.result("stream::list", group("t", "g")).await, json!([2]));
    assert_eq!(caller.result("stream::list_groups", json!({"stream_name": "s"})).await, json!(["g"]));
    assert_eq!(caller.result("stream::list_all", json!({})).await["count"], 2);
    assert_eq!(caller.result("stream::delete", key("t", "g", "i")).await, json!({"old_value": 2}));
    assert_eq!(items.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn subscribers_and_triggers_see_the_changes_in_order() {
    let (server, _keeper, caller, _items) = start().await;
    let mut calls = caller.record("seen");
    caller.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    caller.settle().await;
    caller.set("s", "g", "before", json!({"id": "before"})).await;
    let (mut subscriber, data) = Subscriber::of(&server, "s", "g").await;
    assert_eq!(data, json!([{"id": "before"}]));
    for n in 0..20 {
        caller.void("stream::set", write("s", "g", "i", json!({"id": "i", "n": n})));
    }
    assert_eq!(caller.result("stream::get", key("s", "g", "i")).await["n"], 19);
    calls.next().await;
    for n in 0..20 {
        assert_eq!(subscriber.next_frame().await["event"]["data"]["n"], n);
        assert_eq!(calls.data().await["event"]["data"]["n"], n);
    }
}

#[tokio::test]
async fn override_of_a_stream_goes_before_the_adapter() {
    let (_server, keeper, caller, items) = start().await;
    keeper.serve("stream::set(mine)", |data| json!({"old_value": null, "new_value": [data["data"]]}));
    keeper.settle().await;
    assert_eq!(caller.set("mine", "g", "i", json!(1)).await["new_value"], json!([1]));
    assert!(items.lock().unwrap().is_empty());
}

#[tokio::test]
async fn missing_worker_fails_every_function_at_once_and_a_new_one_mends_it() {
    let server = server();
    let caller = Worker::open(&server).await;
    for (function, input, code) in [
        ("stream::set", write("s", "g", "i", json!(1)), "STREAM_SET_ERROR"),
        ("stream::get", key("s", "g", "i"), "STREAM_GET_ERROR"),
        ("stream::delete", key("s", "g", "i"), "STREAM_DELETE_ERROR"),
        ("stream::list", group("s", "g"), "STREAM_GET_GROUP_ERROR"),
        ("stream::list_groups", json!({"stream_name": "s"}), "STREAM_LIST_GROUPS_ERROR"),
        ("stream::list_all", json!({}), "STREAM_LIST_ALL_ERROR"),
    ] {
        let (got, message) = caller.error(function, input).await;
        assert_eq!(got, code);
        assert!(message.contains("my::store::") && message.contains("start the worker"), "{message}");
    }
    let keeper = Worker::open(&server).await;
    store(&keeper);
    keeper.settle().await;
    caller.set("s", "g", "i", json!(1)).await;
}

#[tokio::test]
async fn missing_worker_fails_an_update_as_it_does_the_other_functions() {
    let server = server();
    let caller = Worker::open(&server).await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([]);
    let (code, message) = caller.error("stream::update", update).await;
    assert_eq!(code, "STREAM_UPDATE_ERROR");
    assert!(message.contains("my::store::") && message.contains("start the worker"), "{message}");
}

#[tokio::test]
async fn missing_worker_ends_joins_and_leaves_those_who_have_joined() {
    let server = server();
    let (keeper, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    for path in ["/stream/s/g/", "/stream/s/g/i"] {
        assert_eq!(Subscriber::open(&server, path).await.closed().await, 1011, "{path}");
    }
    store(&keeper);
    keeper.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    keeper.disconnect().await;
    server.logged("worker disconnected").await;
    caller.error("stream::set", write("s", "g", "i", json!(1))).await;
    caller.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": 2})).await;
    assert_eq!(subscriber.next_event().await["event"]["data"], 2, "events need no store");
    let keeper = Worker::open(&server).await;
    store(&keeper);
    keeper.settle().await;
    caller.set("s", "g", "i", json!(3)).await;
    assert_eq!(subscriber.next_event().await, json!({"type": "create", "data": 3}));
}

#[tokio::test]
async fn requests_have_the_keys_of_the_call_and_nothing_else() {
    let server = server();
    let (keeper, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let written = |_: &Value| json!({"new_value": 1});
    let mut calls = [
        keeper.serve("my::store::set", written),
        keeper.serve("my::store::get", |_| json!(1)),
        keeper.serve("my::store::delete", |_| json!({})),
        keeper.serve("my::store::list", |_| json!([])),
        keeper.serve("my::store::list_groups", |_| json!([])),
        keeper.serve("my::store::list_all", |_| json!({"stream": [], "count": 0})),
        keeper.serve("my::store::update", written),
    ];
    keeper.settle().await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "remove", "path": "a"}]);
    let inputs = [
        ("stream::set", write("s", "g", "i", json!({"z": 1, "a": 2}))),
        ("stream::get", key("s", "g", "i")),
        ("stream::delete", key("s", "g", "i")),
        ("stream::list", group("s", "g")),
        ("stream::list_groups", json!({"stream_name": "s"})),
        ("stream::list_all", json!({})),
        ("stream::update", update),
    ];
    for ((function, input), calls) in inputs.into_iter().zip(&mut calls) {
        let mut more = input.clone();
        more["unknown"] = json!(1);
        caller.result(function, more).await;
        assert_eq!(calls.data().await, input, "{function}");
        assert!(calls.is_empty());
    }
}

#[tokio::test]
async fn worker_that_does_not_answer_fails_the_call_and_not_the_next() {
    let server = Server::with(json!({"adapter": {"class": "my::store"}, "join_timeout_ms": 200}));
    let (keeper, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let mut calls = keeper.hold("my::store::set");
    keeper.settle().await;
    assert_eq!(caller.error("stream::set", write("s", "g", "i", json!(1))).await.0, "invocation_timeout");
    calls.next().await;
    store(&keeper);
    keeper.settle().await;
    assert_eq!(caller.set("s", "g", "i", json!(2)).await, json!({"old_value": null, "new_value": 2}));
    keeper.serve("my::store::set", |_| Answer::Error(json!({"code": "MINE", "message": "mine"})));
    keeper.settle().await;
    assert_eq!(caller.error("stream::set", write("s", "g", "i", json!(1))).await, ("MINE".to_owned(), "mine".to_owned()));
}

#[tokio::test]
async fn health_check_names_what_nobody_serves() {
    let server = server();
    let (status, body) = ready(&server).await;
    assert_eq!(status, 503);
    let reason = body["reasons"][0].as_str().unwrap();
    for function in ["get", "set", "delete", "list", "list_groups", "list_all"] {
        assert!(reason.contains(&format!("my::store::{function}")), "{reason}");
    }
    let keeper = Worker::open(&server).await;
    store(&keeper);
    keeper.settle().await;
    assert_eq!(ready(&server).await, (200, json!({"ready": true, "reasons": []})));
    keeper.disconnect().await;
    until("503 of the health check", async || ready(&server).await.0 == 503).await;
}

#[tokio::test]
async fn client_that_is_refused_causes_no_read() {
    let server = Server::with(json!({"adapter": {"class": "my::store"}, "auth_function": "my::auth"}));
    let keeper = Worker::open(&server).await;
    let (mut lists, mut gets) = (keeper.serve("my::store::list", |_| json!([])), keeper.serve("my::store::get", |_| json!(null)));
    drop(keeper.serve("my::auth", |data| json!({"context": null, "unauthorized": data["path"].as_str().unwrap().contains("evil")})));
    drop(keeper.serve("on_join", |data| json!({"unauthorized": data["group_id"] == "closed"})));
    keeper.trigger("j", "stream:join", "on_join", json!({}));
    keeper.settle().await;
    // By the auth function, …
    for path in ["/stream/evil/g/", "/stream/evil/g/i/"] {
        let mut subscriber = Subscriber::open(&server, path).await;
        assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
        subscriber.join("1", "evil", "g").await;
        subscriber.join_item("2", "evil", "g", "i").await;
        assert!(subscriber.under_way().await.is_empty());
    }
    // … and by a join handler.
    for path in ["/stream/s/closed/", "/stream/s/closed/i/"] {
        let mut subscriber = Subscriber::open(&server, path).await;
        assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
        subscriber.join("1", "s", "closed").await;
        subscriber.join_item("2", "s", "closed", "i").await;
        for _ in 0..2 {
            assert_eq!(subscriber.next_event().await, json!({"type": "unauthorized"}));
        }
    }
    // Reads come in the order of the joins at the latest: those of clients that are let in are the first there are.
    let (mut subscriber, _) = Subscriber::of(&server, "s", "open").await;
    assert_eq!(lists.data().await, group("s", "open"));
    subscriber.join_item("2", "s", "open", "i").await;
    subscriber.sync().await;
    assert_eq!(gets.data().await, key("s", "open", "i"));
    keeper.settle().await;
    assert!(lists.is_empty() && gets.is_empty());
}
