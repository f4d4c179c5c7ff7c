//! A running system: the store, the trigger dispatcher and the guardian, each on its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter, Context};
use tokio::sync::oneshot;

use crate::adapter::Adapter;
#[cfg(feature = "redis")]
use crate::adapter::redis::{Redis, RedisError, RedisOptions};
use crate::functions::{Registry, ToWorker};
use crate::guardian::{Failure, Guardian, Sentinel};
use crate::mailbox;
use crate::session::subscribers::{Count, Drain};
use crate::settings::Settings;
#[cfg(feature = "redis")]
use crate::store::relay::Relay;
use crate::store::{self, Close, Store};
use crate::trigger::{Finish, Triggers};

/// How long a start waits for the other nodes to say what they serve.
#[cfg(feature = "redis")]
const GREETING: Duration = Duration::from_secs(2);
/// How much of the time for the end is kept for what is under way where it never becomes quiet.
const REST: Duration = Duration::from_secs(5);
/// How often it is looked whether all is drained.
const LOOK: Duration = Duration::from_millis(10);

/// A running system.
///
/// Dropping it leaves the actors running; [`stop`](Self::stop) ends their arbiters.
#[derive(Debug)]
pub struct System {
    registry: Arc<Registry>,
    store: Arbiter,
    triggers: Arbiter,
    failure: Failure,
    closing: Arc<AtomicBool>,
}

impl System {
    /// Starts the actors. Call it inside an actix system; the store and the dispatcher get arbiters, that is threads, of their own.
    #[must_use]
    pub fn start(settings: Settings, adapter: Box<dyn Adapter>) -> Self {
        let parts = Parts::start(settings, Arbiter::new());
        let (registry, sentinel, news_to) = (parts.registry.clone(), parts.sentinel("store"), parts.dispatcher.clone().recipient());
        let store = mailbox::start(&parts.store.handle(), store::MAILBOX, move || Store::new(registry, adapter, news_to, sentinel));
        parts.running(store)
    }

    /// The same for one of several nodes that share a Redis. The connections to it live on the store's arbiter.
    ///
    /// # Errors
    /// Where Redis is not reached within `connect_timeout`, or refuses us.
    #[cfg(feature = "redis")]
    pub async fn start_on_redis(settings: Settings, mut options: RedisOptions) -> Result<Self, RedisError> {
        crate::store::allow(&mut options, settings.stream.max_value_bytes);
        let arbiter = Arbiter::new();
        let (sender, connected) = oneshot::channel();
        // Refused only by an arbiter that is gone; the channel tells then.
        arbiter.spawn(async move { drop(sender.send(Redis::connect(options).await)) });
        let connected = connected.await.unwrap_or_else(|_gone| Err(RedisError::Config("the thread of the store has ended".into())));
        let (redis, feed) = match connected {
            Ok(connected) => connected,
            Err(error) => {
                arbiter.stop();
                return Err(error);
            }
        };
        let parts = Parts::start(settings, arbiter);
        parts.registry.health.set_link(redis.link());
        let (registry, news_to) = (parts.registry.clone(), parts.dispatcher.clone().recipient());
        let sentinels = ["store", "answers", "mesh"].map(|actor| parts.sentinel(actor));
        let (met, known) = oneshot::channel();
        let store = mailbox::start(&parts.store.handle(), store::MAILBOX, move || Store::shared(registry, redis, news_to, sentinels, met));
        let (relayed, sentinel) = (store.clone(), parts.sentinel("relay"));
        Relay::start_in_arbiter(&parts.store.handle(), move |_: &mut Context<Relay>| Relay::new(relayed, feed, sentinel));
        let system = parts.running(store);
        // Calls go to the right node from the first on, if the others are quick.
        drop(tokio::time::timeout(GREETING, known).await);
        Ok(system)
    }

    /// What sessions need.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The name of an actor that has died, if one has.
    #[must_use]
    pub fn has_failed(&self) -> Option<&'static str> {
        *self.failure.borrow()
    }

    /// What tells of an actor that dies.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }

    /// Resolves with the name of an actor that has died; the system is then of no use any more.
    pub async fn failed(&self) -> &'static str {
        let mut failure = self.failure.clone();
        loop {
            if let Some(actor) = *failure.borrow_and_update() {
                return actor;
            }
            if failure.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Closes all client sockets, spread over `span`, tells the triggers that watch for it, takes no more calls and waits until those under way are
    /// answered; all of that within `limit`. Whether it was done by then.
    ///
    /// Workers are served until nothing is called at any of them, or [`REST`] is left of `limit`.
    ///
    /// New connections are whoever accepts them's to refuse, before this.
    pub async fn drain(&self, span: Duration, limit: Duration) -> bool {
        self.registry.health.set_draining();
        for subscribers in self.registry.subscribers.read().iter() {
            subscribers.do_send(Drain(span));
        }
        let began = tokio::time::Instant::now();
        tokio::time::timeout_at(began + limit, async {
            while self.count_sockets().await > 0 {
                tokio::time::sleep(LOOK).await;
            }
            let quiet = tokio::time::timeout_at(began + limit.saturating_sub(REST), async {
                while !self.is_quiet().await {
                    tokio::time::sleep(LOOK).await;
                }
            });
            // One that goes on for ever ends with what is called from outside.
            drop(quiet.await);
            if let Some(store) = self.registry.store() {
                // A store that has died answers nobody.
                let _ = store.send(Close).await;
            }
            loop {
                self.finish_workers().await;
                if self.is_quiet().await && self.registry.workers.read().values().all(|worker| worker.unread.is_answered()) {
                    break;
                }
                tokio::time::sleep(LOOK).await;
            }
            while self.registry.is_called() {
                tokio::time::sleep(LOOK).await;
            }
        })
        .await
        .is_ok()
    }

    /// Whether nothing is called at any worker, and triggers have been told everything.
    async fn is_quiet(&self) -> bool {
        !self.registry.is_calling() && self.is_told().await
    }

    /// Has workers call no more, and waits until they have all their answers.
    async fn finish_workers(&self) {
        let mut finished = Vec::new();
        for worker in self.registry.workers.read().values() {
            let (done, answered) = oneshot::channel();
            worker.session.do_send(ToWorker::Finish(done));
            finished.push(answered);
        }
        // One that has gone is finished.
        futures_util::future::join_all(finished).await;
    }

    async fn count_sockets(&self) -> usize {
        let mut count = 0;
        let arbiters = self.registry.subscribers.read().clone();
        for subscribers in arbiters {
            // An arbiter that has ended has no sockets.
            count += subscribers.send(Count).await.unwrap_or(0);
        }
        count
    }

    async fn is_told(&self) -> bool {
        match self.registry.dispatcher() {
            Some(dispatcher) => dispatcher.send(Finish).await.unwrap_or(true),
            None => true,
        }
    }

    /// Ends the store and the dispatcher after what they have at hand, and waits until the adapter is closed.
    ///
    /// Blocks the thread for as long as that takes: a file store writes what it holds in memory.
    pub fn stop(self) {
        self.closing.store(true, Ordering::Release);
        self.store.stop();
        self.triggers.stop();
        for (actor, arbiter) in [("store", self.store), ("triggers", self.triggers)] {
            if arbiter.join().is_err() {
                tracing::error!(actor, "the thread of an actor has panicked while it closed");
            }
        }
    }
}

/// A system without its store.
struct Parts {
    registry: Arc<Registry>,
    dispatcher: Addr<Triggers>,
    store: Arbiter,
    triggers: Arbiter,
    guardian: Addr<Guardian>,
    failure: Failure,
    closing: Arc<AtomicBool>,
}

impl Parts {
    fn start(settings: Settings, store: Arbiter) -> Self {
        let registry = Registry::new(settings);
        let closing = Arc::<AtomicBool>::default();
        let (guardian, failure) = Guardian::new();
        registry.health.set_failure(failure.clone());
        let guardian = guardian.start();
        let triggers = Arbiter::new();
        let dispatcher = {
            let (registry, sentinel) = (registry.clone(), Sentinel::new("triggers", closing.clone(), guardian.clone().recipient()));
            Triggers::start_in_arbiter(&triggers.handle(), move |_: &mut Context<Triggers>| Triggers::new(registry, sentinel))
        };
        Self { registry, dispatcher, store, triggers, guardian, failure, closing }
    }

    fn sentinel(&self, actor: &'static str) -> Sentinel {
        Sentinel::new(actor, self.closing.clone(), self.guardian.clone().recipient())
    }

    fn running(self, store: Addr<Store>) -> System {
        self.registry.set_actors(store, self.dispatcher);
        System { registry: self.registry, store: self.store, triggers: self.triggers, failure: self.failure, closing: self.closing }
    }
}
