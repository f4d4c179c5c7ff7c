//! The feed: what changes, from all nodes, in the order that Redis gave it.
//!
//! A task listens on connections of its own to the channels of the groups that somebody watches. Messages may get lost with a link; numbers
//! tell. Whatever does not follow what was handed out last is looked up in the group's log, and only what is not there any more, or belongs
//! to another epoch, ends in a [`FeedItem::Resync`]. A reader that is slow is a gap like any other: what does not fit the queue is read from
//! the log when there is room again.

mod ears;
mod listener;
mod queue;
mod track;

use std::sync::Arc;

use redis::ConnectionInfo;
use tokio::sync::{mpsc, oneshot};

use super::Line;
use super::options::RedisOptions;
use super::script::Constants;
use crate::adapter::AdapterError;
use crate::change::Position;
use crate::ids::{GroupKey, Name};
use crate::store::ledger::Recorded;

pub use queue::Feed;

/// What comes through a [`Feed`].
#[derive(Debug)]
#[non_exhaustive]
pub enum FeedItem {
    /// The next change of a group.
    ///
    /// Of an item that was written, the old value is there only where it matters to those who watch: where the new one is null. Where the
    /// old one was null it is null, and otherwise something that is not.
    Change(Recorded),
    /// Changes of a group are not known any more, and it goes on after this position.
    Resync {
        /// The group.
        group: GroupKey,
        /// The change after which it goes on.
        position: Position,
        /// How many changes are lost; `None` where that is not known, because the numbers have begun anew.
        missed: Option<u64>,
    },
}

/// What the task is asked.
#[derive(Debug)]
pub(super) enum Ask {
    Watch(GroupKey, oneshot::Sender<Result<Position, AdapterError>>),
    Unwatch(GroupKey),
    WatchStream(Name, oneshot::Sender<Result<(), AdapterError>>),
    UnwatchStream(Name),
}

/// Sets the task going.
pub(super) fn spawn(
    options: &RedisOptions,
    constants: Constants,
    seeds: Vec<ConnectionInfo>,
    line: Line,
    text: Arc<str>,
) -> (mpsc::UnboundedSender<Ask>, Feed) {
    let (asks, asked) = mpsc::unbounded_channel();
    let (queue, feed) = queue::new(options.feed, options.feed_bytes);
    let ears = ears::Ears::new(seeds, options.response_timeout, text);
    tokio::spawn(listener::Listener::new(constants, line, ears, asked, queue, options.sweep).run());
    (asks, feed)
}
