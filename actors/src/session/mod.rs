//! Sessions: one actor per socket, on the arbiter that accepted it.

pub mod body;
pub mod clients;
pub mod gate;
pub mod in_flight;
pub mod outbox;
mod pace;
#[cfg(test)]
mod peer;
pub mod registrations;
pub mod socket;
pub mod subscriber;
pub mod subscribers;
mod tally;
pub mod telemetry;
pub mod transport;
pub mod worker;

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Actor, AsyncContext, Context, Handler, StreamHandler};
use bytes::Bytes;
use futures_util::Stream;
use parking_lot::Mutex;

use crate::ids::SocketId;
use crate::metrics::peer::Counted;
use outbox::{OutboxRef, Shut};
use socket::Socket;
use transport::Transport;

/// How much of what a peer has made up is logged.
const LOGGED_BYTES: usize = 200;

/// The beginning of a text, of at most so many bytes.
fn clip(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// A piece of the byte stream that follows the handshake; the stream ends where the peer closes its side.
#[derive(Debug)]
pub struct Chunk(pub Bytes);

/// Starts a session on this thread, with what comes over its connection; what it sends is put in the outbox. The limits are those of a message, and of
/// what may wait to be sent, in bytes.
pub fn start<A>(
    incoming: impl Stream<Item = Chunk> + 'static,
    transport: Option<Rc<Transport>>,
    (max_message_bytes, outbox_bytes): (usize, usize),
    counted: Counted,
    session: impl FnOnce(Socket, &mut Context<A>) -> A,
) -> OutboxRef
where
    A: Actor<Context = Context<A>> + StreamHandler<Chunk> + Handler<Shut>,
{
    let id = SocketId::next();
    let mut outbox = None;
    A::create(|ctx| {
        let mine = OutboxRef::new(id, outbox_bytes, ctx.address().recipient(), transport, &counted);
        outbox = Some(mine.clone());
        ctx.add_stream(incoming);
        session(Socket::new(id, mine, max_message_bytes, counted), ctx)
    });
    // `create` runs its closure before it returns.
    outbox.unwrap_or_else(OutboxRef::ended)
}

/// The connections of a port.
#[derive(Debug, Default)]
pub struct Connections {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// Why there is no room for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// There are `max_connections`.
    Server,
    /// There are `max_connections_per_address` from there.
    Address,
}

/// One of the connections; given back when it is dropped.
#[derive(Debug)]
pub struct Permit {
    connections: Arc<Connections>,
    address: Option<IpAddr>,
}

impl Permit {
    /// Counts one connection more.
    ///
    /// # Errors
    /// Where there are `limit` already, or `limit_per_address` from that address.
    pub fn take(connections: &Arc<Connections>, address: Option<IpAddr>, (limit, limit_per_address): (usize, usize)) -> Result<Self, Full> {
        // Dropping a permit takes its counts back.
        let mut permit = Self { connections: connections.clone(), address: None };
        if connections.all.fetch_add(1, Ordering::Relaxed) >= limit {
            return Err(Full::Server);
        }
        if let Some(address) = address {
            let mut by_address = connections.by_address.lock();
            let count = by_address.entry(address).or_default();
            if *count >= limit_per_address {
                return Err(Full::Address);
            }
            *count += 1;
            permit.address = Some(address);
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = self.address else { return };
        let mut by_address = self.connections.by_address.lock();
        if let Some(count) = by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn connections_are_counted_together_and_by_address() {
        let connections = Arc::<Connections>::default();
        let take = |address: &str| Permit::take(&connections, Some(address.parse().unwrap()), (3, 2));
        let (one, _two) = (take("10.0.0.1").unwrap(), take("10.0.0.1").unwrap());
        assert_eq!(take("10.0.0.1").unwrap_err(), Full::Address);
        let other = take("::1").unwrap();
        assert_eq!(take("10.0.0.2").unwrap_err(), Full::Server);
        drop(other);
        drop(one);
        let _again = take("10.0.0.1").unwrap();
        assert_eq!(connections.all.load(Ordering::Relaxed), 2);
        assert_eq!(connections.by_address.lock().len(), 1);
    }
}
