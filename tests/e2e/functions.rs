//! The stream functions but for `update`: exact results and errors, as they stand in the frame.

use serde_json::{Value, json};

use crate::server::{Server, on_redis};
use crate::worker::{Worker, group, key, write};

/// A fresh server with a worker.
async fn start() -> (Server, Worker) {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    (server, worker)
}

/// The whole result frame but for `type` and `invocation_id`.
fn result(function: &str, result: &Value) -> Value {
    json!({"function_id": function, "result": result})
}

async fn reply(worker: &Worker, function: &str, data: &Value) -> Value {
    worker.reply(&json!({"function_id": function, "data": data})).await
}

#[tokio::test]
async fn set_of_a_new_item_answers_null_and_the_value() {
    let (_server, worker) = start().await;
    let data = json!({"id": "9C", "held": true});
    let reply = reply(&worker, "stream::set", &write("seats", "row-9", "9C", data.clone())).await;
    assert_eq!(reply, result("stream::set", &json!({"old_value": null, "new_value": data})));
}

#[tokio::test]
async fn set_of_a_known_item_answers_both_values() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!([1])).await;
    assert_eq!(worker.set("s", "g", "i", json!("two")).await, json!({"old_value": [1], "new_value": "two"}));
}

#[tokio::test]
async fn set_of_every_kind_of_json_is_read_back() {
    let (_server, worker) = start().await;
    for data in
        [json!(null), json!(true), json!(0), json!(-1.5), json!(""), json!("ä\u{0}\"\\\n😀"), json!([]), json!({}), json!({"": [null]})]
    {
        worker.set("s", "g", "i", data.clone()).await;
        assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(Some(data)));
    }
}

#[tokio::test]
async fn get_of_an_unknown_item_has_no_result_key() {
    let (_server, worker) = start().await;
    let reply = reply(&worker, "stream::get", &key("s", "g", "i")).await;
    assert_eq!(reply, json!({"function_id": "stream::get"}));
}

#[tokio::test]
async fn get_of_a_stored_null_has_a_null_result() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!(null)).await;
    assert_eq!(reply(&worker, "stream::get", &key("s", "g", "i")).await, result("stream::get", &json!(null)));
}

#[tokio::test]
async fn set_over_a_stored_null_answers_null_as_the_old_value() {
    let (_server, worker) = start().await;
    assert_eq!(worker.set("s", "g", "i", json!(null)).await, json!({"old_value": null, "new_value": null}));
    assert_eq!(worker.set("s", "g", "i", json!(1)).await, json!({"old_value": null, "new_value": 1}));
}

#[tokio::test]
async fn delete_answers_the_old_value_or_null() {
    let (_server, worker) = start().await;
    worker.set("s", "g", "i", json!({"a": 1})).await;
    assert_eq!(reply(&worker, "stream::delete", &key("s", "g", "i")).await, result("stream::delete", &json!({"old_value": {"a": 1}})));
    assert_eq!(reply(&worker, "stream::delete", &key("s", "g", "i")).await, result("stream::delete", &json!({"old_value": null})));
    assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(None));
}

#[tokio::test]
async fn list_answers_values_in_order_of_insertion() {
    let (_server, worker) = start().await;
    assert_eq!(reply(&worker, "stream::list", &group("s", "g")).await, result("stream::list", &json!([])));
    for (item, data) in [("z", json!(1)), ("a", json!(2)), ("m", json!(null)), ("z", json!(3)), ("b", json!(4))] {
        worker.set("s", "g", item, data).await;
    }
    worker.result("stream::delete", key("s", "g", "a")).await;
    worker.set("s", "g", "a", json!(5)).await;
    assert_eq!(reply(&worker, "stream::list", &group("s", "g")).await, result("stream::list", &json!([3, null, 4, 5])));
}

#[tokio::test]
async fn list_groups_answers_the_names_of_groups_with_items() {
    let (_server, worker) = start().await;
    let list = json!({"stream_name": "s"});
    assert_eq!(reply(&worker, "stream::list_groups", &list).await, result("stream::list_groups", &json!([])));
    for name in ["b", "a", "gone"] {
        worker.set("s", name, "i", json!(1)).await;
    }
    worker.set("other", "c", "i", json!(1)).await;
    worker.result("stream::delete", key("s", "gone", "i")).await;
    let mut groups = worker.result("stream::list_groups", list).await;
    groups.as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!(groups, json!(["a", "b"]));
}

#[tokio::test]
async fn list_all_answers_streams_and_groups_sorted() {
    let (_server, worker) = start().await;
    assert_eq!(reply(&worker, "stream::list_all", &json!({})).await, result("stream::list_all", &json!({"stream": [], "count": 0})));
    for (stream, group) in [("z", "2"), ("a", "b"), ("z", "10"), ("a", "a")] {
        worker.set(stream, group, "i", json!(1)).await;
    }
    let all = json!({"stream": [{"id": "a", "groups": ["a", "b"]}, {"id": "z", "groups": ["10", "2"]}], "count": 2});
    assert_eq!(worker.result("stream::list_all", json!({})).await, all);
}

#[tokio::test]
async fn list_all_takes_a_null_or_absent_payload() {
    let (_server, worker) = start().await;
    let empty = result("stream::list_all", &json!({"stream": [], "count": 0}));
    assert_eq!(reply(&worker, "stream::list_all", &json!(null)).await, empty);
    assert_eq!(worker.reply(&json!({"function_id": "stream::list_all"})).await, empty);
}

#[tokio::test]
async fn send_answers_null_and_stores_nothing() {
    let (_server, worker) = start().await;
    for id in [json!(null), json!("i")] {
        let event = json!({"stream_name": "s", "group_id": "g", "type": "blink", "data": {"ms": 300}, "id": id});
        assert_eq!(reply(&worker, "stream::send", &event).await, result("stream::send", &json!(null)));
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([]));
    assert_eq!(worker.result("stream::list_groups", json!({"stream_name": "s"})).await, json!([]));
}

#[tokio::test]
async fn unknown_keys_of_the_input_are_ignored() {
    let (_server, worker) = start().await;
    let mut input = write("s", "g", "i", json!(1));
    input["_caller_worker_id"] = json!("somebody");
    input["metadata"] = json!({"a": [1]});
    input["ops"] = json!("not looked at");
    assert_eq!(worker.result("stream::set", input).await, json!({"old_value": null, "new_value": 1}));
}

/// Every function with an input that is complete.
fn complete() -> [(&'static str, Value); 7] {
    [
        ("stream::set", write("s", "g", "i", json!(1))),
        ("stream::get", key("s", "g", "i")),
        ("stream::delete", key("s", "g", "i")),
        ("stream::list", group("s", "g")),
        ("stream::list_groups", json!({"stream_name": "s"})),
        ("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": null})),
        ("stream::update", json!({"stream_name": "s", "group_id": "g", "item_id": "i", "ops": []})),
    ]
}

/// Checks that the call fails for its input, in words that name the function.
async fn refused(worker: &Worker, function: &str, data: Value) -> String {
    let shown = data.to_string();
    let (code, message) = worker.error(function, data).await;
    assert_eq!(code, "deserialization_error", "{function} {shown}");
    assert!(message.contains(function), "{message}");
    message
}

#[tokio::test]
async fn missing_key_is_a_deserialization_error_that_names_it() {
    let (_server, worker) = start().await;
    for (function, input) in complete() {
        for name in input.as_object().unwrap().keys() {
            let mut input = input.clone();
            input.as_object_mut().unwrap().remove(name);
            let message = refused(&worker, function, input).await;
            assert!(message.contains(name), "{message}");
        }
    }
}

#[tokio::test]
async fn value_of_the_wrong_type_is_a_deserialization_error() {
    let (_server, worker) = start().await;
    for (function, input) in complete() {
        for name in input.as_object().unwrap().keys().filter(|name| *name != "data") {
            for wrong in [json!(1), json!(null), json!(true), json!({"a": "b"})] {
                let mut input = input.clone();
                input[name] = wrong;
                refused(&worker, function, input).await;
            }
        }
    }
    refused(&worker, "stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": 1, "id": 5})).await;
}

#[tokio::test]
async fn payload_that_is_no_object_is_a_deserialization_error() {
    let (_server, worker) = start().await;
    for (function, _) in complete() {
        for payload in [json!(null), json!("s"), json!(1), json!(["s", "g", "i", 1, [], "t"])] {
            refused(&worker, function, payload).await;
        }
        let absent = worker.reply(&json!({"function_id": function})).await;
        assert_eq!(absent["error"]["code"], "deserialization_error", "{absent}");
    }
}

#[tokio::test]
async fn error_frame_has_neither_result_nor_null_stacktrace() {
    let (_server, worker) = start().await;
    let reply = reply(&worker, "stream::get", &json!({})).await;
    assert_eq!(reply.as_object().unwrap().keys().collect::<Vec<_>>(), ["function_id", "error"]);
    let mut keys: Vec<_> = reply["error"].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["code", "message"]);
}

#[tokio::test]
async fn name_over_the_limit_is_refused_and_one_at_it_is_not() {
    let (_server, worker) = start().await;
    // The limit is in bytes: an umlaut has two.
    let (longest, too_long) = ("ä".repeat(256), "ä".repeat(256) + "x");
    for (function, input) in complete() {
        for name in ["stream_name", "group_id", "item_id", "type", "id"].into_iter().filter(|name| input.get(name).is_some()) {
            let mut input = input.clone();
            input[name] = json!(longest);
            worker.call(function, input.clone()).await.unwrap();
            input[name] = json!(too_long);
            let message = refused(&worker, function, input).await;
            assert!(message.contains("512"), "{message}");
        }
    }
}

#[tokio::test]
async fn value_over_the_limit_is_refused_and_one_at_it_is_not() {
    let server = Server::with(json!({"max_value_bytes": 1024}));
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!("x".repeat(1022))).await;
    let message = refused(&worker, "stream::set", write("s", "g", "i", json!("x".repeat(1023)))).await;
    assert!(message.contains("1024"), "{message}");
    let event = json!({"stream_name": "s", "group_id": "g", "type": "t", "data": "x".repeat(1023)});
    refused(&worker, "stream::send", event).await;
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, json!("x".repeat(1022)));
}

#[tokio::test]
async fn value_nested_over_the_limit_is_refused_and_one_at_it_is_not() {
    let (_server, worker) = start().await;
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let set = |levels: usize| {
        format!(r#"{{"function_id":"stream::set","data":{{"stream_name":"s","group_id":"g","item_id":"i","data":{}}}}}"#, nested(levels))
    };
    assert!(worker.reply_text(&set(120)).await.contains(&format!("\"new_value\":{}", nested(120))));
    for levels in [121, 128, 1_000, 100_000] {
        let reply = worker.reply_text(&set(levels)).await;
        assert!(reply.contains("deserialization_error"), "{levels} levels: {}", &reply[..200]);
    }
}

/// What the result frame of a set says of a value that is written as `text`.
async fn as_written(worker: &Worker, text: &str) {
    let input = |rest: &str| format!(r#"{{"stream_name":"s","group_id":"g","item_id":"i"{rest}}}"#);
    let set = format!(r#"{{"function_id":"stream::set","data":{}}}"#, input(&format!(r#","data":{text}"#)));
    let reply = worker.reply_text(&set).await;
    assert!(reply.contains(&format!("\"new_value\":{text}")), "{reply}");
    let get = format!(r#"{{"function_id":"stream::get","data":{}}}"#, input(""));
    let reply = worker.reply_text(&get).await;
    assert!(reply.contains(&format!("\"result\":{text}")), "{reply}");
    let list = r#"{"function_id":"stream::list","data":{"stream_name":"s","group_id":"g"}}"#;
    let reply = worker.reply_text(list).await;
    assert!(reply.contains(&format!("\"result\":[{text}]")), "{reply}");
}

#[tokio::test]
async fn keys_of_an_object_keep_their_order() {
    let (_server, worker) = start().await;
    as_written(&worker, r#"{"z":1,"a":{"y":2,"b":3},"m":[{"k":1,"c":2}]}"#).await;
}

#[tokio::test]
async fn numbers_are_kept_digit_by_digit() {
    let (_server, worker) = start().await;
    for number in ["9007199254740993", "18446744073709551616", "123456789012345678901234567890", "-0.0", "1.10", "1e400", "0.1e-7"] {
        as_written(&worker, &format!(r#"{{"n":{number}}}"#)).await;
    }
}

#[tokio::test]
async fn void_call_with_an_id_gets_no_frame() {
    let (_server, mut worker) = start().await;
    let void = |function: &str, data: Value| {
        json!({"type": "invokefunction", "invocation_id": "b9f1c7a0-0000-4000-8000-000000000000", "function_id": function,
               "action": {"type": "void"}, "data": data})
    };
    worker.send(&void("stream::set", write("s", "g", "i", json!(1))));
    worker.send(&void("stream::set", json!({})));
    worker.send(&void("nobody::serves", json!({})));
    worker.send(&void("engine::workers::list", json!({})));
    // Reads its own writes, and answers come in order.
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, json!(1));
    worker.nothing_came().await;
}

#[tokio::test]
async fn call_without_an_id_runs_and_gets_no_frame() {
    let (_server, mut worker) = start().await;
    for call in [json!({}), json!({"invocation_id": null}), json!({"invocation_id": null, "action": null})] {
        let mut call = call;
        call["type"] = json!("invokefunction");
        call["function_id"] = json!("stream::update");
        call["data"] = json!({"stream_name": "s", "group_id": "g", "item_id": "i", "ops": [{"type": "increment", "path": "n", "by": 1}]});
        worker.send(&call);
    }
    assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, json!({"n": 3}));
    worker.nothing_came().await;
}

#[tokio::test]
async fn null_action_namespace_and_metadata_count_as_absent() {
    let (_server, worker) = start().await;
    let call = json!({"function_id": "stream::list_all", "data": {}, "action": null, "namespace": null, "metadata": null,
                      "traceparent": null, "baggage": null});
    assert_eq!(worker.reply(&call).await["result"]["count"], 0);
    let call = json!({"function_id": "stream::list_all", "data": {}, "namespace": "default"});
    assert_eq!(worker.reply(&call).await["result"]["count"], 0);
}

#[tokio::test]
async fn enqueue_is_an_enqueue_error_that_names_the_queue_as_missing() {
    let (_server, mut worker) = start().await;
    let call = json!({"function_id": "stream::set", "data": write("s", "g", "i", json!(1)), "action": {"type": "enqueue", "queue": "q"}});
    let reply = worker.reply(&call).await;
    assert_eq!(reply["error"]["code"], "enqueue_error", "{reply}");
    assert!(reply["error"]["message"].as_str().unwrap().contains("queue"), "{reply}");
    assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(None));
    worker.nothing_came().await;
}

#[tokio::test]
async fn unknown_namespace_is_function_not_found() {
    let (_server, worker) = start().await;
    drop(worker.record("mine"));
    for function in ["mine", "stream::list_all", "engine::workers::list"] {
        let reply = worker.reply(&json!({"function_id": function, "data": {}, "namespace": "elsewhere"})).await;
        assert_eq!(reply["error"]["code"], "function_not_found", "{reply}");
    }
}

#[tokio::test]
async fn unknown_function_is_function_not_found_and_named() {
    let (_server, worker) = start().await;
    for function in ["nobody::serves", "stream::nothing", "stream::get(s)", "engine::nothing", "engine::channels::create", ""] {
        let (code, message) = worker.error(function, json!({})).await;
        assert_eq!(code, "function_not_found", "{function}");
        assert!(message.contains(function), "{message}");
    }
}

#[tokio::test]
async fn results_of_stream_calls_come_in_the_order_of_the_calls() {
    let server = Server::start();
    let mut raw = crate::raw::Raw::open(server.workers(), "/").await;
    assert_eq!(raw.json().await["type"], "workerregistered");
    let mut functions = complete().to_vec();
    if on_redis() {
        // Redis is asked twice for these two; nothing waits for them meanwhile.
        functions.retain(|(function, _)| !matches!(*function, "stream::list_groups" | "stream::list_all"));
    }
    for index in 0..200 {
        let (function, data) = &functions[index % functions.len()];
        let call = json!({"type": "invokefunction", "invocation_id": index.to_string(), "function_id": function, "data": data});
        raw.frame(crate::raw::TEXT, call.to_string().as_bytes()).await;
    }
    for index in 0..200 {
        assert_eq!(raw.json().await["invocation_id"], index.to_string());
    }
}
