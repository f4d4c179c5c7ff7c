//! `stream::update`: results and errors as they stand in the frame. Every rule of every operation is held by the tests of `ops`.

use serde_json::{Value, json};

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, key};

/// A fresh server with a worker.
async fn start() -> (Server, Worker) {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    (server, worker)
}

/// Input for an update of the one item of these tests.
fn input(ops: &Value) -> Value {
    json!({"stream_name": "s", "group_id": "g", "item_id": "i", "ops": ops})
}

async fn update(worker: &Worker, ops: Value) -> Value {
    worker.result("stream::update", input(&ops)).await
}

/// The codes of the operations that failed, with their positions.
fn failed(result: &Value) -> Vec<(u64, &str)> {
    let errors = result["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().map(|error| (error["op_index"].as_u64().unwrap(), error["code"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn update_of_a_new_item_answers_null_and_the_value() {
    let (_server, worker) = start().await;
    let reply = worker.reply(&json!({"function_id": "stream::update", "data": input(&json!([]))})).await;
    assert_eq!(reply, json!({"function_id": "stream::update", "result": {"old_value": null, "new_value": {}}}));
}

#[tokio::test]
async fn update_applies_operations_in_order() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"id": "9C", "held": true, "old": 1})).await;
    let result = update(
        &worker,
        json!([
            {"type": "increment", "path": "views", "by": 2},
            {"type": "increment", "path": "views", "by": 3},
            {"type": "decrement", "path": "views", "by": 1},
            {"type": "set", "path": "held", "value": false},
            {"type": "merge", "value": {"row": 9}},
            {"type": "merge", "path": ["a", "b"], "value": {"c": 1}},
            {"type": "append", "path": "tags", "value": "x"},
            {"type": "append", "path": "tags", "value": "y"},
            {"type": "append", "path": ["log", "lines"], "value": "first"},
            {"type": "remove", "path": "old"},
        ]),
    )
    .await;
    let new = json!({"id": "9C", "held": false, "views": 4, "row": 9, "a": {"b": {"c": 1}}, "tags": "xy", "log": {"lines": ["first"]}});
    assert_eq!(result, json!({"old_value": {"id": "9C", "held": true, "old": 1}, "new_value": new}));
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, new);
}

#[tokio::test]
async fn failed_operations_are_listed_and_the_others_apply() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"name": "a", "n": 1})).await;
    let result = update(
        &worker,
        json!([
            {"type": "increment", "path": "n", "by": 1},
            {"type": "increment", "path": "name", "by": 1},
            {"type": "append", "path": "n", "value": 1},
            {"type": "merge", "value": [1]},
            {"type": "set", "path": "__proto__", "value": 1},
            {"type": "remove", "path": "nothing"},
            {"type": "set", "path": "done", "value": true},
        ]),
    )
    .await;
    let expected =
        [(1, "increment.not_number"), (2, "append.type_mismatch"), (3, "merge.value.not_an_object"), (4, "set.path.proto_polluted")];
    assert_eq!(failed(&result), expected);
    assert!(result["errors"].as_array().unwrap().iter().all(|error| error["message"].is_string()), "{result}");
    assert_eq!(result["new_value"], json!({"name": "a", "n": 2, "done": true}));
}

#[tokio::test]
async fn update_in_which_all_fails_is_written_and_told_all_the_same() {
    let (server, worker) = start().await;
    worker.set("s", "g", "i", json!(7)).await;
    let (mut subscriber, data) = Subscriber::of(&server, "s", "g").await;
    assert_eq!(data, json!([7]));
    let result = update(&worker, json!([{"type": "set", "path": "a", "value": 1}, {"type": "increment", "path": "a", "by": 1}])).await;
    assert_eq!(failed(&result), [(0, "set.target_not_object"), (1, "increment.target_not_object")]);
    assert_eq!(result["new_value"], 7);
    assert_eq!(subscriber.next_event().await, json!({"type": "update", "data": 7}));
}

#[tokio::test]
async fn root_path_in_every_spelling_is_the_item_itself() {
    let (_server, worker) = start().await;
    for path in [json!(""), json!(null), json!([])] {
        let result = update(&worker, json!([{"type": "set", "path": path, "value": {"n": 1}}])).await;
        assert_eq!(result["new_value"], json!({"n": 1}), "{path}");
    }
    assert_eq!(update(&worker, json!([{"type": "set", "value": 5}])).await["new_value"], 5);
    assert_eq!(update(&worker, json!([{"type": "increment", "by": 2}])).await["new_value"], 7);
    assert_eq!(update(&worker, json!([{"type": "remove"}])).await["new_value"], json!(null));
}

#[tokio::test]
async fn dotted_path_is_one_key() {
    let (_server, worker) = start().await;
    let ops = json!([{"type": "set", "path": "a.b", "value": 1}, {"type": "merge", "path": "c.d", "value": {"e.f": 2}},
                     {"type": "increment", "path": {"0": "g.h"}, "by": 3}]);
    assert_eq!(update(&worker, ops).await["new_value"], json!({"a.b": 1, "c.d": {"e.f": 2}, "g.h": 3}));
}

#[tokio::test]
async fn increment_keeps_integers_and_adds_fractions() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"big": u64::MAX - 1, "small": i64::MIN, "half": 0.5, "n": 1})).await;
    let ops = json!([{"type": "increment", "path": "big", "by": 1}, {"type": "decrement", "path": "small", "by": 0},
                     {"type": "increment", "path": "half", "by": 1}, {"type": "increment", "path": "n", "by": 2.0},
                     {"type": "increment", "path": "big", "by": 1}, {"type": "decrement", "path": "small", "by": 1}]);
    let result = update(&worker, ops).await;
    assert_eq!(result["new_value"], json!({"big": u64::MAX, "small": i64::MIN, "half": 1.5, "n": 3}));
    assert_eq!(failed(&result), [(4, "increment.not_number"), (5, "decrement.not_number")]);
}

#[tokio::test]
async fn update_of_one_key_leaves_the_doubles_of_the_others() {
    let (_server, worker) = start().await;
    // As JavaScript and Python write them: the shortest text that means this double and no other.
    let others = r#""a":1895.2307815716774,"b":8.530479838611245e-10,"c":1960257962.2244542"#;
    let set = format!(r#"{{"stream_name":"s","group_id":"g","item_id":"i","data":{{{others},"n":1}}}}"#);
    worker.reply_text(&format!(r#"{{"function_id":"stream::set","data":{set}}}"#)).await;
    let ops = json!([{"type": "increment", "path": "n", "by": 1}]);
    let reply = worker.reply_text(&json!({"function_id": "stream::update", "data": input(&ops)}).to_string()).await;
    assert!(reply.contains(&format!(r#""new_value":{{{others},"n":2}}"#)), "{reply}");
}

#[tokio::test]
async fn update_keeps_the_order_of_keys_and_the_place_in_the_list() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"z": 1, "a": 2, "m": 3})).await;
    worker.set("s", "g", "last", json!(0)).await;
    let call = json!({"function_id": "stream::update", "data": input(&json!([{"type": "set", "path": "a", "value": 5},
        {"type": "remove", "path": "m"}, {"type": "set", "path": "b", "value": 6}]))});
    let reply = worker.reply_text(&call.to_string()).await;
    assert!(reply.contains(r#""new_value":{"z":1,"a":5,"b":6}"#), "{reply}");
    assert_eq!(worker.result("stream::list", crate::worker::group("s", "g")).await, json!([{"z": 1, "a": 5, "b": 6}, 0]));
}

#[tokio::test]
async fn malformed_operations_fail_the_whole_call() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"n": 1})).await;
    let good = json!({"type": "increment", "path": "n", "by": 1});
    for bad in [
        json!({"type": "double", "path": "n"}),
        json!({"path": "n", "by": 1}),
        json!({"type": 1, "path": "n"}),
        json!({"type": "increment", "path": "n"}),
        json!({"type": "increment", "path": "n", "by": "1"}),
        json!({"type": "set", "path": 1, "value": 1}),
        json!({"type": "merge", "path": ["a", 1], "value": {}}),
        json!({"type": "merge"}),
        json!({"type": "append"}),
        json!("increment"),
        json!(null),
    ] {
        let (code, message) = worker.error("stream::update", input(&json!([good, bad]))).await;
        assert_eq!(code, "deserialization_error", "{bad}");
        assert!(message.contains("stream::update") && message.contains("ops[1]"), "{message}");
    }
    for ops in [json!({}), json!("x"), json!(1), json!(null)] {
        assert_eq!(worker.error("stream::update", input(&ops)).await.0, "deserialization_error", "{ops}");
    }
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, json!({"n": 1}));
}

#[tokio::test]
async fn thousand_operations_are_taken_and_one_more_is_not() {
    let (_server, worker) = start().await;
    let ops = vec![json!({"type": "increment", "path": "n", "by": 1}); 1_001];
    assert_eq!(update(&worker, json!(ops[..1_000])).await["new_value"], json!({"n": 1_000}));
    let (code, message) = worker.error("stream::update", input(&json!(ops))).await;
    assert_eq!(code, "deserialization_error");
    assert!(message.contains("1000"), "{message}");
}

#[tokio::test]
async fn path_over_a_limit_is_an_error_of_its_operation() {
    let (_server, worker) = start().await;
    let ops = json!([
        {"type": "merge", "path": vec!["a"; 33], "value": {}},
        {"type": "append", "path": ["a", ""], "value": 1},
        {"type": "set", "path": "x".repeat(257), "value": 1},
        {"type": "set", "path": ["a", "b"], "value": 1},
        {"type": "merge", "value": {"constructor": 1}},
        {"type": "merge", "path": vec!["a"; 32], "value": {}},
    ]);
    let expected = [
        (0, "merge.path.too_deep"),
        (1, "append.path.empty_segment"),
        (2, "set.path.segment_too_long"),
        (3, "set.path.too_deep"),
        (4, "merge.value.proto_polluted"),
    ];
    assert_eq!(failed(&update(&worker, ops).await), expected);
}

#[tokio::test]
async fn update_that_grows_a_value_over_the_limit_fails_and_changes_nothing() {
    let server = Server::with(json!({"max_value_bytes": 1024}));
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!("x".repeat(1000))).await;
    let ops = json!([{"type": "append", "value": "x".repeat(100)}]);
    let (code, message) = worker.error("stream::update", input(&ops)).await;
    assert_eq!(code, "STREAM_UPDATE_ERROR");
    assert!(message.contains("1024"), "{message}");
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, json!("x".repeat(1000)));
}

#[tokio::test]
async fn concurrent_increments_are_all_counted() {
    let server = Server::start();
    let mut workers = Vec::new();
    for _ in 0..4 {
        let worker = Worker::open(&server).await;
        for _ in 0..100 {
            worker.void("stream::update", input(&json!([{"type": "increment", "path": "n", "by": 1}])));
        }
        workers.push(worker);
    }
    for worker in &workers {
        worker.result("stream::get", key("s", "g", "i")).await;
    }
    assert_eq!(workers[0].result("stream::get", key("s", "g", "i")).await, json!({"n": 400}));
}
