//! What is refused, and what of the rest goes on.

use weir_actors::adapter::AdapterError;
use weir_actors::adapter::redis::Redis;
use weir_actors::ids::{GroupKey, ItemKey};

use crate::basics::{groups, json, names};
use crate::server::Server;

#[tokio::test]
async fn what_is_too_much_is_refused_and_nothing_is_lost_of_the_rest() {
    let server = Server::start(&[]);
    let mut options = server.options();
    options.max_calls = 10;
    let (redis, _feed) = Redis::connect(options).await.unwrap();
    let key = |n: usize| ItemKey::new("s", "g", &n.to_string());
    let calls: Vec<_> = (0..30).map(|n| redis.set(1, &key(n), json("1"))).collect();
    let mut stored = Vec::new();
    for (n, call) in calls.into_iter().enumerate() {
        match call.await {
            Ok(_) => stored.push(n.to_string()),
            Err(error) => assert!(matches!(error, AdapterError::Overloaded(_)), "{error}"),
        }
    }
    assert_eq!(stored, (0..10).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(names(&redis.list(1, &GroupKey::new("s", "g")).await.unwrap()), stored);
    redis.set(1, &key(31), json("1")).await.unwrap();
}

#[tokio::test]
async fn a_full_redis_takes_no_value_and_still_deletes() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let (old, new) = (ItemKey::new("s", "old", "i"), ItemKey::new("s", "new", "i"));
    redis.set(1, &old, json("1")).await.unwrap();
    let limit = |bytes: u64| redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).exec(&mut server.admin()).unwrap();
    limit(1_000);
    for key in [&old, &new] {
        let refused = redis.set(1, key, json("2")).await;
        assert!(matches!(refused, Err(AdapterError::Full { .. })), "{key:?} {refused:?}");
    }
    assert_eq!(redis.get(1, &old).await.unwrap(), Some(json("1")));
    assert_eq!(redis.get(1, &new).await.unwrap(), None);
    // Whoever reads or watches needs no room.
    let group = GroupKey::new("s", "old");
    assert_eq!(redis.list(1, &group).await.unwrap(), [("i".into(), json("1"))]);
    for whole in [true, false] {
        let snapshot = redis.snapshot(1, &group, whole, &["i".into(), "none".into()]).await.unwrap();
        assert_eq!((snapshot.position.seq, snapshot.whole), (1, whole.then(|| vec![("i".into(), json("1"))])));
        assert_eq!(snapshot.items, [("i".into(), Some(json("1"))), ("none".into(), None)]);
    }
    assert_eq!(redis.list(1, &GroupKey::new("s", "none")).await.unwrap(), []);
    assert_eq!(redis.watch(&GroupKey::new("s", "newer")).await.unwrap().seq, 0);
    assert_eq!(redis.delete(1, &old).await.unwrap().old, Some(json("1")));
    limit(0);
    redis.set(1, &new, json("3")).await.unwrap();
    assert_eq!(groups(&redis, "s").await, ["new"]);
}

#[tokio::test]
async fn items_keep_their_places_although_the_head_was_evicted() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let group = GroupKey::new("s", "g");
    let item = |name: &str| ItemKey { group: group.clone(), item: name.into() };
    for name in ["c", "b", "a"] {
        redis.set(1, &item(name), json("1")).await.unwrap();
    }
    redis::cmd("DEL").arg("weir:{stream:s:g}:head").exec(&mut server.admin()).unwrap();
    redis.snapshot(1, &group, true, &[]).await.unwrap();
    redis.set(1, &item("aa"), json("1")).await.unwrap();
    redis.set(1, &item("c"), json("2")).await.unwrap();
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["c", "b", "a", "aa"]);
}

#[tokio::test]
async fn a_write_that_cannot_be_indexed_says_so_and_is_indexed_by_the_next() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    let mut admin = server.admin();
    redis::cmd("ACL").arg(&["SETUSER", "default", "resetkeys", "~stream:*", "~weir:{stream:*"]).exec(&mut admin).unwrap();
    let set = redis.set(1, &key, json("1")).await;
    assert!(matches!(&set, Err(AdapterError::Unknown(text)) if text.contains("is there")), "{set:?}");
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(json("1")));
    redis::cmd("ACL").arg(&["SETUSER", "default", "allkeys"]).exec(&mut admin).unwrap();
    redis.set(1, &key, json("2")).await.unwrap();
    assert_eq!(groups(&redis, "s").await, ["g"]);
}
