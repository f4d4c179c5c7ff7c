//! A change of a group: what happened, its place in the group's one order, and its frame.

use crate::clock::Millis;
use crate::frame::Encoded;
use crate::ids::{GroupKey, Name};
use crate::json::Json;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An item that was not there was written.
    Create,
    /// An item that was there was written.
    Update,
    /// An item was removed.
    Delete,
    /// A custom event was sent; nothing is stored.
    Event,
}

impl Kind {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Event => "event",
        }
    }
}

/// A place in the order of a group.
///
/// Positions compare within one epoch only; a new epoch means that the history before it is not known, and subscribers need a new snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which life of the store numbered the change.
    pub epoch: u64,
    /// How many changes the group had, this one included.
    pub seq: u64,
}

/// One change, numbered, stamped and encoded once for all who get it.
#[derive(Debug, Clone)]
pub struct Change {
    /// The group that changed.
    pub group: GroupKey,
    /// The item that changed; `None` for an event to the whole group.
    pub item: Option<Name>,
    /// What happened.
    pub kind: Kind,
    /// Its place in the group's order.
    pub position: Position,
    /// When, in milliseconds; strictly greater than that of the change before it.
    pub timestamp: Millis,
    /// What subscribers of the item get; its payload is what triggers get.
    pub frame: Encoded,
    /// What subscribers of the group get, where that differs.
    pub group_view: GroupView,
}

/// How a change looks to those who watch the whole group.
///
/// Published group clients look up `data.id` in what they get, and a `null` there ends their process (protocol.md C.7). In a group's
/// state an item that holds `null` is therefore as good as absent: it is left out of a `sync`, and turning null is a `delete`.
#[derive(Debug, Clone)]
pub enum GroupView {
    /// The same frame as the item's subscribers.
    Same,
    /// Another frame.
    Other(Encoded),
    /// Nothing: null before and after.
    Hidden,
}

/// The state of a group at a position.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// After which change of the group the state was read.
    pub position: Position,
    /// The timestamp of that change; one millisecond ago where the group has had none.
    pub timestamp: Millis,
    /// All items in insertion order, if they were asked for.
    pub whole: Option<Vec<(Name, Json)>>,
    /// The items that were asked for by name; `None` where there is no such item.
    pub items: Vec<(Name, Option<Json>)>,
}
