//! Who is connected to the stream port, for those who operate a system.
//!
//! Sockets belong to the threads that accepted them, so each of these threads asks its own sessions. Everybody asked holds a share of the [`Listing`],
//! and the last one to let go of it answers, whatever becomes of the sessions meanwhile.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::oneshot;

use super::subscribers::Question;
use crate::clock::Millis;
use crate::functions::Registry;
use crate::json::Json;

/// Subscriptions of one client that are shown.
const SHOWN: usize = 50;

/// A client on the stream port.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Client {
    /// The session, as logs name it.
    pub id: u64,
    /// Where it connects from.
    pub address: Option<SocketAddr>,
    /// When it connected, in milliseconds since the epoch.
    pub connected_at: Millis,
    /// Milliseconds since anything was heard of it, an answer to a ping included.
    pub silent_ms: u64,
    /// What the auth function said of it.
    pub context: Option<Json>,
    /// Bytes that wait for it to read.
    pub queued_bytes: usize,
    /// Whether changes are left out for it until it has read what waits.
    pub lagging: bool,
    /// How often changes were left out for it, each time until one new state.
    pub resyncs: u32,
    /// Its subscriptions, the first fifty of them.
    pub subscriptions: Vec<ClientSubscription>,
    /// How many it has.
    pub subscribed: usize,
}

/// A subscription of a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ClientSubscription {
    /// The client's own name for it.
    pub id: Box<str>,
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// The item, where it is only one.
    pub item: Option<String>,
    /// Whether join handlers are still being asked.
    pub joining: bool,
}

/// Clients that were looked for.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Clients {
    /// Those for whom most waits first.
    pub clients: Vec<Client>,
    /// How many there are, those that are left out here included.
    pub total: usize,
}

/// A question for clients, and what has come of it.
#[derive(Debug)]
pub struct Listing {
    /// In lower case; nothing matches all.
    query: String,
    limit: usize,
    found: Mutex<Clients>,
    reply: Option<oneshot::Sender<Clients>>,
}

impl Client {
    /// Of a session without subscriptions that is heard of now.
    #[must_use]
    pub(crate) fn new(id: u64, address: Option<SocketAddr>, connected_at: Millis) -> Self {
        Self {
            id,
            address,
            connected_at,
            silent_ms: 0,
            context: None,
            queued_bytes: 0,
            lagging: false,
            resyncs: 0,
            subscriptions: Vec::new(),
            subscribed: 0,
        }
    }

    fn matches(&self, query: &str) -> bool {
        let has = |text: &str| text.to_lowercase().contains(query);
        query.is_empty()
            || self.address.is_some_and(|address| has(&address.to_string()))
            || self.context.as_ref().is_some_and(|context| has(&String::from_utf8_lossy(context.as_bytes())))
            || self.subscriptions.iter().any(|subscription| {
                let ClientSubscription { id, stream, group, item, .. } = subscription;
                has(id) || has(stream) || has(group) || item.as_deref().is_some_and(has)
            })
    }
}

impl Listing {
    /// Takes the answer of one session.
    pub(crate) fn add(&self, mut client: Client) {
        if !client.matches(&self.query) {
            return;
        }
        client.subscriptions.truncate(SHOWN);
        let mut found = self.found.lock();
        found.total += 1;
        found.clients.push(client);
        // Now and then, so that what is held stays bounded whatever the number of clients.
        if found.clients.len() > self.limit.saturating_mul(2) {
            found.keep(self.limit);
        }
    }
}

impl Clients {
    fn keep(&mut self, limit: usize) {
        self.clients.sort_by_key(|client| (std::cmp::Reverse(client.queued_bytes), client.id));
        self.clients.truncate(limit);
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        let mut found = std::mem::take(self.found.get_mut());
        found.keep(self.limit);
        if let Some(reply) = self.reply.take() {
            // Whoever asked may have given up.
            let _ = reply.send(found);
        }
    }
}

/// Asks all clients of this node.
pub(crate) fn list(registry: &Registry, query: &str, limit: usize) -> oneshot::Receiver<Clients> {
    let (reply, answer) = oneshot::channel();
    let listing = Listing { query: query.to_lowercase(), limit: limit.max(1), found: Mutex::default(), reply: Some(reply) };
    let question = Question::Describe(Arc::new(listing));
    for subscribers in registry.subscribers.read().iter() {
        subscribers.do_send(question.clone());
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: u64, queued_bytes: usize, group: &str) -> Client {
        let subscription = ClientSubscription { id: "a".into(), stream: "s".into(), group: group.into(), item: None, joining: false };
        Client { queued_bytes, subscriptions: vec![subscription], ..Client::new(id, None, 0) }
    }

    fn listing(query: &str, limit: usize) -> (Listing, oneshot::Receiver<Clients>) {
        let (reply, answer) = oneshot::channel();
        (Listing { query: query.into(), limit, found: Mutex::default(), reply: Some(reply) }, answer)
    }

    #[test]
    fn those_for_whom_most_waits_are_kept_and_all_are_counted() {
        let (listing, mut answer) = listing("", 2);
        for id in 0..10 {
            listing.add(client(id, usize::try_from(id % 7).unwrap_or_default(), "g"));
        }
        drop(listing);
        let found = answer.try_recv().unwrap_or_default();
        assert_eq!((found.total, found.clients.iter().map(|client| client.id).collect::<Vec<_>>()), (10, vec![6, 5]));
    }

    #[test]
    fn no_limit_is_a_limit() {
        let (listing, mut answer) = listing("", usize::MAX);
        listing.add(client(1, 0, "g"));
        drop(listing);
        assert_eq!(answer.try_recv().unwrap_or_default().total, 1);
    }

    #[test]
    fn query_finds_groups_in_any_case() {
        let (listing, mut answer) = listing("room", 9);
        listing.add(client(1, 0, "Room-1"));
        listing.add(client(2, 0, "hall"));
        drop(listing);
        assert_eq!(answer.try_recv().unwrap_or_default().clients, [client(1, 0, "Room-1")]);
    }
}
