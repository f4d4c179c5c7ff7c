//! The backends that are checked, and how each is started.

use std::any::Any;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use super::text;
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use crate::worker::Worker;

/// What a backend makes of values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keeps {
    /// The text of a value comes back digit for digit. Otherwise numbers are doubles, and the order of keys is the backend's.
    pub(crate) text: bool,
    /// An item that holds `null` is there: for `update`, and for those who are told of changes. `get` and `list` tell it apart in any case.
    pub(crate) null: bool,
}

/// A backend that holds nothing, behind one server or two.
pub(crate) struct Subject {
    writer: Server,
    /// `None` where it is the writer.
    watcher: Option<Server>,
    pub(crate) keeps: Keeps,
    /// What keeps the items, where that is not the server: ends when this is dropped.
    _backend: Box<dyn Any>,
}

impl Subject {
    /// `KvStore` with these keys.
    pub(crate) fn kv_store(config: Value) -> Self {
        let mut adapter = json!({"class": "modules::stream::adapters::KvStore"});
        adapter["config"] = config;
        let writer = Server::with(json!({"adapter": adapter}));
        Self { writer, watcher: None, keeps: Keeps { text: true, null: true }, _backend: Box::new(()) }
    }

    /// `RedisAdapter` on a Redis of its own, with a second node where the watchers are, or without.
    pub(crate) fn redis(second: bool) -> Self {
        let redis = RedisServer::start(&[]);
        let node = || Server::with(json!({"adapter": redis.adapter()}));
        let (writer, watcher) = (node(), second.then(node));
        Self { writer, watcher, keeps: Keeps { text: true, null: true }, _backend: Box::new(redis) }
    }

    /// An adapter of functions, served by the Node worker that the README prints.
    pub(crate) async fn node_worker() -> Self {
        let writer = Server::with(json!({"adapter": {"class": "my::store"}}));
        let backend = Command::new("node")
            .arg(node_worker())
            .env("WEIR_WORKERS", format!("ws://{}", writer.workers()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node; run `make deps`");
        let worker = Worker::open(&writer).await;
        until("function of the Node worker (run `make deps` if its packages are not there)", async || {
            let listed = worker.result("engine::functions::list", json!({})).await;
            let serves = |name: &str| listed["functions"].as_array().unwrap().iter().any(|row| row["function_id"] == name);
            ["set", "get", "delete", "list", "list_groups", "list_all"].iter().all(|name| serves(&format!("my::store::{name}")))
        })
        .await;
        Self { writer, watcher: None, keeps: Keeps { text: false, null: false }, _backend: Box::new(backend) }
    }

    /// The server that most calls are made to.
    pub(crate) fn writer(&self) -> &Server {
        &self.writer
    }

    /// The server that subscribers and triggers are at, and the second of two workers.
    pub(crate) fn watcher(&self) -> &Server {
        self.watcher.as_ref().unwrap_or(&self.writer)
    }

    /// A worker that calls.
    pub(crate) async fn worker(&self) -> Worker {
        Worker::open(self.writer()).await
    }

    /// A worker at the watcher.
    pub(crate) async fn other(&self) -> Worker {
        Worker::open(self.watcher()).await
    }

    /// Checks that a value, as JSON text, came back as far as the backend keeps it.
    #[track_caller]
    pub(crate) fn assert_kept(&self, got: &str, expected: &str) {
        if self.keeps.text {
            assert!(got == expected, "got {}, expected {}", text::short(got), text::short(expected));
        } else {
            assert!(text::same(got, expected), "got {}, expected the value of {}", text::short(got), text::short(expected));
        }
    }
}

fn node_worker() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk/node/store.mjs")
}

#[test]
fn readme_prints_the_node_worker_that_is_checked() {
    let worker = fs::read_to_string(node_worker()).unwrap().replace("'iii-sdk-0.22.1'", "'iii-sdk'");
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.contains(&format!("```js\n{worker}```\n")), "README.md prints another worker than tests/sdk/node/store.mjs");
    assert!(worker.lines().count() <= 40, "it is meant to be short");
}
