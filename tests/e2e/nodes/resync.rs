//! Changes that Redis does not have any more: a new `sync` takes their place, one for each subscriber.

use serde_json::{Value, json};

use super::{STREAM, groups, nodes, with};
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group, key, write};

/// More than `history: 8` keeps, and more than Redis keeps beside, which removes old entries by the hundred.
const MANY: usize = 300;

fn timestamp(frame: &Value) -> u64 {
    frame["timestamp"].as_u64().unwrap()
}

/// Makes a group older than the ten seconds in which a new one keeps more.
fn age(redis: &RedisServer, group: &str) {
    assert_eq!(redis.cli(&["HSET", &format!("weir:{{stream:{STREAM}:{group}}}:head"), "born", "0"]), "0");
}

/// The connections that listen.
fn listening(redis: &RedisServer) -> Vec<String> {
    let list = redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]);
    list.lines().map(|line| line.split(' ').next().unwrap().strip_prefix("id=").unwrap().to_owned()).collect()
}

#[tokio::test]
async fn flush_of_redis_gives_everybody_one_sync_and_all_goes_on() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let worker = Worker::open(&nodes[0]).await;
    let mut triggers = Vec::new();
    for node in &nodes {
        let worker = Worker::open(node).await;
        let calls = worker.record("seen");
        worker.trigger("t", "stream", "seen", json!({"stream_name": STREAM}));
        worker.result("stream::list_groups", json!({"stream_name": STREAM})).await;
        worker.result("stream::list", group(STREAM, "g0")).await;
        triggers.push((worker, calls));
    }
    let mut subscribers = Vec::new();
    for group in groups(2) {
        for node in nodes.iter().chain(&nodes) {
            subscribers.push((group.clone(), Subscriber::of(node, STREAM, &group).await.0, 0));
        }
        for n in 0..20 {
            worker.set(STREAM, &group, &format!("i{}", n % 3), json!({"id": n})).await;
        }
    }
    for (_, subscriber, last) in &mut subscribers {
        for _ in 0..20 {
            *last = timestamp(&subscriber.next_frame().await);
        }
    }
    for (_, calls) in &mut triggers {
        for _ in 0..40 {
            calls.next().await;
        }
    }
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    for (group, subscriber, last) in &mut subscribers {
        let sync = subscriber.next_frame().await;
        assert_eq!((&sync["event"], &sync["groupId"]), (&json!({"type": "sync", "data": []}), &json!(group)), "{sync}");
        assert!(timestamp(&sync) > *last, "{sync} after {last}");
        *last = timestamp(&sync);
    }
    for group in groups(2) {
        for (n, word) in ["create", "update", "delete"].iter().enumerate() {
            let (function, data) = if *word == "delete" {
                ("stream::delete", key(STREAM, &group, "i"))
            } else {
                ("stream::set", write(STREAM, &group, "i", json!({"id": n})))
            };
            worker.result(function, data).await;
        }
    }
    for (_, subscriber, last) in &mut subscribers {
        for word in ["create", "update", "delete"] {
            let frame = subscriber.next_frame().await;
            assert!(frame["event"]["type"] == word && timestamp(&frame) > *last, "expected {word} after {last}: {frame}");
            *last = timestamp(&frame);
        }
        assert!(subscriber.under_way().await.is_empty());
    }
    for (_, calls) in &mut triggers {
        for _ in 0..2 {
            for word in ["create", "update", "delete"] {
                assert_eq!(calls.data().await["event"]["type"], word);
            }
        }
    }
}

#[tokio::test]
async fn flush_while_writers_write_ends_in_the_state_of_the_store() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let (first, second) = (Worker::open(&nodes[0]).await, Worker::open(&nodes[1]).await);
    let mut subscribers = Vec::new();
    for node in &nodes {
        subscribers.push(Subscriber::of(node, STREAM, "g").await.0);
    }
    for n in 0..600 {
        for (worker, name) in [(&first, "a"), (&second, "b")] {
            worker
                .void("stream::set", write(STREAM, "g", &format!("{name}{}", n % 50), json!({"id": format!("{name}{}", n % 50), "n": n})));
        }
        if n == 300 {
            first.settle().await;
            assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
        }
        if n % 10 == 0 {
            // So that not all is sent at once.
            first.call("stream::get", key(STREAM, "g", "a0")).await.unwrap();
        }
    }
    for worker in [&first, &second] {
        worker.result("stream::list", group(STREAM, "g")).await;
    }
    // Looked for after half a second at most; until then the numbers of the new life may not be told from those of the old.
    for node in &nodes {
        node.logged("all groups begin anew").await;
    }
    first.set(STREAM, "g", "end", json!({"id": "end"})).await;
    let listed = first.result("stream::list", group(STREAM, "g")).await;
    for subscriber in &mut subscribers {
        let (mut state, mut last, mut syncs): (Vec<Value>, _, _) = (Vec::new(), 0, 0);
        while !state.iter().any(|value| value["id"] == "end") {
            let frame = subscriber.next_frame().await;
            let (event, at) = (&frame["event"], timestamp(&frame));
            assert!(at > last || (event["type"] == "sync" && at == last), "{frame} after {last}");
            last = at;
            let known = state.iter().position(|value| value["id"] == event["data"]["id"]);
            match (event["type"].as_str().unwrap(), known) {
                ("sync", _) => {
                    syncs += 1;
                    state.clone_from(event["data"].as_array().unwrap());
                }
                ("create", None) => state.push(event["data"].clone()),
                ("update", Some(known)) => state[known] = event["data"].clone(),
                _ => panic!("does not fit ({known:?}): {frame}"),
            }
        }
        assert_eq!(json!(state), listed);
        assert_eq!(syncs, 1, "the first was taken before");
    }
}

/// Has a node sleep while another one makes many changes and its feed is cut, so that what it missed is certain.
async fn miss(redis: &RedisServer, sleeper: &Server, feed: &[String], writer: &Worker) {
    sleeper.signal("STOP");
    for id in feed {
        assert_eq!(redis.cli(&["CLIENT", "KILL", "ID", id]), "1");
    }
    for n in 0..MANY {
        writer.void("stream::set", write(STREAM, "g", &format!("i{}", n % 4), json!({"id": n % 4, "n": n})));
    }
    writer.set(STREAM, "g", "last", json!({"id": "last"})).await;
    sleeper.signal("CONT");
}

#[tokio::test]
async fn gap_longer_than_the_history_costs_one_sync_and_is_counted() {
    let redis = RedisServer::start(&[]);
    let adapter = with(redis.adapter(), &json!({"history": 8}));
    let sleeper = Server::node(&adapter);
    let watcher = Worker::open(&sleeper).await;
    let mut calls = watcher.record("seen");
    watcher.trigger("t", "stream", "seen", json!({"stream_name": STREAM}));
    watcher.set(STREAM, "g", "i0", json!({"id": 0})).await;
    calls.next().await;
    age(&redis, "g");
    let mut subscribers = Vec::new();
    for path in ["/stream/s/g/", "/stream/s/g/", "/stream/s/g/i3"] {
        let mut subscriber = Subscriber::open(&sleeper, path).await;
        subscriber.sync().await;
        subscribers.push(subscriber);
    }
    let feed = listening(&redis);
    assert_eq!(feed.len(), 2, "the feed, and the link to the other nodes");
    let other = Server::node(&adapter);
    let (mut awake, _) = Subscriber::of(&other, STREAM, "g").await;
    let writer = Worker::open(&other).await;
    miss(&redis, &sleeper, &feed, &writer).await;

    let listed = writer.result("stream::list", group(STREAM, "g")).await;
    assert_eq!(listed.as_array().unwrap().len(), 5);
    let mut item = subscribers.pop().unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.sync().await, listed);
    }
    assert_eq!(item.sync().await, json!({"id": 3, "n": MANY - 1}));
    // And then they go on.
    writer.set(STREAM, "g", "i3", json!({"id": 3})).await;
    for subscriber in subscribers.iter_mut().chain([&mut item]) {
        let frame = subscriber.next_frame().await;
        assert_eq!(frame["event"], json!({"type": "update", "data": {"id": 3}}), "{frame}");
        assert!(subscriber.under_way().await.is_empty());
    }
    // The trigger misses exactly these, and the log says so.
    assert_eq!(calls.data().await["event"]["data"], json!({"id": 3}));
    let log = sleeper.log();
    let line = log.lines().find(|line| line.contains("triggers miss them") && line.contains("ERROR"));
    let line = line.unwrap_or_else(|| panic!("no word of what triggers missed: {log}"));
    let missed = MANY + 1;
    assert!(line.contains(&format!("missed={missed}")) && line.contains(&format!("total={missed}")), "{line}");
    // Who was awake has seen all of it.
    for _ in 0..=MANY + 1 {
        let frame = awake.next_frame().await;
        assert_ne!(frame["event"]["type"], "sync", "{frame}");
    }
    assert!(awake.under_way().await.is_empty());
}

#[tokio::test]
async fn gap_shorter_than_the_history_costs_nothing() {
    let redis = RedisServer::start(&[]);
    let adapter = with(redis.adapter(), &json!({"history": MANY + 1}));
    let sleeper = Server::node(&adapter);
    let watcher = Worker::open(&sleeper).await;
    let mut calls = watcher.record("seen");
    watcher.trigger("t", "stream", "seen", json!({"stream_name": STREAM}));
    watcher.set(STREAM, "g", "i0", json!({"id": 0})).await;
    calls.next().await;
    age(&redis, "g");
    let (mut subscriber, _) = Subscriber::of(&sleeper, STREAM, "g").await;
    let feed = listening(&redis);
    let other = Server::node(&adapter);
    let writer = Worker::open(&other).await;
    miss(&redis, &sleeper, &feed, &writer).await;
    for n in 0..=MANY {
        let (frame, call) = (subscriber.next_frame().await, calls.data().await);
        assert_eq!(frame, call, "change {n}");
        assert_ne!(frame["event"]["type"], "sync", "{frame}");
    }
    assert!(subscriber.under_way().await.is_empty() && calls.is_empty());
}

/// Sets the clock of a group an hour ahead, as a long time of more than 1,000 changes a second would.
fn hurry(redis: &RedisServer, group: &str, last: u64) {
    let ahead = (last + 3_600_000).to_string();
    assert_eq!(redis.cli(&["HSET", &format!("weir:{{stream:{STREAM}:{group}}}:head"), "time", &ahead]), "0");
}

/// Takes frames up to the next `sync`, which must look newer than all before it, as must what follows.
async fn sync_after(subscriber: &mut Subscriber, last: u64) -> Value {
    let sync = subscriber.next_frame().await;
    assert!(sync["event"]["type"] == "sync" && timestamp(&sync) > last, "expected a sync after {last}: {sync}");
    sync
}

#[tokio::test]
async fn sync_after_a_flush_looks_newer_though_the_group_was_ahead_of_the_clock() {
    let redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let worker = Worker::open(&nodes[0]).await;
    let first = worker.set(STREAM, "g", "i", json!({"id": "i", "n": 0})).await;
    assert_eq!(first["old_value"], Value::Null);
    let mut subscribers = Vec::new();
    for node in &nodes {
        subscribers.push(Subscriber::of(node, STREAM, "g").await.0);
        let mut item = Subscriber::open(node, "/stream/s/g/i").await;
        item.sync().await;
        subscribers.push(item);
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    hurry(&redis, "g", u64::try_from(now.as_millis()).unwrap());
    worker.set(STREAM, "g", "i", json!({"id": "i", "n": 1})).await;
    let mut last = 0;
    for subscriber in &mut subscribers {
        last = timestamp(&subscriber.next_frame().await);
    }
    assert_eq!(redis.cli(&["FLUSHALL"]), "OK");
    for subscriber in &mut subscribers {
        let sync = sync_after(subscriber, last).await;
        assert!(sync["event"]["data"] == json!([]) || sync["event"]["data"] == Value::Null, "{sync}");
    }
    worker.set(STREAM, "g", "i", json!({"id": "i", "n": 2})).await;
    for subscriber in &mut subscribers {
        let frame = subscriber.next_frame().await;
        assert!(frame["event"]["type"] == "create" && timestamp(&frame) > last + 1, "{frame} after {last}");
        assert!(subscriber.under_way().await.is_empty());
    }
}

#[tokio::test]
async fn redis_that_comes_back_with_an_older_state_gives_everybody_one_sync() {
    let mut redis = RedisServer::start(&[]);
    let nodes = nodes(&redis, 2);
    let worker = Worker::open(&nodes[0]).await;
    let mut subscribers = Vec::new();
    for group in groups(2) {
        for node in &nodes {
            subscribers.push((group.clone(), Subscriber::of(node, STREAM, &group).await.0));
        }
    }
    for group in groups(2) {
        for n in 0..10 {
            worker.set(STREAM, &group, "i", json!({"id": "i", "n": n})).await;
        }
    }
    assert_eq!(redis.cli(&["SAVE"]), "OK");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    // One of the two groups is ahead of the clock when it is set back.
    hurry(&redis, "g1", u64::try_from(now.as_millis()).unwrap());
    for group in groups(2) {
        for n in 10..20 {
            worker.set(STREAM, &group, "i", json!({"id": "i", "n": n})).await;
        }
    }
    let mut lasts = Vec::new();
    for (_, subscriber) in &mut subscribers {
        let mut last = 0;
        for _ in 0..20 {
            last = timestamp(&subscriber.next_frame().await);
        }
        lasts.push(last);
    }
    redis.restart();
    super::all_ready(&nodes).await;
    for ((_, subscriber), last) in subscribers.iter_mut().zip(&lasts) {
        let sync = sync_after(subscriber, *last).await;
        assert_eq!(sync["event"]["data"], json!([{"id": "i", "n": 9}]), "{sync}");
    }
    for group in groups(2) {
        worker.set(STREAM, &group, "i", json!({"id": "i", "n": 30})).await;
    }
    for ((_, subscriber), last) in subscribers.iter_mut().zip(&lasts) {
        let frame = subscriber.next_frame().await;
        assert!(frame["event"] == json!({"type": "update", "data": {"id": "i", "n": 30}}) && timestamp(&frame) > last + 1, "{frame}");
        assert!(subscriber.under_way().await.is_empty());
    }
}
