//! MQTT 3.1.1 (OASIS standard, section 3), at most once, with each message retained: a new subscriber gets the last one, then every other.

use anyhow::{Result, bail, ensure};

use super::{Content, Dialect, Incoming};
use crate::connection::Connection;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const RETAIN: u8 = 0x01;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;

pub(crate) struct Mqtt;

impl Dialect for Mqtt {
    fn subscribe(&self, connection: &mut Connection, group: &str) -> Result<()> {
        self.introduce(connection)?;
        let mut body = vec![0, 1];
        text(&mut body, group);
        // At most once.
        body.push(0);
        exchange(connection, SUBSCRIBE, &body, SUBACK)
    }

    fn introduce(&self, connection: &mut Connection) -> Result<()> {
        let mut body = Vec::new();
        text(&mut body, "MQTT");
        // Level 4, a clean session, no keep-alive, and an id of the server's choice.
        body.extend([4, 0x02, 0, 0]);
        text(&mut body, "");
        exchange(connection, CONNECT, &body, CONNACK)
    }

    fn publish(&self, out: &mut Vec<u8>, group: &str, payload: &[u8]) {
        let mut body = Vec::with_capacity(payload.len() + group.len() + 2);
        text(&mut body, group);
        body.extend(payload);
        packet(out, PUBLISH | RETAIN, &body);
    }

    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>> {
        let Some(end) = end(bytes)? else { return Ok(None) };
        let content =
            if bytes[0] & 0xf0 == PUBLISH && end > payload_bytes { Content::Event(end - payload_bytes..end) } else { Content::Other };
        Ok(Some(Incoming { end, content }))
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(text.as_bytes());
}

fn packet(out: &mut Vec<u8>, first: u8, body: &[u8]) {
    out.push(first);
    // Seven bits a byte, the lowest first; the eighth says that another follows.
    let mut length = body.len();
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | more);
        length >>= 7;
        if more == 0 {
            break;
        }
    }
    out.extend(body);
}

/// Where the first packet ends, if all of it is there.
fn end(bytes: &[u8]) -> Result<Option<usize>> {
    let mut length = 0;
    for at in 0..4 {
        let Some(byte) = bytes.get(1 + at) else { return Ok(None) };
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            let end = 2 + at + length;
            return Ok((bytes.len() >= end).then_some(end));
        }
    }
    bail!("no MQTT: a length of more than four bytes")
}

fn exchange(connection: &mut Connection, first: u8, body: &[u8], expected: u8) -> Result<()> {
    let mut out = Vec::new();
    packet(&mut out, first, body);
    connection.write(&out)?;
    let answer = connection.until(&mut out, end)?;
    // The last byte of CONNACK is its code, of SUBACK what was granted; 0x80 and 1 to 5 are refusals.
    ensure!(answer[0] == expected && answer.last() == Some(&0), "the broker answers {answer:?}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packet_ends_where_all_of_it_is_there() -> Result<()> {
        for length in [0, 127, 128, 16_383, 16_384] {
            let mut out = Vec::new();
            packet(&mut out, PUBLISH, &vec![0; length]);
            assert_eq!(end(&out)?, Some(out.len()));
            assert_eq!(end(&out[..out.len() - 1])?, None);
        }
        Ok(())
    }
}
