//! After the commit: results to whoever called, each change encoded once and handed to all who watch.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{AsyncContext, Context};

use super::Store;
use super::interest;
use super::ledger::{Body, Recorded};
use crate::change::{Change, GroupView, Kind};
use crate::error::Outcome;
use crate::functions::{Answer, ReplyTo, ToWorker, Worker};
use crate::group::Feed;
use crate::hash::HashMap;
use crate::ids::{GroupKey, SocketId};
use crate::trigger::News;
use crate::wire::subscriber::Address;

/// News that may wait for the trigger dispatcher beside what its mailbox holds.
const NEWS: usize = 16_384;
/// The same in bytes of changes, some of which others may hold too.
const NEWS_BYTES: usize = 256 << 20;
/// Bytes of changes that its mailbox may hold, where one batch is not larger.
const TOLD_BYTES: usize = 64 << 20;
/// How soon a full mailbox of somebody else is tried again.
const RETRY: Duration = Duration::from_millis(5);

impl Store {
    /// Encodes each change once and hands it to every group actor that watches, and to the dispatcher.
    pub(super) fn publish(&mut self, recorded: Vec<Recorded>, ctx: &mut Context<Self>) {
        let mut order: Vec<(GroupKey, Vec<Arc<Change>>)> = Vec::new();
        let mut places: HashMap<GroupKey, usize> = HashMap::default();
        let mut triggered = Vec::new();
        for change in recorded {
            // Product.md names set, update and delete: an event fires no trigger.
            let triggers = change.body.kind() != Kind::Event && self.interest.has_trigger(change.group.stream());
            let watched = self.interest.get_mut(&change.group);
            if watched.is_none() && !triggers {
                continue;
            }
            let change = match &watched {
                Some(watched) => Arc::new(encode(change, &watched.address)),
                None => {
                    let address = Address::new(&change.group);
                    Arc::new(encode(change, &address))
                }
            };
            if triggers {
                triggered.push(change.clone());
            }
            if watched.is_some() {
                let place = *places.entry(change.group.clone()).or_insert_with(|| {
                    order.push((change.group.clone(), Vec::new()));
                    order.len() - 1
                });
                order[place].1.push(change);
            }
        }
        for (group, changes) in order {
            let Some(watched) = self.interest.get_mut(&group) else { continue };
            let changes: Arc<[Arc<Change>]> = changes.into();
            for link in &mut watched.links {
                if !link.lagging && link.send(Feed::Changes(changes.clone())) {
                    tracing::warn!(stream = group.stream(), group = group.group(), "a group is behind; its subscribers will be resynced");
                    self.lagging.push((group.clone(), link.id));
                }
            }
        }
        if !triggered.is_empty() {
            let news = News::Changes(triggered, Instant::now());
            self.news_bytes += news.bytes();
            self.news.push_back(news);
        }
        self.pass_on(ctx);
    }

    /// Moves what waits towards mailboxes that were full.
    pub(super) fn pass_on(&mut self, ctx: &mut Context<Self>) {
        let interest = &mut self.interest;
        self.lagging.retain(|(group, id)| {
            let link = interest.get_mut(group).and_then(|watched| watched.links.iter_mut().find(|link| link.id == *id));
            link.is_some_and(interest::Link::catch_up)
        });
        let waited = self.news.len() > 1;
        while let Some(news) = self.news.pop_front() {
            let (bytes, told) = (news.bytes(), &self.registry.told_bytes);
            let before = told.fetch_add(bytes, Ordering::Relaxed);
            let sent = if before > TOLD_BYTES { Err(actix::dev::SendError::Full(news)) } else { self.news_to.try_send(news) };
            match sent {
                Ok(()) => self.news_bytes -= bytes,
                Err(actix::dev::SendError::Full(news)) => {
                    told.fetch_sub(bytes, Ordering::Relaxed);
                    self.news.push_front(news);
                    break;
                }
                Err(actix::dev::SendError::Closed(_)) => {
                    self.news.clear();
                    self.news_bytes = 0;
                }
            }
        }
        if waited || !self.news.is_empty() {
            self.registry.metrics.committed.news_waiting.set(self.news.len() as u64);
        }
        if self.news.len() > NEWS || self.news_bytes > NEWS_BYTES {
            self.news_bytes = 0;
            let (before, mut dropped) = (self.news.len(), 0);
            self.news.retain(|news| match news {
                News::Changes(changes, _) => {
                    dropped += changes.len() as u64;
                    false
                }
                News::Triggered(_) => true,
            });
            self.registry.metrics.committed.news_waiting.set(self.news.len() as u64);
            // Once each, whoever watches them.
            self.registry.metrics.dispatched.dropped.add(dropped);
            tracing::error!(batches = before - self.news.len(), dropped, "the trigger dispatcher is behind; triggers miss these changes");
        }
        if !self.retry_due && (!self.news.is_empty() || !self.lagging.is_empty()) {
            self.retry_due = true;
            ctx.run_later(RETRY, |store, ctx| {
                store.retry_due = false;
                store.pass_on(ctx);
            });
        }
    }
}

/// One message per worker for all its results, in the order of its calls.
pub(super) fn deliver(batch: impl IntoIterator<Item = (ReplyTo, Outcome)>) {
    let mut workers: Vec<(Arc<Worker>, Vec<Answer>)> = Vec::new();
    let mut places: HashMap<SocketId, usize> = HashMap::default();
    // Calls of one worker that came together stand together.
    let mut last = (SocketId::NONE, 0);
    for (reply, outcome) in batch {
        let ReplyTo::Worker(mut caller) = reply else {
            reply.send(outcome);
            continue;
        };
        let Some(answer) = caller.end(outcome, None) else { continue };
        let socket = caller.worker().socket;
        if last.0 != socket {
            let place = *places.entry(socket).or_insert_with(|| {
                workers.push((caller.worker().clone(), Vec::new()));
                workers.len() - 1
            });
            last = (socket, place);
        }
        workers[last.1].1.push(answer);
    }
    for (worker, answers) in workers {
        worker.session.do_send(ToWorker::Answers(answers));
    }
}

pub(crate) fn encode(recorded: Recorded, address: &Address) -> Change {
    let Recorded { group, item, position, timestamp, body } = recorded;
    let kind = body.kind();
    let item_of = item.as_ref();
    let (frame, group_view) = match body {
        Body::Event { name, data } => (address.event(timestamp, item_of, &name, &data), GroupView::Same),
        Body::Deleted { old } => {
            let view = if old.is_null() { GroupView::Hidden } else { GroupView::Same };
            (address.change(timestamp, item_of, kind, &old), view)
        }
        Body::Written { old, new } => {
            let old = old.filter(|old| !old.is_null());
            let view = match (old, new.is_null()) {
                (None, true) => GroupView::Hidden,
                (Some(old), true) => GroupView::Other(address.change(timestamp, item_of, Kind::Delete, &old)),
                (None, false) if kind == Kind::Update => GroupView::Other(address.change(timestamp, item_of, Kind::Create, &new)),
                (_, false) => GroupView::Same,
            };
            (address.change(timestamp, item_of, kind, &new), view)
        }
    };
    Change { group, item, kind, position, timestamp, frame, group_view }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use actix::{Actor, Handler, WrapFuture};

    use super::*;
    use crate::adapter::memory::Memory;
    use crate::functions::Registry;
    use crate::guardian::{Guardian, Sentinel};
    use crate::ids::ItemKey;
    use crate::json::Json;
    use crate::settings::Settings;
    use crate::store::input::Op;
    use crate::store::{Submit, Triggered};
    use crate::trigger::config::Kind;
    use crate::trigger::table::Binding;

    /// A dispatcher that takes nothing.
    struct Stuck;

    impl Actor for Stuck {
        type Context = Context<Self>;

        fn started(&mut self, ctx: &mut Self::Context) {
            ctx.wait(std::future::pending::<()>().into_actor(self));
        }
    }

    impl Handler<News> for Stuck {
        type Result = ();

        fn handle(&mut self, _: News, _: &mut Self::Context) {}
    }

    #[actix_rt::test]
    async fn changes_that_wait_for_the_dispatcher_are_bounded_in_bytes() {
        let registry = Registry::new(Settings::default());
        let (guardian, _failure) = Guardian::new();
        let sentinel = Sentinel::new("store", Arc::new(true.into()), guardian.start().recipient());
        let store = Store::new(registry.clone(), Box::new(Memory::new()), Stuck.start().recipient(), sentinel).start();
        let config = Json::assembled(r#"{"stream_name":"s"}"#);
        let kind = Kind::parse("stream", &config).unwrap();
        let (owner, one_at_a_time, metadata) = (SocketId::next(), false, None);
        let [id, trigger_type, function_id]: [Box<str>; 3] = ["t".into(), "stream".into(), "f".into()];
        store
            .send(Triggered::Begin(Arc::new(Binding { id, trigger_type, function_id, config, metadata, kind, owner, one_at_a_time })))
            .await
            .unwrap();
        let value = Json::assembled(format!("\"{}\"", "x".repeat(8 << 20)));
        let (mut written, dropped) = (0, || registry.metrics.dispatched.dropped.get());
        while dropped() == 0 {
            let (reply, stored) = tokio::sync::oneshot::channel();
            let op = Op::Set { key: ItemKey::new("s", "g", "i"), data: value.clone() };
            store.send(Submit { op, by: SocketId::NONE, reply: ReplyTo::Once(reply) }).await.unwrap();
            stored.await.unwrap().unwrap();
            written += 1;
            assert!(written <= (NEWS_BYTES + TOLD_BYTES) / (8 << 20) + 2);
        }
        assert!(dropped() >= (NEWS_BYTES / (8 << 20)) as u64 && registry.told_bytes.load(Ordering::Relaxed) <= TOLD_BYTES + (9 << 20));
    }
}
