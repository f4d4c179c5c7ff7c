//! Where items are kept: the trait that a backend implements, and the backends.
//!
//! An adapter is owned by one [`Store`](crate::store::Store) actor, on a thread of its own, so it may block. It stores what it is told;
//! numbering, timestamps and the order of changes are the store's.

pub mod memory;

use crate::clock::Millis;
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

/// A group and all it holds, or a stream and its groups.
pub type Items = Vec<(Name, Json)>;

/// What a backend answers where it cannot do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// The medium failed; the text says which and what to do.
    #[error("{0}")]
    Failed(String),
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
    fn list(&mut self, group: &GroupKey) -> Result<Items, AdapterError>;

    /// The groups of a stream that hold an item, sorted.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn list_groups(&mut self, stream: &str) -> Result<Vec<Name>, AdapterError>;

    /// All streams that hold an item, each with its groups, both sorted.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn list_all(&mut self) -> Result<Vec<(Name, Vec<Name>)>, AdapterError>;

    /// Applies all writes in order, or none, and records the heads of the groups that they changed.
    ///
    /// Once it returns, the batch is as durable as the adapter is configured to be.
    ///
    /// # Errors
    /// Where nothing was stored.
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError>;

    /// The last change of a group that an earlier process numbered, if the backend keeps it.
    ///
    /// # Errors
    /// Where the backend cannot be read.
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError>;

    /// The least that a head may start from where the group's own is not known any more: no group ever had a higher one.
    fn floor(&self) -> Head;

    /// Which life of the store numbers the changes.
    fn epoch(&self) -> u64;
}
