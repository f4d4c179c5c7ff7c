//! Trigger types that workers provide: a binding waits for its provider, and provider and consumer learn of each other's end.

use serde_json::{Value, json};

use crate::server::{Server, until};
use crate::worker::Worker;

/// A server with a worker that provides and one that consumes.
async fn start() -> (Server, Worker, Worker) {
    let server = Server::start();
    let (provider, consumer) = (Worker::open(&server).await, Worker::open(&server).await);
    (server, provider, consumer)
}

fn provide(worker: &Worker, id: &str) {
    worker.send(&json!({"type": "registertriggertype", "id": id, "description": "fires by hand"}));
}

/// What a provider is told of a binding.
fn binding(id: &str) -> Value {
    json!({"type": "registertrigger", "id": id, "trigger_type": "hook", "function_id": "hooks::run", "config": {"path": id}})
}

fn bind(worker: &Worker, id: &str) {
    worker.trigger(id, "hook", "hooks::run", json!({"path": id}));
}

/// The ids of all triggers.
async fn listed(worker: &Worker) -> Vec<String> {
    let list = worker.result("engine::registered-triggers::list", json!({})).await;
    list["registered_triggers"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn binding_reaches_the_provider_of_its_type() {
    let (_server, mut provider, consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    bind(&consumer, "a");
    assert_eq!(provider.next().await, binding("a"));
}

#[tokio::test]
async fn binding_before_its_type_waits_unanswered_and_listed() {
    let (_server, mut provider, mut consumer) = start().await;
    bind(&consumer, "a");
    bind(&consumer, "b");
    consumer.nothing_came().await;
    assert_eq!(listed(&consumer).await, ["a", "b"]);
    provide(&provider, "hook");
    assert_eq!((provider.next().await, provider.next().await), (binding("a"), binding("b")));
    provide(&provider, "hook");
    bind(&consumer, "a");
    consumer.settle().await;
    provider.nothing_came().await;
}

#[tokio::test]
async fn metadata_of_a_binding_reaches_the_provider() {
    let (_server, mut provider, consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    let mut message = binding("a");
    message["metadata"] = json!({"m": 1});
    consumer.send(&message);
    assert_eq!(provider.next().await, message);
}

#[tokio::test]
async fn binding_goes_to_the_next_provider_with_the_same_id() {
    let (server, provider, consumer) = start().await;
    provide(&provider, "hook");
    bind(&consumer, "a");
    consumer.settle().await;
    provider.disconnect().await;
    server.logged("worker disconnected").await;
    assert_eq!(listed(&consumer).await, ["a"]);
    let mut next = Worker::open(&server).await;
    provide(&next, "hook");
    assert_eq!(next.next().await, binding("a"));
    next.nothing_came().await;
}

/// Waits until the type `hook` is there with that description; a provider is given some time before it is told of bindings.
async fn type_is_listed(worker: &Worker, description: &str) {
    until("the trigger type", async || {
        let list = worker.result("engine::triggers::list", json!({})).await;
        list["triggers"].as_array().unwrap().iter().any(|row| row["id"] == "hook" && row["description"] == description)
    })
    .await;
}

#[tokio::test]
async fn older_provider_takes_over_when_the_newest_goes() {
    let (server, mut old, consumer) = start().await;
    provide(&old, "hook");
    type_is_listed(&consumer, "fires by hand").await;
    let mut new = Worker::open(&server).await;
    new.send(&json!({"type": "registertriggertype", "id": "hook", "description": "newer"}));
    type_is_listed(&consumer, "newer").await;
    bind(&consumer, "a");
    assert_eq!(new.next().await, binding("a"));
    old.nothing_came().await;
    new.disconnect().await;
    assert_eq!(old.next().await, binding("a"));
}

#[tokio::test]
async fn provider_is_told_once_when_a_binding_ends() {
    let (_server, mut provider, consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    for id in ["a", "b"] {
        bind(&consumer, id);
        assert_eq!(provider.next().await, binding(id));
    }
    consumer.send(&json!({"type": "unregistertrigger", "id": "a"}));
    assert_eq!(provider.next().await, json!({"type": "unregistertrigger", "id": "a", "trigger_type": "hook"}));
    consumer.disconnect().await;
    assert_eq!(provider.next().await, json!({"type": "unregistertrigger", "id": "b", "trigger_type": "hook"}));
    provider.nothing_came().await;
}

#[tokio::test]
async fn changed_binding_is_unbound_and_bound_anew() {
    let (_server, mut provider, consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    bind(&consumer, "a");
    assert_eq!(provider.next().await, binding("a"));
    consumer.trigger("a", "hook", "hooks::run", json!({"path": "changed"}));
    assert_eq!(provider.next().await["type"], "unregistertrigger");
    assert_eq!(provider.next().await["config"], json!({"path": "changed"}));
}

#[tokio::test]
async fn withdrawn_type_leaves_its_bindings_waiting() {
    let (_server, mut provider, consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    bind(&consumer, "a");
    assert_eq!(provider.next().await, binding("a"));
    provider.send(&json!({"type": "unregistertriggertype", "id": "hook", "description": "as Node leaks it"}));
    provider.settle().await;
    bind(&consumer, "b");
    consumer.settle().await;
    provider.nothing_came().await;
    provide(&provider, "hook");
    assert_eq!((provider.next().await, provider.next().await), (binding("a"), binding("b")));
}

#[tokio::test]
async fn refusal_of_the_provider_ends_the_binding_and_is_passed_on() {
    let (_server, mut provider, mut consumer) = start().await;
    provide(&provider, "hook");
    provider.settle().await;
    for id in ["a", "b"] {
        bind(&consumer, id);
        assert_eq!(provider.next().await, binding(id));
    }
    let answer = |id: &str| json!({"type": "triggerregistrationresult", "id": id, "trigger_type": "hook", "function_id": "hooks::run"});
    provider.send(&answer("b"));
    let mut refusal = answer("a");
    refusal["error"] = json!({"code": "trigger_registration_failed", "message": "path taken", "stacktrace": "at …"});
    refusal["message_type"] = json!("as Node leaks it");
    provider.send(&refusal);
    let told = consumer.next().await;
    refusal.as_object_mut().unwrap().remove("message_type");
    assert_eq!(told, refusal);
    assert_eq!(listed(&consumer).await, ["b"]);
    consumer.nothing_came().await;
}

#[tokio::test]
async fn refusal_from_a_worker_that_does_not_provide_the_type_does_nothing() {
    let (server, provider, mut consumer) = start().await;
    let other = Worker::open(&server).await;
    provide(&provider, "hook");
    provide(&other, "another");
    provider.settle().await;
    bind(&consumer, "a");
    consumer.settle().await;
    for worker in [&other, &provider] {
        worker.send(&json!({"type": "triggerregistrationresult", "id": "unknown", "trigger_type": "hook", "function_id": "hooks::run",
                            "error": {"code": "x", "message": "y"}}));
    }
    other.send(&json!({"type": "triggerregistrationresult", "id": "a", "trigger_type": "hook", "function_id": "hooks::run",
                       "error": {"code": "x", "message": "y"}}));
    other.settle().await;
    provider.settle().await;
    assert_eq!(listed(&consumer).await, ["a"]);
    consumer.nothing_came().await;
}

#[tokio::test]
async fn provider_fires_a_binding_by_calling_its_function() {
    let (_server, mut provider, consumer) = start().await;
    let mut calls = consumer.serve("hooks::run", |_| json!("ran"));
    bind(&consumer, "a");
    provide(&provider, "hook");
    let bound = provider.next().await;
    assert_eq!(provider.result(bound["function_id"].as_str().unwrap(), json!({"body": 1})).await, "ran");
    assert_eq!(calls.data().await, json!({"body": 1}));
}

#[tokio::test]
async fn built_in_types_cannot_be_provided() {
    let (_server, mut provider, consumer) = start().await;
    for id in ["stream", "stream:join", "stream:leave", "engine::workers-available", "engine::functions-available"] {
        provide(&provider, id);
    }
    provider.settle().await;
    let mut calls = consumer.record("seen");
    consumer.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    consumer.set("s", "g", "i", json!(1)).await;
    assert_eq!(calls.data().await["event"]["data"], 1);
    provider.nothing_came().await;
}

#[tokio::test]
async fn types_are_listed_beside_the_triggers() {
    let (_server, provider, consumer) = start().await;
    provide(&provider, "hook");
    type_is_listed(&consumer, "fires by hand").await;
    bind(&consumer, "a");
    let list = consumer.result("engine::triggers::list", json!({})).await;
    let rows = list["triggers"].as_array().unwrap();
    let row = |id: &str| rows.iter().find(|row| row["id"] == id).unwrap_or_else(|| panic!("no {id}: {list}"));
    assert_eq!(row("hook")["description"], "fires by hand");
    assert_eq!(
        (&row("a")["function_id"], &row("a")["trigger_type"], &row("a")["config"]),
        (&json!("hooks::run"), &json!("hook"), &json!({"path": "a"}))
    );
    assert!(row("stream")["description"].is_string());
}
