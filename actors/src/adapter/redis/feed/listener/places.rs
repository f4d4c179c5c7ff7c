//! Which channel is subscribed to where.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::super::error::{self, Trouble};
use super::super::super::keys;
use super::super::ears::Place;
use super::{Listener, Outcome};
use crate::adapter::AdapterError;
use crate::ids::{GroupKey, Name};

/// How long a confirmation may take.
const CONFIRMED: Duration = Duration::from_secs(5);

/// No group's ticket.
const NOBODY: u64 = 0;

impl Listener {
    /// The node that has the group's slot.
    pub(super) fn owner(&self, key: &GroupKey) -> Option<String> {
        self.line.seen.borrow().topology.owner(keys::slot(&keys::items(key))).map(str::to_owned)
    }

    /// Subscribes to the group's channel where that is not done or under way.
    pub(super) fn subscribe(&mut self, channel: &Bytes) {
        let Some(group) = self.groups.get(channel).filter(|group| group.place.is_none()) else { return };
        let Some(address) = self.owner(&group.key) else {
            self.later.insert(channel.clone());
            return self.refuse(channel, &AdapterError::Away("no node of the redis cluster serves the group".into()));
        };
        let Some(place) = self.ears.place(&address) else {
            // All that wait for this node are subscribed to when it is there.
            if self.ears.is_away(&address) {
                self.refuse(channel, &error::away(&address));
            }
            return;
        };
        let subscribed = self.ears.send(&place, self.constants.verbs().0, channel);
        self.expect(&place, channel);
        let Some(group) = self.groups.get_mut(channel) else { return };
        group.place = Some((place.clone(), false));
        let (channel, ticket) = (channel.clone(), group.ticket);
        self.work.push(Box::pin(async move { Outcome::Answered { channel, ticket, place, result: subscribed.await } }));
    }

    /// Leaves the group's channel.
    pub(super) fn leave(&mut self, place: &Place, channel: &Bytes) {
        let left = self.ears.send(place, self.constants.verbs().1, channel);
        self.expect(place, channel);
        let (channel, place) = (channel.clone(), place.clone());
        self.work.push(Box::pin(async move { Outcome::Answered { channel, ticket: NOBODY, place, result: left.await } }));
    }

    /// Something was sent that Redis confirms.
    fn expect(&mut self, place: &Place, channel: &Bytes) {
        let count = self.unconfirmed.get(channel).filter(|(at, ..)| at == place).map_or(0, |(_, count, _)| *count);
        self.unconfirmed.insert(channel.clone(), (place.clone(), count + 1, Instant::now()));
    }

    /// How many confirmations were expected before this one.
    fn expected(&mut self, place: &Place, channel: &Bytes) -> u32 {
        let Some((_, count, _)) = self.unconfirmed.get_mut(channel).filter(|(at, ..)| at == place) else { return 0 };
        let expected = *count;
        *count -= 1;
        if *count == 0 {
            self.unconfirmed.remove(channel);
        }
        expected
    }

    /// Redis says that a subscription begins, or ends.
    ///
    /// These come in the order of the messages, which the futures of the requests do not: between the confirmation and the future, Redis may
    /// have ended the subscription again.
    pub(super) fn confirm(&mut self, place: &Place, channel: &Bytes, begins: bool) {
        let expected = self.expected(place, channel);
        let Some(group) = self.groups.get_mut(channel) else { return };
        if !group.place.as_ref().is_some_and(|(at, _)| at == place) {
            return;
        }
        if begins && expected <= 1 {
            group.place = Some((place.clone(), true));
            self.look(channel);
        } else if !begins && expected == 0 {
            // The slot has moved, and Redis has ended the subscription by itself. The crate takes that for the answer to what was sent last,
            // so that nothing on this connection is certain any more.
            self.lost(place);
        }
    }

    /// Gives up connections on which a confirmation does not come.
    pub(super) fn mistrust(&mut self) {
        let late: Vec<_> =
            self.unconfirmed.values().filter(|(.., since)| since.elapsed() > CONFIRMED).map(|(place, ..)| place.clone()).collect();
        for place in late {
            self.lost(&place);
        }
    }

    /// Tells those who wait that it failed, and forgets the group where nobody knows of it otherwise.
    pub(super) fn refuse(&mut self, channel: &Bytes, error: &AdapterError) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        let waiters = std::mem::take(&mut group.waiters);
        if !group.kept {
            group.wanted = false;
        }
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
        let pending = if group.by_stream { Some(Name::from(group.key.stream())) } else { None };
        self.leave_if_unwanted(channel);
        if let Some(name) = pending.filter(|name| self.is_pending(name, channel)) {
            self.refuse_stream(&name, error);
        }
    }

    /// A link is gone: all its groups are subscribed to anew, and looked at then.
    pub(super) fn lost(&mut self, place: &Place) {
        self.ears.close(place);
        self.unconfirmed.retain(|_, (at, ..)| at != place);
        let mut channels = Vec::new();
        for (channel, group) in &mut self.groups {
            if group.place.as_ref().is_some_and(|(at, _)| at == place) {
                group.place = None;
                channels.push(channel.clone());
            }
        }
        tracing::warn!(
            address = place.address,
            groups = channels.len(),
            "lost the link that brings changes; what is missed is read when it is back"
        );
        self.forget_births(|at| at == place);
        for channel in channels {
            self.subscribe(&channel);
        }
    }

    /// A request to begin or to leave was answered. If it failed, no confirmation comes.
    pub(super) fn answered(&mut self, channel: &Bytes, ticket: u64, place: &Place, result: &Result<(), Trouble>) {
        let Err(trouble) = result else { return };
        self.expected(place, channel);
        let Some(group) = self.groups.get_mut(channel) else { return };
        if group.ticket != ticket || !group.place.as_ref().is_some_and(|(at, _)| at == place) {
            return;
        }
        group.place = None;
        if let Trouble::Refused(detail) = trouble {
            self.refused.insert(channel.clone());
            return self.refuse(channel, &error::not_heard(detail));
        }
        // The look goes the way of calls, and finds out where the slot is.
        self.later.insert(channel.clone());
        self.look(channel);
    }

    /// Slots are elsewhere, or data is gone.
    pub(super) fn moved(&mut self, flushed: bool) {
        let nodes = self.line.seen.borrow().topology.nodes();
        self.ears.keep(&nodes);
        self.forget_births(|place| !nodes.contains(&place.address));
        let mut elsewhere = Vec::new();
        for (channel, group) in &self.groups {
            let owner = self.owner(&group.key);
            // Those that wait for a node may have waited for one that is no more.
            if group.place.as_ref().map(|(place, _)| &place.address) != owner.as_ref() {
                elsewhere.push(channel.clone());
            }
        }
        for channel in elsewhere {
            if let Some((place, _)) = self.groups.get_mut(&channel).and_then(|group| group.place.take()) {
                self.leave(&place, &channel);
            }
            self.subscribe(&channel);
        }
        if flushed {
            for channel in self.groups.keys().cloned().collect::<Vec<_>>() {
                self.look(&channel);
            }
            self.enumerate_again();
        }
    }
}
