//! Values, names, places: what every backend must do.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use weir_actors::adapter::redis::{FeedItem, Redis};
use weir_actors::adapter::{AdapterError, Items};
use weir_actors::change::Kind;
use weir_actors::ids::{GroupKey, ItemKey};
use weir_actors::json::Json;
use weir_actors::ops::{self, UpdateOp};
use weir_actors::store::ledger::Body;
use weir_actors::store::output::updated;

use crate::server::{DEADLINE, Server};

const MAX: usize = 1 << 20;

pub(crate) fn json(text: &str) -> Json {
    let raw: &serde_json::value::RawValue = serde_json::from_str(text).unwrap();
    Json::copy(raw)
}

pub(crate) fn update_ops(text: &str) -> Vec<UpdateOp> {
    ops::parse(serde_json::from_str(text).unwrap()).unwrap()
}

pub(crate) fn names(items: &Items) -> Vec<&str> {
    items.iter().map(|(name, _)| name.as_str()).collect()
}

pub(crate) async fn groups(redis: &Redis, stream: &str) -> Vec<String> {
    redis.list_groups(stream).await.unwrap().iter().map(|name| name.as_str().to_owned()).collect()
}

async fn all(redis: &Redis) -> Vec<(String, Vec<String>)> {
    let streams = redis.list_all().await.unwrap();
    streams.iter().map(|(stream, groups)| (stream.as_str().into(), groups.iter().map(|group| group.as_str().into()).collect())).collect()
}

#[tokio::test]
async fn a_set_is_stored_and_comes_through_the_feed() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("chat", "room-1", "alice");
    let position = redis.watch(&key.group).await.unwrap();
    assert_eq!(position.seq, 0);
    let applied = redis.set(1, &key, json("{\"a\":1}")).await.unwrap();
    assert_eq!((applied.old, applied.new), (None, Some(json("{\"a\":1}"))));
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(json("{\"a\":1}")));
    let item = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap().unwrap();
    let FeedItem::Change(change) = item else { panic!("{item:?}") };
    assert_eq!((change.position.epoch, change.position.seq), (position.epoch, 1));
    assert_eq!(change.body.kind(), Kind::Create);
}

#[tokio::test]
async fn values_are_stored_updated_and_removed() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    assert_eq!(redis.get(1, &key).await.unwrap(), None);
    assert_eq!(redis.delete(1, &key).await.unwrap().old, None);
    redis.set(1, &key, json("null")).await.unwrap();
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(Json::NULL));
    assert_eq!(redis.set(1, &key, json("2")).await.unwrap().old, Some(Json::NULL));
    let applied = redis.update(1, &key, update_ops(r#"[{"type":"increment","path":"","by":3}]"#), MAX).await.unwrap();
    assert_eq!((applied.old, applied.new, applied.errors), (Some(json("2")), Some(json("5")), None));
    let refused = redis.update(1, &key, update_ops(r#"[{"type":"set","path":"","value":"too long"}]"#), 4).await;
    assert!(matches!(refused, Err(AdapterError::TooLarge(text)) if text.contains("max_value_bytes")));
    assert_eq!(redis.delete(1, &key).await.unwrap().old, Some(json("5")));
    assert_eq!(redis.get(1, &key).await.unwrap(), None);
    assert!(all(&redis).await.is_empty());
}

#[tokio::test]
async fn updates_keep_their_place_and_what_comes_back_goes_to_the_end() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let group = GroupKey::new("s", "g");
    let item = |name: &str| ItemKey { group: group.clone(), item: name.into() };
    for name in ["c", "a", "b"] {
        redis.set(1, &item(name), json("1")).await.unwrap();
    }
    redis.set(1, &item("c"), json("2")).await.unwrap();
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["c", "a", "b"]);
    redis.delete(1, &item("c")).await.unwrap();
    redis.set(1, &item("c"), json("3")).await.unwrap();
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["a", "b", "c"]);
    for name in ["a", "b", "c"] {
        redis.delete(1, &item(name)).await.unwrap();
    }
    redis.set(1, &item("b"), json("3")).await.unwrap();
    redis.set(1, &item("a"), json("3")).await.unwrap();
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["b", "a"]);
}

#[tokio::test]
async fn data_of_existing_deployments_is_found() {
    let server = Server::start(&[]);
    let mut admin = server.admin();
    for (item, value) in [("zoe", r#"{"online": true}"#), ("adam", " 1 "), ("odd", "no json")] {
        redis::cmd("HSET").arg("stream:chat:room-1").arg(item).arg(value).exec(&mut admin).unwrap();
    }
    redis::cmd("HSET").arg("stream:a:b:c").arg("i").arg("1").exec(&mut admin).unwrap();
    redis::cmd("SET").arg("stream:other:kind").arg("1").exec(&mut admin).unwrap();
    let (redis, _feed) = server.connect().await;
    let group = GroupKey::new("chat", "room-1");
    let item = |name: &str| ItemKey { group: group.clone(), item: name.into() };
    assert_eq!(all(&redis).await, [("chat".to_owned(), vec!["room-1".to_owned()])]);
    assert_eq!(groups(&redis, "chat").await, ["room-1"]);
    assert_eq!(redis.get(1, &item("zoe")).await.unwrap(), Some(json(r#"{"online": true}"#)));
    assert!(matches!(redis.get(1, &item("odd")).await, Err(AdapterError::Failed(_))));
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["adam", "zoe"]);
    let snapshot = redis.snapshot(1, &group, true, &["adam".into(), "nobody".into()]).await.unwrap();
    assert_eq!(snapshot.items, [("adam".into(), Some(json("1"))), ("nobody".into(), None)]);
    // A set over it is an update, and new items come after.
    redis.set(1, &item("bea"), json("1")).await.unwrap();
    assert_eq!(redis.set(1, &item("adam"), json("2")).await.unwrap().old, Some(json("1")));
    assert_eq!(redis.set(1, &item("odd"), json("3")).await.unwrap().old, Some(Json::NULL));
    assert_eq!(names(&redis.list(1, &group).await.unwrap()), ["adam", "odd", "zoe", "bea"]);
    let value: String = redis::cmd("HGET").arg("stream:chat:room-1").arg("bea").query(&mut admin).unwrap();
    assert_eq!(value, "1");
}

#[tokio::test]
async fn names_of_any_kind_are_kept_apart() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let odd = ["", "a", "a:b", "b:c", ":", "\0", "a\0", "é", "e\u{301}", "%3A", "{", "a}b{c}", "../..", "a/b", "😀", "stream:a:b", "\r\n"];
    let mut keys = Vec::new();
    for stream in odd {
        for group in odd {
            keys.push(ItemKey::new(stream, group, "i"));
        }
        keys.push(ItemKey::new("items", "g", stream));
    }
    let long = "n".repeat(512);
    keys.push(ItemKey::new(&long, &long, &long));
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(redis.set(1, key, json(&n.to_string())).await.unwrap().old, None, "{key:?}");
    }
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(redis.get(1, key).await.unwrap(), Some(json(&n.to_string())), "{key:?}");
    }
    assert_eq!(names(&redis.list(1, &GroupKey::new("items", "g")).await.unwrap()), odd);
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(groups(&redis, "a:b").await, sorted);
    assert_eq!(redis.list_all().await.unwrap().len(), odd.len() + 2);
    for key in &keys {
        redis.delete(1, key).await.unwrap();
    }
    assert!(all(&redis).await.is_empty());
}

#[tokio::test]
async fn values_come_back_byte_for_byte() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let long = format!("\"{}\"", "x".repeat(3 << 20));
    let values =
        ["1.0", "1e400", "-0", "12345678901234567890123", "\"\\u0000\\ud800\"", "{\"b\":1,\"a\":2,\"b\":3}", "[ ]", "\"😀\"", &long];
    for (n, value) in values.iter().enumerate() {
        let key = ItemKey::new("s", "g", &n.to_string());
        redis.set(1, &key, json(value)).await.unwrap();
        assert_eq!(redis.get(1, &key).await.unwrap().unwrap().as_bytes(), value.as_bytes());
        assert_eq!(redis.set(1, &key, json(value)).await.unwrap().old.unwrap().as_bytes(), value.as_bytes());
    }
    for ((_, held), value) in redis.list(1, &GroupKey::new("s", "g")).await.unwrap().iter().zip(values) {
        assert_eq!(held.as_bytes(), value.as_bytes());
    }
}

#[tokio::test]
async fn groups_are_listed_while_they_hold_an_item() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let keys = [("b", "2"), ("a", "1"), ("b", "1"), ("b", "10")].map(|(stream, group)| ItemKey::new(stream, group, "i"));
    for key in &keys {
        redis.set(1, key, json("1")).await.unwrap();
    }
    redis.event(1, &GroupKey::new("c", "only an event"), None, "e", json("1")).await.unwrap();
    let of_b = |groups: &[&str]| ("b".to_owned(), groups.iter().map(|group| (*group).to_owned()).collect::<Vec<_>>());
    assert_eq!(all(&redis).await, [("a".to_owned(), vec!["1".to_owned()]), of_b(&["1", "10", "2"])]);
    // Lists see what was asked before them, without waiting for it.
    let gone = [redis.delete(1, &keys[1]), redis.delete(1, &keys[0])];
    let listed = redis.list_all();
    assert_eq!(listed.await.unwrap().len(), 1);
    for gone in gone {
        gone.await.unwrap();
    }
    assert_eq!(all(&redis).await, [of_b(&["1", "10"])]);
    let back = redis.update(1, &keys[1], update_ops(r#"[{"type":"set","path":"x","value":1}]"#), MAX);
    assert_eq!(groups(&redis, "a").await, ["1"]);
    back.await.unwrap();
}

#[tokio::test]
async fn events_and_touches_are_numbered_and_stored_nowhere() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    redis.watch(&key.group).await.unwrap();
    redis.event(1, &key.group, None, "ping\n1", json("{}")).await.unwrap();
    redis.event(1, &key.group, Some("i".into()), "", json("null")).await.unwrap();
    let bodies = [
        Body::Written { old: None, new: json("1") },
        Body::Written { old: Some(json("1")), new: json("2") },
        Body::Written { old: Some(json("null")), new: json("3") },
        Body::Written { old: Some(json("[4]")), new: json("null") },
        Body::Deleted { old: json("5") },
    ];
    for body in &bodies {
        redis.touch(1, &key, body).await.unwrap();
    }
    let mut seen = Vec::new();
    for seq in 1..=7 {
        let Some(FeedItem::Change(change)) = feed.next().await else { panic!() };
        assert_eq!(change.position.seq, seq);
        seen.push((change.item, change.body));
    }
    assert!(matches!(&seen[0], (None, Body::Event { name, data }) if &**name == "ping\n1" && data.as_bytes() == b"{}"));
    assert!(matches!(&seen[1], (Some(_), Body::Event { name, data }) if name.is_empty() && data.is_null()));
    assert!(matches!(&seen[2], (Some(_), Body::Written { old: None, new }) if new.as_bytes() == b"1"));
    assert!(matches!(&seen[3].1, Body::Written { old: Some(old), .. } if !old.is_null()));
    assert!(matches!(&seen[4].1, Body::Written { old: Some(old), .. } if old.is_null()));
    assert!(matches!(&seen[5].1, Body::Written { old: Some(old), new } if new.is_null() && old.as_bytes() == b"[4]"));
    assert!(matches!(&seen[6].1, Body::Deleted { old } if old.as_bytes() == b"5"));
    assert!(all(&redis).await.is_empty());
}

#[tokio::test]
async fn snapshots_carry_a_position_and_a_time_before_all_that_follows() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    let empty = redis.snapshot(1, &key.group, true, &[]).await.unwrap();
    assert_eq!((empty.position.seq, empty.whole.as_deref()), (0, Some(&[][..])));
    let position = redis.watch(&key.group).await.unwrap();
    assert_eq!(position, empty.position);
    let set = redis.set(1, &key, json("1"));
    let snapshot = redis.snapshot(1, &key.group, false, &["i".into(), "j".into()]).await.unwrap();
    set.await.unwrap();
    let Some(FeedItem::Change(change)) = feed.next().await else { panic!() };
    assert_eq!((snapshot.position, snapshot.timestamp), (change.position, change.timestamp));
    assert!(change.timestamp > empty.timestamp);
    assert_eq!((snapshot.whole, snapshot.items), (None, vec![("i".into(), Some(json("1"))), ("j".into(), None)]));
}

/// What the memory backend would hold, by the ledger's own function.
#[derive(Default)]
struct Model {
    groups: BTreeMap<(String, String), Vec<(String, Json)>>,
}

impl Model {
    fn get(&self, key: &ItemKey) -> Option<Json> {
        let items = self.groups.get(&(key.group.stream().to_owned(), key.group.group().to_owned()))?;
        items.iter().find(|(name, _)| name == key.item.as_str()).map(|(_, json)| json.clone())
    }

    fn put(&mut self, key: &ItemKey, value: Option<Json>) {
        let group = (key.group.stream().to_owned(), key.group.group().to_owned());
        let items = self.groups.entry(group.clone()).or_default();
        match (items.iter_mut().find(|(name, _)| name == key.item.as_str()), value) {
            (Some(item), Some(value)) => item.1 = value,
            (None, Some(value)) => items.push((key.item.as_str().to_owned(), value)),
            (_, None) => items.retain(|(name, _)| name != key.item.as_str()),
        }
        if items.is_empty() {
            self.groups.remove(&group);
        }
    }
}

#[tokio::test]
async fn random_calls_agree_with_a_model_bit_for_bit() {
    const OPS: [&str; 9] = [
        r#"[{"type":"set","path":"a","value":[1.0,{"z":1,"a":2}]}]"#,
        r#"[{"type":"increment","path":"n","by":2},{"type":"increment","path":"n","by":0.5}]"#,
        r#"[{"type":"decrement","path":"n","by":3}]"#,
        r#"[{"type":"append","path":"t","value":"x"},{"type":"append","path":"n","value":1}]"#,
        r#"[{"type":"merge","path":["m","k"],"value":{"b":1,"a":{}}}]"#,
        r#"[{"type":"remove","path":"a"}]"#,
        r#"[{"type":"set","path":"","value":null}]"#,
        r#"[{"type":"increment","path":"","by":1}]"#,
        r#"[{"type":"set","path":"","value":{"n":18446744073709551615}}]"#,
    ];
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let mut model = Model::default();
    let mut random = StdRng::seed_from_u64(5);
    for round in 0..60 {
        // Called all at once: each sees what those before it did.
        let mut pending = Vec::new();
        for n in 0..random.random_range(1..60) {
            let key = ItemKey::new(
                &random.random_range(0..2).to_string(),
                &random.random_range(0..2).to_string(),
                &random.random_range(0..4).to_string(),
            );
            let old = model.get(&key);
            match random.random_range(0..10) {
                0..3 => {
                    let value = json(&format!("{{\"n\":{}}}", round * 100 + n));
                    model.put(&key, Some(value.clone()));
                    pending.push((old, Some(value.clone()), None, Box::pin(redis.set(1, &key, value)) as Answer));
                }
                3..5 => {
                    model.put(&key, None);
                    pending.push((old, None, None, Box::pin(redis.delete(1, &key))));
                }
                _ => {
                    let ops = update_ops(OPS[random.random_range(0..OPS.len())]);
                    let (new, errors) = updated(old.as_ref(), &ops, MAX).unwrap();
                    model.put(&key, Some(new.clone()));
                    pending.push((old, Some(new), errors, Box::pin(redis.update(1, &key, ops, MAX))));
                }
            }
        }
        for (old, new, errors, answer) in pending {
            let applied = answer.await.unwrap();
            assert_eq!((applied.old, applied.new, applied.errors), (old, new, errors));
        }
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for ((stream, group), items) in &model.groups {
            let held = redis.list(1, &GroupKey::new(stream, group)).await.unwrap();
            let held: Vec<_> = held.iter().map(|(name, json)| (name.as_str().to_owned(), json.clone())).collect();
            assert_eq!(&held, items, "{stream} {group}");
            expected.entry(stream.clone()).or_default().push(group.clone());
        }
        assert_eq!(all(&redis).await, expected.into_iter().collect::<Vec<_>>());
    }
}

pub(crate) type Answer = std::pin::Pin<Box<dyn Future<Output = Result<weir_actors::adapter::redis::Applied, AdapterError>> + Send>>;
