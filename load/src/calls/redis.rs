//! `HSET`, `HGET` and `HINCRBY`, a hash per group.

use anyhow::{Result, bail};

use super::{Answer, Call, Calls, Op, To};
use crate::connection::Connection;
use crate::dialect::redis::{self, Redis};

impl Calls for Redis {
    fn introduce(&self, _: &mut Connection) -> Result<()> {
        Ok(())
    }

    fn call(&self, out: &mut Vec<u8>, Call { op, group, item, value }: Call<'_>) -> Option<usize> {
        match op {
            Op::Set => redis::command(out, &[b"HSET", group.as_bytes(), item.as_bytes(), value.as_bytes()]),
            Op::Get => redis::command(out, &[b"HGET", group.as_bytes(), item.as_bytes()]),
            Op::Update => redis::command(out, &[b"HINCRBY", group.as_bytes(), format!("count-{item}").as_bytes(), b"1"]),
        }
        None
    }

    fn answer(&self, bytes: &[u8]) -> Result<Option<Answer>> {
        let Some(end) = redis::end(bytes)? else { return Ok(None) };
        if bytes[0] == b'-' {
            bail!("Redis answers {}", String::from_utf8_lossy(&bytes[..end]).trim());
        }
        Ok(Some(Answer { end, to: To::Oldest }))
    }
}
