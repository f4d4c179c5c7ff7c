//! A Cluster of three nodes.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use weir_actors::adapter::redis::{Feed, Redis, RedisError, RedisOptions};
use weir_actors::ids::{GroupKey, ItemKey};

use crate::basics::json;
use crate::mirror::Mirror;
use crate::nodes::{holds, two_nodes, write_and_watch};
use crate::server::{DEADLINE, Server};
use crate::streams::present_and_future_groups;

const CLUSTER: [&str; 10] = [
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    "nodes.conf",
    "--cluster-node-timeout",
    "2000",
    "--appendonly",
    "yes",
    "--appendfsync",
    "always",
];

struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    fn start() -> Self {
        let args = [
            "--cluster-enabled",
            "yes",
            "--cluster-config-file",
            "nodes.conf",
            "--cluster-node-timeout",
            "2000",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ];
        let nodes: Vec<_> = (0..3).map(|_| Server::start_cluster_node(&args)).collect();
        let cluster = Self { nodes };
        let mut create = vec!["--cluster".to_owned(), "create".to_owned()];
        create.extend(cluster.nodes.iter().map(Server::address));
        create.extend(["--cluster-replicas".to_owned(), "0".to_owned(), "--cluster-yes".to_owned()]);
        cluster.cli(&create);
        let deadline = Instant::now() + DEADLINE;
        while !cluster.nodes.iter().all(|node| {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.admin()).unwrap();
            info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
        }) {
            assert!(Instant::now() < deadline, "the cluster does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    fn cli(&self, args: &[String]) {
        let mut cli = Command::new("redis-cli");
        let done = cli.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        assert!(done.status.success(), "{args:?}: {} {}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    }

    fn options(&self) -> RedisOptions {
        RedisOptions::new(self.nodes.iter().map(Server::url).collect::<Vec<_>>().join(","))
    }

    async fn connect(&self) -> (Redis, Feed) {
        Redis::connect(self.options()).await.unwrap()
    }

    fn id(&self, node: usize) -> String {
        redis::cmd("CLUSTER").arg("MYID").query(&mut self.nodes[node].admin()).unwrap()
    }

    /// Moves slots from one node to another while everything goes on.
    fn reshard(&self, from: usize, to: usize, slots: usize) {
        self.cli(&[
            "--cluster".into(),
            "reshard".into(),
            self.nodes[0].address(),
            "--cluster-from".into(),
            self.id(from),
            "--cluster-to".into(),
            self.id(to),
            "--cluster-slots".into(),
            slots.to_string(),
            "--cluster-yes".into(),
        ]);
    }
}

fn groups() -> Vec<GroupKey> {
    (0..12).map(|n| GroupKey::new("nodes", &n.to_string())).collect()
}

#[tokio::test]
async fn a_cluster_does_what_one_node_does() {
    let cluster = Cluster::start();
    redis::cmd("CLUSTER").arg("INFO").exec(&mut cluster.nodes[0].admin()).unwrap();
    // One address is enough.
    let one = Redis::connect(RedisOptions::new(cluster.nodes[1].url())).await.unwrap();
    let mirrors = two_nodes(one, cluster.connect().await).await;
    let (mirrors, tallies) = write_and_watch(mirrors, groups(), Duration::from_secs(2)).await;
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        assert!(
            mirror.resyncs.is_empty() && tally.unknown == 0 && tally.refused == 0,
            "{:?} {} {}",
            mirror.resyncs,
            tally.unknown,
            tally.refused
        );
        holds(&mirror.redis, tally).await;
    }
    let redis = &mirrors[0].redis;
    assert_eq!(redis.list_groups("nodes").await.unwrap().len(), 12);
    let set = redis.set(1, &ItemKey::new("fresh", "g", "i"), json("1"));
    assert_eq!(redis.list_all().await.unwrap().len(), 2, "a list sees what was asked before it");
    set.await.unwrap();
    for group in groups() {
        for (item, _) in redis.list(1, &group).await.unwrap() {
            redis.delete(1, &ItemKey { group: group.clone(), item }).await.unwrap();
        }
    }
    assert_eq!(redis.list_all().await.unwrap().len(), 1);
    present_and_future_groups(cluster.connect().await, redis).await;
}

#[tokio::test]
async fn groups_that_were_there_before_are_found_on_all_nodes() {
    let cluster = Cluster::start();
    for group in groups() {
        cluster.cli(&[
            "-c".into(),
            "-p".into(),
            cluster.nodes[0].port.to_string(),
            "HSET".into(),
            format!("stream:nodes:{}", group.group()),
            "i".into(),
            "1".into(),
        ]);
    }
    let (redis, _feed) = cluster.connect().await;
    assert_eq!(redis.list_groups("nodes").await.unwrap().len(), 12);
}

#[tokio::test]
async fn slots_that_move_cost_no_call_and_no_change() {
    let cluster = Cluster::start();
    let mirrors = two_nodes(cluster.connect().await, cluster.connect().await).await;
    let mover = std::thread::spawn(move || {
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            std::thread::sleep(Duration::from_millis(300));
            cluster.reshard(from, to, 2_000);
        }
        cluster
    });
    let (mirrors, tallies) = write_and_watch(mirrors, groups(), Duration::from_secs(6)).await;
    let _cluster = mover.join().unwrap();
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        holds(&mirror.redis, tally).await;
        assert_eq!((tally.unknown, tally.refused), (0, 0));
        assert!(mirror.resyncs.is_empty(), "{:?}", mirror.resyncs);
    }
}

#[tokio::test]
async fn a_replica_that_takes_over_costs_no_call_and_no_change() {
    let mut cluster = Cluster::start();
    let replica = Server::start_cluster_node(&CLUSTER);
    let master = cluster.id(0);
    cluster.cli(&[
        "--cluster".into(),
        "add-node".into(),
        replica.address(),
        cluster.nodes[0].address(),
        "--cluster-slave".into(),
        "--cluster-master-id".into(),
        master,
    ]);
    let deadline = Instant::now() + DEADLINE;
    let role = |node: &Server| -> String {
        let info: String = redis::cmd("INFO").arg("replication").query(&mut node.admin()).unwrap();
        info.lines().filter(|line| line.starts_with("role:") || line.starts_with("master_link_status:")).collect::<Vec<_>>().join(" ")
    };
    while role(&replica) != "role:slave master_link_status:up" {
        assert!(Instant::now() < deadline, "{}", role(&replica));
        std::thread::sleep(Duration::from_millis(20));
    }
    let mirrors = two_nodes(cluster.connect().await, cluster.connect().await).await;
    cluster.nodes.push(replica);
    let failover = std::thread::spawn(move || {
        for new in [3, 0] {
            std::thread::sleep(Duration::from_millis(700));
            let (deadline, mut asked) = (Instant::now() + DEADLINE, None);
            while role(&cluster.nodes[new]) != "role:master" {
                assert!(Instant::now() < deadline);
                // Redis gives it up after 5 s, where the machine is busy, and says so nowhere. It cannot begin before the link is up.
                if asked.is_none_or(|asked: Instant| asked.elapsed() > Duration::from_secs(6)) {
                    asked = redis::cmd("CLUSTER").arg("FAILOVER").exec(&mut cluster.nodes[new].admin()).ok().map(|()| Instant::now());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        cluster
    });
    let (mirrors, tallies) = write_and_watch(mirrors, groups(), Duration::from_secs(5)).await;
    let _cluster = failover.join().unwrap();
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        holds(&mirror.redis, tally).await;
        assert_eq!((tally.unknown, tally.refused), (0, 0));
        assert!(mirror.resyncs.is_empty(), "{:?}", mirror.resyncs);
    }
}

#[tokio::test]
async fn a_node_that_was_away_is_back_with_all_its_groups() {
    let mut cluster = Cluster::start();
    let (redis, feed) = cluster.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    for group in groups() {
        mirror.watch(&group).await;
        redis.set(1, &ItemKey { group: group.clone(), item: "i".into() }, json("1")).await.unwrap();
    }
    cluster.nodes[1].restart();
    let deadline = Instant::now() + DEADLINE;
    for group in groups() {
        // While the node is away, or the cluster does not trust it yet, calls are refused.
        while let Err(error) = redis.set(1, &ItemKey { group: group.clone(), item: "i".into() }, json("2")).await {
            assert!(Instant::now() < deadline, "{error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        mirror.agrees(&group).await;
    }
    assert!(mirror.resyncs.is_empty(), "{:?}", mirror.resyncs);
}

#[tokio::test]
async fn several_addresses_that_are_no_cluster_are_refused() {
    let (one, two) = (Server::start(&[]), Server::start(&[]));
    let error = Redis::connect(RedisOptions::new(format!("{},{}", one.url(), two.url()))).await.map(drop).unwrap_err();
    assert!(matches!(error, RedisError::Config(_)), "{error}");
}
