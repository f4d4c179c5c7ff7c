//! Who wants to hear of which group: the group actors of every arbiter, and whether triggers watch the stream.

use std::sync::{Arc, Weak};

use actix::Recipient;

use crate::group::Feed;
use crate::hash::HashMap;
use crate::ids::GroupKey;
use crate::trigger::table::Binding;
use crate::wire::subscriber::Address;

/// One group actor, as the store sees it; never used twice in one process.
pub type LinkId = u64;

/// The way to one group actor.
///
/// The handle is kept for as long as the group watches: actix bounds what is sent through one handle, and gives every clone a free slot.
#[derive(Debug)]
pub struct Link {
    /// Which group actor.
    pub id: LinkId,
    /// Its mailbox.
    pub to: Recipient<Feed>,
    /// Whether it missed something because its mailbox was full; it gets one `Resync` instead, and nothing before that.
    pub lagging: bool,
}

/// A group that is watched.
#[derive(Debug)]
pub struct Watched {
    /// Its name as every envelope has it.
    pub address: Address,
    /// Who watches it.
    pub links: Vec<Link>,
}

/// All that is watched.
#[derive(Debug, Default)]
pub struct Interest {
    groups: HashMap<GroupKey, Watched>,
    /// Streams with a `stream` trigger, and how many.
    streams: HashMap<Box<str>, usize>,
    /// The triggers that have begun, by address.
    begun: HashMap<usize, Arc<Binding>>,
    /// Those that have ended before that.
    ended: Vec<Weak<Binding>>,
}

impl Interest {
    /// A group actor begins to watch.
    pub fn watch(&mut self, group: &GroupKey, id: LinkId, to: Recipient<Feed>) {
        let address = || Watched { address: Address::new(group), links: Vec::new() };
        let watched = self.groups.entry(group.clone()).or_insert_with(address);
        watched.links.push(Link { id, to, lagging: false });
    }

    /// A group actor ends.
    pub fn unwatch(&mut self, group: &GroupKey, id: LinkId) {
        let Some(watched) = self.groups.get_mut(group) else { return };
        watched.links.retain(|link| link.id != id);
        if watched.links.is_empty() {
            self.groups.remove(group);
        }
    }

    /// A `stream` trigger begins. False where it has ended already: a worker's begin may wait for a full mailbox while another worker
    /// registers the same id, which ends it.
    pub fn begin(&mut self, binding: &Arc<Binding>) -> bool {
        let early = self.ended.iter().position(|ended| std::ptr::eq(ended.as_ptr(), Arc::as_ptr(binding)));
        if let Some(early) = early {
            self.ended.swap_remove(early);
            return false;
        }
        self.begun.insert(Arc::as_ptr(binding).addr(), binding.clone());
        if let Some(stream) = binding.kind.stream() {
            *self.streams.entry(stream.into()).or_default() += 1;
        }
        true
    }

    /// A `stream` trigger ends. False where it has not begun.
    pub fn end(&mut self, binding: &Arc<Binding>) -> bool {
        if self.begun.remove(&Arc::as_ptr(binding).addr()).is_none() {
            // The begin of one whose worker has gone meanwhile does not come any more, and nobody holds it.
            self.ended.retain(|ended| ended.strong_count() > 0);
            self.ended.push(Arc::downgrade(binding));
            return false;
        }
        if let Some(stream) = binding.kind.stream()
            && let Some(count) = self.streams.get_mut(stream)
        {
            *count -= 1;
            if *count == 0 {
                self.streams.remove(stream);
            }
        }
        true
    }

    /// Whether any trigger watches `stream`.
    #[must_use]
    pub fn has_trigger(&self, stream: &str) -> bool {
        !self.streams.is_empty() && self.streams.contains_key(stream)
    }

    /// Whether a group actor watches `group`.
    #[must_use]
    pub fn is_watched(&self, group: &GroupKey) -> bool {
        self.groups.contains_key(group)
    }

    /// Whether that group actor watches `group`.
    #[must_use]
    pub fn has_link(&self, group: &GroupKey, id: LinkId) -> bool {
        self.groups.get(group).is_some_and(|watched| watched.links.iter().any(|link| link.id == id))
    }

    /// A group that is watched.
    pub fn get_mut(&mut self, group: &GroupKey) -> Option<&mut Watched> {
        self.groups.get_mut(group)
    }

    /// Sends `feed` to one group actor; whether it lags now.
    pub fn send(&mut self, group: &GroupKey, id: LinkId, feed: Feed) -> bool {
        let link = self.groups.get_mut(group).and_then(|watched| watched.links.iter_mut().find(|link| link.id == id));
        link.is_some_and(|link| link.send(feed))
    }
}

impl Link {
    /// Sends `feed`, or marks the link as lagging where the mailbox is full. Whether it lags now.
    pub fn send(&mut self, feed: Feed) -> bool {
        if !self.lagging && matches!(self.to.try_send(feed), Err(actix::dev::SendError::Full(_))) {
            self.lagging = true;
        }
        self.lagging
    }

    /// Tells a lagging group that it missed something, if its mailbox has room again. Whether it still lags.
    pub fn catch_up(&mut self) -> bool {
        if self.lagging && !matches!(self.to.try_send(Feed::Resync), Err(actix::dev::SendError::Full(_))) {
            self.lagging = false;
        }
        self.lagging
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::SocketId;
    use crate::json::Json;
    use crate::trigger::config::Kind;

    fn binding() -> Arc<Binding> {
        let config = Json::assembled(r#"{"stream_name":"s"}"#);
        Arc::new(Binding {
            id: "t".into(),
            trigger_type: "stream".into(),
            function_id: "f".into(),
            kind: Kind::parse("stream", &config).unwrap(),
            config,
            metadata: None,
            owner: SocketId::next(),
            one_at_a_time: false,
        })
    }

    #[test]
    fn trigger_that_ends_before_it_begins_does_not_begin() {
        let (mut interest, old, new) = (Interest::default(), binding(), binding());
        assert!(!interest.end(&old));
        assert!(interest.begin(&new));
        assert!(!interest.begin(&old));
        assert!(interest.has_trigger("s"));
        assert!(interest.end(&new));
        assert!(!interest.has_trigger("s"));
        assert!(interest.begun.is_empty() && interest.ended.is_empty());
    }

    #[test]
    fn begin_that_never_comes_is_not_waited_for() {
        let mut interest = Interest::default();
        for _ in 0..10 {
            assert!(!interest.end(&binding()));
        }
        assert_eq!(interest.ended.len(), 1);
    }
}
