//! Sessions: one actor per socket, on the arbiter that accepted it.

pub mod in_flight;
pub mod outbox;
pub mod registrations;
pub mod socket;
pub mod subscriber;
pub mod telemetry;
pub mod worker;

use bytes::Bytes;

/// A piece of the byte stream that follows the handshake; the stream ends where the peer closes its side.
#[derive(Debug)]
pub struct Chunk(pub Bytes);
