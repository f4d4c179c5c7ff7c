//! Who serves a function: registration, replacement, and what is left when a connection ends.

use serde_json::json;
use uuid::Uuid;

use crate::calls::{cleared, start};
use crate::server::Server;
use crate::worker::{Calls, Worker, key};

#[tokio::test]
async fn function_that_is_unregistered_is_not_found() {
    let (_server, callee, caller) = start().await;
    drop(callee.record("f"));
    callee.settle().await;
    caller.result("f", json!({})).await;
    callee.unregister("f");
    callee.settle().await;
    assert_eq!(caller.error("f", json!({})).await.0, "function_not_found");
}

#[tokio::test]
async fn newest_owner_serves_and_the_older_serves_again_after_it() {
    let (server, old, caller) = start().await;
    drop(old.serve("f", |_| json!("old")));
    old.settle().await;
    let new = Worker::open(&server).await;
    drop(new.serve("f", |_| json!("new")));
    new.settle().await;
    assert_eq!(caller.result("f", json!({})).await, "new");
    let id = new.id.clone();
    new.disconnect().await;
    cleared(&caller, &id).await;
    assert_eq!(caller.result("f", json!({})).await, "old");
}

#[tokio::test]
async fn unregistering_by_one_owner_leaves_the_other() {
    let (server, old, caller) = start().await;
    let new = Worker::open(&server).await;
    drop(old.serve("f", |_| json!("old")));
    old.settle().await;
    drop(new.serve("f", |_| json!("new")));
    new.settle().await;
    old.unregister("f");
    old.settle().await;
    assert_eq!(caller.result("f", json!({})).await, "new");
    drop(old.serve("f", |_| json!("old")));
    old.settle().await;
    assert_eq!(caller.result("f", json!({})).await, "old", "the newest registration");
    old.unregister("f");
    old.settle().await;
    assert_eq!(caller.result("f", json!({})).await, "new");
}

#[tokio::test]
async fn unregistering_what_another_worker_owns_does_nothing() {
    let (_server, callee, caller) = start().await;
    let mut calls = callee.serve("f", |_| json!(1));
    callee.trigger("t", "stream", "f", json!({"stream_name": "s"}));
    callee.settle().await;
    caller.unregister("f");
    caller.send(&json!({"type": "unregistertrigger", "id": "t", "trigger_type": "stream"}));
    assert_eq!(caller.result("f", json!({})).await, 1);
    calls.next().await;
    caller.set("s", "g", "i", json!(2)).await;
    assert_eq!(calls.data().await["event"]["data"], 2);
}

#[tokio::test]
async fn late_end_of_an_old_connection_removes_nothing_of_the_new_one() {
    let (server, old, caller) = start().await;
    let old_calls = old.serve("f", |_| json!("old"));
    old.trigger("t", "stream", "f", json!({"stream_name": "s"}));
    old.settle().await;
    // The same registrations as an SDK repeats them, while the server still takes the old connection for alive.
    let new = Worker::open(&server).await;
    let mut calls = new.serve("f", |_| json!("new"));
    new.trigger("t", "stream", "f", json!({"stream_name": "s"}));
    new.settle().await;
    let id = old.id.clone();
    old.disconnect().await;
    cleared(&caller, &id).await;
    assert_eq!(caller.result("f", json!("call")).await, "new");
    assert_eq!(calls.data().await, "call");
    for n in 0..2 {
        caller.set("s", "g", "i", json!(n)).await;
        assert_eq!(calls.data().await["event"]["data"], n, "once each");
    }
    assert!(old_calls.is_empty());
}

#[tokio::test]
async fn reattach_with_the_token_evicts_the_old_connection() {
    let (server, old, caller) = start().await;
    drop(old.serve("f", |_| json!("old")));
    old.settle().await;
    let (id, token) = (old.id.clone(), old.token.clone());
    let new = Worker::open(&server).await;
    new.send(&json!({"type": "reattach", "previous_worker_id": id, "reattach_token": token}));
    drop(new.serve("g", |_| json!("new")));
    assert_eq!(new.result("g", json!({})).await, "new", "what follows the reattach is handled");
    // Python up to 0.24.3 takes 1000 and 1001 for the end.
    assert!(!matches!(old.ended().await, Some(1000 | 1001)));
    assert_eq!(caller.error("f", json!({})).await.0, "function_not_found");
    let listed = caller.result("engine::workers::list", json!({})).await;
    assert!(listed["workers"].as_array().unwrap().iter().all(|worker| worker["id"] != id), "{listed}");
}

#[tokio::test]
async fn reattach_without_the_right_token_does_nothing() {
    let (server, old, caller) = start().await;
    drop(old.serve("f", |_| json!("old")));
    old.settle().await;
    let mut new = Worker::open(&server).await;
    new.send(&json!({"type": "reattach", "previous_worker_id": old.id, "reattach_token": "wrong"}));
    new.send(&json!({"type": "reattach", "previous_worker_id": old.id, "reattach_token": new.token}));
    new.send(&json!({"type": "reattach", "previous_worker_id": old.id, "reattach_token": ""}));
    new.send(&json!({"type": "reattach", "previous_worker_id": old.id}));
    new.send(&json!({"type": "reattach", "previous_worker_id": Uuid::new_v4().to_string(), "reattach_token": old.token}));
    new.send(&json!({"type": "reattach", "previous_worker_id": new.id, "reattach_token": new.token}));
    new.nothing_came().await;
    assert_eq!(caller.result("f", json!({})).await, "old");
}

#[tokio::test]
async fn built_in_functions_cannot_be_replaced() {
    let (_server, callee, caller) = start().await;
    let ids = ["stream::set", "stream::get", "stream::update", "stream::list_all", "engine::workers::list", "engine::mine"];
    let calls: Vec<_> = ids.iter().map(|id| callee.serve(id, |_| json!("replaced"))).collect();
    callee.settle().await;
    assert_eq!(caller.set("s", "g", "i", json!(1)).await, json!({"old_value": null, "new_value": 1}));
    assert_eq!(caller.result("stream::get", key("s", "g", "i")).await, 1);
    assert_eq!(caller.result("stream::list_all", json!({})).await["count"], 1);
    assert!(caller.result("engine::workers::list", json!({})).await["workers"].is_array());
    assert_eq!(caller.error("engine::mine", json!({})).await.0, "function_not_found");
    assert!(calls.iter().all(Calls::is_empty));
    let listed = caller.result("engine::functions::list", json!({"include_internal": true})).await;
    let rows = listed["functions"].as_array().unwrap();
    for id in ids {
        let owners: Vec<_> = rows.iter().filter(|row| row["function_id"] == id).map(|row| row["worker_name"].as_str()).collect();
        assert_eq!(owners, vec![Some("weir"); usize::from(id != "engine::mine")], "{id}");
    }
}

#[tokio::test]
async fn function_with_an_http_address_is_not_invokable() {
    let (_server, callee, caller) = start().await;
    callee.send(&json!({"type": "registerfunction", "id": "f", "invocation": {"url": "http://127.0.0.1:9/"}}));
    callee.settle().await;
    assert_eq!(caller.error("f", json!({})).await.0, "function_not_invokable");
}

#[tokio::test]
async fn functions_over_the_limit_are_not_registered() {
    let server = Server::configured(json!({}), json!({"max_functions": 2}));
    let worker = Worker::open(&server).await;
    for id in ["a", "b", "c"] {
        drop(worker.serve(id, |_| json!(1)));
    }
    worker.result("b", json!({})).await;
    assert_eq!(worker.error("c", json!({})).await.0, "function_not_found");
}
