//! What several nodes on one Redis cost, measured at the built server from outside: `make bench-redis`.
//!
//! Sets per second and CPU time per set through one node with 256 calls in flight, then how long a change takes from the worker at one node
//! to the client at another. The floor beside them is the same work done by hand on the same Redis: the commands that a set needs, sent by
//! `redis-cli --pipe`; and a bare `PUBLISH` from one socket to another.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed"
)]

mod harness;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use harness::{CONNECTIONS, Caller, IN_FLIGHT, Measured, Server, VALUE_BYTES, cpu, set, throughput};
use serde_json::json;
use tempfile::TempDir;

/// Sets that the floor makes.
const FLOOR: u64 = 500_000;
/// Changes whose way is timed.
const TIMED: usize = 10_000;

struct Redis {
    port: u16,
    process: Child,
    folder: TempDir,
}

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = TempDir::with_prefix("weir-bench-").unwrap();
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "redis-server does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { port, process, folder }
    }

    fn node(&self, folder: &TempDir) -> Server {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let adapter = json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"redis_url": url}});
        Server::start(folder.path(), &adapter)
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(out: &mut Vec<u8>, parts: &[&str]) {
    write!(out, "*{}\r\n", parts.len()).unwrap();
    for part in parts {
        write!(out, "${}\r\n{part}\r\n", part.len()).unwrap();
    }
}

/// What one set needs, without a script around it: the old value, the new one, a number and a time, the log, the channel.
fn by_hand(redis: &Redis) -> Measured {
    let file = redis.folder.path().join("floor");
    let mut out = Vec::new();
    let value = "x".repeat(VALUE_BYTES - 2);
    let change = format!("1 u 1795635063000000 000000000 1795635063000 9 0 {VALUE_BYTES}\\nitem-0000\"{value}\"");
    for n in 0..FLOOR {
        let (group, item) = (n % CONNECTIONS as u64, n / CONNECTIONS as u64 % 10_000);
        let (items, head, log) = (format!("floor:{group}"), format!("floor:head:{group}"), format!("floor:log:{group}"));
        let item = format!("item-{item}");
        command(&mut out, &["HGET", &items, &item]);
        command(&mut out, &["HSET", &items, &item, &format!("\"{value}\"")]);
        command(&mut out, &["HINCRBY", &head, "seq", "1"]);
        command(&mut out, &["HSET", &head, "time", "1795635063000"]);
        command(&mut out, &["XADD", &log, "MAXLEN", "~", "256", "*", "m", &change]);
        command(&mut out, &["PUBLISH", &head, &change]);
    }
    File::create(&file).unwrap().write_all(&out).unwrap();
    let (began, before) = (Instant::now(), cpu(redis.process.id()));
    let pipe = Command::new("redis-cli")
        .args(["-p", &redis.port.to_string(), "--pipe"])
        .stdin(File::open(&file).unwrap())
        .stdout(Stdio::null())
        .status();
    assert!(pipe.unwrap().success());
    let each = (cpu(redis.process.id()) - before).as_secs_f64() * 1e6 / FLOOR as f64;
    Measured { per_second: FLOOR as f64 / began.elapsed().as_secs_f64(), cpu_us_per_set: 0.0, other_us_per_set: each }
}

/// Median and 99th percentile of `TIMED` runs, in microseconds.
fn timed(mut run: impl FnMut(u64)) -> (u128, u128) {
    for n in 0..1_000 {
        run(n);
    }
    let mut times: Vec<_> = (0..TIMED as u64)
        .map(|n| {
            let began = Instant::now();
            run(n);
            began.elapsed().as_micros()
        })
        .collect();
    times.sort_unstable();
    (times[TIMED / 2], times[TIMED * 99 / 100])
}

/// From `PUBLISH` on one socket to the message on another.
fn published(redis: &Redis) -> (u128, u128) {
    let (mut publisher, mut subscriber) = (redis.connect(), redis.connect());
    let mut bytes = vec![0; 64 << 10];
    let mut out = Vec::new();
    command(&mut out, &["SUBSCRIBE", "way"]);
    // Short answers, each of which comes in one piece.
    let mut answer = |from: &mut TcpStream| assert!(from.read(&mut bytes).unwrap() > 0);
    subscriber.write_all(&out).unwrap();
    answer(&mut subscriber);
    out.clear();
    command(&mut out, &["PUBLISH", "way", &"x".repeat(VALUE_BYTES)]);
    timed(|_| {
        publisher.write_all(&out).unwrap();
        answer(&mut subscriber);
        answer(&mut publisher);
    })
}

/// From `stream::set` at one node to the client at the other, one at a time.
fn delivered(from: &Server, to: &Server) -> (u128, u128) {
    // A group that nobody has loaded yet.
    let group = CONNECTIONS + 1;
    let (mut worker, mut client) = (Caller::connect(from), Caller::subscribe(to, &format!("group-{group}")));
    let mut frame = Vec::new();
    timed(|n| {
        frame.clear();
        set(&mut frame, group, n % 100);
        worker.stream.write_all(&frame).unwrap();
        client.answers();
        worker.answers();
    })
}

fn main() {
    let redis = Redis::start();
    let folders = [(); 2].map(|()| TempDir::with_prefix("weir-bench-").unwrap());
    println!("stream::set from {CONNECTIONS} workers, {} in flight, values of {VALUE_BYTES} bytes\n", CONNECTIONS * IN_FLIGHT);
    println!("| through | sets/s | Weir CPU µs per set | Redis CPU µs per set |\n|---|---|---|---|");
    let floor = by_hand(&redis);
    println!("| `redis-cli --pipe`, by hand | {:>7.0} | | {:.2} |", floor.per_second, floor.other_us_per_set);
    let nodes = [redis.node(&folders[0]), redis.node(&folders[1])];
    let one = throughput(&nodes[0], Some(redis.process.id()));
    println!("| one node | {:>7.0} | {:.2} | {:.2} |", one.per_second, one.cpu_us_per_set, one.other_us_per_set);

    println!("\n| one at a time | median µs | 99 % within µs |\n|---|---|---|");
    for (name, (median, high)) in [
        ("`PUBLISH` to `SUBSCRIBE`, bare sockets", published(&redis)),
        ("`stream::set` to a client of the same node", delivered(&nodes[0], &nodes[0])),
        ("`stream::set` to a client of another node", delivered(&nodes[0], &nodes[1])),
    ] {
        println!("| {name} | {median} | {high} |");
    }
    nodes.into_iter().for_each(Server::terminate);
}
