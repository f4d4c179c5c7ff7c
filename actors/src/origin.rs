//! Which pages a browser may connect from (RFC 6454, the `Origin` header).

use std::fmt;
use std::net::Ipv6Addr;

/// The origins that are let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origins(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Any,
    Exact(Origin),
    /// Any subdomain of the host, at any depth, and not the host itself.
    Below(Origin),
}

/// Scheme, host in lower case, and port, the scheme's own where none is written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: Option<u16>,
}

/// An entry that is no origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected an origin such as https://app.example.com, https://*.example.com for its subdomains, or *")]
#[non_exhaustive]
pub struct NoOrigin;

impl Origins {
    /// Lets in one origin more: `https://app.example.com` with a port if it is not the scheme's, `https://*.example.com` for every
    /// subdomain, `*` for every page.
    ///
    /// # Errors
    /// [`NoOrigin`]: a path, a last slash, a port that is none, a `*` elsewhere, a host that is not written in ASCII.
    pub fn add(&mut self, entry: &str) -> Result<(), NoOrigin> {
        let pattern = if entry == "*" {
            Pattern::Any
        } else if let Some((scheme, rest)) = entry.split_once("://*.") {
            let below = Origin::parse(&format!("{scheme}://{rest}")).filter(|origin| !origin.host.starts_with('['));
            Pattern::Below(below.ok_or(NoOrigin)?)
        } else {
            Pattern::Exact(Origin::parse(entry).ok_or(NoOrigin)?)
        };
        self.0.push(pattern);
        Ok(())
    }

    fn admit(&self, origin: &str) -> bool {
        let parsed = Origin::parse(origin);
        self.0.iter().any(|pattern| match (pattern, &parsed) {
            (Pattern::Any, _) => true,
            (_, None) => false,
            (Pattern::Exact(exact), Some(origin)) => exact == origin,
            (Pattern::Below(above), Some(origin)) => {
                let below = origin.host.strip_suffix(&above.host).and_then(|rest| rest.strip_suffix('.'));
                below.is_some_and(|rest| !rest.is_empty()) && (&origin.scheme, origin.port) == (&above.scheme, above.port)
            }
        })
    }
}

/// As entries of a configuration, parted by commas.
impl fmt::Display for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            let (below, origin) = match pattern {
                Pattern::Any => {
                    f.write_str("*")?;
                    continue;
                }
                Pattern::Exact(origin) => ("", origin),
                Pattern::Below(origin) => ("*.", origin),
            };
            write!(f, "{}://{below}{}", origin.scheme, origin.host)?;
            if let Some(port) = origin.port.filter(|_| origin.port != default_port(&origin.scheme)) {
                write!(f, ":{port}")?;
            }
        }
        Ok(())
    }
}

/// Whether a client may connect whose request has these headers `Origin` and `Host`.
///
/// One without `origin` is no browser, and comes in. Where nothing is `allowed`, a browser must have its page from where it connects to: the same host
/// and port as in `host`, whatever the scheme, since a proxy may have taken TLS off.
pub fn admits(allowed: Option<&Origins>, origin: Option<&str>, host: Option<&str>) -> bool {
    match (origin, allowed) {
        (None, _) => true,
        (Some(origin), Some(allowed)) => allowed.admit(origin),
        (Some(origin), None) => {
            let (Some(origin), Some((host, port))) = (Origin::parse(origin), host.and_then(authority)) else { return false };
            // A host without a port is at the port of the scheme, which is known from the page alone.
            origin.host == host && origin.port == port.or_else(|| default_port(&origin.scheme))
        }
    }
}

impl Origin {
    /// `None` for what is no origin, and for `null`, which stands for pages that have none.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
        let (host, port) = authority(rest).filter(|_| is_scheme)?;
        Some(Self { port: port.or_else(|| default_port(&scheme)), scheme, host })
    }
}

/// Host in lower case and port, if one is written.
fn authority(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.rfind(':') {
        // The colons of an IPv6 address stand in brackets.
        Some(colon) if !text.ends_with(']') => (text.get(..colon)?, Some(text.get(colon + 1..)?)),
        _ => (text, None),
    };
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok().filter(|port| *port != 0)?),
        Some(_) => return None,
    };
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']')?.parse::<Ipv6Addr>().is_ok(),
        None => {
            let labels = host.strip_suffix('.').unwrap_or(host).split('.');
            let is_label = |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            labels.into_iter().all(is_label)
        }
    };
    is_host.then(|| (host.to_ascii_lowercase(), port))
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn origins(entries: &[&str]) -> Origins {
        let mut origins = Origins::default();
        entries.iter().for_each(|entry| origins.add(entry).unwrap());
        origins
    }

    #[test]
    fn listed_origins_come_in_and_no_others() {
        let exact = "https://app.example.com";
        let below = "https://*.example.com";
        for (allowed, origin, admitted) in [
            (exact, "https://app.example.com", true),
            (exact, "https://APP.Example.com", true),
            (exact, "https://app.example.com:443", true),
            (exact, "https://app.example.com:8443", false),
            (exact, "http://app.example.com", false),
            (exact, "http://app.example.com:443", false),
            (exact, "https://evil.com", false),
            (exact, "https://app.example.com.evil.com", false),
            (exact, "https://xapp.example.com", false),
            (exact, "https://example.com", false),
            (exact, "null", false),
            (exact, "", false),
            (below, "https://a.example.com", true),
            (below, "https://a.b.example.com", true),
            (below, "https://a.EXAMPLE.com", true),
            (below, "https://example.com", false),
            (below, "https://.example.com", false),
            (below, "https://evilexample.com", false),
            (below, "https://a.example.com.evil.com", false),
            (below, "https://a.example.com:444", false),
            (below, "http://a.example.com", false),
            (below, "https://evil.com/.example.com", false),
            (below, "https://evil.com#.example.com", false),
            (below, "https://u@a.example.com", false),
            (below, "null", false),
            ("http://localhost:5173", "http://localhost:5173", true),
            ("http://localhost:5173", "http://localhost", false),
            ("http://[::1]:5173", "http://[::1]:5173", true),
            ("tauri://localhost", "tauri://localhost", true),
            ("*", "https://any.where", true),
            ("*", "null", true),
            ("*", "no origin at all", true),
        ] {
            assert_eq!(admits(Some(&origins(&[allowed])), Some(origin), Some("app.example.com")), admitted, "{allowed} {origin}");
        }
        assert!(admits(Some(&origins(&["https://a", "https://b"])), Some("https://b"), None));
        assert!(!admits(Some(&Origins::default()), Some("https://b"), Some("b")));
        assert!(admits(Some(&origins(&[exact])), None, Some("other")), "no browser");
    }

    #[test]
    fn page_of_the_same_host_comes_in_where_nothing_is_listed() {
        for (origin, host, admitted) in [
            (Some("http://localhost:3112"), "localhost:3112", true),
            (Some("https://localhost:3112"), "localhost:3112", true),
            (Some("http://LOCALHOST:3112"), "LocalHost:3112", true),
            (Some("http://localhost:5173"), "localhost:3112", false),
            (Some("http://127.0.0.1:3112"), "localhost:3112", false),
            (Some("https://weir.example.com"), "weir.example.com", true),
            (Some("http://weir.example.com"), "weir.example.com", true),
            (Some("https://weir.example.com"), "weir.example.com:443", true),
            (Some("https://weir.example.com:443"), "weir.example.com", true),
            (Some("http://weir.example.com"), "weir.example.com:80", true),
            (Some("http://weir.example.com"), "weir.example.com:443", false),
            (Some("https://weir.example.com:8443"), "weir.example.com", false),
            (Some("https://app.example.com"), "example.com", false),
            (Some("http://[::1]:3112"), "[::1]:3112", true),
            (Some("http://[::1]"), "[::1]", true),
            (Some("null"), "localhost:3112", false),
            (Some("null"), "null", false),
            (Some(""), "", false),
            (Some("localhost:3112"), "localhost:3112", false),
            (None, "localhost:3112", true),
            (None, "", true),
        ] {
            assert_eq!(admits(None, origin, Some(host)), admitted, "{origin:?} {host}");
        }
        assert!(!admits(None, Some("http://a"), None));
    }

    #[test]
    fn entry_that_is_no_origin_is_refused() {
        for entry in [
            "",
            "app.example.com",
            "https://",
            "https://a/",
            "https://a/b",
            "https://u@a",
            "https://a:0",
            "https://a:65536",
            "https://a:",
            "https://a:+1",
            "https://*",
            "https://*.",
            "https://a.*.com",
            "https://*a.com",
            "*.example.com",
            "**",
            "null",
            "https://a b",
            "https://ä.com",
            "https://[::1",
            "https://*.[::1]",
            "1https://a",
            "https://a..b",
            " https://a",
            "https://a?b",
        ] {
            assert_eq!(Origins::default().add(entry), Err(NoOrigin), "{entry}");
        }
    }

    #[test]
    fn origins_are_shown_as_they_are_written() {
        let entries = ["*", "https://a.b", "http://*.c:81", "app://x"];
        assert_eq!(origins(&entries).to_string(), entries.join(", "));
        assert_eq!(origins(&["https://a:443"]).to_string(), "https://a");
    }
}
