//! What the store is told beside calls.

use std::sync::Arc;

use actix::{Message, Recipient};

use super::interest::LinkId;
use crate::group::Feed;
use crate::ids::{GroupKey, Name};
use crate::trigger::table::Binding;

/// A group actor wants every change of its group from now on.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Watch {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
    /// Its mailbox.
    pub to: Recipient<Feed>,
}

/// A group actor wants no more.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Unwatch {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
}

/// A group actor that watches wants the state of its group. The answer comes in order with the changes.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub struct TakeSnapshot {
    /// The group.
    pub group: GroupKey,
    /// Names the group actor.
    pub link: LinkId,
    /// Comes back with the answer.
    pub request: u64,
    /// Whether all items are wanted.
    pub whole: bool,
    /// The items that are wanted by name.
    pub items: Vec<Name>,
    /// Whether it must be read before anything else changes: the group has given up waiting for earlier ones.
    pub urgent: bool,
}

/// A `stream` trigger comes or goes. By way of the store, so that it sees exactly the changes between the two.
#[derive(Message, Debug, Clone)]
#[rtype(result = "()")]
pub enum Triggered {
    /// It begins.
    Begin(Arc<Binding>),
    /// It ends.
    End(Arc<Binding>),
}

/// A worker has registered an override of a stream, or the last one of it is gone.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Overridden {
    /// The stream.
    pub stream: Box<str>,
    /// Whether it has an override.
    pub is: bool,
}

/// Take no more calls of this process and of other nodes: the system stops, and what came before this is still answered.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Close;

/// Tell the other nodes that this one stops. Answered when they have been told.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct Leave;
