//! A running system: the store, the trigger dispatcher and the guardian, each on its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix::{Actor, Arbiter, Context};

use crate::adapter::Adapter;
use crate::functions::Registry;
use crate::guardian::{Failure, Guardian, Sentinel};
use crate::settings::Settings;
use crate::store::Store;
use crate::trigger::Triggers;

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
        let registry = Registry::new(settings);
        let closing = Arc::<AtomicBool>::default();
        let (guardian, failure) = Guardian::new();
        let guardian = guardian.start();
        let (store, triggers) = (Arbiter::new(), Arbiter::new());
        let dispatcher = {
            let (registry, sentinel) = (registry.clone(), Sentinel::new("triggers", closing.clone(), guardian.clone().recipient()));
            Triggers::start_in_arbiter(&triggers.handle(), move |_: &mut Context<Triggers>| Triggers::new(registry, sentinel))
        };
        let addr = {
            let (registry, sentinel) = (registry.clone(), Sentinel::new("store", closing.clone(), guardian.recipient()));
            let news_to = dispatcher.clone().recipient();
            Store::start_in_arbiter(&store.handle(), move |_: &mut Context<Store>| Store::new(registry, adapter, news_to, sentinel))
        };
        registry.set_actors(addr, dispatcher);
        Self { registry, store, triggers, failure, closing }
    }

    /// What sessions need.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
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
