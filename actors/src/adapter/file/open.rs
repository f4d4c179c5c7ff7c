//! Opening a folder: look everything through first, so that what cannot be opened is not touched.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rocksdb::{BlockBasedOptions, Cache, DB, DBCompressionType, DBRecoveryMode, LogLevel, Options, WriteOptions};

use super::FileOptions;
use super::Fsync;
use super::catalog::read_meta;
use super::error::FolderError;
use super::folder::{self, Claim, Holds};
use super::keys::{self, Meta};
use super::shared::Shared;
use super::wal::{self, Verdict};
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
    if holds == Holds::Nothing {
        create(&claim, options)?;
        tracing::info!(path = %path.display(), "made an empty store");
    } else {
        mend_logs(&claim.db(), options.fsync)?;
    }
    let db = DB::open(&rocksdb_options(options.cache_bytes, Recovery::for_fsync(options.fsync)), claim.db());
    let db = db.map_err(|error| FolderError::rocksdb(path, &error))?;
    let meta = read_meta(&db).map_err(|error| FolderError::rocksdb(path, &error))?;
    let meta =
        meta.ok_or_else(|| FolderError::Damaged { path: path.into(), detail: "the record of the store itself is missing".into() })?;
    let elapsed_ms = began.elapsed().as_millis();
    tracing::info!(path = %path.display(), epoch = meta.epoch, elapsed_ms, "store opened");
    Ok((Shared::new(db, claim), meta))
}

/// Makes an empty store, complete or not at all.
fn create(claim: &Claim, options: &FileOptions) -> Result<(), FolderError> {
    let new = claim.clear_new()?;
    let mut rocksdb = rocksdb_options(options.cache_bytes, Recovery::Strict);
    rocksdb.create_if_missing(true);
    let failed = |error: rocksdb::Error| FolderError::rocksdb(claim.path(), &error);
    let db = DB::open(&rocksdb, &new).map_err(failed)?;
    put_meta(&db, Meta { epoch: rand::random(), next_id: 1, floor: Head::default() }).map_err(failed)?;
    drop(db);
    claim.publish_new()
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

/// The logs of a store, oldest first.
///
/// # Errors
/// Where the folder cannot be read.
pub(super) fn logs(db: &Path) -> Result<Vec<PathBuf>, FolderError> {
    let entries = fs::read_dir(db).map_err(|cause| FolderError::reading(db, cause))?;
    let mut logs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|cause| FolderError::reading(db, cause))?.path();
        // 000123.log
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "log")) {
            logs.push((number, path));
        }
    }
    logs.sort_unstable();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// What was found in the logs of a store.
pub(super) struct Findings {
    /// The log with a write that was cut off, where, and how many bytes are left of it.
    pub(super) torn: Option<(PathBuf, u64, u64)>,
    /// The logs that miss writes before others that are there, and where.
    pub(super) damaged: Vec<(PathBuf, u64)>,
}

pub(super) fn look_through_logs(db: &Path) -> Result<Findings, FolderError> {
    let mut findings = Findings { torn: None, damaged: Vec::new() };
    for path in logs(db)? {
        let file = File::open(&path).map_err(|cause| FolderError::reading(&path, cause))?;
        let empty = file.metadata().is_ok_and(|about| about.len() == 0);
        if !empty && let Some((torn, at, _)) = findings.torn.take() {
            findings.damaged.push((torn, at));
        }
        match wal::scan(file).map_err(|cause| FolderError::reading(&path, cause))? {
            Verdict::Clean => {}
            Verdict::Torn { at, bytes } => findings.torn = Some((path, at, bytes)),
            Verdict::Damaged { at } => findings.damaged.push((path, at)),
        }
    }
    Ok(findings)
}

/// Cuts off what a crash has left of a write that was never acknowledged, or where writes may be missing, all that follows them.
fn mend_logs(db: &Path, fsync: Fsync) -> Result<(), FolderError> {
    let findings = look_through_logs(db)?;
    for (path, at) in &findings.damaged {
        let what = format!("the log cannot be read at byte {at}, and later writes follow");
        if fsync == Fsync::Always {
            let detail = format!(
                "{what}; if the power failed while `fsync` was not `always`, start once with that setting to go on from the last consistent state"
            );
            return Err(FolderError::Damaged { path: path.clone(), detail });
        }
        tracing::error!(path = %path.display(), at, "{what}; they are dropped, as this setting of `fsync` allows after a power failure");
        // RocksDB drops them, and those of later logs, if it notices; where the power failure has left zeros, it does not.
        let (stop, stop_at) = wal::stop(*at);
        let marked =
            File::options().write(true).open(path).and_then(|file| file.write_all_at(&stop, stop_at).and_then(|()| file.sync_all()));
        marked.map_err(|cause| FolderError::writing(path, cause))?;
    }
    if !findings.damaged.is_empty() {
        return Ok(());
    }
    if let Some((path, at, bytes)) = findings.torn {
        tracing::warn!(path = %path.display(), at, bytes, "the last write is incomplete, as after a crash; it was not acknowledged and is dropped");
        let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(at).and_then(|()| file.sync_all()));
        cut.map_err(|cause| FolderError::writing(&path, cause))?;
    }
    Ok(())
}

/// Bytes that this user may still write in the file system of `path`; `None` where the system does not say.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    rustix::fs::statvfs(path).ok().map(|about| about.f_bavail.saturating_mul(about.f_frsize))
}

/// Opens the store of a folder to read it only, whatever state it is in.
pub(super) fn open_to_read(path: &Path, recovery: Recovery) -> Result<DB, FolderError> {
    let options = rocksdb_options(8 << 20, recovery);
    DB::open_for_read_only(&options, folder::db_of(path), false).map_err(|error| FolderError::rocksdb(path, &error))
}
