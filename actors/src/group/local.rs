//! What the sessions and groups of one arbiter share: plain tables, because they share its thread.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Addr, Recipient};

use super::{Close, Group};
use crate::functions::Registry;
use crate::ids::{GroupKey, SocketId};
use crate::session::outbox::OutboxRef;
use crate::session::subscribers::{Drain, Question, Subscribers};

/// The tables of one arbiter.
pub struct Local {
    /// What the whole system shares.
    pub registry: Arc<Registry>,
    groups: RefCell<HashMap<GroupKey, Entry>>,
    outboxes: RefCell<HashMap<SocketId, OutboxRef>>,
    subscribers: RefCell<HashMap<SocketId, Recipient<Question>>>,
    /// Whether the registry knows of the subscribers of this arbiter.
    known: Cell<bool>,
}

struct Entry {
    group: Addr<Group>,
    subscriptions: usize,
}

impl Local {
    /// Empty tables.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> Rc<Self> {
        Rc::new(Self {
            registry,
            groups: RefCell::default(),
            outboxes: RefCell::default(),
            subscribers: RefCell::default(),
            known: Cell::new(false),
        })
    }

    /// Makes a socket's outbox known to groups.
    pub fn add(&self, socket: SocketId, outbox: OutboxRef) {
        self.outboxes.borrow_mut().insert(socket, outbox);
    }

    /// Makes a subscriber known to those who ask for all of them.
    pub fn enlist(self: &Rc<Self>, socket: SocketId, session: Recipient<Question>) {
        self.subscribers.borrow_mut().insert(socket, session);
        if !self.known.replace(true) {
            let subscribers = Subscribers::new(self.clone()).start();
            self.registry.subscribers.write().push(subscribers.clone());
            // Its handshake was under way when the draining began, which then knew nobody here.
            if self.registry.health.is_draining() {
                subscribers.do_send(Drain(Duration::ZERO));
            }
        }
    }

    /// Asks every subscriber.
    pub fn ask_all(&self, question: &Question) {
        for session in self.subscribers.borrow().values() {
            session.do_send(question.clone());
        }
    }

    /// Forgets a socket's outbox, and the subscriber.
    pub fn remove(&self, socket: SocketId) {
        self.subscribers.borrow_mut().remove(&socket);
        self.outboxes.borrow_mut().remove(&socket);
    }

    /// The outboxes of all sockets of this arbiter.
    #[must_use]
    pub fn all_outboxes(&self) -> Vec<OutboxRef> {
        self.outboxes.borrow().values().cloned().collect()
    }

    /// How many sockets this arbiter has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outboxes.borrow().len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outbox of a socket of this arbiter.
    #[must_use]
    pub fn outbox(&self, socket: SocketId) -> Option<OutboxRef> {
        self.outboxes.borrow().get(&socket).cloned()
    }

    /// Counts one more subscription of `key` and returns the group's actor, which is started for the first.
    ///
    /// Counted here and not in the actor's mailbox, so that a group is never closed while a subscription is on its way to it.
    pub fn enter(self: &Rc<Self>, key: &GroupKey) -> Addr<Group> {
        let mut groups = self.groups.borrow_mut();
        let entry =
            groups.entry(key.clone()).or_insert_with(|| Entry { group: Group::new(key.clone(), self.clone()).start(), subscriptions: 0 });
        entry.subscriptions += 1;
        self.registry.metrics.joins.subscriptions.add(1);
        entry.group.clone()
    }

    /// Counts one subscription of `key` less; the last one closes the group's actor.
    pub fn exit(&self, key: &GroupKey) {
        let mut groups = self.groups.borrow_mut();
        let Some(entry) = groups.get_mut(key) else { return };
        entry.subscriptions -= 1;
        self.registry.metrics.joins.subscriptions.sub(1);
        if entry.subscriptions == 0 {
            entry.group.do_send(Close);
            groups.remove(key);
        }
    }
}
