//! Two and three servers with writers, subscribers and triggers at each.

use std::time::Duration;

use super::watcher::Watcher;
use super::writer::Pace;
use super::{begin, end, groups, nodes};
use crate::redis_server::RedisServer;

async fn write_and_watch(count: usize, writers: usize, calls: usize) {
    let redis = RedisServer::start(&[]);
    let (nodes, groups) = (nodes(&redis, count), groups(3));
    let (watchers, work) = begin(&nodes, &groups, writers, Pace { in_flight: 32, rest: Duration::ZERO }).await;
    work.answer(calls).await;
    let story = end(&nodes, &groups, watchers, work).await;
    story.holds();
    story.is_without_gaps();
    let (done, refused, unknown) = story.tally();
    assert!(done >= calls && refused == 0 && unknown == 0, "{done} done, {refused} refused, {unknown} unknown");
}

#[tokio::test]
async fn two_nodes_are_seen_as_one() {
    write_and_watch(2, 6, 6_000).await;
}

#[tokio::test]
async fn three_nodes_are_seen_as_one() {
    write_and_watch(3, 9, 6_000).await;
}

#[tokio::test]
async fn subscribers_that_come_and_go_see_the_state_and_every_change_after_it() {
    let redis = RedisServer::start(&[]);
    let (nodes, groups) = (nodes(&redis, 2), groups(2));
    let pace = Pace { in_flight: 16, rest: Duration::from_millis(2) };
    // Nobody else watches at the second node, so that it begins to watch a group and ends that all the time.
    let (watchers, work) = begin(&nodes[..1], &groups, 4, pace).await;
    let mut left = Vec::new();
    for n in 0..60 {
        let watcher = Watcher::late(&nodes[1], 1, &groups[n % 2]).await;
        watcher.more_than(n % 40).await;
        if n % 5 == 0 {
            redis.cli(&["CLIENT", "KILL", "TYPE", "pubsub", "SKIPME", "yes"]);
            watcher.more_than(watcher.len() + 20).await;
        }
        left.push((groups[n % 2].clone(), watcher.frames()));
    }
    let story = end(&nodes, &groups, watchers, work).await;
    story.holds();
    story.is_without_gaps();
    for (n, (group, frames)) in left.iter().enumerate() {
        story.begins_with(&format!("subscriber {n} of {group}"), group, frames);
        assert_eq!(frames.iter().filter(|frame| frame.is_sync()).count(), 1, "syncs of subscriber {n}");
    }
}
