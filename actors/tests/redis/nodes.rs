//! Two nodes on one Redis.

use std::time::{Duration, Instant};

use weir_actors::adapter::AdapterError;
use weir_actors::adapter::redis::Redis;
use weir_actors::ids::{GroupKey, ItemKey};

use crate::basics::{Answer, json, update_ops};
use crate::mirror::Mirror;
use crate::server::Server;

/// What a writer got.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) stored: Vec<(ItemKey, u64)>,
    pub(crate) unknown: usize,
    pub(crate) refused: usize,
}

/// Writes until `end`: to each item rising numbers, so that the store tells which was last.
pub(crate) async fn write(redis: Redis, name: &'static str, groups: Vec<GroupKey>, end: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut pending: Vec<(ItemKey, u64, Answer)> = Vec::new();
    let mut n = 0;
    while Instant::now() < end {
        for _ in 0..32 {
            n += 1;
            let by = n % 3;
            let group = groups[usize::try_from(n).unwrap() % groups.len()].clone();
            let key = ItemKey { group: group.clone(), item: format!("{name} {}", n % 10).as_str().into() };
            let answer: Answer = match n % 7 {
                0 => Box::pin(redis.update(by, &key, update_ops(&format!(r#"[{{"type":"set","path":"","value":{n}}}]"#)), 100)),
                _ => Box::pin(redis.set(by, &key, json(&n.to_string()))),
            };
            pending.push((key, n, answer));
            if n % 11 == 0 {
                drop(redis.event(by, &group, None, "e", json(&n.to_string())));
            }
            if n % 13 == 0 {
                drop(redis.delete(by, &ItemKey { group, item: format!("{name} gone").as_str().into() }));
            } else if n % 13 == 1 {
                drop(redis.set(by, &ItemKey { group, item: format!("{name} gone").as_str().into() }, json("1")));
            }
        }
        let mut refused = false;
        for (key, n, answer) in pending.drain(..) {
            match answer.await {
                Ok(_) => tally.stored.push((key, n)),
                Err(AdapterError::Unknown(_)) => tally.unknown += 1,
                Err(AdapterError::Away(_)) => {
                    tally.refused += 1;
                    refused = true;
                }
                Err(other) => panic!("{other}"),
            }
        }
        if refused {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tally
}

/// Every acknowledged write is there, or one that the same writer made later.
pub(crate) async fn holds(redis: &Redis, tally: &Tally) {
    let mut last: std::collections::HashMap<ItemKey, u64> = std::collections::HashMap::new();
    for (key, n) in &tally.stored {
        let at = last.entry(key.clone()).or_default();
        *at = (*at).max(*n);
    }
    assert!(!last.is_empty(), "nothing was stored");
    for (key, n) in last {
        let held =
            redis.get(1, &key).await.unwrap().map(|json| String::from_utf8(json.as_bytes().to_vec()).unwrap().parse::<u64>().unwrap());
        assert!(held.is_some_and(|held| held >= n), "{key:?} holds {held:?}, but {n} was acknowledged");
    }
}

pub(crate) async fn two_nodes(
    server_a: (Redis, weir_actors::adapter::redis::Feed),
    server_b: (Redis, weir_actors::adapter::redis::Feed),
) -> [Mirror; 2] {
    [Mirror::new(server_a.0, server_a.1), Mirror::new(server_b.0, server_b.1)]
}

/// Lets two nodes write and watch for a while; afterwards both have seen the same, and hold what Redis holds.
pub(crate) async fn write_and_watch(mut mirrors: [Mirror; 2], groups: Vec<GroupKey>, how_long: Duration) -> ([Mirror; 2], [Tally; 2]) {
    for mirror in &mut mirrors {
        for group in &groups {
            mirror.watch(group).await;
        }
    }
    let end = Instant::now() + how_long;
    let writers = [("a", mirrors[0].redis.clone()), ("b", mirrors[1].redis.clone())]
        .map(|(name, redis)| tokio::spawn(write(redis, name, groups.clone(), end)));
    let watchers = mirrors.map(|mut mirror| {
        tokio::spawn(async move {
            while Instant::now() < end {
                if let Ok(Some(item)) = tokio::time::timeout(Duration::from_millis(50), mirror.feed.next()).await {
                    mirror.take(item).await;
                }
            }
            mirror
        })
    });
    let mut tallies = Vec::new();
    for writer in writers {
        tallies.push(writer.await.unwrap());
    }
    let mut mirrors = Vec::new();
    for watcher in watchers {
        mirrors.push(watcher.await.unwrap());
    }
    let mut mirrors: [Mirror; 2] = mirrors.try_into().unwrap_or_else(|_| panic!());
    // Calls that were left alone may still be on their way.
    let deadline = Instant::now() + crate::server::DEADLINE;
    while !mirrors.iter().all(|mirror| mirror.redis.is_up()) {
        assert!(Instant::now() < deadline, "the links do not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for mirror in &mut mirrors {
        for group in &groups {
            mirror.agrees(group).await;
        }
    }
    for group in &groups {
        let state = |mirror: &Mirror| mirror.groups[group].clone();
        let (one, two) = (state(&mirrors[0]), state(&mirrors[1]));
        assert_eq!(one, two);
    }
    // What both have seen of an epoch is the same at every number.
    for (of, seen) in &mirrors[0].seen {
        let other: std::collections::HashMap<_, _> = mirrors[1].seen.get(of).into_iter().flatten().cloned().collect();
        for (seq, what) in seen {
            assert!(other.get(seq).is_none_or(|also| also == what), "{of:?} {seq}: {what} and {:?}", other.get(seq));
        }
    }
    (mirrors, tallies.try_into().unwrap_or_else(|_| panic!()))
}

pub(crate) fn some_groups() -> Vec<GroupKey> {
    ["1", "2", "a:b"].map(|group| GroupKey::new("nodes", group)).to_vec()
}

#[tokio::test]
async fn nodes_see_the_same_changes_in_the_same_order() {
    let server = Server::start(&[]);
    let mirrors = two_nodes(server.connect().await, server.connect().await).await;
    let (mirrors, tallies) = write_and_watch(mirrors, some_groups(), Duration::from_secs(2)).await;
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        assert!(mirror.resyncs.is_empty() && tally.unknown == 0 && tally.refused == 0);
        holds(&mirror.redis, tally).await;
    }
    assert_eq!(mirrors[0].seen, mirrors[1].seen);
}
