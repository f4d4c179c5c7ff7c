//! A disk that is filling up, or full.

use std::time::{Duration, Instant};

use super::FileOptions;
use super::open::WRITE_BUFFER_BYTES;
use super::shared::Shared;
use crate::adapter::AdapterError;

/// Files that must be possible beside those that are there. RocksDB (11.8) does not recover from not being able to begin a log.
const MIN_FREE_FILES: u64 = 16;
/// RocksDB, when it has found the disk full, looks every 5 s whether this much is free, and goes on.
const ENOUGH_BYTES: u64 = WRITE_BUFFER_BYTES as u64;
/// How long it has for that, and for writing what it holds into a file.
const PATIENCE: Duration = Duration::from_secs(15);

/// What the disk of a store has left, as its writer is told it.
pub(super) struct Room {
    options: FileOptions,
    /// Since when there is room and RocksDB still says that there is none.
    stuck: Option<Instant>,
}

/// What is left of the file system of a store; a field is `None` where the system does not say.
struct Left {
    bytes: u64,
    files: Option<u64>,
}

impl Left {
    /// What this user may still write.
    fn of(store: &Shared) -> Option<Self> {
        let about = rustix::fs::statvfs(store.path()).ok()?;
        let bytes = about.f_bavail.saturating_mul(about.f_frsize);
        // Some file systems have no limit and count none.
        Some(Self { bytes, files: (about.f_files > 0).then_some(about.f_favail) })
    }

    fn has_files(&self) -> bool {
        self.files.is_none_or(|files| files >= MIN_FREE_FILES)
    }
}

impl Room {
    pub(super) fn new(options: FileOptions) -> Self {
        Self { options, stuck: None }
    }

    /// Refuses what RocksDB might find no room for.
    pub(super) fn check(&self, store: &Shared, bytes: usize, grows: bool) -> Result<(), AdapterError> {
        let min_free_bytes = self.options.min_free_bytes;
        if min_free_bytes == 0 {
            return Ok(());
        }
        let Some(left) = Left::of(store) else { return Ok(()) };
        let reserve = if grows { min_free_bytes } else { min_free_bytes / 2 };
        let path = || store.path().display().to_string();
        if left.bytes < reserve.saturating_add(bytes as u64) {
            let detail = format!("{} bytes are free, {reserve} are kept as a reserve, `min_free_bytes`", left.bytes);
            return Err(AdapterError::Reserve { path: path(), detail });
        }
        if !left.has_files() {
            let files = left.files.unwrap_or_default();
            let detail = format!("no more than {files} files can be made there, {MIN_FREE_FILES} are kept as a reserve");
            return Err(AdapterError::Full { path: path(), detail });
        }
        Ok(())
    }

    /// RocksDB has refused a write.
    pub(super) fn refused(&mut self, store: &Shared, error: &rocksdb::Error) -> AdapterError {
        let AdapterError::Full { path, detail } = store.fault(error) else { return store.fault(error) };
        if Left::of(store).is_some_and(|left| left.bytes < ENOUGH_BYTES || !left.has_files()) {
            self.stuck = None;
            return AdapterError::Full { path, detail: format!("{detail}; RocksDB goes on when {ENOUGH_BYTES} bytes are free") };
        }
        if self.stuck.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
            return AdapterError::Full { path, detail: format!("{detail}; there is room again, and RocksDB goes on within seconds") };
        }
        AdapterError::Failed(format!("{path}: {detail}; there is room again, but RocksDB does not go on: start Weir again"))
    }

    /// A write was carried out.
    pub(super) fn granted(&mut self) {
        self.stuck = None;
    }
}
