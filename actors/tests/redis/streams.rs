//! Streams that are watched as a whole.

use std::collections::HashMap;
use std::time::Duration;

use weir_actors::adapter::redis::{Feed, FeedItem, Redis};
use weir_actors::ids::{GroupKey, ItemKey};

use crate::basics::json;
use crate::server::{DEADLINE, Server};

/// Reads until every group has had as many changes as expected; all of them, from the first, once.
pub(crate) async fn expect(feed: &mut Feed, expected: &HashMap<String, u64>) {
    let mut seen: HashMap<String, u64> = HashMap::new();
    while seen != *expected {
        let item = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap_or_else(|_| panic!("{seen:?} of {expected:?}")).unwrap();
        let FeedItem::Change(change) = item else { panic!("{item:?}") };
        let at = seen.entry(change.group.group().to_owned()).or_default();
        *at += 1;
        assert!(*at <= expected[change.group.group()], "{:?} too often", change.group);
    }
    assert!(tokio::time::timeout(Duration::from_millis(100), feed.next()).await.is_err());
}

pub(crate) async fn present_and_future_groups((one, mut feed): (Redis, Feed), two: &Redis) {
    for group in ["old 1", "old 2"] {
        one.set(1, &ItemKey::new("s", group, "i"), json("1")).await.unwrap();
    }
    one.watch_stream("s").await.unwrap();
    let mut expected = HashMap::new();
    let mut calls = Vec::new();
    for redis in [&one, two] {
        for group in ["old 1", "old 2", "new 1", "new:2", "new 3"] {
            for n in 0..200 {
                calls.push(redis.set(1, &ItemKey::new("s", group, "i"), json(&n.to_string())));
                *expected.entry(group.to_owned()).or_default() += 1;
            }
            drop(redis.set(1, &ItemKey::new("t", group, "i"), json("1")));
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    expect(&mut feed, &expected).await;
    one.unwatch_stream("s");
    // In order behind the request to leave.
    one.watch_stream("other").await.unwrap();
    two.set(1, &ItemKey::new("s", "old 1", "i"), json("1")).await.unwrap();
    two.set(1, &ItemKey::new("s", "newer", "i"), json("1")).await.unwrap();
    two.set(1, &ItemKey::new("other", "g", "i"), json("1")).await.unwrap();
    expect(&mut feed, &HashMap::from([("g".to_owned(), 1)])).await;
}

#[tokio::test]
async fn all_groups_of_a_stream_come_present_and_future() {
    let server = Server::start(&[]);
    let (two, _feed) = server.connect().await;
    present_and_future_groups(server.connect().await, &two).await;
}

#[tokio::test]
async fn groups_born_while_nobody_listens_are_read_from_the_first_change() {
    let server = Server::start(&[]);
    let (one, mut feed) = server.connect().await;
    let (two, _feed) = server.connect().await;
    one.watch_stream("s").await.unwrap();
    let mut expected = HashMap::new();
    for round in 0..5 {
        redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec(&mut server.admin()).unwrap();
        let mut calls = Vec::new();
        for n in 0..50 {
            let group = format!("{round} {}", n % 5);
            *expected.entry(group.clone()).or_default() += 1;
            calls.push(two.set(1, &ItemKey::new("s", &group, "i"), json("1")));
        }
        for call in calls {
            call.await.unwrap();
        }
    }
    expect(&mut feed, &expected).await;
}

#[tokio::test]
async fn a_group_that_is_watched_twice_comes_once() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    redis.watch(&key.group).await.unwrap();
    redis.watch_stream("s").await.unwrap();
    redis.set(1, &key, json("1")).await.unwrap();
    expect(&mut feed, &HashMap::from([("g".to_owned(), 1)])).await;
    redis.unwatch(&key.group);
    redis.watch_stream("s").await.unwrap();
    redis.set(1, &key, json("2")).await.unwrap();
    expect(&mut feed, &HashMap::from([("g".to_owned(), 1)])).await;
}

#[tokio::test]
async fn the_index_forgets_groups_that_are_long_gone() {
    let server = Server::start(&[]);
    let mut admin = server.admin();
    let (other, _feed) = server.connect().await;
    other.set(1, &ItemKey::new("s", "full", "i"), json("1")).await.unwrap();
    other.event(1, &GroupKey::new("s", "numbered"), None, "e", json("1")).await.unwrap();
    let groups = |stream: &str| format!("weir:{{index}}:groups:{stream}");
    for (stream, group) in [("s", "full"), ("s", "numbered"), ("s", "gone"), ("gone", "gone")] {
        redis::cmd("ZADD").arg(groups(stream)).arg(1).arg(group).exec(&mut admin).unwrap();
        redis::cmd("ZADD").arg("weir:{index}:streams").arg(1).arg(stream).exec(&mut admin).unwrap();
    }
    redis::cmd("DEL").arg("weir:{index}:swept").exec(&mut admin).unwrap();
    let (_redis, _other_feed) = server.connect().await;
    let deadline = std::time::Instant::now() + DEADLINE;
    loop {
        let left: Vec<String> = redis::cmd("ZRANGE").arg("weir:{index}:streams").arg(0).arg(-1).query(&mut admin).unwrap();
        if left == ["s"] {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{left:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let left: Vec<String> = redis::cmd("ZRANGE").arg(groups("s")).arg(0).arg(-1).query(&mut admin).unwrap();
    assert_eq!(left, ["full", "numbered"]);
}

#[tokio::test]
async fn groups_that_are_gone_are_left_and_followed_again_when_they_are_back() {
    let server = Server::start(&[]);
    let mut options = server.options();
    options.sweep = Duration::from_secs(1);
    let (one, mut feed) = Redis::connect(options).await.unwrap();
    let (two, _feed) = server.connect().await;
    for group in ["stays", "goes"] {
        one.set(1, &ItemKey::new("s", group, "i"), json("1")).await.unwrap();
    }
    one.watch_stream("s").await.unwrap();
    // As a week without an item and a sweep leave it.
    let mut admin = server.admin();
    redis::cmd("DEL").arg(&["stream:s:goes", "weir:{stream:s:goes}:head", "weir:{stream:s:goes}:places"]).exec(&mut admin).unwrap();
    redis::cmd("ZREM").arg(&["weir:{index}:groups:s", "goes"]).exec(&mut admin).unwrap();
    let channels = |admin: &mut redis::Connection| {
        let pattern = redis::cmd("PUBSUB").arg(&["CHANNELS", "weir:{stream:s:*"]).query::<Vec<String>>(admin);
        let mut channels = pattern.unwrap();
        channels.sort_unstable();
        channels
    };
    assert_eq!(channels(&mut admin).len(), 2);
    let deadline = std::time::Instant::now() + DEADLINE;
    while channels(&mut admin) != ["weir:{stream:s:stays}:head@0"] {
        assert!(std::time::Instant::now() < deadline, "{:?}", channels(&mut admin));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut expected = HashMap::new();
    for group in ["stays", "goes"] {
        for n in 0..10 {
            two.set(1, &ItemKey::new("s", group, "i"), json(&n.to_string())).await.unwrap();
            *expected.entry(group.to_owned()).or_default() += 1;
        }
    }
    expect(&mut feed, &expected).await;
}

#[tokio::test]
async fn groups_that_are_only_asked_for_are_soon_forgotten_and_born_with_their_first_change() {
    let server = Server::start(&[]);
    let (one, mut feed) = server.connect().await;
    let mut admin = server.admin();
    one.watch_stream("s").await.unwrap();
    let group = GroupKey::new("s", "made up");
    let first = one.snapshot(1, &group, true, &[]).await.unwrap();
    let head = "weir:{stream:s:made up}:head";
    let ttl = |admin: &mut redis::Connection| redis::cmd("PTTL").arg(head).query::<i64>(admin).unwrap();
    assert!((1..=300_000).contains(&ttl(&mut admin)), "{}", ttl(&mut admin));
    // The next who asks makes it last.
    redis::cmd("PEXPIRE").arg(head).arg(60_000).exec(&mut admin).unwrap();
    assert_eq!(one.snapshot(1, &group, true, &[]).await.unwrap().position, first.position);
    assert!(ttl(&mut admin) > 60_000, "{}", ttl(&mut admin));
    let followed = redis::cmd("PUBSUB").arg(&["CHANNELS", "weir:{stream:s:*"]).query::<Vec<String>>(&mut admin).unwrap();
    assert_eq!(followed, [""; 0]);

    one.set(1, &ItemKey { group: group.clone(), item: "i".into() }, json("1")).await.unwrap();
    assert_eq!(ttl(&mut admin), -1);
    expect(&mut feed, &HashMap::from([("made up".to_owned(), 1)])).await;
    let after = one.snapshot(1, &group, true, &[]).await.unwrap().position;
    assert_eq!((after.epoch, after.seq), (first.position.epoch, 1));
}

#[tokio::test]
async fn change_of_a_group_whose_head_was_forgotten_comes_to_those_who_wait_for_it_without_a_resync() {
    let server = Server::start(&[]);
    let ((one, mut feed), (two, _feed)) = (server.connect().await, server.connect().await);
    let group = GroupKey::new("s", "g");
    let from = one.watch(&group).await.unwrap();
    redis::cmd("DEL").arg("weir:{stream:s:g}:head").exec(&mut server.admin()).unwrap();
    two.set(1, &ItemKey { group: group.clone(), item: "i".into() }, json("1")).await.unwrap();
    let Some(FeedItem::Change(change)) = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap() else { panic!("no change") };
    assert!(change.position.epoch > from.epoch && change.position.seq == 1, "{:?}", change.position);
}
