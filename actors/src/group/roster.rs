//! Who subscribes to a group on this arbiter, and what each of them gets. No actor, no socket.
//!
//! A socket may have several subscriptions, to the whole group and to items; it gets one copy of a change however many of them match.
//! While one of its subscriptions waits for its `sync`, the socket is *held*: changes are kept aside for it, and when the snapshot at
//! position S comes, it gets the changes up to S that its older subscriptions match, the `sync`, and then every change after S.

mod member;
mod sync;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use super::burst::{Burst, Full};
use super::copies::Copies;
use super::told::Told;
use crate::change::Change;
use crate::hash::{HashMap, HashSet, IndexMap};
use crate::ids::{Name, SocketId};
use member::{Member, State, Subscription};
pub use sync::Wanted;

/// What is subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Every item of the group.
    Group,
    /// One item.
    Item(Name),
}

/// Where frames for one socket go.
pub trait Sink: Clone {
    /// Sends a frame, or queues it behind what waits; false where the queue is full, and the frame was not taken.
    fn push(&self, frame: &Bytes) -> bool;

    /// The same for one of several frames, which go out together.
    fn queue(&self, frame: &Bytes) -> bool;

    /// Queues a frame that belongs to one which was taken, full or not.
    fn push_with(&self, frame: &Bytes);
}

/// Sockets to go through for every change, and to find one of for every join: a list with places by key.
type Listed<S> = IndexMap<SocketId, S>;

/// The subscribers of one group on one arbiter.
pub struct Roster<S> {
    members: HashMap<SocketId, Member<S>>,
    /// Sockets that get changes now: those with a subscription to the group, …
    whole: Listed<S>,
    /// … and those with none but to items.
    by_item: HashMap<Name, Listed<S>>,
    /// Changes since the first socket was held.
    kept: Vec<Arc<Change>>,
    kept_bytes: usize,
    /// Members whose queue was full.
    lagging: HashSet<SocketId>,
    /// Changes that sockets were not told because their queue was full.
    dropped: u64,
    told: Told,
    copies: Copies,
    /// Snapshots in a row that came too late.
    late: u32,
    /// The snapshot on its way.
    asked: Option<u64>,
    /// Whether a subscription waits for the next one.
    joining: bool,
    requests: u64,
}

impl<S> Default for Roster<S> {
    fn default() -> Self {
        Self {
            members: HashMap::default(),
            whole: Listed::default(),
            by_item: HashMap::default(),
            kept: Vec::new(),
            kept_bytes: 0,
            lagging: HashSet::default(),
            dropped: 0,
            told: Told::default(),
            copies: Copies::default(),
            late: 0,
            asked: None,
            joining: false,
            requests: 0,
        }
    }
}

impl<S: Sink> Roster<S> {
    /// Adds a subscription, or replaces the one of that socket with the same id. It gets nothing before its `sync`.
    pub fn join(&mut self, socket: SocketId, sink: S, id: Box<str>, scope: Scope) {
        let seen = self.kept.len();
        // One that is held is not listed.
        if self.members.get(&socket).is_some_and(|member| !member.is_held()) {
            self.unlist(socket);
        }
        let member = self.members.entry(socket).or_insert_with(|| Member { sink, subscriptions: Vec::new(), lagging: false, seen });
        if !member.is_held() {
            member.seen = seen;
        }
        self.joining = true;
        member.subscriptions.retain(|subscription| subscription.id != id);
        member.subscriptions.push(Subscription { id, scope, state: State::Joining });
    }

    /// Ends a subscription. True where the socket's queue is full, see [`changes`](Self::changes).
    ///
    /// Nothing else of the socket is looked up: a client may end a thousand of them one by one.
    pub fn leave(&mut self, socket: SocketId, id: &str) -> bool {
        let Some(member) = self.members.get_mut(&socket) else { return false };
        let held = member.is_held();
        let Some(place) = member.subscriptions.iter().position(|subscription| &*subscription.id == id) else { return false };
        let Subscription { scope, .. } = member.subscriptions.remove(place);
        if member.subscriptions.is_empty() {
            if !held {
                self.unlist_from(socket, &scope);
            }
            self.forget(socket);
            return false;
        }
        if !held {
            if !member.subscriptions.iter().any(|other| other.scope == scope) {
                self.unlist_from(socket, &scope);
                if scope == Scope::Group {
                    self.list(socket);
                }
            }
            return false;
        }
        // It waited for the subscription that is gone; what was kept for the others meanwhile is due now.
        let kept = self.kept.get(member.seen..).unwrap_or_default();
        let told = &mut self.told;
        if !member.is_held() && !kept.iter().all(|change| member.push(change, told)) {
            self.lag(socket, 1);
            return true;
        }
        self.list(socket);
        false
    }

    /// Ends all subscriptions of a socket.
    pub fn remove(&mut self, socket: SocketId) {
        self.unlist(socket);
        self.forget(socket);
    }

    fn forget(&mut self, socket: SocketId) {
        self.members.remove(&socket);
        self.lagging.remove(&socket);
    }

    /// How many sockets subscribe.
    #[must_use]
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether nobody subscribes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The queue of a socket has drained: all its subscriptions start anew.
    pub fn drained(&mut self, socket: SocketId) {
        if let Some(member) = self.members.get_mut(&socket).filter(|member| member.lagging) {
            member.lagging = false;
            self.lagging.remove(&socket);
            member.restart();
            self.told.resyncs_slow += 1;
            self.joining = true;
        }
    }

    /// Changes were missed: everybody starts anew.
    pub fn resync(&mut self) {
        self.asked = None;
        self.joining = true;
        self.whole.clear();
        self.by_item.clear();
        for member in self.members.values_mut().filter(|member| !member.lagging) {
            member.restart();
            self.told.resyncs_missed += 1;
        }
        self.forget_kept();
    }

    fn forget_kept(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
        for member in self.members.values_mut() {
            member.seen = 0;
        }
    }

    /// Passes changes on, oldest first. Returns the sockets whose queue is full; they get nothing more until they have [drained](Self::drained).
    pub fn changes(&mut self, changes: &[Arc<Change>]) -> Vec<SocketId> {
        let mut full = Full::default();
        if !self.whole.is_empty() {
            for burst in Burst::all(changes) {
                for listed in &self.whole {
                    full.push(listed, burst.count, |sink| sink.push(&burst.frames));
                }
                let told = (self.whole.len() - full.len()) as u64;
                self.told.changes += told * burst.count;
                self.told.bytes += told * burst.frames.len() as u64;
            }
        }
        if !self.by_item.is_empty() {
            let alone = changes.len() == 1;
            for change in changes {
                let frame = change.frame.frames();
                for listed in change.item.as_ref().and_then(|item| self.by_item.get(item)).into_iter().flatten() {
                    if full.push(listed, 1, |sink| if alone { sink.push(&frame) } else { sink.queue(&frame) }) {
                        self.told.changes += 1;
                        self.told.bytes += frame.len() as u64;
                    }
                }
            }
        }
        if self.asked.is_some() || self.joining {
            self.keep(changes);
        }
        if !self.lagging.is_empty() {
            self.count(changes);
        }
        for (socket, dropped) in full.sockets() {
            self.lag(socket, dropped);
        }
        full.sockets().map(|(socket, _)| socket).collect()
    }

    /// How many changes sockets were not told since this was asked last.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped)
    }

    /// What sockets were told since this was asked last.
    pub fn take_told(&mut self) -> Told {
        std::mem::take(&mut self.told)
    }

    fn count(&mut self, changes: &[Arc<Change>]) {
        for member in self.lagging.iter().filter_map(|socket| self.members.get(socket)) {
            let wants = |change: &&Arc<Change>| {
                member.subscriptions.iter().any(|subscription| match &subscription.scope {
                    Scope::Group => true,
                    Scope::Item(item) => change.item.as_ref() == Some(item),
                })
            };
            self.dropped += changes.iter().filter(wants).count() as u64;
        }
    }

    /// Leaves a socket out, which `dropped` changes have found no room in.
    fn lag(&mut self, socket: SocketId, dropped: u64) {
        self.unlist(socket);
        if let Some(member) = self.members.get_mut(&socket) {
            member.lagging = true;
            self.lagging.insert(socket);
            self.dropped += dropped;
        }
    }

    /// Puts a socket that is not held among those that get changes.
    fn list(&mut self, socket: SocketId) {
        let Some(member) = self.members.get(&socket).filter(|member| !member.is_held()) else { return };
        if member.subscriptions.iter().any(|subscription| subscription.scope == Scope::Group) {
            self.whole.insert(socket, member.sink.clone());
            return;
        }
        for subscription in &member.subscriptions {
            if let Scope::Item(item) = &subscription.scope {
                self.by_item.entry(item.clone()).or_default().insert(socket, member.sink.clone());
            }
        }
    }

    fn unlist(&mut self, socket: SocketId) {
        let Some(member) = self.members.get(&socket) else { return };
        if self.whole.swap_remove(&socket).is_some() {
            return;
        }
        for subscription in &member.subscriptions {
            if let Scope::Item(item) = &subscription.scope {
                unlist_item(&mut self.by_item, socket, item);
            }
        }
    }

    fn unlist_from(&mut self, socket: SocketId, scope: &Scope) {
        match scope {
            Scope::Group => drop(self.whole.swap_remove(&socket)),
            Scope::Item(item) => unlist_item(&mut self.by_item, socket, item),
        }
    }
}

fn unlist_item<S>(by_item: &mut HashMap<Name, Listed<S>>, socket: SocketId, item: &Name) {
    if let Some(sockets) = by_item.get_mut(item) {
        sockets.swap_remove(&socket);
        if sockets.is_empty() {
            by_item.remove(item);
        }
    }
}
