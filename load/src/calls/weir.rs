//! `stream::set`, `stream::get` and `stream::update`, as a worker calls them.

use anyhow::{Context, Result, bail};
use memchr::memmem;

use super::{Answer, Call, Calls, NUMBER, Op, To};
use crate::connection::Connection;
use crate::dialect::{Content, Dialect, weir};
use crate::frame::{self, TEXT};
use crate::payload;

/// An `invocation_id` is a UUID. Its last group holds the number.
const UUID: &str = "00000000-0000-4000-8000-";
const ID: &str = r#""invocation_id":"00000000-0000-4000-8000-"#;
/// An answer has its error, if any, before what it may return, within so many bytes.
const HEAD_BYTES: usize = 256;

impl Calls for weir::Weir {
    fn introduce(&self, connection: &mut Connection) -> Result<()> {
        Dialect::introduce(self, connection)
    }

    fn call(&self, out: &mut Vec<u8>, Call { op, group, item, value }: Call<'_>) -> Option<usize> {
        let stream = weir::STREAM;
        let place = format!(r#""stream_name":"{stream}","group_id":"{group}","item_id":"{item}""#);
        let (function, data) = match op {
            Op::Set => ("stream::set", format!(r#"{{{place},"data":"{value}"}}"#)),
            Op::Get => ("stream::get", format!("{{{place}}}")),
            // An item of its own, since the others are text.
            Op::Update => {
                let place = place.replace(item, &format!("count-{item}"));
                ("stream::update", format!(r#"{{{place},"ops":[{{"type":"increment","path":"n","by":1}}]}}"#))
            }
        };
        let number = "0".repeat(NUMBER);
        let text = format!(r#"{{"type":"invokefunction","invocation_id":"{UUID}{number}","function_id":"{function}","data":{data}}}"#);
        let at = text.find(UUID)? + UUID.len();
        frame::masked(out, TEXT, text.as_bytes());
        Some(out.len() - text.len() + at)
    }

    fn answer(&self, bytes: &[u8]) -> Result<Option<Answer>> {
        let Some((header, end)) = frame::bounds(bytes) else { return Ok(None) };
        if bytes[0] != TEXT {
            let incoming = self.answered(bytes)?;
            let reply = incoming.and_then(|incoming| if let Content::Ask(reply) = incoming.content { Some(reply) } else { None });
            return Ok(Some(Answer { end, to: To::Nobody(reply.unwrap_or_default()) }));
        }
        let text = &bytes[header..end];
        let head = &text[..text.len().min(HEAD_BYTES)];
        if memmem::find(head, br#""error":"#).is_some() {
            bail!("the server answers {}", String::from_utf8_lossy(text));
        }
        let at = memmem::find(head, ID.as_bytes()).with_context(|| format!("no answer: {}", String::from_utf8_lossy(text)))? + ID.len();
        let number = head.get(at..at + NUMBER).and_then(payload::number).context("an answer without our number")?;
        Ok(Some(Answer { end, to: To::Numbered(number) }))
    }
}
