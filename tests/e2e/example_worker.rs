//! `examples/worker`, a worker in Rust with the published SDK, does what its head says.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;

use crate::sdk;
use crate::server::{Server, within};
use crate::subscriber::Subscriber;
use crate::worker::Worker;

#[tokio::test]
async fn lists_are_counted_whoever_changes_them() {
    let binary = sdk::built("weir-example-worker");
    assert!(binary.exists(), "{} is not there; run `make deps`", binary.display());
    let server = Server::start();
    let (mut counts, _) = Subscriber::of(&server, "todo-counts", "all").await;
    let mut command = Command::new(binary);
    command.env("WEIR_WORKERS", format!("ws://{}", server.workers())).stdout(Stdio::null()).kill_on_drop(true);
    let _example = command.spawn().unwrap();
    let worker = Worker::open(&server).await;
    let registered =
        async { while worker.result("engine::registered-triggers::list", json!({})).await["registered_triggers"] == json!([]) {} };
    within("the trigger of the example", registered).await;
    worker.set("todo", "today", "milk", json!({"id": "milk", "done": false})).await;
    assert_eq!(counts.next_event().await["data"], json!({"id": "today", "open": 1, "done": 0}));
    worker.set("todo", "today", "milk", json!({"id": "milk", "done": true})).await;
    assert_eq!(counts.next_event().await["data"], json!({"id": "today", "open": 0, "done": 1}));
}
