//! What a node has missed.

use std::time::Duration;

use weir_actors::adapter::AdapterError;
use weir_actors::adapter::redis::{FeedItem, Redis};
use weir_actors::ids::ItemKey;

use crate::basics::json;
use crate::mirror::Mirror;
use crate::server::{DEADLINE, Server};

/// Lets the feed hear nothing while something happens.
async fn deaf<T>(server: &Server, happens: impl Future<Output = T>) -> T {
    let mut admin = server.admin();
    redis::cmd("ACL").arg("SETUSER").arg("default").arg("resetchannels").exec(&mut admin).unwrap();
    redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg("pubsub").exec(&mut admin).unwrap();
    let result = happens.await;
    redis::cmd("ACL").arg("SETUSER").arg("default").arg("allchannels").exec(&mut admin).unwrap();
    result
}

#[tokio::test]
async fn a_gap_within_the_history_is_filled_exactly() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("0")).await.unwrap();
    mirror.agrees(&key.group).await;
    deaf(&server, async {
        // Without a right to the channel nobody could write; so another user does.
        let mut options = server.options();
        options.url = other_user(&server);
        let (other, _feed) = Redis::connect(options).await.unwrap();
        let calls: Vec<_> = (0..250).map(|n| other.set(1, &key, json(&n.to_string()))).collect();
        for call in calls {
            call.await.unwrap();
        }
    })
    .await;
    mirror.agrees(&key.group).await;
    assert!(mirror.resyncs.is_empty());
    let seqs: Vec<_> = mirror.seen.values().next().unwrap().iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs, (1..=251).collect::<Vec<_>>());
}

fn other_user(server: &Server) -> String {
    let mut admin = server.admin();
    redis::cmd("ACL").arg(&["SETUSER", "other", "on", ">pw", "~*", "&*", "+@all"]).exec(&mut admin).unwrap();
    format!("redis://other:pw@127.0.0.1:{}/", server.port)
}

#[tokio::test]
async fn a_gap_longer_than_the_history_ends_in_a_resync_that_counts() {
    let server = Server::start(&[]);
    let mut options = server.options();
    options.history = 8;
    options.history_bytes = 3_000;
    let (redis, feed) = Redis::connect(options.clone()).await.unwrap();
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("0")).await.unwrap();
    mirror.agrees(&key.group).await;
    deaf(&server, async {
        options.url = other_user(&server);
        let (other, _feed) = Redis::connect(options).await.unwrap();
        for n in 0..1_000 {
            other.set(1, &key, json(&n.to_string())).await.unwrap();
        }
    })
    .await;
    mirror.agrees(&key.group).await;
    // And it goes on from there.
    redis.set(1, &key, json("9")).await.unwrap();
    mirror.agrees(&key.group).await;
    // The mirror may be ahead, by its snapshot.
    let comes_from = |mirror: &Mirror| {
        let seen = mirror.seen.values().next().unwrap().last().unwrap().0;
        mirror.resyncs.last().map_or(seen, |(_, position, _)| position.seq.max(seen))
    };
    while comes_from(&mirror) < 1_002 {
        mirror.step().await;
    }
    // Each change came, or was counted as missed.
    assert!(!mirror.resyncs.is_empty());
    let missed: u64 = mirror.resyncs.iter().map(|(_, _, missed)| missed.unwrap()).sum();
    let seen = u64::try_from(mirror.seen.values().next().unwrap().len()).unwrap();
    assert_eq!((seen + missed, missed > 500), (1_002, true), "{seen} and {missed}");
}

#[tokio::test]
async fn a_flushed_redis_begins_a_new_epoch_and_resyncs() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("1")).await.unwrap();
    mirror.agrees(&key.group).await;
    let before = mirror.groups[&key.group].position.unwrap();
    redis::cmd("FLUSHALL").exec(&mut server.admin()).unwrap();
    // Without another change: the subscribers must see that everything is gone.
    mirror.step().await;
    assert_eq!(mirror.resyncs.len(), 1);
    assert_ne!(mirror.groups[&key.group].position.unwrap().epoch, before.epoch);
    assert!(mirror.groups[&key.group].items.is_empty());
    redis.set(1, &key, json("2")).await.unwrap();
    mirror.agrees(&key.group).await;
    assert_eq!(redis.list_groups("s").await.unwrap(), ["g".into()]);
}

#[tokio::test]
async fn a_change_right_after_a_flush_resyncs_too() {
    let server = Server::start(&[]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    for n in 0..20 {
        redis.set(1, &key, json("1")).await.unwrap();
        redis::cmd("FLUSHALL").exec(&mut server.admin()).unwrap();
        redis.set(1, &key, json(&n.to_string())).await.unwrap();
        assert_eq!(redis.list_groups("s").await.unwrap(), ["g".into()], "the index has lost it");
        mirror.agrees(&key.group).await;
    }
    assert!(mirror.resyncs.len() >= 20);
}

#[tokio::test]
async fn a_redis_that_was_set_back_begins_a_new_epoch() {
    let mut server = Server::start(&["--dbfilename", "dump.rdb"]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("1")).await.unwrap();
    redis::cmd("SAVE").exec(&mut server.admin()).unwrap();
    for n in 0..5 {
        redis.set(1, &key, json(&n.to_string())).await.unwrap();
    }
    mirror.agrees(&key.group).await;
    let before = mirror.groups[&key.group].position.unwrap();
    assert_eq!(before.seq, 6);
    server.restart();
    mirror.step().await;
    assert_eq!(mirror.resyncs.len(), 1);
    let after = mirror.groups[&key.group].position.unwrap();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(mirror.groups[&key.group].items["i"], json("1"));
    redis.set(1, &key, json("2")).await.unwrap();
    mirror.agrees(&key.group).await;
}

#[tokio::test]
async fn a_reader_that_is_slow_gets_everything_or_a_resync() {
    let server = Server::start(&[]);
    let mut options = server.options();
    options.feed = 4;
    let (redis, feed) = Redis::connect(options).await.unwrap();
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    let calls: Vec<_> = (0..3_000).map(|n| redis.set(1, &key, json(&n.to_string()))).collect();
    for call in calls {
        call.await.unwrap();
    }
    // The group is young, so that the log has it all.
    mirror.agrees(&key.group).await;
    assert!(mirror.resyncs.is_empty());
    assert_eq!(mirror.seen.values().next().unwrap().len(), 3_000);
}

#[tokio::test]
async fn what_is_not_watched_any_more_does_not_come() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let (one, two) = (ItemKey::new("s", "1", "i"), ItemKey::new("s", "2", "i"));
    redis.watch(&one.group).await.unwrap();
    redis.watch(&two.group).await.unwrap();
    redis.unwatch(&one.group);
    // Asked for again in the same breath.
    redis.unwatch(&two.group);
    redis.watch(&two.group).await.unwrap();
    redis.set(1, &one, json("1")).await.unwrap();
    redis.set(1, &two, json("2")).await.unwrap();
    let item = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap().unwrap();
    assert!(matches!(&item, FeedItem::Change(change) if change.group == two.group), "{item:?}");
    let position = redis.watch(&one.group).await.unwrap();
    assert_eq!(position.seq, 1);
    assert!(tokio::time::timeout(Duration::from_millis(100), feed.next()).await.is_err());
    let channels: Vec<String> = redis::cmd("PUBSUB").arg("CHANNELS").query(&mut server.admin()).unwrap();
    assert_eq!(channels.len(), 2, "{channels:?}");
}

#[tokio::test]
async fn a_watch_that_redis_does_not_allow_says_so() {
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    let mut admin = server.admin();
    redis::cmd("ACL").arg("SETUSER").arg("default").arg("resetchannels").exec(&mut admin).unwrap();
    let watched = tokio::time::timeout(DEADLINE, redis.watch(&key.group)).await.expect("a watch hangs");
    assert!(matches!(&watched, Err(AdapterError::Failed(text)) if text.contains("NOPERM")), "{watched:?}");
    let watched = tokio::time::timeout(DEADLINE, redis.watch_stream("s")).await.expect("a watch of a stream hangs");
    assert!(matches!(&watched, Err(AdapterError::Failed(text)) if text.contains("NOPERM")), "{watched:?}");
    redis::cmd("ACL").arg("SETUSER").arg("default").arg("allchannels").exec(&mut admin).unwrap();
    // What was refused is not watched.
    redis.watch(&ItemKey::new("t", "g", "i").group).await.unwrap();
    redis.set(1, &key, json("1")).await.unwrap();
    redis.set(1, &ItemKey::new("t", "g", "i"), json("1")).await.unwrap();
    let item = tokio::time::timeout(DEADLINE, feed.next()).await.unwrap().unwrap();
    assert!(matches!(&item, FeedItem::Change(change) if change.group.stream() == "t"), "{item:?}");
    redis.watch_stream("s").await.unwrap();
    assert_eq!(redis.watch(&key.group).await.unwrap().seq, 1);
}

#[tokio::test]
async fn a_write_that_may_not_be_published_is_not_said_to_be_undone() {
    let server = Server::start(&[]);
    let (redis, _feed) = server.connect().await;
    let key = ItemKey::new("s", "g", "i");
    redis.set(1, &key, json("1")).await.unwrap();
    redis::cmd("ACL").arg("SETUSER").arg("default").arg("resetchannels").exec(&mut server.admin()).unwrap();
    let set = redis.set(1, &key, json("2")).await;
    assert!(matches!(&set, Err(AdapterError::Unknown(text)) if text.contains("channels")), "{set:?}");
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(json("2")), "it was undone, and could be told so");
}
