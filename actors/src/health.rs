//! Whether the system can do its work, as those who spread load over several nodes ask.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};

use crate::guardian::Failure;

/// Which nodes of the store's backend are connected.
#[derive(Debug, Default)]
pub struct Link(AtomicU8);

impl Link {
    /// So many of so many are.
    pub fn set(&self, connected: usize, nodes: usize) {
        let state = if connected == 0 { 0 } else { 1 + u8::from(connected >= nodes) };
        self.0.store(state, Ordering::Relaxed);
    }

    /// Whether one is.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Whether all are.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// What the actors say of themselves.
#[derive(Debug, Default)]
pub struct Health {
    store_fails: AtomicBool,
    draining: AtomicBool,
    closed: AtomicBool,
    failure: OnceLock<Failure>,
    link: OnceLock<Arc<Link>>,
}

impl Health {
    /// Whether the last commit of the store failed.
    pub fn set_store_fails(&self, fails: bool) {
        self.store_fails.store(fails, Ordering::Relaxed);
    }

    /// The system is about to stop.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// The system stops: what was under way has ended, or has had its time.
    pub fn set_closed(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Whether it has come to that.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Where it stands whether an actor has died; later calls change nothing.
    pub fn set_failure(&self, failure: Failure) {
        drop(self.failure.set(failure));
    }

    /// The name of an actor that has died, if one has.
    #[must_use]
    pub fn failed(&self) -> Option<&'static str> {
        self.failure.get().and_then(|failure| *failure.borrow())
    }

    /// Whether clients may come in and join. Whoever looks at triggers to decide about it looks here after that: what a system that stops takes back, it takes
    /// back later than it says so.
    #[must_use]
    pub fn admits_clients(&self) -> bool {
        !self.draining.load(Ordering::Relaxed) && self.admits_workers()
    }

    /// Whether workers may: also while the system drains, since calls may be under way at a worker that comes back, and leaves are to be told.
    #[must_use]
    pub fn admits_workers(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && self.failed().is_none()
    }

    /// Where it stands whether the store's backend is connected; later calls change nothing.
    pub fn set_link(&self, link: Arc<Link>) {
        drop(self.link.set(link));
    }

    /// Whether all of the store's backend is connected; `None` where there is nothing to be connected to.
    #[must_use]
    pub fn link(&self) -> Option<bool> {
        self.link.get().map(|link| link.is_whole())
    }

    /// Whether the system is about to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// What does not work, in words; empty where everything does.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        if let Some(actor) = self.failed() {
            troubles.push(format!("the actor '{actor}' has died; its log says why, and only a new start mends it"));
        }
        if self.draining.load(Ordering::Relaxed) {
            troubles.push("the server is stopping".to_owned());
        }
        if self.store_fails.load(Ordering::Relaxed) {
            troubles.push("the store does not commit; its log says why".to_owned());
        }
        // Without one node of a cluster, its groups wait at every node of ours alike: all of them out of service would help nobody.
        if self.link.get().is_some_and(|link| !link.is_up()) {
            troubles.push("redis is not connected".to_owned());
        }
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_is_ready_as_long_as_one_node_of_the_backend_is_there() {
        let (health, link) = (Health::default(), Arc::<Link>::default());
        assert_eq!(health.link(), None);
        health.set_link(link.clone());
        for (connected, nodes, ready, whole) in
            [(0, 3, false, false), (1, 3, true, false), (3, 3, true, true), (0, 1, false, false), (1, 1, true, true)]
        {
            link.set(connected, nodes);
            assert_eq!((health.troubles().is_empty(), health.link()), (ready, Some(whole)), "{connected} of {nodes}");
        }
    }
}
