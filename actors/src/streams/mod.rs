//! Weir inside another program: one handle to a running system.
//!
//! [`Streams`] is what a worker is to a server, without the socket: it reads and writes items, subscribes to groups, is called when something changes
//! or somebody joins, and serves functions beside those of connected workers.

mod builder;
mod calls;
mod error;
mod event;
mod follow;
mod follower;
mod handler;
mod host;
mod lifetime;
mod subscription;
mod triggers;
mod typed;
mod update;

use std::future::Future;
use std::sync::{Arc, Weak};

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use builder::{Builder, Placement};
pub use error::{Error, StartError};
pub use event::{Change, Event, State, Told};
pub use handler::HandlerError;
pub use subscription::Subscription;
pub use triggers::{Answer, Join, Leave, Registration, Watch};
pub use typed::{Group, Stream};
pub use update::{Ops, Path, Skipped, Updated};

pub use crate::session::clients::{Client, ClientSubscription, Clients};
pub use crate::trigger::reason::Reason;

use crate::functions::Registry;
use crate::functions::table::FunctionInfo;
use crate::ids::GroupKey;
use crate::metrics::snapshot::Snapshot;
#[cfg(feature = "ws")]
use crate::session::Connections;
use crate::spans::Spans;
use follower::{Follower, Queue};
use lifetime::Life;

/// A handle to a running system. Clones share it, and so do [`Stream`] and [`Group`]; when the last one is dropped, everything stops.
///
/// That is a stop without a word: clients are closed and leave handlers called, but a [`WeakStreams`] in a handler finds nothing any more. Where those handlers
/// write, [shut down](Self::shutdown) and keep the handle until that is done.
///
/// Methods may be called from any thread and any runtime. A call is on its way when the method returns; its future only waits for the answer, and
/// dropping it takes nothing back. So calls made one after the other are applied in that order, however they are awaited, and read what was written before. A function or trigger handler that holds a clone keeps the system running: give it a [`WeakStreams`].
#[derive(Clone)]
pub struct Streams {
    shared: Arc<Shared>,
}

/// A handle that does not keep the system running.
#[derive(Clone, Debug)]
pub struct WeakStreams(Weak<Shared>);

/// What all handles share.
#[derive(Debug)]
struct Shared {
    registry: Arc<Registry>,
    /// Sockets of clients, and of workers.
    #[cfg(feature = "ws")]
    connections: [Arc<Connections>; 2],
    life: Life,
}

impl std::fmt::Debug for Streams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Streams").finish_non_exhaustive()
    }
}

impl WeakStreams {
    /// The handle, unless the last one is gone; then leave handlers may still be called.
    #[must_use]
    pub fn upgrade(&self) -> Option<Streams> {
        self.0.upgrade().map(|shared| Streams { shared })
    }
}

impl Streams {
    /// Settings for a system that is to be started. Without any, items are kept in memory.
    pub fn builder() -> Builder {
        Builder::default()
    }

    fn new(registry: Arc<Registry>, life: Life) -> Self {
        let shared = Shared {
            registry,
            #[cfg(feature = "ws")]
            connections: Default::default(),
            life,
        };
        Self { shared: Arc::new(shared) }
    }

    #[cfg(feature = "ws")]
    pub(crate) fn client_connections(&self) -> &Arc<Connections> {
        &self.shared.connections[0]
    }

    #[cfg(feature = "ws")]
    pub(crate) fn worker_connections(&self) -> &Arc<Connections> {
        &self.shared.connections[1]
    }

    /// The same system, without keeping it running.
    #[must_use]
    pub fn downgrade(&self) -> WeakStreams {
        WeakStreams(Arc::downgrade(&self.shared))
    }

    /// What the system has counted since its start, and what there is now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.shared.registry.snapshot()
    }

    /// Spans of calls and commits, for whoever takes them.
    #[must_use]
    pub fn spans(&self) -> &Arc<Spans> {
        &self.shared.registry.spans
    }

    /// What the actors share. For those who serve a port of their own, or look after a system; not for everyday use, and it may change.
    #[doc(hidden)]
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.shared.registry
    }

    /// A stream whose items are `T`s.
    #[must_use]
    pub fn stream<T>(&self, name: &str) -> Stream<T> {
        Stream::new(self.clone(), name)
    }

    /// A group whose items are `T`s.
    #[must_use]
    pub fn group<T>(&self, stream: &str, group: &str) -> Group<T> {
        Group::new(self.clone(), GroupKey::new(stream, group))
    }

    /// Follows a group: its state, then every change.
    ///
    /// In-process subscribers are not clients: no join or leave trigger hears of them.
    #[must_use]
    pub fn subscribe<T: DeserializeOwned>(&self, stream: &str, group: &str) -> Subscription<T> {
        self.follow(GroupKey::new(stream, group))
    }

    fn follow<T: DeserializeOwned>(&self, group: GroupKey) -> Subscription<T> {
        let queue = Arc::<Queue>::default();
        self.shared.life.keep_track(&queue);
        if self.shared.life.has_ended() {
            // Nobody else would, where the thread of its follower goes on.
            queue.end(None);
        }
        let follower = Follower::start(self.shared.life.home(), &self.shared.registry, group, queue.clone());
        Subscription::new(queue, follower)
    }

    /// Serves a function that workers, triggers and this program can call, until it is [ended](Registration::end) or the system stops.
    ///
    /// Input and output go by `serde`. Calls run beside each other, each as a task of the tokio runtime that this is called on; outside of any, on a
    /// thread of Weir, which must not be blocked. A call that takes longer than its caller waits is dropped. Registering an id again replaces the
    /// function. `stream::set(STREAM)`, `…::get(STREAM)` and so on serve a stream in place of the store, as those of a worker do, and what
    /// `auth_function` of the settings names decides who may connect.
    ///
    /// A function that serves a stream may read that stream and send events to it, from its own task. A write there waits for the write that it is itself a part
    /// of, until `join_timeout`; so does anything that a task of its own making calls.
    ///
    /// ```
    /// # use weir_actors::streams::{Error, Streams};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let streams = Streams::builder().start().await?;
    /// streams.register_function("math::add", async |(left, right): (i64, i64)| Ok(left + right))?;
    /// let sum: i64 = streams.invoke("math::add", &(2, 3)).await?;
    /// assert_eq!(sum, 5);
    /// # streams.shutdown().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Where the id is one of Weir's own, or as many functions are registered as `max_functions` allows.
    pub fn register_function<I, O, R, F>(&self, id: &str, function: F) -> Result<Registration, Error>
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + 'static,
        R: Future<Output = Result<O, HandlerError>> + Send + 'static,
        F: Fn(I) -> R + Send + Sync + 'static,
    {
        let generation = self.shared.life.serve(id, handler::function(id, function), FunctionInfo::default())?;
        Ok(Registration::function(self.downgrade(), id, generation))
    }
}
