//! nchan, a module of nginx (<https://nchan.io>): published to by `POST`, subscribed to by WebSocket.

use anyhow::{Result, bail};

use super::{Content, Dialect, Incoming};
use crate::connection::Connection;
use crate::frame::{self, CLOSE, TEXT};

/// Paths, as the configuration that the server is started with has them.
pub(crate) const PUBLISH: &str = "/publish";
pub(crate) const SUBSCRIBE: &str = "/subscribe";

pub(crate) struct Nchan;

impl Dialect for Nchan {
    fn subscribe(&self, connection: &mut Connection, _group: &str) -> Result<()> {
        connection.request_upgrade(SUBSCRIBE)?;
        connection.upgraded()
    }

    fn introduce(&self, _: &mut Connection) -> Result<()> {
        Ok(())
    }

    fn publish(&self, out: &mut Vec<u8>, _group: &str, payload: &[u8]) {
        out.extend(format!("POST {PUBLISH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", payload.len()).as_bytes());
        out.extend(payload);
    }

    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>> {
        let Some((header, end)) = frame::bounds(bytes) else { return Ok(None) };
        let content = match bytes[0] {
            TEXT if end - header == payload_bytes => Content::Event(header..end),
            CLOSE => bail!("nchan closes a connection: {}", String::from_utf8_lossy(&bytes[header..end])),
            _ => Content::Other,
        };
        Ok(Some(Incoming { end, content }))
    }
}
