//! Where to connect, and what to show there.

use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_tungstenite::tungstenite::http::Uri;

use super::ClientError;
use crate::config::{Config, TlsFiles};

/// What stays as it is in a name of an address.
const NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A server's port.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    /// `ws://host:port/path`, without user, query and fragment.
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// Path and query.
    pub(crate) target: String,
    /// Shown as `Authorization: Bearer`.
    pub(crate) token: Option<String>,
    /// Certificates to believe beside those of the machine.
    pub(crate) cert: Option<PathBuf>,
    /// What to do where nobody answers, or where the token is not taken.
    pub(crate) hints: (&'static str, &'static str),
}

const WORKER_HINTS: (&str, &str) = (
    "start the server with `weir`, or name another one with --url or --config",
    "give the `token` of the worker port with --token or WEIR_TOKEN, or name its file with --config",
);
const ADMIN_HINTS: (&str, &str) = (
    "is the server there, and its admin port enabled? Name another one with --url or --config",
    "give the `token` of modules::admin::AdminModule with --token or WEIR_ADMIN_TOKEN, or name its file with --config",
);
const STREAM_HINTS: (&str, &str) =
    ("start the server with `weir`, or name another one with --url or --config", "give what its `auth_function` asks for with --token");

impl Address {
    /// The worker port: of `url`, or else of the configuration, with its token unless there is another.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_workers(url: Option<&str>, token: Option<String>, config: &Config) -> Result<Self, ClientError> {
        let token = token.or_else(|| config.worker.settings.token.as_ref().map(|token| token.reveal().to_owned()));
        match url {
            Some(url) => Self::parse(url, token, WORKER_HINTS),
            None => Self::configured(&config.worker.host, config.worker.port, config.worker.tls.as_ref(), token, WORKER_HINTS),
        }
    }

    /// The admin port.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_admin(url: Option<&str>, token: Option<String>, config: &Config) -> Result<Self, ClientError> {
        let token = token.or_else(|| config.admin.token.as_ref().map(|token| token.reveal().to_owned()));
        match url {
            Some(url) => Self::parse(url, token, ADMIN_HINTS),
            None => Self::configured(&config.admin.host, config.admin.port, None, token, ADMIN_HINTS),
        }
    }

    /// The stream port.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_streams(url: Option<&str>, token: Option<String>, config: &Config) -> Result<Self, ClientError> {
        match url {
            Some(url) => Self::parse(url, token, STREAM_HINTS),
            None => Self::configured(&config.stream.host, config.stream.port, config.stream.tls.as_ref(), token, STREAM_HINTS),
        }
    }

    /// The address of a group, or of an item of it, below that of the stream port.
    #[must_use]
    pub(crate) fn subscription(mut self, stream: &str, group: &str, item: Option<&str>) -> Self {
        let encode = |name| utf8_percent_encode(name, NAME);
        let (path, query) = self.target.split_once('?').map_or((self.target.as_str(), None), |(path, query)| (path, Some(query)));
        let mut target = format!("{}/stream/{}/{}/", path.trim_end_matches('/'), encode(stream), encode(group));
        if let Some(item) = item {
            target.extend(encode(item));
        }
        let base = self.url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.split('/').next()?)));
        if let Some((scheme, authority)) = base {
            self.url = format!("{scheme}://{authority}{target}");
        }
        self.target = query.map_or(target.clone(), |query| format!("{target}?{query}"));
        self
    }

    fn parse(text: &str, token: Option<String>, hints: (&'static str, &'static str)) -> Result<Self, ClientError> {
        // Without a query, which may hold a token.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let bad = |reason: &str| ClientError::Address { url: shown.to_owned(), reason: reason.to_owned() };
        let uri: Uri = text.parse().map_err(|error: tokio_tungstenite::tungstenite::http::uri::InvalidUri| bad(&error.to_string()))?;
        let tls = match uri.scheme_str() {
            Some("ws" | "http") => false,
            Some("wss" | "https") => true,
            _ => return Err(bad("it has no scheme")),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| bad("it has no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let target = uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
        Ok(Self::new((host, port, tls), target, token, None, hints))
    }

    fn configured(
        host: &str,
        port: u16,
        tls: Option<&TlsFiles>,
        token: Option<String>,
        hints: (&'static str, &'static str),
    ) -> Result<Self, ClientError> {
        // Where a server listens everywhere, it is here too.
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1",
            Ok(IpAddr::V6(address)) if address.is_unspecified() => "::1",
            _ => host,
        };
        if port == 0 {
            let reason =
                "the configuration has port 0, which is any free one; give the address that the server printed with --url".to_owned();
            return Err(ClientError::Address { url: host.to_owned(), reason });
        }
        let cert = tls.map(|files| files.cert.clone());
        Ok(Self::new((host.to_owned(), port, tls.is_some()), "/".to_owned(), token, cert, hints))
    }

    fn new(
        (host, port, tls): (String, u16, bool),
        target: String,
        token: Option<String>,
        cert: Option<PathBuf>,
        hints: (&'static str, &'static str),
    ) -> Self {
        let path = target.split('?').next().unwrap_or_default().trim_end_matches('/');
        let scheme = if tls { "wss" } else { "ws" };
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { url: format!("{scheme}://{authority}{path}"), host, port, tls, target, token, cert, hints }
    }

    /// `host:port`, as a request names it.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn address_of_a_url_shows_no_query() {
        let address = Address::of_workers(Some("wss://weir.internal/base/?token=t"), None, &Config::default()).unwrap();
        assert_eq!(address.url, "wss://weir.internal:443/base");
        assert_eq!((address.tls, address.port, address.target.as_str()), (true, 443, "/base/?token=t"));
    }

    #[test]
    fn address_of_a_configuration_is_one_that_can_be_reached() {
        let config = Config::default();
        assert_eq!(Address::of_workers(None, None, &config).unwrap().url, "ws://127.0.0.1:49134");
        assert_eq!(Address::of_streams(None, None, &config).unwrap().url, "ws://127.0.0.1:3112");
        let mut other = config;
        (other.stream.host, other.stream.port) = ("::".to_owned(), 0);
        assert!(Address::of_streams(None, None, &other).unwrap_err().to_string().contains("--url"));
        other.stream.port = 1;
        assert_eq!(Address::of_streams(None, None, &other).unwrap().url, "ws://[::1]:1");
    }

    #[test]
    fn address_of_a_subscription_has_names_encoded() {
        let base = Address::of_streams(Some("ws://h:1/live?k=v"), None, &Config::default()).unwrap();
        let of_group = base.clone().subscription("a/b", "é ?", None);
        assert_eq!(of_group.target, "/live/stream/a%2Fb/%C3%A9%20%3F/?k=v");
        assert_eq!(of_group.url, "ws://h:1/live/stream/a%2Fb/%C3%A9%20%3F/");
        assert_eq!(base.subscription("s", "g", Some("i")).target, "/live/stream/s/g/i?k=v");
    }

    #[test]
    fn addresses_that_cannot_be_used_say_why() {
        for text in ["localhost:3112", "ftp://h", "ws://", "ws:// h", ""] {
            let said = Address::of_streams(Some(text), None, &Config::default()).unwrap_err().to_string();
            assert!(said.contains("ws://HOST:PORT"), "{text}: {said}");
        }
    }
}
