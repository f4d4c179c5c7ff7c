//! Leave triggers that have too much to tell. No actor.
//!
//! A leave is not dropped, and each subscription costs one; so that they cannot pile up without bound while a handler hangs, joins wait for it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::RwLock;

use super::queue::WAITING;
use super::table::TriggerTable;
use crate::ids::GroupKey;

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Backlog {
    /// How many triggers are behind, so that a join looks further only where one is.
    count: AtomicUsize,
    triggers: RwLock<HashSet<Box<str>>>,
    /// The most subscriptions that there were at a time: all of them may end at once.
    most: AtomicU64,
}

impl Backlog {
    /// There are so many subscriptions.
    pub fn joined(&self, subscriptions: u64) {
        // Mostly it is not more, and reading costs less.
        if subscriptions > self.most.load(Ordering::Relaxed) {
            self.most.fetch_max(subscriptions, Ordering::Relaxed);
        }
    }

    /// Whether so many leaves are too many for one trigger.
    #[must_use]
    pub fn is_over(&self, leaves: usize) -> bool {
        leaves > WAITING && (leaves - WAITING) as u64 > self.most.load(Ordering::Relaxed)
    }

    /// Records whether a leave trigger is behind.
    pub fn set(&self, trigger: &str, behind: bool) {
        let mut triggers = self.triggers.write();
        if behind {
            triggers.insert(trigger.into());
        } else {
            triggers.remove(trigger);
        }
        self.count.store(triggers.len(), Ordering::Relaxed);
    }

    /// The leave trigger that is behind and would have to be told when a subscription ends.
    #[must_use]
    pub fn holding_up<H: Clone>(&self, table: &RwLock<TriggerTable<H>>, group: &GroupKey, item: Option<&str>) -> Option<Box<str>> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let leaves = table.read().for_session(false, group, item);
        let behind = self.triggers.read();
        leaves.into_iter().map(|(binding, _)| binding.id.clone()).find(|id| behind.contains(id))
    }
}
