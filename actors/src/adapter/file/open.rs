//! Opening a folder: look everything through first, so that what cannot be opened is not touched.

use std::path::Path;
use std::time::Instant;

use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteOptions};

use super::FileOptions;
use super::Fsync;
use super::catalog::read_meta;
use super::error::FolderError;
use super::folder::{self, Claim, Holds};
use super::keys::{self, Meta};
use super::logs;
use super::manifest::{self, Torn};
use super::repair::{Repair, StandIn};
use super::shared::Shared;
use crate::adapter::Head;

/// What is collected in memory before it becomes a file; as much again may wait to be written.
pub(super) const WRITE_BUFFER_BYTES: usize = 32 << 20;
/// Files that are kept open.
const OPEN_FILES: i32 = 1_000;
/// A file with this many deletions in a row is compacted for it, so that room comes back though nothing else is written.
const DELETIONS: (usize, usize) = (4_096, 1_024);

/// Opens the store in `path`, or makes an empty one.
pub(super) fn open(path: &Path, options: &FileOptions) -> Result<(Shared, Meta), FolderError> {
    let began = Instant::now();
    let (claim, holds) = Claim::take(path)?;
    if let Some(found) = folder::stray(path)? {
        tracing::warn!(path = %path.display(), found, "the store's folder holds what is not the store's; it is left alone: move it away");
    }
    if holds == Holds::Nothing {
        claim.refuse_half_restored()?;
        create(&claim, options)?;
        tracing::info!(path = %path.display(), "made an empty store");
    } else {
        examine(&claim, options.fsync)?;
    }
    let db = DB::open(&rocksdb_options(options.cache_bytes, Recovery::for_fsync(options.fsync)), claim.db());
    let fault = |error: &rocksdb::Error| FolderError::rocksdb(path, error);
    let db = db.map_err(|error| fault(&error))?;
    let meta = require_meta(&db, path, fault)?;
    let elapsed_ms = began.elapsed().as_millis();
    tracing::info!(path = %path.display(), epoch = meta.epoch, elapsed_ms, "store opened");
    Ok((Shared::new(db, claim), meta))
}

/// Finds out whether a store can be opened, changing nothing, and then cuts off what a crash has left of a write.
fn examine(claim: &Claim, fsync: Fsync) -> Result<(), FolderError> {
    claim.clear_look();
    let manifest = manifest::look_through(&claim.db())?;
    let logs = logs::look_through(&claim.db())?;
    logs.refuse_damage(fsync)?;
    let repairs: Vec<_> = manifest.iter().map(Torn::repair).chain(logs.repairs()).collect();
    // RocksDB is asked first to open it for reading: where it refuses to open it for writing, it may have changed it by then.
    let standin = StandIn::new(claim.path(), &repairs)?;
    require_meta(&standin.open(Recovery::for_fsync(fsync))?, claim.path(), |error| standin.fault(error))?;
    drop(standin);
    if let Some(Torn { path, at, bytes }) = &manifest {
        tracing::warn!(path = %path.display(), at, bytes, "{}", Torn::REASON);
    }
    logs.tell();
    repairs.iter().try_for_each(Repair::carry_out)
}

fn require_meta(db: &DB, path: &Path, fault: impl Fn(&rocksdb::Error) -> FolderError) -> Result<Meta, FolderError> {
    let meta = read_meta(db).map_err(|error| fault(&error))?;
    meta.ok_or_else(|| FolderError::Damaged { path: path.into(), detail: "the record of the store itself is missing".into() })
}

/// Makes an empty store, complete or not at all.
fn create(claim: &Claim, options: &FileOptions) -> Result<(), FolderError> {
    let new = claim.clear_new()?;
    claim.publish_new_or_discard(|| {
        let mut rocksdb = rocksdb_options(options.cache_bytes, Recovery::Strict);
        rocksdb.create_if_missing(true);
        let failed = |error: rocksdb::Error| FolderError::rocksdb(claim.path(), &error);
        let db = DB::open(&rocksdb, &new).map_err(failed)?;
        put_meta(&db, Meta { epoch: rand::random(), next_id: 1, floor: Head::default() }).map_err(failed)
    })?;
    Ok(())
}

pub(super) fn put_meta(db: &DB, meta: Meta) -> Result<(), rocksdb::Error> {
    let mut synced = WriteOptions::default();
    synced.set_sync(true);
    db.put_opt(keys::META, meta.encode(), &synced)?;
    db.flush()
}

/// What RocksDB makes of a log that it cannot read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recovery {
    /// It refuses to open.
    Strict,
    /// It goes on from the last place that is consistent.
    Prefix,
}

impl Recovery {
    fn for_fsync(fsync: Fsync) -> Self {
        if fsync == Fsync::Always { Self::Strict } else { Self::Prefix }
    }
}

pub(super) fn rocksdb_options(cache_bytes: usize, recovery: Recovery) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(cache_bytes));
    // In the cache, so that memory does not grow with what is stored.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_bloom_filter(10.0, false);
    table.set_format_version(6);

    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_max_write_buffer_number(3);
    options.set_max_open_files(OPEN_FILES);
    options.set_max_background_jobs(2);
    options.set_bytes_per_sync(1 << 20);
    options.add_compact_on_deletion_collector_factory(DELETIONS.0, DELETIONS.1, 0.5);
    // There is one writer.
    options.set_allow_concurrent_memtable_write(false);
    options.set_track_and_verify_wals_in_manifest(true);
    options.set_wal_recovery_mode(match recovery {
        Recovery::Strict => DBRecoveryMode::AbsoluteConsistency,
        Recovery::Prefix => DBRecoveryMode::PointInTime,
    });
    options.set_info_logger(rocksdb::InfoLogger::new_callback_logger(LogLevel::Warn, |level, text| match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{}", text.trim_end()),
        LogLevel::Warn => tracing::warn!(target: "rocksdb", "{}", text.trim_end()),
        // All its options, at every start.
        _ => {}
    }));
    options
}
