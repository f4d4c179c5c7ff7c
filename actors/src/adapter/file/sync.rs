//! Without a sync per write: a thread that syncs the log by the clock, and no second log before the first is on the disk.
//!
//! By itself and not through RocksDB: where the disk is full, a sync by RocksDB (11.8) that comes between the write that failed and its
//! recovery turns that into an error from which it does not recover.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rocksdb::{ErrorKind, FlushOptions, properties};

use super::open::WRITE_BUFFER_BYTES;
use super::shared::Shared;
use super::{Fsync, logs};
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
    // Where tables are written more slowly than logs, this write has to wait for one.
    if !end_log(store, fsync, false)? {
        end_log(store, fsync, true)?;
    }
    Ok(())
}

/// Begins another log, and a table of what is in this one; to be called by the one writer. With `wait`, the table is there when it returns.
///
/// RocksDB does not sync a log that it ends, and keeps it until its table is written. Which pages of two logs the system writes first is not
/// known, and if only the newer log is on the disk when the power fails, RocksDB (11.8) reads it as if nothing had been before it.
///
/// False where RocksDB has no room for another table now.
///
/// # Errors
/// Where the log cannot be synced, or RocksDB does not write its tables any more.
pub(super) fn end_log(store: &Shared, fsync: Fsync, wait: bool) -> Result<bool, AdapterError> {
    if fsync != Fsync::Always {
        let unsynced = |error: io::Error| AdapterError::Failed(format!("{}: the log cannot be synced: {error}", store.path().display()));
        timed(store).map_err(unsynced)?;
    }
    let mut options = FlushOptions::default();
    options.set_wait(wait);
    match store.db.flush_opt(&options) {
        Err(error) if error.kind() == ErrorKind::TryAgain => Ok(false),
        flushed => flushed.map(|()| true).map_err(|error| store.fault(&error)),
    }
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
                    if let Err(error) = timed(&store) {
                        let path = store.path().display();
                        tracing::error!(%path, %error, "what was written could not be synced; nothing more is accepted");
                        let text = "what was written could not be synced and may not last; see to the disk, then start Weir again";
                        drop(told.set(AdapterError::Failed(format!("{path}: {error}: {text}"))));
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

fn timed(store: &Shared) -> io::Result<()> {
    let began = Instant::now();
    sync_logs(store.db.path())?;
    store.syncs.took(began.elapsed());
    Ok(())
}

/// Forces onto the disk what was written to the logs. One that is gone meanwhile is in a table file, which RocksDB has synced.
pub(super) fn sync_logs(db: &Path) -> io::Result<()> {
    for path in logs::paths(db)? {
        match File::open(path) {
            Ok(log) => log.sync_data()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // The names of new ones too.
    File::open(db)?.sync_all()
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
