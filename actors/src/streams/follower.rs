//! Follows a group for one subscription of the host program.
//!
//! - *Owns* what of the group the subscription was told ([`Follow`]).
//! - *Receives* [`Feed`] from the store, as a group does; [`Drained`] and [`End`] from the subscription.
//! - *Sends* `Watch`, `TakeSnapshot` and `Unwatch` to the store; puts what the subscription is told into its queue.
//! - *Bounded by* [`MAILBOX`] batches from the store, then resynced; the queue by `outbox_bytes`.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll, Waker};

use actix::{Actor, ActorContext, Addr, ArbiterHandle, Context, Handler, Message};
use parking_lot::Mutex;

use super::follow::{CHANGE_BYTES, Follow, Told};
use crate::error::CallError;
use crate::functions::Registry;
use crate::group::{Feed, MAILBOX, next_link};
use crate::ids::GroupKey;
use crate::mailbox;
use crate::store::interest::LinkId;
use crate::store::{TakeSnapshot, Unwatch, Watch};

/// The queue was full and is empty again.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(super) struct Drained;

/// The subscription has ended.
#[derive(Message, Debug, Clone, Copy)]
#[rtype(result = "()")]
pub(super) struct End;

/// What waits for a subscription.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Queued>,
}

#[derive(Debug, Default)]
struct Queued {
    told: VecDeque<Told>,
    bytes: usize,
    /// Whether something has found no room since the queue was empty.
    full: bool,
    /// Nothing comes any more; why, unless the system has stopped.
    ended: Option<Option<CallError>>,
    waker: Option<Waker>,
}

/// What a look into the queue finds.
pub(super) enum Next {
    Told(Told),
    /// The same, and nothing is left although more was to be told.
    Last(Told),
    Failed(CallError),
    Ended,
}

impl Queue {
    /// Puts something into the queue; false where it has more than `limit` bytes. An empty queue takes anything.
    fn push(&self, told: Told, limit: usize) -> bool {
        let size = size(&told);
        let mut waiting = self.waiting.lock();
        if !waiting.told.is_empty() && waiting.bytes + size > limit {
            waiting.full = true;
            return false;
        }
        waiting.bytes += size;
        waiting.told.push_back(told);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }

    /// Nothing comes any more.
    pub(super) fn end(&self, error: Option<CallError>) {
        let mut waiting = self.waiting.lock();
        waiting.ended.get_or_insert(error);
        let waker = waiting.waker.take();
        drop(waiting);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, waiter: &Waiting<'_>) -> Poll<Next> {
        let mut waiting = self.waiting.lock();
        if let Some(told) = waiting.told.pop_front() {
            waiting.bytes -= size(&told);
            let drained = waiting.told.is_empty() && std::mem::take(&mut waiting.full);
            return Poll::Ready(if drained { Next::Last(told) } else { Next::Told(told) });
        }
        match &mut waiting.ended {
            Some(error) => Poll::Ready(error.take().map_or(Next::Ended, Next::Failed)),
            None => {
                waiting.waker = Some(waiter.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Bytes that count. A state is shared by nobody, but what it holds is the store's own where that is in memory.
fn size(told: &Told) -> usize {
    match told {
        Told::Change(change) => change.frame.frames().len() + CHANGE_BYTES,
        Told::State(snapshot) => {
            let items = snapshot.whole.iter().flatten();
            items.map(|(name, value)| name.as_str().len() + value.as_bytes().len()).sum::<usize>() + CHANGE_BYTES
        }
    }
}

/// See the [module](self).
pub(super) struct Follower {
    registry: Arc<Registry>,
    group: GroupKey,
    link: LinkId,
    follow: Follow,
    queue: Arc<Queue>,
}

impl Follower {
    /// Starts one on `home`. The store is asked here and not there, so that what is called after this is told: an event too, which no state makes up for.
    pub(super) fn start(home: &ArbiterHandle, registry: &Arc<Registry>, group: GroupKey, queue: Arc<Queue>) -> Addr<Self> {
        let mut follower = Self { registry: registry.clone(), group: group.clone(), link: next_link(), follow: Follow::new(), queue };
        let (link, request) = (follower.link, follower.request());
        let follower = mailbox::start(home, MAILBOX, move || follower);
        if let Some(store) = registry.store() {
            store.do_send(Watch { group, link, to: follower.clone().recipient() });
            request.into_iter().for_each(|request| store.do_send(request));
        }
        follower
    }

    /// The state that is to be asked for, if one is.
    fn request(&mut self) -> Option<TakeSnapshot> {
        let wanted = self.follow.wanted()?;
        let (group, link) = (self.group.clone(), self.link);
        Some(TakeSnapshot { group, link, request: wanted.request, whole: true, items: Vec::new(), urgent: wanted.urgent })
    }

    fn ask(&mut self) {
        // Not refused by a full mailbox: one is under way at a time.
        if let (Some(request), Some(store)) = (self.request(), self.registry.store()) {
            store.do_send(request);
        }
    }
}

impl Actor for Follower {
    type Context = Context<Self>;

    fn stopped(&mut self, _: &mut Self::Context) {
        if let Some(store) = self.registry.store() {
            store.do_send(Unwatch { group: self.group.clone(), link: self.link });
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.queue.end(None);
    }
}

impl Handler<Feed> for Follower {
    type Result = ();

    fn handle(&mut self, feed: Feed, ctx: &mut Self::Context) {
        let (queue, limit) = (&self.queue, self.registry.settings.stream.outbox_bytes);
        let tell = |told| queue.push(told, limit);
        match feed {
            Feed::Changes(changes) => self.follow.changes(&changes, tell),
            Feed::Snapshot { request, result: Ok(snapshot) } => self.follow.snapshot(request, &snapshot, tell),
            Feed::Snapshot { request, result: Err(error) } => {
                if self.follow.is_waiting_for(request) {
                    queue.end(Some(error));
                    return ctx.stop();
                }
            }
            Feed::Resync => self.follow.resync(),
        }
        self.ask();
    }
}

impl Handler<Drained> for Follower {
    type Result = ();

    fn handle(&mut self, _: Drained, _: &mut Self::Context) {
        self.follow.drained();
        self.ask();
    }
}

impl Handler<End> for Follower {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Self::Context) {
        ctx.stop();
    }
}
