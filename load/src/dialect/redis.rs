//! Redis Pub/Sub, in RESP2 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use anyhow::{Context, Result, bail, ensure};

use super::{Content, Dialect, Incoming};
use crate::connection::Connection;

pub(crate) struct Redis;

impl Dialect for Redis {
    fn subscribe(&self, connection: &mut Connection, group: &str) -> Result<()> {
        let mut out = Vec::new();
        command(&mut out, &[b"SUBSCRIBE", group.as_bytes()]);
        connection.write(&out)?;
        let answer = connection.until(&mut out, end)?;
        ensure!(answer.starts_with(b"*3"), "Redis answers {}", String::from_utf8_lossy(&answer));
        Ok(())
    }

    fn introduce(&self, _: &mut Connection) -> Result<()> {
        Ok(())
    }

    fn publish(&self, out: &mut Vec<u8>, group: &str, payload: &[u8]) {
        command(out, &[b"PUBLISH", group.as_bytes(), payload]);
    }

    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>> {
        let Some(end) = end(bytes)? else { return Ok(None) };
        let last = end.saturating_sub(2);
        let content = if bytes[0] == b'*' && last > payload_bytes { Content::Event(last - payload_bytes..last) } else { Content::Other };
        Ok(Some(Incoming { end, content }))
    }
}

/// Appends a command.
pub(crate) fn command(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend(format!("*{}\r\n", parts.len()).as_bytes());
    for part in parts {
        out.extend(format!("${}\r\n", part.len()).as_bytes());
        out.extend(*part);
        out.extend(b"\r\n");
    }
}

/// Where the first value ends, if all of it is there.
pub(crate) fn end(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(line) = bytes.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
    let after = line + 2;
    let length = || -> Result<i64> { Ok(std::str::from_utf8(&bytes[1..line])?.parse()?) };
    match bytes[0] {
        b'+' | b'-' | b':' => Ok(Some(after)),
        b'$' => {
            // A negative length is nil, without a body.
            let Ok(length) = usize::try_from(length().context("a length")?) else { return Ok(Some(after)) };
            Ok((bytes.len() >= after + length + 2).then_some(after + length + 2))
        }
        b'*' => {
            let mut at = after;
            for _ in 0..length().context("a count")? {
                let Some(end) = end(&bytes[at..])? else { return Ok(None) };
                at += end;
            }
            Ok(Some(at))
        }
        other => bail!("no RESP: a value that begins with {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_ends_where_all_of_it_is_there() -> Result<()> {
        let mut out = Vec::new();
        command(&mut out, &[b"message", b"group-0", b"0123"]);
        for short in 0..out.len() {
            assert_eq!(end(&out[..short])?, None);
        }
        assert_eq!(end(&out)?, Some(out.len()));
        assert_eq!(end(b":1\r\n:2\r\n")?, Some(4));
        assert_eq!(end(b"$-1\r\n")?, Some(5));
        Ok(())
    }
}
