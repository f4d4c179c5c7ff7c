//! Which channel is subscribed to where.

use bytes::Bytes;

use super::super::super::error::{self, Trouble};
use super::super::super::keys;
use super::super::ears::Place;
use super::super::track::Base;
use super::{Listener, Outcome};
use crate::adapter::AdapterError;
use crate::ids::GroupKey;

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
            return;
        };
        let Some(place) = self.ears.place(&address) else {
            // All that wait for this node are subscribed to when it is there.
            if self.ears.is_away(&address) {
                self.refuse(channel, &error::away(&address));
            }
            return;
        };
        let subscribed = self.ears.send(&place, self.constants.verbs().0, channel);
        let Some(group) = self.groups.get_mut(channel) else { return };
        group.place = Some((place.clone(), false));
        let (channel, ticket) = (channel.clone(), group.ticket);
        self.work.push(Box::pin(async move { Outcome::Subscribed { channel, ticket, place, result: subscribed.await } }));
    }

    /// Tells those who wait that it failed, and forgets the group where nobody knows of it otherwise.
    pub(super) fn refuse(&mut self, channel: &Bytes, error: &AdapterError) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        let waiters = std::mem::take(&mut group.waiters);
        if group.track.base == Base::Start && !waiters.is_empty() {
            group.wanted = false;
        }
        for waiter in waiters {
            let _ = waiter.send(Err(error.clone()));
        }
        self.leave_if_unwanted(channel);
    }

    /// A link is gone: all its groups are subscribed to anew, and looked at then.
    pub(super) fn lost(&mut self, place: &Place) {
        self.ears.close(place);
        let mut channels = Vec::new();
        for (channel, group) in &mut self.groups {
            if group.place.as_ref().is_some_and(|(at, _)| at == place) {
                group.place = None;
                channels.push(channel.clone());
            }
        }
        tracing::debug!(address = place.address, groups = channels.len(), "the feed lost a link to redis");
        self.forget_births(place);
        for channel in channels {
            self.subscribe(&channel);
        }
    }

    pub(super) fn subscribed(&mut self, channel: &Bytes, ticket: u64, place: &Place, result: &Result<(), Trouble>) {
        let Some(group) = self.groups.get_mut(channel) else { return };
        if group.ticket != ticket || !group.place.as_ref().is_some_and(|(at, _)| at == place) {
            return;
        }
        match result {
            Ok(()) => group.place = Some((place.clone(), true)),
            Err(_) => {
                // The look goes the way of calls, and finds out where the slot is.
                group.place = None;
                self.later.insert(channel.clone());
            }
        }
        self.look(channel);
    }

    /// Slots are elsewhere, or data is gone.
    pub(super) fn moved(&mut self, flushed: bool) {
        let nodes = self.line.seen.borrow().topology.nodes();
        self.ears.keep(&nodes);
        let mut elsewhere = Vec::new();
        for (channel, group) in &self.groups {
            let owner = self.owner(&group.key);
            if group.place.as_ref().is_some_and(|(place, _)| Some(&place.address) != owner.as_ref()) {
                elsewhere.push(channel.clone());
            }
        }
        for channel in elsewhere {
            if let Some(group) = self.groups.get_mut(&channel)
                && let Some((place, _)) = group.place.take()
            {
                let left = self.ears.send(&place, self.constants.verbs().1, &channel);
                self.work.push(Box::pin(async move {
                    let _ = left.await;
                    Outcome::Left
                }));
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
