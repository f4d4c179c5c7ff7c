//! Networks that are cut between a server and Redis, while clients reach the server.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::namespace::Namespace;
use super::story::Story;
use super::writer::{Outcome, Pace};
use super::{STREAM, all_ready, begin, end, groups, ready, with};
use crate::redis_server::RedisServer;
use crate::server::{Server, until};
use crate::worker::Worker;

/// How long a network is cut.
const CUT: Duration = Duration::from_secs(8);

/// Two servers, each in a network of its own, and a Redis that both reach. Fields are dropped in this order.
struct Field {
    nodes: Vec<Server>,
    networks: Vec<Namespace>,
    redis: RedisServer,
}

impl Field {
    fn new(keys: &Value) -> Self {
        let redis = RedisServer::start(&["--bind", "0.0.0.0", "--protected-mode", "no"]);
        let networks = vec![Namespace::new(), Namespace::new()];
        let nodes = networks.iter().map(|network| {
            let url = format!("redis://{}:{}", network.redis(), redis.port());
            let adapter = with(with(redis.adapter(), &json!({"redis_url": url})), keys);
            Server::inside(&network.name, &network.host(), json!({"adapter": adapter}))
        });
        Self { nodes: nodes.collect(), networks, redis }
    }
}

/// Cuts the first node off for a while, with calls at both, and then has all meet again.
async fn cut(field: &Field, pace: Pace, cut: fn(&Namespace), mend: fn(&Namespace)) -> Story {
    let groups = groups(3);
    let (watchers, work) = begin(&field.nodes, &groups, 4, pace).await;
    work.answer(300).await;
    // Ten seconds after its birth a group keeps no more than the history.
    for group in &groups {
        field.redis.cli(&["HSET", &format!("weir:{{stream:{STREAM}:{group}}}:head"), "born", "0"]);
    }
    cut(&field.networks[0]);
    let begun = Instant::now();
    until("503 of the node that is cut off", async || ready(&field.nodes[0]).await.0 == 503).await;
    assert_eq!(ready(&field.nodes[1]).await.0, 200, "the other node has nothing to do with it");
    let client = Worker::open(&field.nodes[0]).await;
    let asked = Instant::now();
    let (code, message) = client.error("stream::get", crate::worker::key(STREAM, "g0", "i")).await;
    assert!(code == "STREAM_GET_ERROR" && message.contains("not connected"), "{code}: {message}");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    tokio::time::sleep(CUT.saturating_sub(begun.elapsed())).await;
    mend(&field.networks[0]);
    all_ready(&field.nodes).await;
    work.answer(300).await;
    end(&field.nodes, &groups, watchers, work).await
}

#[tokio::test]
async fn pulled_cable_costs_no_change_and_no_sync() {
    if !Namespace::can_be_had() {
        return;
    }
    let field = Field::new(&json!({}));
    // 60 changes a second, of which a group misses 160 of the other node's in eight seconds.
    let story = cut(&field, Pace { in_flight: 8, rest: Duration::from_millis(33) }, Namespace::pull, Namespace::plug).await;
    story.holds();
    story.is_without_gaps();
}

#[tokio::test]
async fn network_that_swallows_everything_costs_no_change_and_no_sync() {
    if !Namespace::can_be_had() {
        return;
    }
    let field = Field::new(&json!({"response_timeout_ms": 2_000}));
    let story = cut(&field, Pace { in_flight: 8, rest: Duration::from_millis(33) }, Namespace::swallow, Namespace::carry).await;
    story.holds();
    story.is_without_gaps();
    // What was sent into nothing is given up after the time that an answer may take, and a second of the looking after.
    let late = story.calls().filter(|call| !matches!(call.outcome, Outcome::Done(_))).map(|call| call.took).max();
    assert!(late.is_some_and(|late| late < Duration::from_secs(4)), "{late:?}");
}

#[tokio::test]
async fn cut_longer_than_the_history_costs_one_sync_at_the_node_that_was_cut_off() {
    if !Namespace::can_be_had() {
        return;
    }
    let field = Field::new(&json!({"history": 16}));
    // Faster, for Redis removes old entries by the hundred.
    let story = cut(&field, Pace { in_flight: 16, rest: Duration::from_millis(8) }, Namespace::swallow, Namespace::carry).await;
    story.holds_but_for_the_missed_of(0);
    for (name, syncs) in story.syncs() {
        let expected = if name.ends_with("of node 0") { 2 } else { 1 };
        assert_eq!(syncs, expected, "syncs of {name}");
    }
    let log = field.nodes[0].log();
    assert!(log.contains("triggers miss them") && log.contains("ERROR"), "{log}");
}
