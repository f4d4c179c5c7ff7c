//! Which worker serves which function. No actor, no lock: see [`Registry`](super::Registry) for both.

use std::sync::Arc;

use crate::hash::HashMap;
use crate::ids::SocketId;
use crate::json::Json;

/// What a worker said about a function when it registered it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FunctionInfo {
    /// Text for people.
    pub description: Option<String>,
    /// Shape of the input.
    pub request_format: Option<Json>,
    /// Shape of the output.
    pub response_format: Option<Json>,
    /// Opaque.
    pub metadata: Option<Json>,
    /// Whether the entry names an HTTP address instead of a handler of the worker.
    pub http: bool,
}

/// One registration: who serves the function, and how to reach them.
#[derive(Debug, Clone)]
pub struct Entry<H> {
    /// The worker's socket.
    pub owner: SocketId,
    /// What reaches that worker.
    pub handle: H,
    /// What it said about the function.
    pub info: Arc<FunctionInfo>,
}

/// A stream function that a worker may take over for one stream by registering `stream::get(<stream>)` and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Override {
    /// `stream::get`
    Get,
    /// `stream::set`
    Set,
    /// `stream::delete`
    Delete,
    /// `stream::list`
    List,
    /// `stream::list_groups`
    ListGroups,
    /// `stream::update`
    Update,
    /// `stream::list_all`, which no stream can override: only an adapter of functions has it.
    ListAll,
}

impl Override {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Get, "stream::get("),
        (Self::Set, "stream::set("),
        (Self::Delete, "stream::delete("),
        (Self::List, "stream::list("),
        (Self::ListGroups, "stream::list_groups("),
        (Self::Update, "stream::update("),
    ];

    /// The function and stream that a function id overrides, if it does.
    #[must_use]
    pub fn parse(id: &str) -> Option<(Self, &str)> {
        let inner = id.strip_suffix(')')?;
        Self::ALL.iter().find_map(|(op, prefix)| Some((*op, inner.strip_prefix(prefix)?)))
    }

    /// The function id that overrides this function for `stream`.
    #[must_use]
    pub fn id(self, stream: &str) -> String {
        format!("stream::{}({stream})", self.name())
    }

    /// The function id by which an adapter of functions serves this function.
    #[must_use]
    pub fn adapter_id(self, adapter: &str) -> String {
        format!("{adapter}::{}", self.name())
    }

    /// The last part of the function's id.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Set => "set",
            Self::Delete => "delete",
            Self::List => "list",
            Self::ListGroups => "list_groups",
            Self::Update => "update",
            Self::ListAll => "list_all",
        }
    }
}

/// Which functions of one stream are overridden.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides(u8);

impl Overrides {
    /// What an adapter of functions must serve.
    pub const ADAPTER: Self = Self(
        1 << Override::Get as u8
            | 1 << Override::Set as u8
            | 1 << Override::Delete as u8
            | 1 << Override::List as u8
            | 1 << Override::ListGroups as u8
            | 1 << Override::ListAll as u8,
    );

    /// These and `op`.
    #[must_use]
    pub fn with(self, op: Override) -> Self {
        Self(self.0 | 1 << op as u8)
    }

    /// These and the others.
    #[must_use]
    pub fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether `op` is overridden.
    #[must_use]
    pub fn has(self, op: Override) -> bool {
        self.0 & (1 << op as u8) != 0
    }

    /// Those that are overridden.
    pub fn iter(self) -> impl Iterator<Item = Override> {
        Override::ALL.into_iter().map(|(op, _)| op).chain([Override::ListAll]).filter(move |op| self.has(*op))
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// All functions of all workers.
///
/// A function may have several owners while one worker replaces another: the newest serves it, and when that one leaves, an older one
/// that is still there serves again.
#[derive(Debug)]
pub struct FunctionTable<H> {
    owners: HashMap<Box<str>, Vec<Entry<H>>>,
    overrides: HashMap<Box<str>, Overrides>,
}

impl<H> Default for FunctionTable<H> {
    fn default() -> Self {
        Self { owners: HashMap::default(), overrides: HashMap::default() }
    }
}

impl<H> FunctionTable<H> {
    /// How many functions are served.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Makes `entry` the newest owner of `id`; an earlier registration of the same worker is replaced. True where the function is new.
    pub fn register(&mut self, id: &str, entry: Entry<H>) -> bool {
        if let Some((op, stream)) = Override::parse(id) {
            self.overrides.entry(stream.into()).or_default().0 |= 1 << op as u8;
        }
        let owners = self.owners.entry(id.into()).or_default();
        let new = owners.is_empty();
        owners.retain(|other| other.owner != entry.owner);
        owners.push(entry);
        new
    }

    /// Ends `owner`'s registration of `id`; others keep theirs. True where nobody serves the function any more.
    pub fn unregister(&mut self, id: &str, owner: SocketId) -> bool {
        let Some(owners) = self.owners.get_mut(id) else { return false };
        owners.retain(|entry| entry.owner != owner);
        if !owners.is_empty() {
            return false;
        }
        self.owners.remove(id);
        if let Some((op, stream)) = Override::parse(id)
            && let Some(mask) = self.overrides.get_mut(stream)
        {
            mask.0 &= !(1 << op as u8);
            if mask.is_empty() {
                self.overrides.remove(stream);
            }
        }
        true
    }

    /// Who serves `id` now.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Entry<H>> {
        self.owners.get(id)?.last()
    }

    /// Which functions of `stream` are overridden.
    #[must_use]
    pub fn overrides(&self, stream: &str) -> Overrides {
        self.overrides.get(stream).copied().unwrap_or_default()
    }

    /// How many streams have an override.
    #[must_use]
    pub fn overridden_streams(&self) -> usize {
        self.overrides.len()
    }

    /// All functions with their serving owner, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry<H>)> {
        self.owners.iter().filter_map(|(id, owners)| Some((&**id, owners.last()?)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry(owner: SocketId) -> Entry<()> {
        Entry { owner, handle: (), info: Arc::default() }
    }

    #[test]
    fn newest_owner_serves_and_an_older_one_serves_again_when_it_leaves() {
        let (old, new) = (SocketId::next(), SocketId::next());
        let mut table = FunctionTable::default();
        assert!(table.register("f", entry(old)));
        assert!(!table.register("f", entry(new)));
        assert_eq!(table.get("f").unwrap().owner, new);
        assert!(!table.unregister("f", new));
        assert_eq!(table.get("f").unwrap().owner, old);
        assert!(table.unregister("f", old));
        assert!(table.get("f").is_none());
    }

    #[test]
    fn late_clean_up_of_an_old_worker_leaves_the_new_owner_in_place() {
        let (old, new) = (SocketId::next(), SocketId::next());
        let mut table = FunctionTable::default();
        table.register("f", entry(old));
        table.register("f", entry(new));
        assert!(!table.unregister("f", old));
        assert!(!table.unregister("f", old));
        assert_eq!(table.get("f").unwrap().owner, new);
    }

    #[test]
    fn repeated_registration_of_one_worker_counts_once() {
        let owner = SocketId::next();
        let mut table = FunctionTable::default();
        table.register("f", entry(owner));
        table.register("f", entry(owner));
        assert!(table.unregister("f", owner));
    }

    #[test]
    fn overrides_are_found_by_their_stream_whatever_it_is_called() {
        let owner = SocketId::next();
        let mut table = FunctionTable::default();
        for stream in ["plain", "with (brackets)", ")", "", "a::b"] {
            let id = Override::Set.id(stream);
            assert_eq!(Override::parse(&id), Some((Override::Set, stream)));
            table.register(&id, entry(owner));
            assert!(table.overrides(stream).has(Override::Set));
            assert!(!table.overrides(stream).has(Override::Get));
            table.unregister(&id, owner);
            assert!(table.overrides(stream).is_empty());
        }
        assert_eq!(table.overridden_streams(), 0);
        assert_eq!(Override::parse("stream::set"), None);
        assert_eq!(Override::parse("stream::send(x)"), None);
    }
}
