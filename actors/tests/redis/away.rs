//! Links that break, and a Redis that is not there.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use weir_actors::adapter::AdapterError;
use weir_actors::adapter::redis::{Redis, RedisError, RedisOptions};
use weir_actors::ids::ItemKey;

use crate::basics::json;
use crate::mirror::Mirror;
use crate::nodes::{holds, some_groups, two_nodes, write_and_watch};
use crate::server::{DEADLINE, Server};

#[tokio::test]
async fn a_start_without_redis_says_so_in_the_end() {
    // Nobody listens there, and no test ever will.
    let mut options = RedisOptions::new("redis://me:secret@127.0.0.1:1");
    options.connect_timeout = Duration::from_millis(600);
    let began = Instant::now();
    let error = Redis::connect(options).await.map(drop).unwrap_err();
    assert!(began.elapsed() >= Duration::from_millis(600) && began.elapsed() < Duration::from_secs(10));
    assert!(matches!(&error, RedisError::Unreachable { .. }));
    let text = error.to_string();
    assert!(text.contains("127.0.0.1:1 ") && text.contains("redis_url") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_start_before_redis_waits_for_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connecting = tokio::spawn(Redis::connect(RedisOptions::new(format!("redis://127.0.0.1:{port}"))));
    // The first attempt is in vain.
    tokio::task::spawn_blocking(move || drop(listener.accept().unwrap())).await.unwrap();
    let _server = Server::start_at(port, &[]).expect("the port is free");
    let (redis, _feed) = tokio::time::timeout(DEADLINE, connecting).await.unwrap().unwrap().unwrap();
    assert!(redis.is_up());
    redis.set(1, &ItemKey::new("s", "g", "i"), json("1")).await.unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_no_reason_to_wait() {
    let server = Server::start(&[]);
    redis::cmd("CONFIG").arg("SET").arg("requirepass").arg("right").exec(&mut server.admin()).unwrap();
    let error = Redis::connect(RedisOptions::new(format!("redis://:wrong@127.0.0.1:{}", server.port))).await.map(drop).unwrap_err();
    assert!(matches!(&error, RedisError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains("wrong@"));
    Redis::connect(RedisOptions::new(format!("redis://:right@127.0.0.1:{}", server.port))).await.unwrap();
}

#[tokio::test]
async fn calls_fail_at_once_while_redis_is_away_and_work_when_it_is_back() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let (redis, feed) = server.connect().await;
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("1")).await.unwrap();
    mirror.agrees(&key.group).await;
    server.kill();
    let deadline = Instant::now() + DEADLINE;
    while redis.is_up() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    assert!(matches!(redis.set(1, &key, json("2")).await, Err(AdapterError::Away(_))));
    assert!(matches!(redis.get(1, &key).await, Err(AdapterError::Away(_))));
    assert!(matches!(redis.list_all().await, Err(AdapterError::Away(_))));
    assert!(matches!(redis.snapshot(1, &key.group, true, &[]).await, Err(AdapterError::Away(_))));
    assert!(matches!(redis.watch(&ItemKey::new("s", "h", "i").group).await, Err(AdapterError::Away(_))));
    assert!(matches!(redis.watch_stream("t").await, Err(AdapterError::Away(_))));
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    server.restart();
    while !redis.is_up() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(redis.set(1, &key, json("3")).await.unwrap().old, Some(json("1")));
    mirror.agrees(&key.group).await;
    assert!(mirror.resyncs.is_empty(), "{:?}", mirror.resyncs);
}

#[tokio::test]
async fn a_redis_that_does_not_answer_counts_as_away_and_carries_out_nothing_late() {
    let server = Server::start(&[]);
    let mut options = server.options();
    options.response_timeout = Duration::from_millis(700);
    let (redis, _feed) = Redis::connect(options).await.unwrap();
    let key = ItemKey::new("s", "g", "i");
    redis.set(1, &key, json("1")).await.unwrap();
    let signal =
        |name: &str| assert!(std::process::Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap().success());
    // All connections but the one that asks.
    let ids = || -> Vec<String> {
        let list: String = redis::cmd("CLIENT").arg("LIST").query(&mut server.admin()).unwrap();
        let field = |line: &str, name: &str| line.split(' ').find_map(|field| field.strip_prefix(name)).unwrap().to_owned();
        list.lines().filter(|line| field(line, "cmd=") != "client|list").map(|line| field(line, "id=")).collect()
    };
    let old = ids();
    signal("-STOP");
    let lost = redis.set(1, &key, json("2")).await;
    assert!(matches!(lost, Err(AdapterError::Unknown(_))), "{lost:?}");
    assert!(matches!(redis.set(1, &key, json("3")).await, Err(AdapterError::Away(_))));
    signal("-CONT");
    let deadline = Instant::now() + DEADLINE;
    while !redis.is_up() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    redis.set(1, &key, json("4")).await.unwrap();
    // The feed's connection stays; whatever the other one held was carried out, or is gone with it.
    while ids().iter().filter(|id| old.contains(id)).count() == old.len() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(redis.get(1, &key).await.unwrap(), Some(json("4")), "what was given up came after what was acknowledged");
}

#[tokio::test]
async fn killed_links_lose_nothing_that_was_acknowledged_and_leave_no_hole() {
    let server = Server::start(&[]);
    let mirrors = two_nodes(server.connect().await, server.connect().await).await;
    let mut admin = server.admin();
    let killer = std::thread::spawn(move || {
        for round in 0..15 {
            std::thread::sleep(Duration::from_millis(200));
            let kind = ["normal", "pubsub"][round % 2];
            // With SKIPME, the default, we stay.
            redis::cmd("CLIENT").arg("KILL").arg("TYPE").arg(kind).exec(&mut admin).unwrap();
        }
    });
    let (mirrors, tallies) = write_and_watch(mirrors, some_groups(), Duration::from_secs(4)).await;
    killer.join().unwrap();
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        holds(&mirror.redis, tally).await;
        assert!(tally.unknown + tally.refused > 0, "no link was cut while it was used");
        assert!(mirror.resyncs.is_empty(), "the log had everything: {:?}", mirror.resyncs);
    }
}

#[tokio::test]
async fn a_restarted_redis_goes_on_where_it_was() {
    let mut server = Server::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let mirrors = two_nodes(server.connect().await, server.connect().await).await;
    let restarter = std::thread::spawn(move || {
        for _ in 0..2 {
            std::thread::sleep(Duration::from_millis(900));
            server.restart();
        }
        server
    });
    let (mirrors, tallies) = write_and_watch(mirrors, some_groups(), Duration::from_secs(4)).await;
    let _server = restarter.join().unwrap();
    for (mirror, tally) in mirrors.iter().zip(&tallies) {
        holds(&mirror.redis, tally).await;
        assert!(mirror.resyncs.is_empty(), "nothing was lost: {:?}", mirror.resyncs);
    }
}

/// A port that leads to whichever is the target at the moment of connecting.
fn proxy(target: Arc<AtomicU16>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect(("127.0.0.1", target.load(Ordering::Relaxed))).unwrap();
            for (mut from, mut to) in [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)] {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            }
        }
    });
    port
}

#[tokio::test]
async fn a_master_that_became_a_replica_is_left_for_the_new_one_behind_its_address() {
    let (old, new) = (Server::start(&[]), Server::start(&[]));
    let replica_of = |server: &Server, port: u16| {
        redis::cmd("REPLICAOF").arg("127.0.0.1").arg(port).exec(&mut server.admin()).unwrap();
    };
    replica_of(&new, old.port);
    let target = Arc::new(AtomicU16::new(old.port));
    let (redis, feed) = Redis::connect(RedisOptions::new(format!("redis://127.0.0.1:{}", proxy(target.clone())))).await.unwrap();
    let mut mirror = Mirror::new(redis.clone(), feed);
    let key = ItemKey::new("s", "g", "i");
    mirror.watch(&key.group).await;
    redis.set(1, &key, json("1")).await.unwrap();
    mirror.agrees(&key.group).await;
    let deadline = Instant::now() + DEADLINE;
    while redis::cmd("HGET").arg("stream:s:g").arg("i").query::<Option<String>>(&mut new.admin()).ok().flatten().is_none() {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    target.store(new.port, Ordering::Relaxed);
    redis::cmd("REPLICAOF").arg("NO").arg("ONE").exec(&mut new.admin()).unwrap();
    // Nobody is there, so that nothing comes through the old one any more.
    replica_of(&old, 1);
    assert_eq!(redis.set(1, &key, json("2")).await.unwrap().old, Some(json("1")));
    mirror.agrees(&key.group).await;
    redis.set(1, &key, json("3")).await.unwrap();
    mirror.agrees(&key.group).await;
}
