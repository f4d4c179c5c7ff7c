//! One request over HTTP/1.1.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail};

/// How long connecting, sending and the answer may take, each.
const PATIENCE: Duration = Duration::from_secs(3);
/// The longest first line of an answer.
const LINE_BYTES: u64 = 4_096;
/// Below an endpoint, where spans go.
const PATH: &str = "/v1/traces";

/// A collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// As a `Host` header has it.
    authority: String,
    /// Host and port, for a connection.
    address: String,
    path: String,
}

impl Endpoint {
    /// The collector at `http://host[:port][/path]`.
    ///
    /// # Errors
    /// Where that is something else.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        if text.starts_with("https://") {
            bail!("spans are not sent over TLS; name a collector nearby, as in http://localhost:4318, which passes them on");
        }
        let rest = text.strip_prefix("http://").context("not an address such as http://localhost:4318")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if authority.is_empty() || authority.contains('@') || !visible(authority) || !visible(path) {
            bail!("not an address such as http://localhost:4318");
        }
        let host_end = authority.rfind(']').map_or(0, |at| at + 1);
        let has_port = authority[host_end..].contains(':');
        let address = if has_port { authority.to_owned() } else { format!("{authority}:80") };
        let base = path.trim_end_matches('/');
        let path = if base.is_empty() { PATH.to_owned() } else { format!("/{base}{PATH}") };
        Ok(Self { authority: authority.to_owned(), address, path })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority, self.path)
    }
}

/// Sends JSON there.
///
/// # Errors
/// Where it was not taken.
pub(super) fn post(endpoint: &Endpoint, body: &[u8]) -> io::Result<()> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    let mut connected = None;
    for address in endpoint.address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                connected = Some(stream);
                break;
            }
            Err(error) => failed = error,
        }
    }
    let Some(mut stream) = connected else { return Err(failed) };
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let Endpoint { authority, path, .. } = endpoint;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE_BYTES)).read_line(&mut line)?;
    match line.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(format!("answered {:?}", line.trim_end()))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn endpoint_is_an_address_of_http() {
        for (text, address, shown) in [
            ("http://localhost:4318", "localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://collector/", "collector:80", "http://collector/v1/traces"),
            ("http://[::1]:4318/base/", "[::1]:4318", "http://[::1]:4318/base/v1/traces"),
            ("http://[::1]", "[::1]:80", "http://[::1]/v1/traces"),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!((endpoint.address.as_str(), endpoint.to_string().as_str()), (address, shown));
        }
        for text in [
            "",
            "localhost:4318",
            "https://collector",
            "http://",
            "http:///path",
            "http://a b",
            "http://user:password@host",
            "http://h/\r\nX: y",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
