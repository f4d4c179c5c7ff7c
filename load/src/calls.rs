//! Calls that are answered: how a server is written to and read from, so that one scenario drives every server.

pub(crate) mod redis;
pub(crate) mod weir;

use anyhow::Result;
use serde::Serialize;

use crate::connection::Connection;

/// What is done to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Op {
    /// Writes it.
    Set,
    /// Reads it.
    Get,
    /// Adds one to a number in it.
    Update,
}

/// One call.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) op: Op,
    pub(crate) group: &'a str,
    pub(crate) item: &'a str,
    /// Decimal and hexadecimal digits.
    pub(crate) value: &'a str,
}

/// An answer that has come completely.
pub(crate) struct Answer {
    /// Its length in bytes.
    pub(crate) end: usize,
    pub(crate) to: To,
}

/// Which call is answered.
pub(crate) enum To {
    /// The one with this number.
    Numbered(u64),
    /// The oldest that is not answered yet.
    Oldest,
    /// None: it is to be answered with this, which may be nothing.
    Nobody(Vec<u8>),
}

/// A protocol of calls.
pub(crate) trait Calls: Sync {
    /// Makes a new connection one that calls.
    fn introduce(&self, connection: &mut Connection) -> Result<()>;

    /// Appends a call, and returns where in `out` its number is to be written, in [`NUMBER`] decimal digits; `None` where it has none.
    fn call(&self, out: &mut Vec<u8>, call: Call<'_>) -> Option<usize>;

    /// The first answer of what was read, if all of it is there.
    ///
    /// # Errors
    /// Where it is an error.
    fn answer(&self, bytes: &[u8]) -> Result<Option<Answer>>;
}

/// Digits of a call's number.
pub(crate) const NUMBER: usize = 12;
