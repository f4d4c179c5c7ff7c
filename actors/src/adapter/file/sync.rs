//! Without a sync per write: a thread that syncs the log by the clock, and no second log before the first is on the disk.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use rocksdb::{ErrorKind, FlushOptions, properties};

use super::Fsync;
use super::open::WRITE_BUFFER_BYTES;
use super::shared::Shared;
use crate::adapter::AdapterError;

/// A log is ended when so much memory is taken by what it holds: before RocksDB ends it, which does not sync it.
const LOG_ENDS: u64 = WRITE_BUFFER_BYTES as u64 / 4 * 3;

/// To be called before each write by the one writer where a write is not synced: ends the log once enough is collected for a table.
///
/// # Errors
/// As for [`end_log`].
pub(super) fn end_full_log(store: &Shared, fsync: Fsync) -> Result<(), AdapterError> {
    let collected = store.db.property_int_value(properties::CUR_SIZE_ACTIVE_MEM_TABLE).map_err(|error| store.fault(&error))?;
    if collected.unwrap_or_default() < LOG_ENDS {
        return Ok(());
    }
    match end_log(store, fsync, false) {
        // Tables are written more slowly than logs: this write has to wait for one.
        Err(error) if error.kind() == ErrorKind::TryAgain => end_log(store, fsync, true),
        ended => ended,
    }
    .map_err(|error| store.fault(&error))
}

/// Begins another log, and a table of what is in this one; to be called by the one writer. With `wait`, the table is there when it returns.
///
/// RocksDB does not sync a log that it ends, and keeps it until its table is written. Which pages of two logs the system writes first is not
/// known, and if only the newer log is on the disk when the power fails, RocksDB (11.8) reads it as if nothing had been before it.
///
/// # Errors
/// Where the log cannot be synced, or RocksDB does not write its tables any more; `TryAgain` where it only has no room for one now.
pub(super) fn end_log(store: &Shared, fsync: Fsync, wait: bool) -> Result<(), rocksdb::Error> {
    if fsync != Fsync::Always {
        store.db.flush_wal(true)?;
    }
    let mut options = FlushOptions::default();
    options.set_wait(wait);
    store.db.flush_opt(&options)
}

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
