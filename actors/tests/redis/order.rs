//! The order of calls.

use weir_actors::ids::ItemKey;

use crate::basics::{json, update_ops};
use crate::mirror::Mirror;
use crate::server::Server;

#[tokio::test]
async fn calls_are_applied_in_the_order_in_which_they_are_made() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    let mut old = Vec::new();
    for n in 0..3_000 {
        old.push(redis.set(&key, json(&n.to_string())));
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
        drop(redis.set(&key, json(&n.to_string())));
    }
    assert_eq!(redis.get(&key).await.unwrap(), Some(json("99")));
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
        calls.push(one.update(&counter, add(), 100));
        calls.push(two.update(&counter, add(), 100));
        drop(one.set(&own, json(&format!("[{n}]"))));
        let appended = one.update(&own, update_ops(r#"[{"type":"append","path":"","value":"x"}]"#), 100);
        let read = one.get(&own);
        assert_eq!(appended.await.unwrap().new, Some(json(&format!("[{n},\"x\"]"))));
        assert_eq!(read.await.unwrap(), Some(json(&format!("[{n},\"x\"]"))));
    }
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(one.get(&counter).await.unwrap(), Some(json("800")));
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
        calls.push(redis.update(&key, add(), 100));
        calls.push(redis.update(&key, add(), 100));
        drop(redis.event(&key.group, None, "done", json("1")));
        drop(redis.snapshot(&key.group, true, &[]));
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
        let calls: Vec<_> = (0..500).map(|n| (n, redis.set(&key, json(&n.to_string())))).collect();
        let updated = redis.update(&ItemKey { item: "j".into(), ..key.clone() }, add(), 1_000);
        let snapshot = redis.snapshot(&key.group, true, &[]);
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
