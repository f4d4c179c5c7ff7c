//! Weir, and the floor, which speaks as much of it as it is asked for.

use anyhow::{Result, bail};

use super::{Content, Dialect, Incoming};
use crate::connection::Connection;
use crate::frame::{self, CLOSE, PING, PONG, TEXT};

/// The stream that all is written to.
pub(crate) const STREAM: &str = "bench";
/// What follows the payload in an event.
const BEHIND: usize = "\"}}".len();

pub(crate) struct Weir;

impl Dialect for Weir {
    fn subscribe(&self, connection: &mut Connection, group: &str) -> Result<()> {
        connection.request_upgrade(&path(group))?;
        connection.upgraded()?;
        first_frame(connection, b"\"sync\"")
    }

    fn introduce(&self, connection: &mut Connection) -> Result<()> {
        connection.request_upgrade("/")?;
        connection.upgraded()?;
        first_frame(connection, b"workerregistered")
    }

    fn publish(&self, out: &mut Vec<u8>, group: &str, payload: &[u8]) {
        let mut text = format!(
            r#"{{"type":"invokefunction","function_id":"stream::set","action":{{"type":"void"}},"data":{{"stream_name":"{STREAM}","group_id":"{group}","item_id":"item","data":""#
        )
        .into_bytes();
        text.extend(payload);
        text.extend(b"\"}}");
        frame::masked(out, TEXT, &text);
    }

    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>> {
        let Some((header, end)) = frame::bounds(bytes) else { return Ok(None) };
        let content = match bytes[0] {
            TEXT => {
                let last = end - BEHIND.min(end);
                match last.checked_sub(payload_bytes) {
                    Some(first) if first > header => Content::Event(first..last),
                    _ => Content::Other,
                }
            }
            PING => {
                let mut pong = Vec::new();
                frame::masked(&mut pong, PONG, &bytes[header..end]);
                Content::Ask(pong)
            }
            CLOSE => bail!("the server closes a connection: {}", String::from_utf8_lossy(&bytes[header..end])),
            _ => Content::Other,
        };
        Ok(Some(Incoming { end, content }))
    }

    fn answered(&self, bytes: &[u8]) -> Result<Option<Incoming>> {
        self.next(bytes, 0)
    }
}

/// The path by which a group is subscribed to.
pub(crate) fn path(group: &str) -> String {
    format!("/stream/{STREAM}/{group}/")
}

/// Waits for the first frame, which must contain `text`.
fn first_frame(connection: &mut Connection, text: &[u8]) -> Result<()> {
    let mut buffer = Vec::new();
    let frame = connection.until(&mut buffer, |bytes| Ok(frame::bounds(bytes).map(|(_, end)| end)))?;
    if !frame.windows(text.len()).any(|window| window == text) {
        bail!("expected {}, got {}", String::from_utf8_lossy(text), String::from_utf8_lossy(&frame));
    }
    Ok(())
}
