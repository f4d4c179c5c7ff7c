//! Where items are kept: the trait that a backend implements, and the backends.
//!
//! An adapter is owned by one [`Store`](crate::store::Store) actor, on a thread of its own, so it may block. It stores what it is told;
//! numbering, timestamps and the order of changes are the store's.

#[cfg(feature = "rocksdb")]
pub mod file;
pub mod memory;
#[cfg(feature = "redis")]
pub mod redis;

use std::sync::Arc;

use crate::clock::Millis;
use crate::distribution::Histogram;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

/// The last change of a group: its number and its timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// How many changes the group had in this epoch.
    pub seq: u64,
    /// The timestamp of the last one.
    pub timestamp: Millis,
}

impl Head {
    /// The higher of both, number and timestamp each.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { seq: self.seq.max(other.seq), timestamp: self.timestamp.max(other.timestamp) }
    }
}

/// One write of a batch.
#[derive(Debug, Clone)]
pub enum Write {
    /// Store a value; a new item goes to the end of its group, an update keeps its place.
    Put(ItemKey, Json),
    /// Remove an item.
    Delete(ItemKey),
    /// Nothing is stored, but the group's head moves (a custom event).
    Touch(GroupKey),
}

/// The items of a group, in insertion order.
pub type Items = Vec<(Name, Json)>;

/// Streams, each with its groups.
pub type Streams = Vec<(Name, Vec<Name>)>;

/// What a backend answers where it cannot do its work.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The medium failed; the text says which and what to do.
    #[error("{0}")]
    Failed(String),
    /// The medium cannot be reached; nothing was stored.
    #[error("{0}")]
    Away(String),
    /// The medium went away before it answered: whether the write is stored is not known.
    #[error("{0}")]
    Unknown(String),
    /// Too many calls are under way; nothing was stored.
    #[error("{0}")]
    Overloaded(String),
    /// As many streams as may hold an item do; nothing was stored.
    #[error(
        "stream '{stream}' would be one more than the {limit} that may hold items; delete those that are not needed any more, see that streams \
         are not named by what users type, or raise `max_streams`"
    )]
    TooManyStreams {
        /// The stream that was to be made.
        stream: String,
        /// How many there may be.
        limit: usize,
    },
    /// The value would be larger than one may be; nothing was stored.
    #[error("{0}")]
    TooLarge(String),
    /// The medium has less room left than is to stay free; nothing was stored.
    #[error("{path} has no room left ({detail}); free some space there, then write again")]
    Reserve {
        /// Which medium.
        path: String,
        /// How much is left, and how much is to stay free.
        detail: String,
    },
    /// The medium has no room left.
    #[error("{path} has no room left ({detail}); free some space there, then write again")]
    Full {
        /// Which medium.
        path: String,
        /// How much is left, or what the system said.
        detail: String,
    },
    /// What is stored cannot be read.
    #[error("{path} is damaged ({detail}); `weir verify` says what can be read, `weir restore` brings back a backup")]
    Damaged {
        /// Which medium.
        path: String,
        /// What does not fit.
        detail: String,
    },
}

/// A read that is done, or one that may take long and that somebody else can carry out while the adapter goes on writing.
///
/// Both see exactly what was committed when the read was asked for.
pub enum Read<T> {
    /// The result.
    Done(T),
    /// How to get it, on any thread that may block.
    Deferred(Deferred<T>),
}

/// What carries out a [`Read::Deferred`].
pub type Deferred<T> = Box<dyn FnOnce() -> Result<T, AdapterError> + Send>;

impl<T: 'static> Read<T> {
    /// The same read with another form of result.
    pub fn map<U: 'static>(self, form: impl FnOnce(T) -> U + Send + 'static) -> Read<U> {
        match self {
            Self::Done(result) => Read::Done(form(result)),
            Self::Deferred(read) => Read::Deferred(Box::new(|| read().map(form))),
        }
    }

    /// Both reads as one.
    pub fn and<U: Send + 'static>(self, other: Read<U>) -> Read<(T, U)>
    where
        T: Send,
    {
        match (self, other) {
            (Self::Done(one), Read::Done(two)) => Read::Done((one, two)),
            (one, two) => Read::Deferred(Box::new(|| Ok((one.wait()?, two.wait()?)))),
        }
    }

    /// Carries the read out here and now.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    pub fn wait(self) -> Result<T, AdapterError> {
        match self {
            Self::Done(result) => Ok(result),
            Self::Deferred(read) => read(),
        }
    }
}

/// A backend.
///
/// Reads see all that was committed. `Send`, because it is made on one thread and moves to its store's.
pub trait Adapter: Send + 'static {
    /// The value of an item.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError>;

    /// All items of a group in insertion order; empty for a group that does not exist.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError>;

    /// The groups of a stream that hold an item, sorted.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError>;

    /// All streams that hold an item, each with its groups, both sorted.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError>;

    /// How many streams hold an item before this one is made; `None` where it holds one already. Asked for each item that is new.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError>;

    /// Applies all writes in order, or none, and records the heads of the groups that they changed.
    ///
    /// Once it returns, the batch is as durable as the adapter is configured to be.
    ///
    /// # Errors
    /// Where nothing was stored.
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError>;

    /// Whether there is room for values. Asked once for a batch, before the first: a call whose value has no room is refused by itself, and
    /// those that are committed with it are not.
    ///
    /// # Errors
    /// Why there is none.
    fn admit(&mut self) -> Result<(), AdapterError> {
        Ok(())
    }

    /// Whether a commit would be carried out now, found out by one that changes nothing. Asked now and again after one has failed.
    ///
    /// # Errors
    /// Why it would not.
    fn probe(&mut self) -> Result<(), AdapterError> {
        Ok(())
    }

    /// The last change of a group that an earlier process numbered, if the backend keeps it.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError>;

    /// The least that a head may start from where the group's own is not known any more: no group ever had a higher one.
    fn floor(&self) -> Head;

    /// Which life of the store numbers the changes.
    fn epoch(&self) -> u64;

    /// Where the adapter counts how long it takes to force what was written onto a disk, if it does that.
    fn syncs(&self) -> Option<Arc<Histogram>> {
        None
    }
}
