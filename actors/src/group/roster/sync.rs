//! The states that sockets wait for: which are asked for, what is kept meanwhile, and what is sent when they come.

use std::sync::Arc;

use bytes::Bytes;

use super::member::{Member, State};
use super::{Roster, Scope, Sink};
use crate::change::{Change, Snapshot};
use crate::hash::HashMap;
use crate::ids::{Name, SocketId};
use crate::wire::subscriber::Address;

/// Bytes of changes that are kept aside for held sockets, frames and what holds them. With more, they are dropped for another snapshot,
/// which may take twice as many.
pub(super) const KEPT_BYTES: usize = 8 << 20;
/// What a change takes beside its frame.
pub(super) const CHANGE_BYTES: usize = 256;
/// After this many snapshots that came too late, one is asked for that does not wait for its turn.
pub(super) const PATIENCE: u32 = 3;

/// A snapshot to ask the store for.
#[derive(Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Comes back with the snapshot.
    pub request: u64,
    /// Whether all items are wanted.
    pub whole: bool,
    /// The items that are wanted by name.
    pub items: Vec<Name>,
    /// Whether it must come before any other change: earlier ones came too late.
    pub urgent: bool,
}

impl<S: Sink> Roster<S> {
    /// The snapshot that is needed now, if one is needed and none is on its way. All who join until it comes share the next one.
    pub fn wanted(&mut self) -> Option<Wanted> {
        if self.asked.is_some() || !std::mem::take(&mut self.joining) {
            return None;
        }
        let (mut any, mut whole, mut items) = (false, false, Vec::new());
        for subscription in self.members.values_mut().filter(|member| !member.lagging).flat_map(|member| &mut member.subscriptions) {
            if subscription.state != State::Active {
                any = true;
                subscription.state = State::Asked;
                match &subscription.scope {
                    Scope::Group => whole = true,
                    Scope::Item(item) => items.push(item.clone()),
                }
            }
        }
        if !any {
            self.forget_kept();
            return None;
        }
        items.sort_unstable();
        items.dedup();
        self.requests += 1;
        self.asked = Some(self.requests);
        Some(Wanted { request: self.requests, whole, items, urgent: self.late >= PATIENCE })
    }

    /// The sockets that wait for snapshot `request`, which failed. They are removed.
    pub fn failed(&mut self, request: u64) -> Vec<SocketId> {
        if self.asked != Some(request) {
            return Vec::new();
        }
        self.asked = None;
        let waits = |member: &Member<S>| member.subscriptions.iter().any(|subscription| subscription.state == State::Asked);
        let sockets: Vec<_> = self.members.iter().filter(|(_, member)| waits(member)).map(|(socket, _)| *socket).collect();
        for socket in &sockets {
            self.remove(*socket);
        }
        if !self.joining {
            self.forget_kept();
        }
        sockets
    }

    pub(super) fn keep(&mut self, changes: &[Arc<Change>]) {
        self.kept_bytes += changes.iter().map(|change| change.frame.frames().len() + CHANGE_BYTES).sum::<usize>();
        self.kept.extend_from_slice(changes);
        if self.kept_bytes > KEPT_BYTES << self.late.min(PATIENCE) {
            // The snapshot under way would leave a hole now, so it is given up for a newer one.
            if self.asked.is_some() {
                self.late += 1;
            }
            self.asked = None;
            self.joining = true;
            for member in self.members.values_mut().filter(|member| !member.lagging && member.is_held()) {
                member.restart();
            }
            self.forget_kept();
        }
    }

    /// The snapshot that was asked for with `request` has come. Returns the sockets whose queue is full.
    pub fn snapshot(&mut self, request: u64, snapshot: &Snapshot, address: &Address) -> Vec<SocketId> {
        if self.asked != Some(request) {
            return Vec::new();
        }
        self.asked = None;
        self.late = 0;
        let kept = std::mem::take(&mut self.kept);
        self.kept_bytes = 0;
        let mut group_sync: Option<Bytes> = None;
        let mut item_syncs: HashMap<Name, Bytes> = HashMap::default();
        let mut full = Vec::new();
        let sockets: Vec<_> =
            self.members.iter().filter(|(_, member)| member.is_held() && !member.lagging).map(|(socket, _)| *socket).collect();
        for socket in sockets {
            let Some(member) = self.members.get_mut(&socket) else { continue };
            // Up to the snapshot for what was active before, then the state, then the rest for all that is active now.
            let seen = std::mem::take(&mut member.seen).min(kept.len());
            let (before, after): (Vec<_>, Vec<_>) = kept[seen..].iter().partition(|change| change.position.seq <= snapshot.position.seq);
            let told = &mut self.told;
            let mut taken = before.into_iter().all(|change| member.push(change, told));
            // The first sync must find room; the others go with it, or a socket whose syncs do not fit together would never get them all.
            let mut synced: Vec<&Scope> = Vec::new();
            for subscription in member.subscriptions.iter_mut().filter(|subscription| subscription.state == State::Asked) {
                subscription.state = State::Active;
                if !taken || synced.contains(&&subscription.scope) {
                    continue;
                }
                let (scope, copies) = (&subscription.scope, &mut self.copies);
                let frame = match scope {
                    Scope::Group => group_sync.get_or_insert_with(|| {
                        let items = snapshot.whole.as_deref().unwrap_or_default();
                        copies.share(scope, address.sync_group(snapshot.timestamp, items).frames())
                    }),
                    Scope::Item(item) => item_syncs.entry(item.clone()).or_insert_with(|| {
                        let value = snapshot.items.iter().find(|(name, _)| name == item).and_then(|(_, value)| value.as_ref());
                        copies.share(scope, address.sync_item(snapshot.timestamp, item, value).frames())
                    }),
                };
                if synced.is_empty() {
                    taken = member.sink.push(frame);
                } else {
                    member.sink.push_with(frame);
                }
                if taken {
                    told.syncs += 1;
                    told.sync_bytes += frame.len() as u64;
                }
                synced.push(&subscription.scope);
            }
            taken = taken && after.into_iter().all(|change| member.push(change, told));
            if taken {
                self.list(socket);
            } else {
                full.push(socket);
            }
        }
        for socket in &full {
            self.lag(*socket, 1);
        }
        self.copies.tidy();
        full
    }
}
