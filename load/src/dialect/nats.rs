//! NATS, core publish and subscribe (<https://docs.nats.io/reference/reference-protocols/nats-protocol>).

use anyhow::{Context, Result, bail};

use super::{Content, Dialect, Incoming};
use crate::connection::Connection;

const CONNECT: &str = "CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"weir-load\"}\r\n";

pub(crate) struct Nats;

impl Dialect for Nats {
    fn subscribe(&self, connection: &mut Connection, group: &str) -> Result<()> {
        greet(connection, &format!("SUB {group} 1\r\n"))
    }

    fn introduce(&self, connection: &mut Connection) -> Result<()> {
        greet(connection, "")
    }

    fn publish(&self, out: &mut Vec<u8>, group: &str, payload: &[u8]) {
        out.extend(format!("PUB {group} {}\r\n", payload.len()).as_bytes());
        out.extend(payload);
        out.extend(b"\r\n");
    }

    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>> {
        let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let (head, after) = (&bytes[..line], line + 2);
        if head.starts_with(b"MSG ") {
            // MSG <subject> <sid> [reply-to] <#bytes>
            let length = head.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let length: usize = std::str::from_utf8(length)?.parse().context("the length of a message")?;
            if length != payload_bytes {
                bail!("a message of {length} bytes");
            }
            let end = after + length + 2;
            return Ok((bytes.len() >= end).then_some(Incoming { end, content: Content::Event(after..after + length) }));
        }
        let content = match head {
            b"PING" => Content::Ask(b"PONG\r\n".to_vec()),
            error if error.starts_with(b"-ERR") => bail!("NATS answers {}", String::from_utf8_lossy(error)),
            _ => Content::Other,
        };
        Ok(Some(Incoming { end: after, content }))
    }

    fn answered(&self, bytes: &[u8]) -> Result<Option<Incoming>> {
        self.next(bytes, 0)
    }
}

/// What is asked for counts once the `PING` behind it is answered.
fn greet(connection: &mut Connection, request: &str) -> Result<()> {
    connection.write(format!("{CONNECT}{request}PING\r\n").as_bytes())?;
    let pong = |bytes: &[u8]| Ok(bytes.windows(6).position(|window| window == b"PONG\r\n").map(|at| at + 6));
    connection.until(&mut Vec::new(), pong).map(drop)
}
