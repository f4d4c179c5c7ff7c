//! A Redis Cluster of three.

use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use super::writer::Pace;
use super::{STREAM, begin, end, nodes};
use crate::redis_server::RedisServer;
use crate::server::{DEADLINE, POLL};

/// Slots of a Cluster, and how many of them move: the first ones of the first node.
const SLOTS: u16 = 16_384;
const MOVED: u16 = 200;

struct Cluster(Vec<RedisServer>);

impl Cluster {
    fn start() -> Self {
        let nodes = (0..3).map(|_| {
            // Whoever takes the port in between makes the process end at once, and then it is another one.
            let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
            RedisServer::start(&["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port", &bus])
        });
        let cluster = Self(nodes.collect());
        let addresses: Vec<_> = cluster.0.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        let mut create = vec!["create"];
        create.extend(addresses.iter().map(String::as_str));
        cluster.admin(&[&create[..], &["--cluster-replicas", "0"]].concat());
        let begun = Instant::now();
        while !cluster.0.iter().all(|node| node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")) {
            assert!(begun.elapsed() < DEADLINE, "the cluster does not come up");
            std::thread::sleep(POLL);
        }
        cluster
    }

    /// Runs `redis-cli --cluster`.
    fn admin(&self, args: &[&str]) {
        let done = Command::new("redis-cli").arg("--cluster").args(args).arg("--cluster-yes").output().unwrap();
        let text = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{args:?}: {text}{}", String::from_utf8_lossy(&done.stderr));
    }

    fn slot(&self, group: &str) -> u16 {
        self.0[0].cli(&["CLUSTER", "KEYSLOT", &format!("stream:{STREAM}:{group}")]).parse().unwrap()
    }

    /// Moves the first slots of the first node to the second, with all that is in them.
    fn move_slots(&self) {
        let id = |node: usize| self.0[node].cli(&["CLUSTER", "MYID"]);
        let (first, from, to) = (format!("127.0.0.1:{}", self.0[0].port()), id(0), id(1));
        let slots = MOVED.to_string();
        self.admin(&["reshard", &first, "--cluster-from", &from, "--cluster-to", &to, "--cluster-slots", &slots]);
    }
}

/// Names of groups that fall on all nodes; the first one's slot moves.
fn spread(cluster: &Cluster) -> Vec<String> {
    let named = |from: u16, to: u16| {
        let slot_is_there = |group: &String| (from..to).contains(&slot_of(&format!("stream:{STREAM}:{group}")));
        let group = (0..).map(|n| format!("c{n}")).find(slot_is_there).unwrap();
        assert!((from..to).contains(&cluster.slot(&group)), "{group}");
        group
    };
    vec![named(0, MOVED), named(MOVED, SLOTS / 3), named(SLOTS / 3 + 1, SLOTS / 3 * 2), named(SLOTS / 3 * 2 + 2, SLOTS)]
}

/// CRC16 (XMODEM) of a key without a hash tag.
fn slot_of(key: &str) -> u16 {
    key.bytes().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 })
    }) % SLOTS
}

#[tokio::test]
async fn cluster_is_as_one_redis_while_slots_move() {
    let cluster = Cluster::start();
    // One address is enough.
    let (nodes, groups) = (nodes(&cluster.0[1], 2), spread(&cluster));
    let pace = Pace { in_flight: 16, rest: Duration::from_millis(4) };
    let (watchers, work) = begin(&nodes, &groups, 6, pace).await;
    work.answer(1_000).await;
    let before = work.answered();
    let moving = tokio::task::spawn_blocking(move || {
        cluster.move_slots();
        cluster
    });
    let cluster = moving.await.unwrap();
    assert!(work.answered() > before + 100, "nothing was written meanwhile");
    let slot = cluster.slot(&groups[0]).to_string();
    assert!(cluster.0[1].cli(&["CLUSTER", "COUNTKEYSINSLOT", &slot]) != "0", "the first group has not moved");
    work.answer(1_000).await;
    let story = end(&nodes, &groups, watchers, work).await;
    story.holds();
    story.is_without_gaps();
    let (done, refused, unknown) = story.tally();
    assert!(done > 2_000 && refused == 0 && unknown == 0, "{done} done, {refused} refused, {unknown} unknown");
    for (n, node) in cluster.0.iter().enumerate() {
        assert!(node.cli(&["DBSIZE"]) != "0", "nothing is on node {n} of the cluster");
    }
}
