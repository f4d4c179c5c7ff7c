//! Workers calling workers: what passes through a call, and how calls end when somebody goes or takes too long.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use crate::raw::{Raw, TEXT};
use crate::server::{Server, until};
use crate::worker::{Answer, Worker, failure};

/// A server with a worker that serves and one that calls.
pub(crate) async fn start() -> (Server, Worker, Worker) {
    let server = Server::start();
    let (callee, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    (server, callee, caller)
}

/// Waits until the server has cleared away the connection `id`, as seen by `worker`.
pub(crate) async fn cleared(worker: &Worker, id: &str) {
    until("end of the old connection", async || {
        worker.result("engine::workers::list", json!({"worker_id": id})).await["workers"].as_array().unwrap().is_empty()
    })
    .await;
}

#[tokio::test]
async fn call_reaches_the_function_of_another_worker_and_its_answer_comes_back() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.serve("orders::total", |data| json!({"sum": data["ids"].as_array().unwrap().len()}));
    callee.settle().await;
    let reply = caller.reply(&json!({"function_id": "orders::total", "data": {"ids": [1, 2]}})).await;
    assert_eq!(reply, json!({"function_id": "orders::total", "result": {"sum": 2}}));
    let call = calls.next().await;
    let id = call.frame["invocation_id"].as_str().unwrap();
    assert_eq!(Uuid::parse_str(id).unwrap().hyphenated().to_string(), id, "Rust and Go read it as a UUID");
    // Nothing but the data of the caller: `_caller_worker_id` is for `engine::*`.
    assert_eq!(call.frame, json!({"type": "invokefunction", "invocation_id": id, "function_id": "orders::total", "data": {"ids": [1, 2]}}));
}

#[tokio::test]
async fn data_of_every_kind_passes_through_unchanged() {
    let (_server, callee, caller) = start().await;
    drop(callee.serve("echo", Value::clone));
    callee.settle().await;
    let texts = ["null", "0", r#""x""#, "[]", "{}", r#"{"z":123456789012345678901234567890,"a":1.10}"#, r#"{"_caller_worker_id":"mine"}"#];
    for text in texts.iter().filter(|text| !text.contains("1234")) {
        assert_eq!(caller.result("echo", serde_json::from_str(text).unwrap()).await, serde_json::from_str::<Value>(text).unwrap());
    }
    // Answered by hand and looked at as text: this client's parser would round the numbers.
    let mut raw = Raw::open(_server.workers(), "/").await;
    raw.json().await;
    raw.frame(TEXT, br#"{"type":"registerfunction","id":"raw"}"#).await;
    raw.frame(TEXT, br#"{"type":"ping"}"#).await;
    assert_eq!(raw.json().await, json!({"type": "pong"}));
    caller.send_message(Message::text(format!(r#"{{"type":"invokefunction","function_id":"raw","data":{}}}"#, texts[5])));
    let Some((TEXT, call)) = raw.next().await else { panic!("expected a call") };
    assert!(String::from_utf8(call).unwrap().contains(&format!("\"data\":{}", texts[5])));
}

#[tokio::test]
async fn absent_data_reaches_the_function_as_null() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.serve("f", |_| json!(1));
    callee.settle().await;
    caller.reply(&json!({"function_id": "f"})).await;
    let frame = calls.next().await.frame;
    assert_eq!(frame.get("data"), Some(&json!(null)), "Rust needs the key");
}

#[tokio::test]
async fn null_result_and_no_result_stay_apart() {
    let (_server, callee, caller) = start().await;
    drop(callee.serve("f", |data| if data == "null" { json!(null).into() } else { Answer::Absent }));
    callee.settle().await;
    assert_eq!(caller.call("f", json!("null")).await, Ok(Some(json!(null))));
    assert_eq!(caller.call("f", json!("absent")).await, Ok(None));
}

#[tokio::test]
async fn error_of_a_function_passes_through() {
    let (_server, callee, caller) = start().await;
    let errors =
        [json!({"code": "invocation_failed", "message": "no such order", "stacktrace": "at …"}), json!({"code": "MY_CODE", "message": ""})];
    for error in errors {
        let answered = error.clone();
        drop(callee.serve("f", move |_| Answer::Error(answered.clone())));
        callee.settle().await;
        assert_eq!(caller.call("f", json!({})).await, Err(error));
    }
    let answered = json!({"code": "c", "message": "m", "stacktrace": null});
    drop(callee.serve("f", move |_| Answer::Error(answered.clone())));
    callee.settle().await;
    // A null stack makes an error unreadable to Node.
    assert_eq!(caller.call("f", json!({})).await, Err(json!({"code": "c", "message": "m"})));
}

#[tokio::test]
async fn error_that_is_no_error_body_is_still_an_error() {
    let (_server, callee, caller) = start().await;
    for error in [json!("boom"), json!({}), json!([1]), json!({"code": 5})] {
        let answered = error.clone();
        drop(callee.serve("f", move |_| Answer::Error(answered.clone())));
        callee.settle().await;
        let (code, message) = caller.error("f", json!({})).await;
        assert!(!code.is_empty() && !message.is_empty(), "{error}");
    }
}

#[tokio::test]
async fn null_error_beside_a_result_is_success() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let answer = async {
        let id = calls.next().await.frame["invocation_id"].clone();
        callee.send(&json!({"type": "invocationresult", "invocation_id": id, "function_id": "f", "result": 1, "error": null}));
    };
    assert_eq!(futures_util::future::join(caller.call("f", json!({})), answer).await.0, Ok(Some(json!(1))));
}

#[tokio::test]
async fn trace_and_metadata_pass_to_the_function_and_the_trace_comes_back() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let call = json!({"function_id": "f", "data": 1, "traceparent": "00-aa-bb-01", "baggage": "k=v", "metadata": {"m": [1]}});
    let answer = async {
        let frame = calls.next().await.frame;
        assert_eq!(
            (&frame["traceparent"], &frame["baggage"], &frame["metadata"]),
            (&call["traceparent"], &call["baggage"], &call["metadata"])
        );
        callee.send(&json!({"type": "invocationresult", "invocation_id": frame["invocation_id"], "function_id": "f", "result": 2,
                            "traceparent": "00-cc-dd-01", "baggage": "x=y"}));
        let frame = calls.next().await.frame;
        callee.send(&json!({"type": "invocationresult", "invocation_id": frame["invocation_id"], "function_id": "f", "result": 3}));
    };
    let replies = async {
        let first = caller.reply(&call).await;
        assert_eq!(first, json!({"function_id": "f", "result": 2, "traceparent": "00-cc-dd-01", "baggage": "x=y"}));
        let second = caller.reply(&call).await;
        assert_eq!(second, json!({"function_id": "f", "result": 3, "traceparent": "00-aa-bb-01", "baggage": "k=v"}));
    };
    futures_util::future::join(answer, replies).await;
}

#[tokio::test]
async fn void_call_reaches_the_function_with_an_id_of_its_own() {
    let (_server, callee, mut caller) = start().await;
    let mut calls = callee.serve("f", |_| failure("nobody is told"));
    callee.settle().await;
    caller.void("f", json!({"m": "x"}));
    let call = calls.next().await;
    assert_eq!(call.data, json!({"m": "x"}));
    assert!(Uuid::parse_str(call.frame["invocation_id"].as_str().unwrap()).is_ok());
    caller.nothing_came().await;
}

#[tokio::test]
async fn same_invocation_id_of_two_callers_does_not_mix_answers() {
    let (server, callee, _) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let mut callers = [Raw::open(server.workers(), "/").await, Raw::open(server.workers(), "/").await];
    for (n, raw) in callers.iter_mut().enumerate() {
        raw.json().await;
        // Not even a UUID: ids are opaque.
        let call = json!({"type": "invokefunction", "invocation_id": "same", "function_id": "f", "data": n});
        raw.frame(TEXT, call.to_string().as_bytes()).await;
    }
    let (first, second) = (calls.next().await, calls.next().await);
    for call in [second, first] {
        callee.answer(&call, call.data.clone());
    }
    for (n, raw) in callers.iter_mut().enumerate() {
        let reply = raw.json().await;
        assert_eq!((&reply["invocation_id"], &reply["result"]), (&json!("same"), &json!(n)));
    }
}

#[tokio::test]
async fn answers_in_another_order_reach_their_calls() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let answers = async {
        let mut held = Vec::new();
        for _ in 0..20 {
            held.push(calls.next().await);
        }
        for call in held.iter().rev() {
            callee.answer(call, call.data.clone());
        }
    };
    let replies = futures_util::future::join_all((0..20).map(|n| caller.result("f", json!(n))));
    assert_eq!(futures_util::future::join(replies, answers).await.0, (0..20).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn result_nobody_waits_for_is_ignored() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let twice = async {
        let call = calls.next().await;
        callee.answer(&call, json!(1));
        callee.answer(&call, json!(2));
    };
    assert_eq!(futures_util::future::join(caller.result("f", json!({})), twice).await.0, 1);
    callee.send(&json!({"type": "invocationresult", "invocation_id": Uuid::new_v4().to_string(), "function_id": "f", "result": 3}));
    callee.settle().await;
}

#[tokio::test]
async fn result_from_a_worker_that_was_not_called_is_ignored() {
    let (server, callee, caller) = start().await;
    let intruder = Worker::open(&server).await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let answers = async {
        let call = calls.next().await;
        intruder.answer(&call, json!("forged"));
        intruder.settle().await;
        callee.answer(&call, json!("true"));
    };
    assert_eq!(futures_util::future::join(caller.result("f", json!({})), answers).await.0, "true");
}

#[tokio::test]
async fn worker_calls_its_own_function() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    drop(worker.serve("f", |data| json!({"got": data})));
    assert_eq!(worker.result("f", json!(1)).await, json!({"got": 1}));
}

#[tokio::test]
async fn call_to_a_worker_that_goes_away_is_stopped() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let goes = async {
        calls.next().await;
        callee.disconnect().await;
    };
    let (code, _) = futures_util::future::join(caller.error("f", json!({})), goes).await.0;
    assert_eq!(code, "invocation_stopped");
    assert_eq!(caller.error("f", json!({})).await.0, "function_not_found");
}

#[tokio::test]
async fn call_that_is_not_answered_in_time_fails() {
    let server = Server::configured(json!({}), json!({"invocation_timeout_ms": 300}));
    let (callee, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let mut calls = callee.hold("f");
    callee.settle().await;
    let (code, message) = caller.error("f", json!({})).await;
    assert_eq!(code, "invocation_timeout");
    assert!(message.contains("'f'") && message.contains("300"), "{message}");
    // Too late: the next call is not answered by it.
    callee.answer(&calls.next().await, json!("late"));
    callee.settle().await;
    let answer = async {
        callee.answer(&calls.next().await, json!("in time"));
    };
    assert_eq!(futures_util::future::join(caller.result("f", json!({})), answer).await.0, "in time");
}

#[tokio::test]
async fn answer_for_a_caller_that_has_gone_harms_nobody() {
    let (server, callee, caller) = start().await;
    let mut calls = callee.hold("f");
    callee.settle().await;
    let id = caller.id.clone();
    caller.send(&json!({"type": "invokefunction", "invocation_id": Uuid::new_v4().to_string(), "function_id": "f", "data": 1}));
    let call = calls.next().await;
    caller.disconnect().await;
    let other = Worker::open(&server).await;
    cleared(&other, &id).await;
    callee.answer(&call, json!("for nobody"));
    let answer = async {
        callee.answer(&calls.next().await, json!("for somebody"));
    };
    assert_eq!(futures_util::future::join(other.result("f", json!({})), answer).await.0, "for somebody");
}

#[tokio::test]
async fn calls_over_the_limit_in_flight_are_overloaded() {
    let server = Server::configured(json!({}), json!({"max_invocations": 2}));
    let (callee, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let mut calls = callee.hold("f");
    callee.settle().await;
    for _ in 0..2 {
        caller.send(&json!({"type": "invokefunction", "invocation_id": Uuid::new_v4().to_string(), "function_id": "f", "data": 1}));
    }
    let held = [calls.next().await, calls.next().await];
    assert_eq!(caller.error("f", json!({})).await.0, "overloaded");
    callee.answer(&held[0], json!(1));
    callee.settle().await;
    let answer = async { callee.answer(&calls.next().await, json!(2)) };
    assert_eq!(futures_util::future::join(caller.result("f", json!({})), answer).await.0, 2);
}

#[tokio::test]
async fn large_results_arrive_whole() {
    let (_server, callee, caller) = start().await;
    drop(callee.serve("f", |data| json!("x".repeat(usize::try_from(data.as_u64().unwrap()).unwrap()))));
    callee.settle().await;
    for size in [125_u64, 126, 65_535, 65_536, 1 << 20, 15 << 20] {
        assert!(caller.result("f", json!(size)).await.as_str().unwrap().len() as u64 == size);
    }
}
