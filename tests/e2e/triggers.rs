//! `stream` triggers: which changes they are called with, in which order, and what a registration may say.

use serde_json::{Value, json};

use crate::server::Server;
use crate::worker::{Answer, Call, Calls, Worker, failure, key, write};

async fn start() -> (Server, Worker) {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    (server, worker)
}

/// Group, item, word and value of a call.
fn change(call: &Call) -> (String, String, String, Value) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let data = &call.data;
    (text(&data["groupId"]), text(&data["id"]), text(&data["event"]["type"]), data["event"]["data"].clone())
}

/// The values of the next `count` calls.
async fn values(calls: &mut Calls, count: usize) -> Vec<Value> {
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(calls.data().await["event"]["data"].take());
    }
    values
}

#[tokio::test]
async fn trigger_gets_the_envelope_that_subscribers_get() {
    let (server, worker) = start().await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    let (mut subscriber, _) = crate::subscriber::Subscriber::of(&server, "s", "g").await;
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    worker.result("stream::update", json!({"stream_name": "s", "group_id": "g", "item_id": "i", "ops": []})).await;
    worker.result("stream::delete", key("s", "g", "i")).await;
    for word in ["create", "update", "delete"] {
        let call = calls.next().await;
        assert_eq!(call.data, subscriber.next_frame().await);
        assert_eq!(call.data["event"], json!({"type": word, "data": {"id": "i"}}));
        assert_eq!(call.frame["function_id"], "seen");
        assert!(call.frame.get("action").is_none(), "{}", call.frame);
    }
}

#[tokio::test]
async fn stream_group_and_item_filters_must_all_match() {
    let (_server, worker) = start().await;
    let configs = [
        ("stream", json!({"stream_name": "s"}), "0123"),
        ("group", json!({"stream_name": "s", "group_id": "g"}), "012"),
        ("item", json!({"stream_name": "s", "item_id": "i"}), "013"),
        ("both", json!({"stream_name": "s", "group_id": "g", "item_id": "i"}), "01"),
        ("any", json!({"stream_name": "s", "group_id": null, "item_id": "", "condition_function_id": null, "metadata": {"a": 1}}), "0123"),
        ("prefix", json!({"stream_name": "s", "group_id": "g*"}), ""),
    ];
    let mut calls = Vec::new();
    for (name, config, expected) in &configs {
        calls.push((worker.record(name), *expected));
        worker.trigger(name, "stream", name, config.clone());
    }
    for (n, (stream, group, item)) in
        [("s", "g", "i"), ("s", "g", "i"), ("s", "g", "j"), ("s", "h", "i"), ("S", "g", "i")].iter().enumerate()
    {
        worker.set(stream, group, item, json!(n)).await;
    }
    // Matched by every trigger that is called in order, and so seen last by each of them.
    worker.set("s", "g", "i", json!("end")).await;
    worker.set("s", "g*", "i", json!("end")).await;
    for (mut calls, expected) in calls {
        for digit in expected.chars() {
            assert_eq!(calls.data().await["event"]["data"], digit.to_digit(10).unwrap());
        }
        assert_eq!(calls.data().await["event"]["data"], "end");
    }
}

#[tokio::test]
async fn send_fires_no_trigger() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    for id in [json!(null), json!("i")] {
        worker.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": 0, "id": id})).await;
    }
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(change(&calls.next().await), ("g".into(), "i".into(), "create".into(), json!(1)));
}

#[tokio::test]
async fn delete_of_a_missing_item_fires_no_trigger() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    worker.result("stream::delete", key("s", "g", "i")).await;
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(change(&calls.next().await).2, "create");
}

#[tokio::test]
async fn calls_of_a_trigger_come_in_the_order_of_the_changes() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    for n in 0..3_000 {
        worker.void("stream::set", write("s", "g", "i", json!(n)));
    }
    assert_eq!(values(&mut calls, 3_000).await, (0..3_000).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn calls_with_a_condition_come_in_the_order_of_the_changes() {
    let (server, worker) = start().await;
    let judge = Worker::open(&server).await;
    // Answered backwards, in pairs.
    let mut asked = judge.hold("condition");
    judge.settle().await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s", "condition_function_id": "condition"}));
    for n in 0..20 {
        worker.void("stream::set", write("s", "g", "i", json!(n)));
    }
    for _ in 0..10 {
        let (first, second) = (asked.next().await, asked.next().await);
        for call in [second, first] {
            let passes = call.data["event"]["data"].as_u64().unwrap() % 5 != 0;
            judge.answer(&call, json!(passes));
        }
    }
    let expected: Vec<_> = (0..20).filter(|n| n % 5 != 0).map(Value::from).collect();
    assert_eq!(values(&mut calls, expected.len()).await, expected);
}

#[tokio::test]
async fn handlers_of_one_change_are_called_in_order_of_registration() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    for id in ["z", "a", "m"] {
        worker.trigger(id, "stream", "seen", json!({"stream_name": "s"}));
        worker.trigger(&format!("{id} of another stream"), "stream", "seen", json!({"stream_name": "other"}));
    }
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(values(&mut calls, 3).await, [1, 1, 1]);
    worker.set("other", "g", "i", json!(2)).await;
    assert_eq!(values(&mut calls, 3).await, [2, 2, 2]);
}

#[tokio::test]
async fn failing_handler_stops_neither_the_next_change_nor_the_next_handler() {
    let (_server, worker) = start().await;
    let mut failing = worker.serve("failing", |_| failure("boom"));
    let mut calls = worker.record("seen");
    worker.trigger("1", "stream", "failing", json!({"stream_name": "s"}));
    worker.trigger("2", "stream", "nobody::serves", json!({"stream_name": "s"}));
    worker.trigger("3", "stream", "seen", json!({"stream_name": "s"}));
    for n in 0..3 {
        worker.set("s", "g", "i", json!(n)).await;
    }
    assert_eq!(values(&mut failing, 3).await, [0, 1, 2]);
    assert_eq!(values(&mut calls, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn slow_handler_delays_neither_the_write_nor_other_triggers() {
    let (_server, worker) = start().await;
    let mut slow = worker.hold("slow");
    let mut calls = worker.record("seen");
    worker.trigger("1", "stream", "slow", json!({"stream_name": "s"}));
    worker.trigger("2", "stream", "seen", json!({"stream_name": "s"}));
    worker.set("s", "g", "i", json!(1)).await;
    let held = slow.next().await;
    worker.set("s", "g", "i", json!(2)).await;
    assert_eq!(values(&mut calls, 2).await, [1, 2]);
    worker.answer(&held, json!(null));
    assert_eq!(values(&mut slow, 1).await, [2]);
}

#[tokio::test]
async fn condition_skips_the_handler_for_the_boolean_false_only() {
    let (_server, worker) = start().await;
    // The value itself is what the condition answers.
    let mut asked = worker.serve("condition", |data| match &data["event"]["data"] {
        Value::String(text) if text == "absent" => Answer::Absent,
        value => value.clone().into(),
    });
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s", "condition_function_id": "condition"}));
    let answers = [json!(false), json!(true), json!(null), json!(0), json!(""), json!("false"), json!({}), json!([]), json!("absent")];
    for answer in &answers {
        worker.set("s", "g", "i", answer.clone()).await;
    }
    assert_eq!(values(&mut calls, answers.len() - 1).await, answers[1..]);
    assert_eq!(values(&mut asked, answers.len()).await, answers);
}

#[tokio::test]
async fn condition_gets_the_payload_of_the_handler() {
    let (_server, worker) = start().await;
    let mut asked = worker.serve("condition", |_| json!(true));
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s", "condition_function_id": "condition"}));
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(asked.data().await, calls.data().await);
}

#[tokio::test]
async fn condition_that_throws_or_is_missing_skips_the_handler() {
    let (_server, worker) = start().await;
    drop(worker.serve("condition", |data| if data["event"]["data"] == 1 { failure("boom") } else { Answer::Absent }));
    let mut calls = worker.record("seen");
    worker.trigger("throws", "stream", "seen", json!({"stream_name": "s", "condition_function_id": "condition"}));
    worker.trigger("missing", "stream", "seen", json!({"stream_name": "s", "condition_function_id": "nobody::serves"}));
    worker.set("s", "g", "i", json!(1)).await;
    worker.set("s", "g", "i", json!(2)).await;
    worker.trigger("end", "stream", "seen", json!({"stream_name": "end"}));
    assert_eq!(values(&mut calls, 1).await, [2]);
    worker.set("end", "g", "i", json!("end")).await;
    assert_eq!(values(&mut calls, 1).await, ["end"]);
}

#[tokio::test]
async fn trigger_sees_exactly_the_changes_after_its_registration() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    // Not waited for: the order on the socket decides.
    worker.void("stream::set", write("s", "g", "i", json!("before")));
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    worker.void("stream::set", write("s", "g", "i", json!("after")));
    assert_eq!(change(&calls.next().await), ("g".into(), "i".into(), "update".into(), json!("after")));
}

#[tokio::test]
async fn trigger_that_is_unregistered_sees_exactly_the_changes_before() {
    let (_server, worker) = start().await;
    let mut first = worker.record("first");
    let mut second = worker.record("second");
    worker.trigger("1", "stream", "first", json!({"stream_name": "s"}));
    worker.trigger("2", "stream", "second", json!({"stream_name": "s"}));
    worker.void("stream::set", write("s", "g", "i", json!(1)));
    worker.void("stream::set", write("s", "g", "i", json!(2)));
    assert_eq!(values(&mut first, 2).await, [1, 2]);
    worker.send(&json!({"type": "unregistertrigger", "id": "1", "trigger_type": "stream"}));
    worker.void("stream::set", write("s", "g", "i", json!(3)));
    assert_eq!(values(&mut second, 3).await, [1, 2, 3]);
    assert!(first.is_empty());
    worker.send(&json!({"type": "unregistertrigger", "id": "2"}));
    worker.trigger("3", "stream", "first", json!({"stream_name": "s"}));
    worker.void("stream::set", write("s", "g", "i", json!(4)));
    assert_eq!(values(&mut first, 1).await, [4]);
    assert!(second.is_empty());
}

#[tokio::test]
async fn repeated_registration_fires_once() {
    let (_server, worker) = start().await;
    let mut calls = worker.record("seen");
    for _ in 0..3 {
        drop(worker.serve("other", |_| json!(null)));
        worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    }
    for n in 0..3 {
        worker.set("s", "g", "i", json!(n)).await;
    }
    assert_eq!(values(&mut calls, 3).await, [0, 1, 2]);
}

#[tokio::test]
async fn registration_with_the_same_id_replaces_the_trigger() {
    let (_server, worker) = start().await;
    let (mut old, mut new) = (worker.record("old"), worker.record("new"));
    worker.trigger("t", "stream", "old", json!({"stream_name": "s"}));
    worker.void("stream::set", write("s", "g", "i", json!(1)));
    assert_eq!(values(&mut old, 1).await, [1]);
    worker.trigger("t", "stream", "new", json!({"stream_name": "s", "item_id": "j"}));
    worker.void("stream::set", write("s", "g", "i", json!(2)));
    worker.void("stream::set", write("s", "g", "j", json!(3)));
    assert_eq!(values(&mut new, 1).await, [3]);
    assert!(old.is_empty());
    let listed = worker.result("engine::registered-triggers::list", json!({})).await;
    assert_eq!(listed["registered_triggers"].as_array().unwrap().len(), 1, "{listed}");
}

#[tokio::test]
async fn trigger_ends_with_its_worker() {
    let (server, worker) = start().await;
    let other = Worker::open(&server).await;
    let mut calls = worker.record("seen");
    other.trigger("of the other", "stream", "seen", json!({"stream_name": "s"}));
    worker.trigger("own", "stream", "seen", json!({"stream_name": "s", "item_id": "end"}));
    other.settle().await;
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(values(&mut calls, 1).await, [1]);
    other.disconnect().await;
    server.logged("worker disconnected").await;
    worker.set("s", "g", "i", json!(2)).await;
    worker.set("s", "g", "end", json!(3)).await;
    assert_eq!(values(&mut calls, 1).await, [3]);
}

#[tokio::test]
async fn invalid_config_is_answered_and_the_connection_goes_on() {
    let (_server, mut worker) = start().await;
    let configs = [
        json!({}),
        json!(null),
        json!("s"),
        json!(7),
        json!([{"stream_name": "s"}]),
        json!({"stream_name": 1}),
        json!({"stream_name": ""}),
        json!({"stream_name": null}),
        json!({"stream_name": "s", "group_id": []}),
        json!({"stream_name": "s", "item_id": 5}),
        json!({"stream_name": "s", "condition_function_id": true}),
    ];
    for config in configs {
        worker.trigger("t", "stream", "seen", config.clone());
        let mut answer = worker.next().await;
        let error = answer.as_object_mut().unwrap().remove("error").unwrap();
        assert_eq!(
            answer,
            json!({"type": "triggerregistrationresult", "id": "t", "trigger_type": "stream", "function_id": "seen"}),
            "{config}"
        );
        assert_eq!(error["code"], "trigger_registration_failed", "{config}");
        assert!(error["message"].is_string() && error.get("stacktrace").is_none(), "{error}");
    }
    let listed = worker.result("engine::registered-triggers::list", json!({})).await;
    assert_eq!(listed["registered_triggers"], json!([]));
}

#[tokio::test]
async fn absent_config_is_an_empty_one() {
    let (_server, mut worker) = start().await;
    worker.send(&json!({"type": "registertrigger", "id": "s", "trigger_type": "stream", "function_id": "f"}));
    assert_eq!(worker.next().await["error"]["code"], "trigger_registration_failed");
    for trigger_type in ["stream:join", "stream:leave"] {
        worker.send(&json!({"type": "registertrigger", "id": trigger_type, "trigger_type": trigger_type, "function_id": "f"}));
        worker.trigger("null", trigger_type, "f", json!(null));
    }
    worker.nothing_came().await;
    let listed = worker.result("engine::registered-triggers::list", json!({})).await;
    assert_eq!(listed["registered_triggers"].as_array().unwrap().len(), 3, "{listed}");
}

#[tokio::test]
async fn valid_registration_is_not_answered() {
    let (_server, mut worker) = start().await;
    worker.trigger("t", "stream", "not::registered::yet", json!({"stream_name": "s"}));
    worker.nothing_came().await;
    let mut calls = worker.record("not::registered::yet");
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(values(&mut calls, 1).await, [1]);
}

#[tokio::test]
async fn trigger_may_write_to_its_own_stream() {
    let (server, worker) = start().await;
    let other = Worker::open(&server).await;
    let mut calls = worker.hold("double");
    worker.trigger("t", "stream", "double", json!({"stream_name": "s", "group_id": "in"}));
    let mut seen = other.record("seen");
    other.trigger("o", "stream", "seen", json!({"stream_name": "s", "group_id": "out"}));
    other.settle().await;
    worker.void("stream::set", write("s", "in", "i", json!(21)));
    let call = calls.next().await;
    let doubled = call.data["event"]["data"].as_u64().unwrap() * 2;
    worker.set("s", "out", "i", json!(doubled)).await;
    worker.answer(&call, json!(null));
    assert_eq!(values(&mut seen, 1).await, [42]);
}
