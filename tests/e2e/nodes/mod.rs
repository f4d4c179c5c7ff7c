//! Several servers on one Redis: one order everywhere, and what becomes of it when links, Redis, or its data go away.
//!
//! `writer`, `watcher` and `story` are what the tests are made of: writers remember what they were told of each call, watchers what they
//! have seen, and a story holds both against the store. `namespace` has networks that can be cut. Every other file is one subject.

pub(crate) mod namespace;
mod story;
mod watcher;
mod writer;

mod away;
mod cluster;
mod cut;
mod data;
mod kills;
mod registered;
mod resync;
mod start;
mod tls;
mod together;

use serde_json::{Value, json};

use crate::raw::ready;
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use story::Story;
use watcher::Watcher;
use writer::{Pace, Writers};

/// The stream of all groups.
const STREAM: &str = "s";

/// So many servers on that Redis.
fn nodes(redis: &RedisServer, count: usize) -> Vec<Server> {
    (0..count).map(|_| Server::node(&redis.adapter())).collect()
}

/// The adapter's keys with others beside.
fn with(mut adapter: Value, keys: &Value) -> Value {
    for (key, value) in keys.as_object().unwrap() {
        adapter["config"][key] = value.clone();
    }
    adapter
}

/// Names of groups.
fn groups(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("g{n}")).collect()
}

/// Waits until all servers say that they can do their work.
async fn all_ready(nodes: &[Server]) {
    until("readiness of all nodes", async || {
        for node in nodes {
            if ready(node).await != (200, json!({"ready": true, "reasons": []})) {
                return false;
            }
        }
        true
    })
    .await;
}

/// Watchers of every kind at all nodes, and writers at all nodes.
async fn begin(nodes: &[Server], groups: &[String], writers: usize, pace: Pace) -> (Vec<Watcher>, Writers) {
    let mut watchers = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for group in groups {
            watchers.push(Watcher::group(node, n, group).await);
            watchers.push(Watcher::items(node, n, group).await);
        }
        watchers.push(Watcher::trigger(node, n, groups.len()).await);
    }
    let addresses = (0..writers).map(|n| nodes[n % nodes.len()].workers().to_owned()).collect();
    (watchers, Writers::start(addresses, groups, pace).await)
}

/// Has the writers stop, and holds what all have seen against what they were told and against the store.
async fn end(nodes: &[Server], groups: &[String], watchers: Vec<Watcher>, writers: Writers) -> Story {
    let written = writers.stop().await;
    all_ready(nodes).await;
    Story::gather(nodes, groups, watchers, written).await
}
