//! The Redis of the configuration.

use weir_actors::adapter::redis::{Examined, RedisOptions, examine};

use super::{Check, size};

const REDIS: &str = "redis";
/// Clocks that are further apart make timestamps of changes look odd.
const CLOCKS_APART_MS: i64 = 1_000;

pub(super) async fn check(options: &RedisOptions) -> Vec<Check> {
    let examined = match examine(options).await {
        Ok(examined) => examined,
        Err(error) => return vec![Check::fail(REDIS, error.to_string(), "correct `redis_url`")],
    };
    let mut checks = Vec::new();
    for one in examined {
        match one {
            Ok(one) => checks.extend([version(&one), memory(&one), durability(&one), clock(&one)]),
            Err(error) => checks.push(Check::fail(REDIS, error.to_string(), "redis-cli -u URL ping should answer PONG")),
        }
    }
    checks
}

fn version(one: &Examined) -> Check {
    let cluster = if one.is_cluster { ", a node of a Cluster" } else { "" };
    let detail = format!("{} answers: version {}{cluster}", one.address, one.version);
    if one.is_supported { Check::ok(REDIS, detail) } else { Check::fail(REDIS, detail, "Weir needs Redis 6.2 or later, or Valkey") }
}

fn memory(one: &Examined) -> Check {
    const WHAT: &str = "redis memory";
    let policy = &one.maxmemory_policy;
    match one.maxmemory_bytes {
        0 => Check::ok(WHAT, format!("without a limit ({policy})")),
        limit if policy == "noeviction" => Check::ok(WHAT, format!("up to {}, {policy}", size(limit))),
        limit => Check::warn(
            WHAT,
            format!("up to {}, and then {policy} throws items away", size(limit)),
            "maxmemory-policy noeviction: writes then fail instead, and say why",
        ),
    }
}

fn durability(one: &Examined) -> Check {
    const WHAT: &str = "redis log";
    match (one.has_log, one.appendfsync.as_deref()) {
        (false, _) => Check::warn(
            WHAT,
            "appendonly no: what was written since the last snapshot is gone when Redis ends",
            "appendonly yes, if items must outlive it",
        ),
        (true, Some("no")) => {
            Check::warn(WHAT, "appendonly yes, appendfsync no: some 30 s are lost with the machine", "appendfsync everysec or always")
        }
        (true, Some(fsync)) => Check::ok(WHAT, format!("appendonly yes, appendfsync {fsync}")),
        (true, None) => Check::ok(WHAT, "appendonly yes; appendfsync is not told to this user"),
    }
}

fn clock(one: &Examined) -> Check {
    const WHAT: &str = "redis clock";
    let ahead = one.clock_ahead_ms;
    let detail = format!("{} ms {} ours", ahead.abs(), if ahead < 0 { "behind" } else { "ahead of" });
    if ahead.abs() <= CLOCKS_APART_MS {
        Check::ok(WHAT, detail)
    } else {
        Check::warn(WHAT, detail, "have both kept by the network; timestamps are those of Redis")
    }
}
