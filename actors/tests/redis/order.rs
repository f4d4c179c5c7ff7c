//! The order of calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use weir_actors::adapter::AdapterError;
use weir_actors::adapter::redis::FeedItem;
use weir_actors::ids::ItemKey;
use weir_actors::store::ledger::Body;

use crate::basics::{json, update_ops};
use crate::mirror::Mirror;
use crate::server::{DEADLINE, Server};

#[tokio::test]
async fn calls_are_applied_in_the_order_in_which_they_are_made() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    let mut old = Vec::new();
    for n in 0..3_000 {
        old.push(redis.set(1, &key, json(&n.to_string())));
    }
    // In whatever order they are looked at.
    for (n, call) in old.into_iter().enumerate().rev() {
        assert_eq!(call.await.unwrap().old, n.checked_sub(1).map(|n| json(&n.to_string())));
    }
    mirror.agrees(&key.group).await;
}

#[tokio::test]
async fn calls_whose_futures_are_dropped_are_applied() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    for n in 0..100 {
        drop(redis.set(1, &key, json(&n.to_string())));
    }
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(json("99")));
}

#[tokio::test]
async fn updates_and_other_calls_of_an_item_keep_their_order_against_another_node() {
    let server = Server::start(&[]);
    let (one, _feed) = server.connect().await;
    let (two, _other_feed) = server.connect().await;
    let counter = ItemKey::new("s", "g", "counter");
    let add = || update_ops(r#"[{"type":"increment","path":"","by":1}]"#);
    let own = ItemKey::new("s", "g", "own");
    let mut calls = Vec::new();
    for n in 0..400 {
        calls.push(one.update(1, &counter, add(), 100));
        calls.push(two.update(1, &counter, add(), 100));
        drop(one.set(1, &own, json(&format!("[{n}]"))));
        let appended = one.update(1, &own, update_ops(r#"[{"type":"append","path":"","value":"x"}]"#), 100);
        let read = one.get(1, &own);
        assert_eq!(appended.await.unwrap().new, Some(json(&format!("[{n},\"x\"]"))));
        assert_eq!(read.await.unwrap(), Some(json(&format!("[{n},\"x\"]"))));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(one.get(1, &counter).await.unwrap(), Some(json("800")));
}

/// How often the script was run.
fn runs(server: &Server) -> u64 {
    let info: String = redis::cmd("INFO").arg("commandstats").query(&mut server.admin()).unwrap();
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls=")).unwrap_or("0,");
    line.split(',').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_a_caller_does_is_seen_in_its_order_although_its_updates_lose() {
    // So many rounds at least, and until so many updates have lost, which is up to the machine.
    const ROUNDS: u64 = 100;
    const LOST: u64 = 10;
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let [x, y] = ["x", "y"].map(|item| ItemKey::new("s", "g", item));
    redis.watch(&x.group).await.unwrap();
    let before = runs(&server);
    // Somebody else, who tells nobody.
    let mut admin = server.admin();
    let busy = Again::start(move |n| {
        redis::cmd("HSET").arg("stream:s:g").arg("x").arg(n).exec(&mut admin).unwrap();
        // An update must win now and then.
        std::thread::sleep(Duration::from_micros(rand::random_range(0..200)));
    });
    let add = || update_ops(r#"[{"type":"increment","path":"","by":1}]"#);
    let deadline = Instant::now() + DEADLINE;
    let mut rounds = 0;
    while rounds < ROUNDS || runs(&server) - before - rounds * 6 < LOST {
        assert!(Instant::now() < deadline);
        let set = json(&rounds.to_string());
        rounds += 1;
        let updated = redis.update(7, &x, add(), 100);
        drop(redis.set(7, &y, set.clone()));
        let own = redis.get(7, &y);
        drop(redis.event(7, &x.group, Some("z".into()), "of an item", set.clone()));
        drop(redis.update(7, &y, add(), 100));
        drop(redis.event(7, &x.group, None, "of the group", set.clone()));
        let last = redis.delete(7, &y);
        updated.await.unwrap();
        assert_eq!(own.await.unwrap(), Some(set));
        last.await.unwrap();
    }
    drop(busy);
    let mut seen = Vec::new();
    while seen.len() < usize::try_from(rounds * 6).unwrap() {
        let Some(FeedItem::Change(change)) = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap() else { panic!() };
        let item = change.item.map(|item| item.as_str().to_owned()).unwrap_or_default();
        seen.push(format!("{item} {}", change.body.kind().as_str()));
    }
    for round in seen.chunks(6) {
        assert!(round[0].starts_with("x "), "{seen:?}");
        assert_eq!(round[1..], ["y create", "z event", "y update", " event", "y delete"], "{seen:?}");
    }
}

#[tokio::test]
async fn what_is_said_to_a_group_comes_after_the_updates_before_it() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    let add = || update_ops(r#"[{"type":"increment","path":"","by":1}]"#);
    let mut calls = Vec::new();
    for _ in 0..50 {
        calls.push(redis.update(1, &key, add(), 100));
        calls.push(redis.update(1, &key, add(), 100));
        drop(redis.event(1, &key.group, None, "done", json("1")));
        drop(redis.snapshot(1, &key.group, true, &[]));
    }
    for call in calls {
        call.await.unwrap();
    }
    mirror.agrees(&key.group).await;
    let seen: Vec<_> = mirror.seen.values().next().unwrap().iter().map(|(_, what)| what.as_str()).collect();
    for three in seen.chunks(3) {
        assert!(three[0].starts_with("i ") && three[1].starts_with("i ") && three[2] == " event", "{seen:?}");
    }
}

#[tokio::test]
async fn a_forgotten_script_costs_no_call_and_no_order() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    let mut admin = server.admin();
    let add = || update_ops(r#"[{"type":"append","path":"","value":"x"}]"#);
    for _ in 0..10 {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut admin).unwrap();
        let calls: Vec<_> = (0..500).map(|n| (n, redis.set(1, &key, json(&n.to_string())))).collect();
        let updated = redis.update(1, &ItemKey { item: "j".into(), ..key.clone() }, add(), 1_000);
        let snapshot = redis.snapshot(1, &key.group, true, &[]);
        for (n, call) in calls {
            let applied = call.await.unwrap();
            if n > 0 {
                assert_eq!(applied.old, Some(json(&(n - 1).to_string())));
            }
        }
        updated.await.unwrap();
        assert_eq!(snapshot.await.unwrap().whole.unwrap().first().unwrap().1, json("499"));
    }
    mirror.agrees(&key.group).await;
    assert!(mirror.resyncs.is_empty(), "{:?}", mirror.resyncs);
}

/// Does something again and again until it is dropped.
struct Again {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Again {
    fn start(mut what: impl FnMut(u64) + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for n in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                what(n);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Again {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test]
async fn a_read_behind_a_write_sees_it_although_the_script_was_forgotten() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    for n in 0..20 {
        let value = json(&n.to_string());
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut server.admin()).unwrap();
        drop(redis.set(1, &key, value.clone()));
        let (item, list) = (redis.get(1, &key), redis.list(1, &key.group));
        assert_eq!(item.await.unwrap(), Some(value.clone()));
        assert_eq!(list.await.unwrap(), [("i".into(), value)]);
    }
}

#[tokio::test]
async fn a_script_that_is_forgotten_again_and_again_costs_no_call_and_no_order() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let keys = ["a", "b", "c"].map(|group| ItemKey::new("s", group, "i"));
    for key in &keys {
        mirror.watch(&key.group).await;
    }
    let mut admin = server.admin();
    let busy = Again::start(move |_| {
        redis::cmd("SCRIPT").arg("FLUSH").exec(&mut admin).unwrap();
        std::thread::sleep(Duration::from_millis(3));
    });
    let mut old = [const { None }; 3];
    for n in 0..300 {
        let mut calls = Vec::new();
        for m in 0..30usize {
            let value = json(&format!("{}", n * 100 + m));
            calls.push((redis.set(1, &keys[m % 3], value.clone()), old[m % 3].replace(value)));
            if m % 10 == 0 {
                // What is under way when the script is loaded again differs from group to group.
                tokio::task::yield_now().await;
            }
        }
        for (call, before) in calls {
            assert_eq!(call.await.unwrap().old, before);
        }
    }
    drop(busy);
    for key in &keys {
        mirror.agrees(&key.group).await;
    }
}

#[tokio::test]
async fn what_redis_refuses_for_a_moment_is_never_carried_out_behind_what_came_later() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    redis.watch(&key.group).await.unwrap();
    let mut admin = server.admin();
    let busy = Again::start(move |n| {
        redis::cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(n % 2).exec(&mut admin).unwrap();
        std::thread::sleep(Duration::from_micros(rand::random_range(0..300)));
    });
    // Long enough that redis does something else in between.
    let padding = "x".repeat(8_000);
    let (mut stored, mut refused) = (Vec::new(), 0);
    for n in 0..100 {
        let calls: Vec<_> = (0..30)
            .map(|m| {
                let value = json(&format!("\"{} {padding}\"", n * 100 + m));
                (value.clone(), redis.set(1, &key, value), redis.get(1, &key))
            })
            .collect();
        for (value, set, get) in calls {
            match set.await {
                Ok(_) => {
                    assert!(get.await.unwrap() == Some(value.clone()), "not what its caller wrote just before");
                    stored.push(value);
                }
                Err(AdapterError::Away(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
    }
    drop(busy);
    redis::cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(0).exec(&mut server.admin()).unwrap();
    assert!(refused > 0, "nothing was ever refused");
    // What was stored, in the order of the calls, and nothing that was refused.
    for value in stored {
        let Some(FeedItem::Change(change)) = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap() else { panic!() };
        assert!(matches!(&change.body, Body::Written { new, .. } if *new == value), "{:?} is another", change.position);
    }
}
