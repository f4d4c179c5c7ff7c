//! What comes over the connections that listen.

use bytes::Bytes;
use redis::{PushInfo, PushKind, Value};

use super::super::super::script::Stand;
use super::super::super::{error, message};
use super::super::FeedItem;
use super::super::ears::Sound;
use super::super::track::{Base, Heard};
use super::Listener;
use crate::ids::Name;
use crate::store::ledger::Recorded;

impl Listener {
    pub(super) fn hear(&mut self, sound: Sound) {
        match sound {
            Sound::Opened => {
                let waiting: Vec<_> =
                    self.groups.iter().filter(|(_, group)| group.place.is_none()).map(|(channel, _)| channel.clone()).collect();
                for channel in waiting {
                    self.subscribe(&channel);
                }
                self.settle_streams();
            }
            Sound::Failed(address) => {
                let error = error::away(&address);
                let waiting: Vec<_> = self
                    .groups
                    .iter()
                    .filter(|(channel, group)| {
                        group.place.is_none() && (!group.waiters.is_empty() || self.is_pending(&Name::from(group.key.stream()), channel))
                    })
                    .map(|(channel, _)| channel.clone())
                    .collect();
                for channel in waiting {
                    if self.groups.get(&channel).and_then(|group| self.owner(&group.key)).as_ref() == Some(&address) {
                        self.refuse(&channel, &error);
                    }
                }
                self.refuse_streams(&address, &error);
            }
            Sound::Push(place, PushInfo { kind, data }) => match kind {
                PushKind::Message | PushKind::SMessage => {
                    let mut data = data.into_iter();
                    if let (Some(Value::BulkString(channel)), Some(Value::BulkString(message))) = (data.next(), data.next()) {
                        self.message(&channel, message);
                    }
                }
                PushKind::Disconnection => self.lost(&place),
                PushKind::Subscribe | PushKind::SSubscribe | PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                    let begins = matches!(kind, PushKind::Subscribe | PushKind::SSubscribe);
                    if let Some(Value::BulkString(channel)) = data.into_iter().next() {
                        self.confirm(&place, &channel.into(), begins);
                    }
                }
                _ => {}
            },
        }
    }

    fn message(&mut self, channel: &[u8], message: Vec<u8>) {
        let Some(group) = self.groups.get_mut(channel) else {
            self.born(channel, &message);
            return;
        };
        let Some(change) = message::parse(&group.key, &message.into()) else {
            tracing::warn!(stream = group.key.stream(), group = group.key.group(), "a message is none of ours; it is left out");
            return;
        };
        match group.track.hear(change) {
            Heard::Next(change) => {
                let Some((channel, _)) = self.groups.get_key_value(channel) else { return };
                let channel = channel.clone();
                if !self.hand_out(&channel, change) {
                    self.behind(&channel);
                }
            }
            Heard::Nothing => {}
            Heard::Look => {
                let Some((channel, _)) = self.groups.get_key_value(channel) else { return };
                let channel = channel.clone();
                self.look(&channel);
            }
        }
    }

    /// Hands a change to the reader; `false` where the queue is full.
    pub(super) fn hand_out(&mut self, channel: &Bytes, change: Recorded) -> bool {
        let Some(group) = self.groups.get_mut(channel) else { return true };
        let stand = Stand::after(&change);
        let fits = self.queue.push(FeedItem::Change(change));
        if fits {
            group.track.base = Base::At(stand);
        }
        fits
    }

    /// What did not fit is looked up when there is room.
    pub(super) fn behind(&mut self, channel: &Bytes) {
        if let Some(group) = self.groups.get_mut(channel) {
            group.track.waits = true;
            self.behind.insert(channel.clone());
        }
    }
}
