//! `fsync: every_ms`: a thread that syncs the log by the clock.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use super::shared::Shared;
use crate::adapter::AdapterError;

/// Syncs until it is dropped, and a last time then.
pub(super) struct Syncer {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<OnceLock<AdapterError>>,
}

impl Syncer {
    pub(super) fn start(store: &Arc<Shared>, period: Duration) -> Self {
        let (stop, stopped) = channel();
        let failed = Arc::<OnceLock<AdapterError>>::default();
        let (store, told) = (store.clone(), failed.clone());
        let thread = std::thread::spawn(move || {
            let mut synced = 0;
            loop {
                let ends = stopped.recv_timeout(period) != Err(RecvTimeoutError::Timeout);
                let written = store.db.latest_sequence_number();
                if written != synced {
                    if let Err(error) = store.db.flush_wal(true) {
                        tracing::error!(path = %store.path().display(), %error, "what was written could not be synced; nothing more is accepted");
                        drop(told.set(store.fault(&error)));
                        return;
                    }
                    synced = written;
                }
                if ends {
                    return;
                }
            }
        });
        Self { stop: Some(stop), thread: Some(thread), failed }
    }

    /// Whether everything so far could be synced. What could not is in no known state, so nothing may be built upon it.
    pub(super) fn check(&self) -> Result<(), AdapterError> {
        match self.failed.get() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has told what went wrong.
            drop(thread.join());
        }
    }
}
