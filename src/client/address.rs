//! Where to connect, and what to show there.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use tokio_tungstenite::tungstenite::http::Uri;
use weir_actors::token::Token;

use super::ClientError;
use crate::config::{AdminConfig, Config, StreamConfig, TlsFiles, WorkerConfig};

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
    pub(crate) token: Option<Credential>,
    /// Certificates to believe beside those of the machine.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) hints: &'static Hints,
}

/// A token, and who has said it.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) text: String,
    pub(crate) by: &'static str,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "(of {})", self.by)
    }
}

impl Credential {
    /// That of the command line, or else of the variable, unless that is empty.
    pub(crate) fn given(argument: Option<String>, variable: &'static str) -> Option<Self> {
        let of_variable = || std::env::var(variable).ok().filter(|text| !text.is_empty()).map(|text| Self { text, by: variable });
        Self::argument(argument).or_else(of_variable)
    }

    /// That of the command line.
    pub(crate) fn argument(token: Option<String>) -> Option<Self> {
        token.map(|text| Self { text, by: "--token" })
    }

    fn configured(token: Option<&Token>) -> Option<Self> {
        token.map(|token| Self { text: token.reveal().to_owned(), by: "the configuration" })
    }
}

/// What to do about a port.
#[derive(Debug)]
pub(crate) struct Hints {
    /// Where nobody answers.
    pub(crate) away: &'static str,
    /// Where the token is not taken.
    pub(crate) refused: &'static str,
    /// How its address is written.
    pub(crate) form: &'static str,
}

const WORKER: Hints = Hints {
    away: "start the server with `weir`, or name another one with --url or --config",
    refused: "give the `token` of the worker port with --token or WEIR_TOKEN, or name its file with --config",
    form: "ws://HOST:PORT, or wss:// for TLS",
};
const ADMIN: Hints = Hints {
    away: "is the server there, and its admin port enabled? Name another one with --url or --config",
    refused: "give the `token` of modules::admin::AdminModule with --token or WEIR_ADMIN_TOKEN, or name its file with --config",
    form: "http://HOST:PORT, or https:// where TLS is in front of it",
};
const STREAM: Hints = Hints {
    away: "start the server with `weir`, or name another one with --url or --config",
    refused: "give what its `auth_function` asks for with --token",
    form: "ws://HOST:PORT, or wss:// for TLS",
};

impl Address {
    /// The worker port: of `url`, or else of the configuration. Without a token it is shown that of the configuration, where that is its address.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_workers(url: Option<&str>, token: Option<Credential>, config: &Config) -> Result<Self, ClientError> {
        let WorkerConfig { host, port, tls, settings } = &config.worker;
        let own = Self::configured(host, *port, tls.as_ref(), &WORKER);
        Self::with_token(url.map(|url| Self::parse(url, &WORKER)), own, token, settings.token.as_ref())
    }

    /// The admin port.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_admin(url: Option<&str>, token: Option<Credential>, config: &Config) -> Result<Self, ClientError> {
        let AdminConfig { host, port, token: configured, .. } = &config.admin;
        let own = Self::configured(host, *port, None, &ADMIN);
        let mut address = Self::with_token(url.map(|url| Self::parse(url, &ADMIN)), own, token, configured.as_ref())?;
        // Nothing there speaks WebSocket.
        if let Some(rest) = address.url.strip_prefix("ws") {
            address.url = format!("http{rest}");
        }
        Ok(address)
    }

    /// The stream port.
    ///
    /// # Errors
    /// Where the address cannot be used.
    pub(crate) fn of_streams(url: Option<&str>, token: Option<Credential>, config: &Config) -> Result<Self, ClientError> {
        let StreamConfig { host, port, tls, .. } = &config.stream;
        let own = Self::configured(host, *port, tls.as_ref(), &STREAM);
        Self::with_token(url.map(|url| Self::parse(url, &STREAM)), own, token, None)
    }

    /// The address that is given, or else the configuration's own, to which alone its token is shown: it is a secret of that server, and on another
    /// scheme it would go unencrypted.
    fn with_token(
        given: Option<Result<Self, ClientError>>,
        own: Result<Self, ClientError>,
        token: Option<Credential>,
        configured: Option<&Token>,
    ) -> Result<Self, ClientError> {
        let is_own = match (&given, &own) {
            (Some(Ok(given)), Ok(own)) => given.is_same_port(own),
            (given, _) => given.is_none(),
        };
        let mut address = given.unwrap_or(own)?;
        address.token = token.or_else(|| Credential::configured(configured).filter(|_| is_own));
        Ok(address)
    }

    fn is_same_port(&self, other: &Self) -> bool {
        let is_here = |host: &str| host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback());
        let same_host = self.host == other.host || (is_here(&self.host) && is_here(&other.host));
        same_host && self.port == other.port && self.tls == other.tls
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

    fn parse(text: &str, hints: &'static Hints) -> Result<Self, ClientError> {
        // Without a query, which may hold a token.
        let shown = text.split(['?', '#']).next().unwrap_or_default();
        let bad = |reason: &str| ClientError::Address { url: shown.to_owned(), reason: reason.to_owned(), form: hints.form };
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
        Ok(Self::new((host, port, tls), target, None, hints))
    }

    fn configured(host: &str, port: u16, tls: Option<&TlsFiles>, hints: &'static Hints) -> Result<Self, ClientError> {
        // Where a server listens everywhere, it is here too.
        let host = match host.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if address.is_unspecified() => "127.0.0.1",
            Ok(IpAddr::V6(address)) if address.is_unspecified() => "::1",
            _ => host,
        };
        if port == 0 {
            let reason =
                "the configuration has port 0, which is any free one; give the address that the server printed with --url".to_owned();
            return Err(ClientError::Address { url: host.to_owned(), reason, form: hints.form });
        }
        let cert = tls.map(|files| files.cert.clone());
        Ok(Self::new((host.to_owned(), port, tls.is_some()), "/".to_owned(), cert, hints))
    }

    fn new((host, port, tls): (String, u16, bool), target: String, cert: Option<PathBuf>, hints: &'static Hints) -> Self {
        let path = target.split('?').next().unwrap_or_default().trim_end_matches('/');
        let scheme = if tls { "wss" } else { "ws" };
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Self { url: format!("{scheme}://{authority}{path}"), host, port, tls, target, token: None, cert, hints }
    }

    /// What it was told that refused us, in words.
    pub(crate) fn shown(&self) -> String {
        self.token.as_ref().map_or_else(|| "without a token".to_owned(), |token| format!("with the token of {}", token.by))
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
    fn token_of_the_configuration_is_shown_to_its_own_address_alone() {
        let mut config = Config::default();
        config.worker.settings.token = Token::new("secret");
        let shown = |url: Option<&str>, config: &Config| Address::of_workers(url, None, config).unwrap().token.map(|token| token.by);
        for own in [None, Some("ws://127.0.0.1:49134"), Some("ws://localhost:49134/")] {
            assert_eq!(shown(own, &config), Some("the configuration"), "{own:?}");
        }
        for other in ["ws://127.0.0.1:49135", "ws://192.0.2.1:49134", "wss://127.0.0.1:49134"] {
            assert_eq!(shown(Some(other), &config), None, "{other}");
        }
        let tls = TlsFiles { cert: "c".into(), key: "k".into() };
        config.worker.tls = Some(tls);
        assert_eq!(shown(Some("ws://127.0.0.1:49134"), &config), None);
        let given = Credential { text: "given".to_owned(), by: "--token" };
        let address = Address::of_workers(Some("ws://192.0.2.1:1"), Some(given), &config).unwrap();
        assert_eq!(address.shown(), "with the token of --token");
        assert!(!format!("{address:?}").contains("given"));
    }

    #[test]
    fn address_of_the_admin_port_is_one_of_http() {
        let of = |url: Option<&str>| Address::of_admin(url, None, &Config::default());
        assert_eq!(of(None).unwrap().url, "http://127.0.0.1:9464");
        assert_eq!(of(Some("https://news.example/")).unwrap().url, "https://news.example:443");
        let said = of(Some("127.0.0.1:9464")).unwrap_err().to_string();
        assert!(said.contains("write http://HOST:PORT"), "{said}");
    }

    #[test]
    fn addresses_that_cannot_be_used_say_why() {
        for text in ["localhost:3112", "ftp://h", "ws://", "ws:// h", ""] {
            let said = Address::of_streams(Some(text), None, &Config::default()).unwrap_err().to_string();
            assert!(said.contains("ws://HOST:PORT"), "{text}: {said}");
        }
    }
}
