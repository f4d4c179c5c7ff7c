//! Sessions: one actor per socket, on the arbiter that accepted it.

pub mod in_flight;
pub mod outbox;
pub mod registrations;
pub mod socket;
pub mod subscriber;
pub mod telemetry;
pub mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

/// A piece of the byte stream that follows the handshake; the stream ends where the peer closes its side.
#[derive(Debug)]
pub struct Chunk(pub Bytes);

/// One of the connections that the stream port may have; given back when it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// Counts one connection more, unless there are `limit` already.
    #[must_use]
    pub fn take(connections: &Arc<AtomicUsize>, limit: usize) -> Option<Self> {
        let permit = Self(connections.clone());
        // Dropping the permit takes the count back.
        (connections.fetch_add(1, Ordering::Relaxed) < limit).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
