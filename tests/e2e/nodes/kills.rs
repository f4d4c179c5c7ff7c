//! Links that are cut again and again.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::watcher::{Frame, Watcher};
use super::writer::Pace;
use super::{STREAM, all_ready, begin, end, groups, nodes};
use crate::redis_server::RedisServer;
use crate::server::{DEADLINE, within};
use crate::worker::{Worker, write};

/// For how long, and how often.
const KILLING: Duration = Duration::from_secs(20);
const EVERY: Duration = Duration::from_millis(200);
/// For how long while groups are born.
const BIRTHS: Duration = Duration::from_secs(8);
/// How long Redis sleeps before, so that calls are under way.
const ASLEEP: Duration = Duration::from_millis(10);

/// A connection that outlives what it kills.
struct Killer {
    port: u16,
    socket: TcpStream,
}

impl Killer {
    async fn new(port: u16) -> Self {
        Self { port, socket: TcpStream::connect(("127.0.0.1", port)).await.unwrap() }
    }

    /// Kills all other connections of this type; how many there were.
    ///
    /// What Redis has got before this, it carries out in one go with it, and so the answers are lost.
    async fn kill(&mut self, kind: &str) -> usize {
        let mut sleeper = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        sleeper.write_all(format!("DEBUG SLEEP {}\r\n", ASLEEP.as_secs_f64()).as_bytes()).await.unwrap();
        tokio::time::sleep(ASLEEP / 2).await;
        self.socket.write_all(format!("CLIENT KILL TYPE {kind} SKIPME yes\r\n").as_bytes()).await.unwrap();
        let mut reply = [0; 64];
        let length = within("answer of CLIENT KILL", self.socket.read(&mut reply)).await.unwrap();
        let reply = String::from_utf8_lossy(&reply[..length]);
        reply.trim().strip_prefix(':').and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("CLIENT KILL: {reply}"))
    }
}

#[tokio::test]
async fn links_that_break_all_the_time_cost_no_change_and_no_sync() {
    let redis = RedisServer::start(&["--enable-debug-command", "local"]);
    let (nodes, groups) = (nodes(&redis, 2), groups(3));
    // About 1,000 changes a second, so that a group has far fewer than 256 while a link is down.
    let pace = Pace { in_flight: 16, rest: Duration::from_millis(8) };
    let (mut watchers, work) = begin(&nodes, &groups, 8, pace).await;
    let mut killer = Killer::new(redis.port()).await;
    let (begun, mut killed) = (Instant::now(), [0, 0]);
    while begun.elapsed() < KILLING {
        killed[0] += killer.kill("normal").await;
        killed[1] += killer.kill("pubsub").await;
        // Subscribers come all the time, too: each has its state, and then the same changes as all.
        let n = watchers.len();
        watchers.push(Watcher::late(&nodes[n % 2], n % 2, &groups[n % 3]).await);
        tokio::time::sleep(EVERY).await;
    }
    assert!(killed.iter().all(|killed| *killed > 80), "normal and pubsub links that were killed: {killed:?}");
    let story = end(&nodes, &groups, watchers, work).await;
    story.holds();
    story.is_without_gaps();
    let (done, refused, unknown) = story.tally();
    let unanswered = story.done_without_an_answer();
    let tally = format!("{done} done, {refused} refused, {unknown} unknown, {unanswered} of these done");
    assert!(done > 2_000 && refused > 0 && unknown > unanswered && unanswered > 0, "{tally}");
    for node in &nodes {
        assert!(!node.log().contains("changes are not in redis any more"), "{}", node.log());
    }
}

/// Makes one group after the other, with three changes in each, until it is time; the changes that were acknowledged.
async fn bear(worker: &Worker, writer: usize) -> Vec<(String, u64)> {
    let (begun, mut acknowledged) = (Instant::now(), Vec::new());
    for n in 0.. {
        if begun.elapsed() > BIRTHS {
            break;
        }
        let group = format!("born{writer}-{n}");
        let calls = (0..3u64).map(|change| worker.call("stream::set", write(STREAM, &group, "i", json!(change))));
        for (change, result) in join_all(calls).await.into_iter().enumerate() {
            if result.is_ok() {
                acknowledged.push((group.clone(), change as u64));
            }
        }
        tokio::time::sleep(Duration::from_millis(4)).await;
    }
    acknowledged
}

/// The change that a call of a trigger tells of.
fn change(frame: &Frame) -> (String, u64) {
    (frame.group.clone(), frame.data.as_u64().unwrap())
}

#[tokio::test]
async fn groups_that_are_born_while_links_break_are_seen_by_triggers_of_all_nodes() {
    let redis = RedisServer::start(&["--enable-debug-command", "local"]);
    let nodes = nodes(&redis, 2);
    let (mut triggers, mut workers) = (Vec::new(), Vec::new());
    for (n, node) in nodes.iter().enumerate() {
        triggers.push(Watcher::trigger(node, n, 0).await);
        workers.push(Worker::open(node).await);
    }
    let mut killer = Killer::new(redis.port()).await;
    let kills = async {
        let begun = Instant::now();
        while begun.elapsed() < BIRTHS {
            for kind in ["pubsub", "normal"] {
                killer.kill(kind).await;
                tokio::time::sleep(EVERY).await;
            }
        }
    };
    let births = join_all(workers.iter().enumerate().map(|(n, worker)| bear(worker, n)));
    let (acknowledged, ()) = futures_util::future::join(births, kills).await;
    let acknowledged = acknowledged.concat();
    assert!(acknowledged.len() > 500, "{}", acknowledged.len());
    all_ready(&nodes).await;
    for trigger in &triggers {
        let missing = || {
            let seen: HashSet<_> = trigger.frames().iter().map(change).collect();
            acknowledged.iter().filter(|change| !seen.contains(change)).collect::<Vec<_>>()
        };
        let begun = Instant::now();
        while !missing().is_empty() {
            assert!(begun.elapsed() < DEADLINE, "{} misses of {}: {:?}", trigger.name(), acknowledged.len(), missing());
            tokio::time::sleep(EVERY).await;
        }
        let mut last = HashMap::new();
        for frame in trigger.frames() {
            let (group, n) = change(&frame);
            let before = last.insert(group, n);
            assert!(before < Some(n), "{}: {} after {before:?}", trigger.name(), frame.text);
        }
    }
}
