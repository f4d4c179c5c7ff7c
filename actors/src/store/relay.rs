//! The relay: hands the store what changes in Redis, from all nodes.
//!
//! - *Owns* the feed.
//! - *Receives* what comes through it, in the order that Redis gave it.
//! - *Sends* it to the store, one batch at a time.
//! - *Bounded by* the feed's own queue: what does not fit there is read from the group's log when there is room.

use actix::fut::{ActorFutureExt, WrapFuture};
use actix::{Actor, Addr, AsyncContext, Context, Message, StreamHandler};
use futures_util::StreamExt;

use super::Store;
use crate::adapter::redis::{Feed, FeedItem};
use crate::guardian::Sentinel;

/// Changes that are handed over together at most.
const BATCH: usize = 512;

/// What came through the feed, oldest first.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct Relayed(pub(super) Vec<FeedItem>);

/// See the [module](self).
pub struct Relay {
    store: Addr<Store>,
    feed: Option<Feed>,
    _sentinel: Sentinel,
}

impl Relay {
    /// A relay from `feed` to `store`.
    #[must_use]
    pub fn new(store: Addr<Store>, feed: Feed, sentinel: Sentinel) -> Self {
        Self { store, feed: Some(feed), _sentinel: sentinel }
    }
}

impl Actor for Relay {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        if let Some(feed) = self.feed.take() {
            let items = futures_util::stream::unfold(feed, |mut feed| async move { feed.next().await.map(|item| (item, feed)) });
            ctx.add_stream(items.ready_chunks(BATCH));
        }
    }
}

impl StreamHandler<Vec<FeedItem>> for Relay {
    fn handle(&mut self, items: Vec<FeedItem>, ctx: &mut Self::Context) {
        // Until the store has taken them, the others wait in the feed, which is bounded.
        ctx.wait(self.store.send(Relayed(items)).into_actor(self).map(|_closed, _, _| ()));
    }
}
