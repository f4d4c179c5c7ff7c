//! Large states on their way to sockets: one that is equal to what still waits in some queue is sent as that, not as a copy of it.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::roster::Scope;
use crate::hash::HashMap;

/// As much may wait for any client, so that shorter ones are not worth a look.
const LARGE_BYTES: usize = 64 << 10;

/// The last state of each scope that was large, for as long as a queue holds it.
///
/// By what it says and not by its position: the functions that keep a group elsewhere may answer otherwise at the same one.
#[derive(Default)]
pub(super) struct Copies(HashMap<Scope, Weak<Bytes>>);

struct Shared(Arc<Bytes>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Copies {
    /// The frame, or the one that waits already and is equal to it.
    pub(super) fn share(&mut self, scope: &Scope, frame: Bytes) -> Bytes {
        if frame.len() < LARGE_BYTES {
            return frame;
        }
        let waits = self.0.get(scope).and_then(Weak::upgrade).filter(|waits| **waits == frame);
        let shared = waits.unwrap_or_else(|| {
            let first = Arc::new(frame);
            self.0.insert(scope.clone(), Arc::downgrade(&first));
            first
        });
        Bytes::from_owner(Shared(shared))
    }

    /// Forgets those that wait for nobody any more.
    pub(super) fn tidy(&mut self) {
        self.0.retain(|_, waits| waits.strong_count() > 0);
    }
}
