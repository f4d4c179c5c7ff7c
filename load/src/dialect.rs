//! How a server is talked to: subscriptions, publishing, and what comes of it, so that one scenario drives every server.

pub(crate) mod mqtt;
pub(crate) mod nats;
pub(crate) mod nchan;
pub(crate) mod redis;
pub(crate) mod weir;

use std::ops::Range;

use anyhow::Result;

use crate::connection::Connection;

/// One message that has come completely.
pub(crate) struct Incoming {
    /// Its length in bytes.
    pub(crate) end: usize,
    pub(crate) content: Content,
}

/// What is in it.
pub(crate) enum Content {
    /// An event with the payload at this place.
    Event(Range<usize>),
    /// Something that is to be answered with this.
    Ask(Vec<u8>),
    /// Neither.
    Other,
}

/// A protocol of publishers and subscribers.
pub(crate) trait Dialect: Sync {
    /// Makes a new connection one that is told of all that happens in `group`, and returns when it is.
    fn subscribe(&self, connection: &mut Connection, group: &str) -> Result<()>;

    /// Makes a new connection one that publishes.
    fn introduce(&self, connection: &mut Connection) -> Result<()>;

    /// Appends what publishes `payload`, decimal and hexadecimal digits, in `group`.
    fn publish(&self, out: &mut Vec<u8>, group: &str, payload: &[u8]);

    /// The first message of what a subscriber has read, if all of it is there; payloads have `payload_bytes`.
    ///
    /// # Errors
    /// Where the server reports one, or ends the connection.
    fn next(&self, bytes: &[u8], payload_bytes: usize) -> Result<Option<Incoming>>;

    /// The same for a publisher, which is told nothing that matters by most.
    fn answered(&self, bytes: &[u8]) -> Result<Option<Incoming>> {
        Ok((!bytes.is_empty()).then_some(Incoming { end: bytes.len(), content: Content::Other }))
    }
}
