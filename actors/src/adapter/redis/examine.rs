//! What a Redis says of itself, for somebody who wonders whether it will do. Nothing of it is changed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;

use super::error::{RedisError, is_final};
use super::node;
use super::options::{self, RedisOptions};

/// One of the addresses of a configuration, as it answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Host and port.
    pub address: String,
    /// Of Redis, or what Valkey gives itself out for.
    pub version: String,
    /// Whether Weir works with it.
    pub is_supported: bool,
    /// Whether it is a node of a Cluster.
    pub is_cluster: bool,
    /// How much it may hold; 0 is without a limit.
    pub maxmemory_bytes: u64,
    /// What it does then: anything but `noeviction` may throw items away.
    pub maxmemory_policy: String,
    /// Whether it keeps a log of what is written.
    pub has_log: bool,
    /// When that is forced onto the disk; `None` where this user may not ask.
    pub appendfsync: Option<String>,
    /// How far its clock is ahead of ours, in milliseconds, give or take half of [`round_trip`](Self::round_trip).
    pub clock_ahead_ms: i64,
    /// How long an answer took.
    pub round_trip: Duration,
}

/// Asks each address of the options, in their order.
///
/// # Errors
/// Where the addresses cannot be read; beside it, for each address, where it does not answer within `response_timeout`, or refuses us.
pub async fn examine(options: &RedisOptions) -> Result<Vec<Result<Examined, RedisError>>, RedisError> {
    // Another crate of the process may have chosen the TLS implementation already; ours is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut examined = Vec::new();
    for seed in options.seeds()? {
        let address = options::address(&seed);
        let timeout = options.response_timeout;
        let asked = async {
            let mut connection = node::open(seed, |_push| Ok(()), 16, timeout, "return 0").await?;
            let (version, is_cluster) = (connection.version.clone(), connection.cluster);
            ask(&mut connection.redis, (&address, version, is_cluster)).await
        };
        let asked = tokio::time::timeout(timeout * 2, asked).await;
        let answer = asked.unwrap_or_else(|_elapsed| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()));
        examined.push(answer.map_err(|error| match is_final(&error) {
            true => RedisError::Refused { address, detail: error.to_string() },
            false => RedisError::Unreachable { address, timeout, detail: error.to_string() },
        }));
    }
    Ok(examined)
}

async fn ask(
    redis: &mut MultiplexedConnection,
    (address, version, is_cluster): (&str, String, bool),
) -> Result<Examined, redis::RedisError> {
    let memory: String = redis::cmd("INFO").arg("memory").query_async(redis).await?;
    let persistence: String = redis::cmd("INFO").arg("persistence").query_async(redis).await?;
    // A hosted Redis hides its configuration.
    let appendfsync: Result<BTreeMap<String, String>, _> = redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(redis).await;
    let asked = SystemTime::now();
    let (seconds, micros): (u64, u64) = redis::cmd("TIME").query_async(redis).await?;
    let round_trip = asked.elapsed().unwrap_or_default();
    let ours = (asked + round_trip / 2).duration_since(UNIX_EPOCH).unwrap_or_default();
    let theirs = Duration::from_secs(seconds) + Duration::from_micros(micros);
    let ms = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    Ok(Examined {
        address: address.to_owned(),
        is_supported: node::is_supported(&version),
        version,
        is_cluster,
        maxmemory_bytes: field(&memory, "maxmemory:").parse().unwrap_or_default(),
        maxmemory_policy: field(&memory, "maxmemory_policy:").to_owned(),
        has_log: field(&persistence, "aof_enabled:") == "1",
        appendfsync: appendfsync.ok().and_then(|mut found| found.remove("appendfsync")),
        clock_ahead_ms: ms(theirs).saturating_sub(ms(ours)),
        round_trip,
    })
}

fn field<'a>(info: &'a str, name: &str) -> &'a str {
    info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}
