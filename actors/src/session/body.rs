//! What waits in an outbox, as the body of the response to a handshake: for servers that do not give their connections away.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;

use super::Permit;
use super::outbox::OutboxRef;

/// A stream of encoded frames, and pieces of long ones, that ends with the connection.
pub struct Body {
    outbox: OutboxRef,
    _permit: Option<Permit>,
}

impl Body {
    /// Empties `outbox`; it holds on to `permit` as long as the connection lasts.
    #[must_use]
    pub fn new(outbox: OutboxRef, permit: Option<Permit>) -> Self {
        Self { outbox, _permit: permit }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.outbox.poll_piece(cx).map(|piece| piece.map(Ok))
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.outbox.gone();
    }
}
