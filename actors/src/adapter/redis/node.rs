//! One node of Redis: how its connection is made.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, PushInfo, Value};

/// An open connection and what its node told about itself.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) redis: MultiplexedConnection,
    /// The name of the script.
    pub(super) sha: Arc<str>,
    /// Which run of the server this is.
    pub(super) run: String,
    /// The server's number for this connection.
    pub(super) id: i64,
    pub(super) cluster: bool,
    pub(super) version: String,
}

/// Opens a connection; `pushed` gets its messages, and that it is closed.
pub(super) async fn open(
    info: ConnectionInfo,
    pushed: impl Fn(PushInfo) -> Result<(), ()> + Send + Sync + 'static,
    buffer: usize,
    timeout: Duration,
    text: &str,
) -> Result<Connection, redis::RedisError> {
    // Answers have a deadline of their own: a write that is given up must take the connection with it.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(None)
        // Room for all that may be under way, so that a command is queued when it is first polled.
        .set_pipeline_buffer_size(buffer)
        .set_push_sender(pushed);
    let open = async {
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_tcp_settings(tcp);
        let mut connection = Client::open(info)?.get_multiplexed_async_connection_with_config(&config).await?;
        let mut hello = redis::pipe();
        hello.cmd("CLIENT").arg("ID").cmd("INFO").arg("server").cmd("SCRIPT").arg("LOAD").arg(text);
        let (id, server, sha): (i64, String, String) = hello.query_async(&mut connection).await?;
        let field = |name: &str| server.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
        Ok(Connection {
            redis: connection,
            sha: sha.into(),
            run: field("run_id:"),
            id,
            cluster: field("redis_mode:") == "cluster",
            version: field("redis_version:"),
        })
    };
    tokio::time::timeout(timeout, open).await.unwrap_or_else(|_elapsed| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Whether a server of this version has all we use: `6.2` and later.
pub(super) fn is_supported(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (6, 2)
}

/// Ends the connection that ours replaces, if the server has not noticed yet: what it still holds must not be carried out behind our back.
pub(super) async fn bury(new: &mut Connection, old_run: &str, old_id: i64) {
    if new.run == old_run {
        // There is nobody to kill as a rule, and a user may lack the right; both are no trouble.
        let killed: Result<Value, _> = redis::cmd("CLIENT").arg("KILL").arg("ID").arg(old_id).query_async(&mut new.redis).await;
        tracing::debug!(?killed, "ended the connection before this one");
    }
}

/// How long to wait before attempt `attempt`, counted from 0: 50 ms, doubling to 2 s, and somewhat at random.
pub(super) fn pause(attempt: u32) -> Duration {
    let longest = 50u64 << attempt.min(6);
    Duration::from_millis(rand::random_range(longest.min(2_000) / 2..=longest.min(2_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, supported) in [("6.2.0", true), ("7.0.15", true), ("10.0", true), ("6.0.16", false), ("5.9.9", false), ("", false)] {
            assert_eq!(is_supported(version), supported, "{version}");
        }
    }

    #[test]
    fn pauses_grow_to_two_seconds() {
        assert!(pause(0) <= Duration::from_millis(50));
        assert!((Duration::from_secs(1)..=Duration::from_secs(2)).contains(&pause(90)));
    }
}
