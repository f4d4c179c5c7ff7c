//! The open database, shared by the adapter and by whoever reads or copies beside it.

use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rocksdb::DB;

use super::error::is_full;
use super::folder::Claim;
use crate::adapter::AdapterError;
use crate::distribution::{Histogram, SECONDS};

/// An open store. Dropping the last reference closes it and lets others into its folder.
pub(super) struct Shared {
    // In this order: the folder is free when the database is closed.
    pub(super) db: DB,
    claim: Claim,
    /// Held by whoever writes without a sync, and by whoever has RocksDB begin a log while the last one is not synced.
    log: Mutex<()>,
    /// How long syncs took; with one in every write, writes.
    pub(super) syncs: Arc<Histogram>,
}

impl Shared {
    pub(super) fn new(db: DB, claim: Claim) -> Self {
        Self { db, claim, log: Mutex::new(()), syncs: Arc::new(Histogram::new(SECONDS)) }
    }

    /// Keeps RocksDB from having two logs of which the first is not on the disk; see [`sync`](super::sync).
    pub(super) fn hold_log(&self) -> MutexGuard<'_, ()> {
        self.log.lock()
    }

    /// See [`Claim::give_to_owner`].
    pub(super) fn give_to_owner(&self) {
        self.claim.give_to_owner();
    }

    pub(super) fn path(&self) -> &Path {
        self.claim.path()
    }

    /// What RocksDB says, as the store passes it on.
    pub(super) fn fault(&self, error: &rocksdb::Error) -> AdapterError {
        let (path, detail) = (self.path().display().to_string(), error.to_string());
        match error.kind() {
            rocksdb::ErrorKind::Corruption => AdapterError::Damaged { path, detail },
            _ if is_full(&detail) => AdapterError::Full { path, detail },
            _ => AdapterError::Failed(format!("{path}: {detail}; see to the disk, and start Weir again if that stays")),
        }
    }

    /// Something was stored in another shape than ours.
    pub(super) fn damaged(&self, what: &str) -> AdapterError {
        AdapterError::Damaged { path: self.path().display().to_string(), detail: format!("{what} cannot be read") }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // So that the next start has no log to replay. What is not flushed is in the log, and safe there.
        if let Err(error) = self.db.flush() {
            tracing::warn!(path = %self.path().display(), %error, "the store could not be flushed at its end; the next start replays its log");
        }
        self.db.cancel_all_background_work(true);
        tracing::debug!(path = %self.path().display(), "store closed");
    }
}
