//! How to reach Redis, and how much of the past is kept there.

use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::error::RedisError;

/// Everything that can be set; every value but `url` has a default.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisOptions {
    /// `redis://` or `rediss://`, one or several parted by commas. Whether they are a Cluster is Redis's to say; one of its nodes is enough.
    pub url: String,
    /// How long the start waits for Redis; default 30 s.
    pub connect_timeout: Duration,
    /// How long an answer may take before the link counts as broken; default 5 s.
    pub response_timeout: Duration,
    /// Changes of a group that are kept for those who have missed some; default 256, at least 1.
    pub history: usize,
    /// How long they are kept in a group that does not change; default 1 h.
    pub history_age: Duration,
    /// About how many bytes of them are kept in a group at most; default 16 MiB.
    pub history_bytes: usize,
    /// Calls that are under way at most; default 4,096.
    pub max_calls: usize,
    /// Bytes of values under way at most; default 64 MiB. One call alone may have more.
    pub max_bytes: usize,
    /// Changes that wait for the reader of the [`Feed`](super::Feed) at most; default 4,096.
    pub feed: usize,
    /// Bytes of them; default 64 MiB.
    pub feed_bytes: usize,
    /// How often one node clears groups out of the index that are gone, and each node leaves them; default 1 h, at least 1 s.
    pub sweep: Duration,
}

impl RedisOptions {
    /// The defaults, with Redis at `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            connect_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(5),
            history: 256,
            history_age: Duration::from_secs(3_600),
            history_bytes: 16 << 20,
            max_calls: 4_096,
            max_bytes: 64 << 20,
            feed: 4_096,
            feed_bytes: 64 << 20,
            sweep: Duration::from_secs(3_600),
        }
    }

    /// Looks at `url` without asking anybody.
    ///
    /// # Errors
    /// Where it is no address.
    pub fn check(&self) -> Result<(), RedisError> {
        self.seeds().map(drop)
    }

    /// Where Redis is, for people: `redis://host:port` for each address, without user and password.
    #[must_use]
    pub fn addresses(&self) -> String {
        let seeds = self.seeds().unwrap_or_default();
        let shown = seeds.iter().map(|seed| {
            let scheme = if matches!(seed.addr(), ConnectionAddr::TcpTls { .. }) { "rediss" } else { "redis" };
            format!("{scheme}://{}", address(seed))
        });
        shown.collect::<Vec<_>>().join(", ")
    }

    /// The addresses in `url`. All of them take the credentials and the TLS settings that stand in their own URL.
    pub(super) fn seeds(&self) -> Result<Vec<ConnectionInfo>, RedisError> {
        // The crate's own message would repeat the URL, and with it a password.
        let unusable = || RedisError::Config("not an address; write `redis://host:port` or `rediss://…`, several parted by commas".into());
        let urls = self.url.split(',').map(str::trim).filter(|url| !url.is_empty());
        let seeds: Vec<_> = urls
            .map(|url| {
                let info = url.into_connection_info().map_err(|_malformed| unusable())?;
                // Only RESP3 tells of a closed link at once, and mixes answers with messages.
                let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
                Ok(info.set_redis_settings(settings))
            })
            .collect::<Result<_, _>>()?;
        if seeds.is_empty() { Err(unusable()) } else { Ok(seeds) }
    }
}

impl std::fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            url: _,
            connect_timeout,
            response_timeout,
            history,
            history_age,
            history_bytes,
            max_calls,
            max_bytes,
            feed,
            feed_bytes,
            sweep,
        } = self;
        f.debug_struct("RedisOptions")
            .field("url", &"…")
            .field("connect_timeout", connect_timeout)
            .field("response_timeout", response_timeout)
            .field("history", history)
            .field("history_age", history_age)
            .field("history_bytes", history_bytes)
            .field("max_calls", max_calls)
            .field("max_bytes", max_bytes)
            .field("feed", feed)
            .field("feed_bytes", feed_bytes)
            .field("sweep", sweep)
            .finish()
    }
}

/// Host and port, for logs and as the name of a node.
pub(super) fn address(info: &ConnectionInfo) -> String {
    info.addr().to_string()
}

/// The same credentials and settings at another address, as a Cluster names it.
pub(super) fn at(seed: &ConnectionInfo, address: &str) -> Option<ConnectionInfo> {
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let addr = match seed.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
            ConnectionAddr::TcpTls { host: host.to_owned(), port, insecure: *insecure, tls_params: tls_params.clone() }
        }
        _ => ConnectionAddr::Tcp(host.to_owned(), port),
    };
    Some(seed.clone().set_addr(addr))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn urls_are_read_one_or_several() {
        let options = RedisOptions::new("redis://u:secret@a:1/2, rediss://b:2");
        let seeds = options.seeds().unwrap();
        assert_eq!(seeds.iter().map(address).collect::<Vec<_>>(), ["a:1", "b:2"]);
        assert_eq!(seeds[0].redis_settings().db(), 2);
        assert_eq!(address(&at(&seeds[1], "::1:7000").unwrap()), "::1:7000");
        assert!(matches!(at(&seeds[1], "c:3").unwrap().addr(), ConnectionAddr::TcpTls { .. }));
    }

    #[test]
    fn passwords_are_in_no_text() {
        let options = RedisOptions::new("redis:/u:secret@a:1");
        let error = options.seeds().unwrap_err();
        assert!(!format!("{options:?} {error} {error:?}").contains("secret"));
    }
}
