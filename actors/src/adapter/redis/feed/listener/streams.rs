//! Streams that are watched as a whole: all their groups, those that are not there yet included.
//!
//! A Cluster has no patterns for sharded channels, and publishing every change a second time to all of its nodes would cost everybody. So
//! groups are followed one by one here, too: those in the index, and those whose birth is published, which happens once in a while and
//! goes to all nodes. A new group keeps enough of its first changes that it can be read from the first on.

use tokio::sync::oneshot;

use super::super::super::error::Trouble;
use super::super::super::{index, keys};
use super::super::ears::Place;
use super::super::track::Base;
use super::{AdapterError, Bytes, Group, GroupKey, HashSet, Listener, Name, Outcome};

type Waiter = oneshot::Sender<Result<(), AdapterError>>;

/// A stream that is watched.
#[derive(Default)]
pub(super) struct Stream {
    /// Tells this watch from another one of the same stream.
    ticket: u64,
    waiters: Vec<Waiter>,
    /// Where births are listened to, and whether that is confirmed.
    place: Option<(Place, bool)>,
    /// Whether Redis does not let us listen there, until it is tried again.
    refused: bool,
    /// Whether the index is being read.
    reading: bool,
    /// Whether the index has to be read.
    unread: bool,
    /// Whether all groups of the beginning are known.
    begun: bool,
    /// Whether a watch of it has succeeded, so that it is watched until it is left.
    kept: bool,
    /// Births until then.
    heard: Vec<Name>,
    /// Those that are not followed yet.
    pending: HashSet<Bytes>,
}

impl Stream {
    /// Whether something is left to be tried.
    pub(super) fn is_unsettled(&self) -> bool {
        (self.place.is_none() && !self.refused) || (self.unread && !self.reading && self.place.is_some())
    }

    fn tell(&mut self, result: &Result<(), AdapterError>) {
        self.kept |= result.is_ok() && !self.waiters.is_empty();
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(result.clone());
        }
    }
}

impl Listener {
    pub(super) fn watch_stream(&mut self, name: &Name, waiter: Waiter) {
        self.tickets += 1;
        let ticket = self.tickets;
        let stream = self.streams.entry(name.clone()).or_insert_with(|| Stream { ticket, unread: true, ..Stream::default() });
        if stream.begun && stream.pending.is_empty() && matches!(stream.place, Some((_, true))) {
            stream.kept = true;
            let _ = waiter.send(Ok(()));
            return;
        }
        stream.waiters.push(waiter);
        self.listen_to_births(name);
    }

    pub(super) fn unwatch_stream(&mut self, name: &Name) {
        let Some(stream) = self.streams.remove(name) else { return };
        if let Some((place, _)) = &stream.place {
            let left = self.ears.send(place, "UNSUBSCRIBE", keys::births(name.as_str(), self.constants.db).as_bytes());
            self.work.push(Box::pin(async move {
                let _ = left.await;
                Outcome::Left
            }));
        }
        let channels: Vec<_> =
            self.groups.iter().filter(|(_, group)| group.key.stream() == name.as_str()).map(|(channel, _)| channel.clone()).collect();
        for channel in channels {
            if let Some(group) = self.groups.get_mut(&channel) {
                group.by_stream = false;
            }
            self.leave_if_unwanted(&channel);
        }
    }

    fn listen_to_births(&mut self, name: &Name) {
        if self.streams.get(name).is_none_or(|stream| stream.place.is_some() || stream.refused) {
            return;
        }
        let births = keys::births(name.as_str(), self.constants.db);
        // Any node would do; this spreads them.
        let Some(address) = self.line.seen.borrow().topology.owner(keys::slot(&births)).map(str::to_owned) else { return };
        let Some(place) = self.ears.place(&address) else {
            if self.ears.is_away(&address) {
                self.refuse_streams(&address, &super::error::away(&address));
            }
            return;
        };
        let subscribed = self.ears.send(&place, "SUBSCRIBE", births.as_bytes());
        if let Some(stream) = self.streams.get_mut(name) {
            stream.place = Some((place.clone(), false));
        }
        let (stream, ticket) = (name.clone(), self.streams.get(name).map_or(0, |stream| stream.ticket));
        self.work.push(Box::pin(async move { Outcome::Births { stream, ticket, place, result: subscribed.await } }));
    }

    pub(super) fn births(&mut self, name: &Name, ticket: u64, place: &Place, result: &Result<(), Trouble>) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.ticket != ticket || !stream.place.as_ref().is_some_and(|(at, _)| at == place) {
            return;
        }
        if let Err(trouble) = result {
            stream.place = None;
            if let Trouble::Refused(detail) = trouble {
                stream.refused = true;
                self.refuse_stream(name, &super::error::not_heard(detail));
            }
            return;
        }
        stream.place = Some((place.clone(), true));
        stream.unread = true;
        self.enumerate(name);
    }

    /// Reads the index, after births are listened to: no group is in neither.
    fn enumerate(&mut self, name: &Name) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        if stream.reading || !matches!(stream.place, Some((_, true))) {
            return;
        }
        stream.reading = true;
        stream.unread = false;
        self.readings += 1;
        let reading = self.readings;
        let members = self.line.members(keys::groups(name.as_str()));
        let stream = name.clone();
        self.work.push(Box::pin(async move {
            let groups = match members.await {
                Ok(mut replies) => index::names(replies.pop()),
                Err(error) => Err(error),
            };
            Outcome::Members { stream, reading, groups }
        }));
    }

    pub(super) fn enumerate_again(&mut self) {
        for name in self.streams.keys().cloned().collect::<Vec<_>>() {
            if let Some(stream) = self.streams.get_mut(&name) {
                stream.unread = true;
            }
            self.enumerate(&name);
        }
    }

    pub(super) fn members(&mut self, name: &Name, reading: u64, groups: Result<Vec<Name>, AdapterError>) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.reading = false;
        let groups = match groups {
            Ok(groups) => groups,
            Err(error) => {
                stream.unread = true;
                return self.refuse_stream(name, &error);
            }
        };
        // What is not in the index of the beginning has come later, all of it.
        let base = if std::mem::replace(&mut stream.begun, true) { Base::Birth } else { Base::Start };
        let heard = std::mem::take(&mut stream.heard);
        for group in groups {
            self.follow(name, &group, base);
        }
        for group in heard {
            self.follow(name, &group, Base::Birth);
        }
        self.drop_unnamed(name, reading);
        if let Some(stream) = self.streams.get_mut(name)
            && stream.pending.is_empty()
        {
            stream.tell(&Ok(()));
        }
    }

    /// Leaves groups that are not in the index any more. They hold nothing for so long that their numbers are forgotten; if they come back,
    /// that is a birth.
    fn drop_unnamed(&mut self, name: &Name, reading: u64) {
        let gone = |group: &&Group| {
            group.by_stream && group.named < reading && !group.looking && group.waiters.is_empty() && matches!(group.place, Some((_, true)))
        };
        let of_stream = self.groups.iter().filter(|(_, group)| group.key.stream() == name.as_str());
        let unnamed: Vec<_> = of_stream.filter(|(_, group)| gone(group)).map(|(channel, _)| channel.clone()).collect();
        for channel in unnamed {
            if let Some(group) = self.groups.get_mut(&channel) {
                group.by_stream = false;
            }
            self.leave_if_unwanted(&channel);
        }
    }

    fn follow(&mut self, name: &Name, group: &Name, base: Base) {
        let channel = self.group(&GroupKey::new(name.as_str(), group.as_str()), base);
        let Some(group) = self.groups.get_mut(&channel) else { return };
        group.named = self.readings;
        if std::mem::replace(&mut group.by_stream, true) {
            return;
        }
        if group.track.base == Base::Start
            && let Some(stream) = self.streams.get_mut(name)
        {
            stream.pending.insert(channel.clone());
        }
        self.subscribe(&channel);
    }

    /// A message that belongs to no group: perhaps one was born.
    pub(super) fn born(&mut self, channel: &[u8], group: &[u8]) {
        let Some(group) = std::str::from_utf8(group).ok().and_then(keys::unescape) else { return };
        let name = self.streams.keys().find(|name| keys::births(name.as_str(), self.constants.db).as_bytes() == channel).cloned();
        let Some(stream) = name.as_ref().and_then(|name| self.streams.get_mut(name)) else { return };
        if !stream.begun {
            // The index, which is being read, tells whether it is an old one that was entered again.
            stream.heard.push(group.as_str().into());
        } else if let Some(name) = name {
            self.follow(&name, &group.as_str().into(), Base::Birth);
        }
    }

    /// A group stands where its numbers are known.
    pub(super) fn settled(&mut self, channel: &Bytes) {
        let Some(group) = self.groups.get(channel).filter(|group| group.by_stream && matches!(group.place, Some((_, true)))) else {
            return;
        };
        if let Some(stream) = self.streams.get_mut(group.key.stream())
            && stream.pending.remove(channel)
            && stream.pending.is_empty()
            && stream.begun
        {
            stream.tell(&Ok(()));
        }
    }

    /// Tries those again that were refused.
    pub(super) fn try_streams_again(&mut self) {
        for stream in self.streams.values_mut() {
            stream.refused = false;
        }
    }

    /// Goes on with streams that are not complete; all of them, or after a link has opened.
    pub(super) fn settle_streams(&mut self) {
        for name in self.streams.keys().cloned().collect::<Vec<_>>() {
            let Some(stream) = self.streams.get(&name) else { continue };
            if stream.place.is_none() {
                self.listen_to_births(&name);
            } else if stream.unread {
                self.enumerate(&name);
            }
        }
    }

    /// Births are not listened to any more on these connections.
    pub(super) fn forget_births(&mut self, is_gone: impl Fn(&Place) -> bool) {
        for stream in self.streams.values_mut() {
            if stream.place.as_ref().is_some_and(|(at, _)| is_gone(at)) {
                stream.place = None;
            }
        }
    }

    /// Tells those who wait for streams whose births are listened to at this node.
    pub(super) fn refuse_streams(&mut self, address: &str, error: &AdapterError) {
        let failed: Vec<Name> = self
            .streams
            .iter()
            .filter(|(name, stream)| {
                let births = keys::births(name.as_str(), self.constants.db);
                !stream.waiters.is_empty() && self.line.seen.borrow().topology.owner(keys::slot(&births)) == Some(address)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in failed {
            self.refuse_stream(&name, error);
        }
    }

    /// Tells those who wait that it failed, and leaves the stream where nobody watches it otherwise.
    pub(super) fn refuse_stream(&mut self, name: &Name, error: &AdapterError) {
        let Some(stream) = self.streams.get_mut(name) else { return };
        stream.tell(&Err(error.clone()));
        if !stream.kept {
            self.unwatch_stream(name);
        }
    }

    /// Whether those who wait for the stream wait for this group.
    pub(super) fn is_pending(&self, name: &Name, channel: &Bytes) -> bool {
        self.streams.get(name).is_some_and(|stream| !stream.waiters.is_empty() && stream.pending.contains(channel))
    }
}
