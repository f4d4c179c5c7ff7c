//! One order per group: what is written in order is seen in order, by everybody alike, and the clock of a group only rises.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::server::Server;
use crate::subscriber::{Subscriber, assert_timestamps_rise, values, words};
use crate::worker::{Worker, group, key, write};

#[tokio::test]
async fn void_sets_of_one_worker_are_seen_in_order() {
    let server = Server::start();
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let worker = Worker::open(&server).await;
    for n in 0..500 {
        worker.void("stream::set", write("s", "g", "i", json!(n)));
    }
    let frames = subscriber.frames(500).await;
    assert_eq!(values(&frames), (0..500).map(Value::from).collect::<Vec<_>>());
    assert_timestamps_rise(&frames);
    assert!(words(&frames) == [vec!["create"], vec!["update"; 499]].concat());
}

#[tokio::test]
async fn concurrent_writers_are_seen_in_one_order_by_all() {
    let server = Server::start();
    let (mut first, _) = Subscriber::of(&server, "s", "g").await;
    let (mut second, _) = Subscriber::of(&server, "s", "g").await;
    let workers = join_all((0..4).map(|_| Worker::open(&server))).await;
    for n in 0..100 {
        for (writer, worker) in workers.iter().enumerate() {
            worker.void("stream::set", write("s", "g", &format!("i{}", n % 7), json!({"writer": writer, "n": n})));
        }
    }
    let (first, second) = (first.frames(400).await, second.frames(400).await);
    assert!(first == second, "two subscribers saw two orders");
    assert_timestamps_rise(&first);
    for writer in 0..4 {
        let own: Vec<_> = values(&first).into_iter().filter(|value| value["writer"] == writer).map(|value| value["n"].clone()).collect();
        assert_eq!(own, (0..100).map(Value::from).collect::<Vec<_>>(), "writer {writer}");
    }
    // What was seen last is what is stored.
    for item in (0..7).map(|n| format!("i{n}")) {
        let last = first.iter().rfind(|frame| frame["id"] == *item).unwrap();
        assert_eq!(workers[0].result("stream::get", key("s", "g", &item)).await, last["event"]["data"]);
    }
}

#[tokio::test]
async fn worker_reads_what_it_wrote_without_waiting() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for n in 0..100 {
        worker.void("stream::set", write("s", "g", "i", json!(n)));
        assert_eq!(worker.result("stream::get", key("s", "g", "i")).await, n);
        worker.void("stream::set", write("s", "g", &format!("j{n}"), json!(n)));
        assert_eq!(worker.result("stream::list", group("s", "g")).await.as_array().unwrap().len(), n + 2);
    }
    worker.void("stream::delete", key("s", "g", "i"));
    assert_eq!(worker.call("stream::get", key("s", "g", "i")).await, Ok(None));
}

#[tokio::test]
async fn socket_with_group_and_item_subscription_gets_one_copy() {
    let server = Server::start();
    let mut subscriber = Subscriber::open(&server, "/").await;
    for id in ["group", "twin"] {
        subscriber.join(id, "s", "g").await;
        subscriber.sync().await;
        subscriber.join_item(&format!("item of {id}"), "s", "g", "i").await;
        subscriber.sync().await;
    }
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!(1)).await;
    worker.set("s", "g", "j", json!(2)).await;
    worker.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "t", "data": 3, "id": "i"})).await;
    worker.result("stream::delete", key("s", "g", "i")).await;
    worker.set("s", "g", "end", json!(null)).await;
    worker.set("s", "g", "end", json!(0)).await;
    let frames = subscriber.frames(5).await;
    assert_eq!(words(&frames), ["create", "create", "event", "delete", "create"]);
    assert!(subscriber.under_way().await.is_empty());
}

#[tokio::test]
async fn sync_has_the_timestamp_of_the_last_change() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let (mut first, _) = Subscriber::of(&server, "s", "g").await;
    for n in 0..20 {
        worker.set("s", "g", "i", json!(n)).await;
    }
    let last = first.frames(20).await.pop().unwrap();
    let mut second = Subscriber::open(&server, "/stream/s/g/").await;
    let sync = second.next_frame().await;
    assert_eq!(
        sync,
        json!({"type": "stream", "timestamp": last["timestamp"], "streamName": "s", "groupId": "g", "id": null,
                            "event": {"type": "sync", "data": [19]}})
    );
    worker.set("s", "g", "i", json!(20)).await;
    assert_timestamps_rise(&[sync, second.next_frame().await]);
}

#[tokio::test]
async fn sync_of_a_group_without_changes_comes_before_its_first_change() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut group = Subscriber::open(&server, "/stream/s/g/").await;
    let mut item = Subscriber::open(&server, "/stream/s/g/i").await;
    let (of_group, of_item) = (group.next_frame().await, item.next_frame().await);
    worker.set("s", "g", "i", json!(1)).await;
    assert_timestamps_rise(&[of_group, group.next_frame().await]);
    assert_timestamps_rise(&[of_item, item.next_frame().await]);
}

#[tokio::test]
async fn subscribers_who_join_during_writes_get_state_and_then_every_change() {
    const LAST: usize = 600;
    let server = Server::start();
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!(0)).await;
    let writes = async {
        for n in 1..=LAST {
            worker.void("stream::set", write("s", "g", "i", json!(n)));
            if n % 20 == 0 {
                worker.result("stream::get", key("s", "g", "i")).await;
            }
        }
    };
    let joins = join_all((0..12).map(|index| {
        let server = &server;
        async move {
            let path = if index % 2 == 0 { "/stream/s/g/" } else { "/stream/s/g/i" };
            let mut subscriber = Subscriber::open(server, path).await;
            let mut frames = vec![subscriber.next_frame().await];
            let sync = frames[0]["event"]["data"].clone();
            let sync = if index % 2 == 0 { sync[0].clone() } else { sync };
            for _ in sync.as_u64().unwrap()..LAST as u64 {
                frames.push(subscriber.next_frame().await);
            }
            (sync, frames)
        }
    }));
    let (joined, ()) = futures_util::future::join(joins, writes).await;
    for (sync, frames) in joined {
        assert_eq!(frames[0]["event"]["type"], "sync");
        let expected: Vec<Value> = (sync.as_u64().unwrap() + 1..=LAST as u64).map(Value::from).collect();
        assert_eq!(values(&frames[1..]), expected);
        assert_timestamps_rise(&frames);
    }
}

#[tokio::test]
async fn slow_subscriber_gets_a_fresh_sync_and_ends_with_the_right_state() {
    const WRITES: usize = 400;
    let server = Server::with(json!({"outbox_bytes": 65_536}));
    let worker = Worker::open(&server).await;
    let (mut slow, _) = Subscriber::of(&server, "s", "g").await;
    let (mut quick, _) = Subscriber::of(&server, "s", "g").await;
    // More than the buffers of the kernel take while nobody reads.
    let padding = "x".repeat(64 << 10);
    for n in 1..=WRITES {
        worker.set("s", "g", "i", json!({"n": n, "padding": padding})).await;
        assert_eq!(quick.next_frame().await["event"]["data"]["n"], n, "the others lose nothing");
    }
    worker.set("s", "g", "end", json!({"n": 0})).await;
    let (mut state, mut last, mut syncs) = (0, 0, 0);
    loop {
        let frame = slow.next_frame().await;
        let timestamp = frame["timestamp"].as_u64().unwrap();
        assert!(timestamp > last || (frame["event"]["type"] == "sync" && timestamp == last), "{timestamp} after {last}");
        last = timestamp;
        let data = &frame["event"]["data"];
        if frame["event"]["type"] == "sync" {
            syncs += 1;
            let items = data.as_array().unwrap();
            state = items[0]["n"].as_u64().unwrap();
            if items.len() == 2 {
                break;
            }
        } else if frame["id"] == "end" {
            break;
        } else {
            state += 1;
            assert_eq!(data["n"], state, "a hole without a sync");
        }
    }
    assert_eq!(state, WRITES as u64);
    assert!(syncs > 0, "all was buffered; the test did not reach the bound");
}
