//! Starting a system.

use actix::Arbiter;
use tokio::sync::oneshot;

use super::lifetime::Life;
use super::{StartError, Streams};
use crate::adapter::Adapter;
use crate::adapter::memory::Memory;
#[cfg(feature = "redis")]
use crate::adapter::redis::RedisOptions;
use crate::settings::Settings;
use crate::system::System;
use std::sync::Arc;

/// Where what is neither the store nor the trigger dispatcher runs; these two always have threads of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Placement {
    /// On a thread of its own, which lasts as long as the system.
    #[default]
    OwnThreads,
    /// On the thread that starts it, in the actix system that runs there. Where that ends, so does this: what has been written is there, but clients are told
    /// nothing and calls under way are not answered. [Shut it down](Streams::shutdown) before.
    Here,
}

/// Where items are kept.
enum Backend {
    Adapter(Box<dyn Adapter>),
    #[cfg(feature = "redis")]
    Redis(RedisOptions),
}

/// Settings of a system that is to be started.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    backend: Backend,
    settings: Settings,
    placement: Placement,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder").field("settings", &self.settings).field("placement", &self.placement).finish_non_exhaustive()
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self { backend: Backend::Adapter(Box::new(Memory::new())), settings: Settings::default(), placement: Placement::default() }
    }
}

impl Builder {
    /// Keeps items in an adapter: `FileStore::open` of feature `rocksdb`, or one of your own.
    pub fn adapter(mut self, adapter: impl Adapter) -> Self {
        self.backend = Backend::Adapter(Box::new(adapter));
        self
    }

    /// Keeps items in Redis, and shares them with every other program and server that does.
    #[cfg(feature = "redis")]
    pub fn redis(mut self, options: RedisOptions) -> Self {
        self.backend = Backend::Redis(options);
        self
    }

    /// Limits and behaviour, in place of the defaults.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings.within_reach();
        self
    }

    /// Where it runs.
    pub fn placement(mut self, placement: Placement) -> Self {
        self.placement = placement;
        self
    }

    /// Starts the system. Several in one process do not meet.
    ///
    /// # Errors
    /// Where Redis is not reached, no thread can be had, or [`Placement::Here`] finds no actix system.
    pub async fn start(self) -> Result<Streams, StartError> {
        let (started, starting) = oneshot::channel();
        match self.placement {
            Placement::OwnThreads => {
                let run = move || actix::System::new().block_on(self.run(started));
                std::thread::Builder::new().name("weir".to_owned()).spawn(run).map_err(StartError::Thread)?;
            }
            Placement::Here => {
                if Arbiter::try_current().is_none() {
                    return Err(StartError::NoSystem);
                }
                actix::spawn(self.run(started));
            }
        }
        starting.await.unwrap_or(Err(StartError::Died))
    }

    /// Runs until the system has ended.
    async fn run(self, started: oneshot::Sender<Result<Streams, StartError>>) {
        let system = match self.backend {
            Backend::Adapter(adapter) => System::start(self.settings, adapter),
            #[cfg(feature = "redis")]
            Backend::Redis(options) => match System::start_on_redis(self.settings, options).await {
                Ok(system) => system,
                Err(error) => return drop(started.send(Err(error.into()))),
            },
        };
        let registry = Arc::clone(system.registry());
        let (life, ending) = Life::begin(system);
        // Whoever started it may have given up; with that the last handle is gone, and it ends.
        drop(started.send(Ok(Streams::new(registry, life))));
        ending.await;
    }
}
