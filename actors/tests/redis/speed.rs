//! Figures, not checks: `cargo test --release -p weir-actors --features redis,testing --test redis -- --ignored --nocapture speed`.

#![allow(clippy::print_stdout, reason = "figures are for people")]

use std::collections::VecDeque;
use std::time::Instant;

use weir_actors::ids::ItemKey;

use crate::basics::{Answer, json};
use crate::server::Server;

/// User and system time of a process, in clock ticks of 10 ms.
fn cpu_ms(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()) * 10
}

async fn run(in_flight: usize, watched: bool) {
    const SETS: u64 = 300_000;
    let server = Server::start(&[]);
    let (redis, mut feed) = server.connect().await;
    let value = json(&format!("\"{}\"", "x".repeat(126)));
    let keys: Vec<_> = (0..1_000).map(|n| ItemKey::new("s", &(n % 10).to_string(), &n.to_string())).collect();
    if watched {
        for key in &keys[..10] {
            redis.watch(&key.group).await.unwrap();
        }
        tokio::spawn(async move { while feed.next().await.is_some() {} });
    }
    let (own, theirs, began) = (cpu_ms(std::process::id()), cpu_ms(server.pid()), Instant::now());
    let mut pending: VecDeque<Answer> = VecDeque::new();
    for n in 0..SETS {
        if pending.len() >= in_flight {
            pending.pop_front().unwrap().await.unwrap();
        }
        pending.push_back(Box::pin(redis.set(1, &keys[usize::try_from(n).unwrap() % keys.len()], value.clone())));
    }
    for answer in pending {
        answer.await.unwrap();
    }
    let took = began.elapsed();
    println!(
        "{in_flight} in flight, watched {watched}: {:.0} sets/s; CPU per set: ours {:.2} us, redis {:.2} us",
        SETS as f64 / took.as_secs_f64(),
        (cpu_ms(std::process::id()) - own) as f64 * 1_000.0 / SETS as f64,
        (cpu_ms(server.pid()) - theirs) as f64 * 1_000.0 / SETS as f64,
    );
}

#[tokio::test]
#[ignore = "a measurement"]
async fn speed() {
    for (in_flight, watched) in [(1, false), (256, false), (256, true), (4_000, false)] {
        run(in_flight, watched).await;
    }
}
