//! What an operator does with a file store: back it up, and bring a backup back.

use std::fs::{self, File};
use std::path::{Component, Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{DB, ReadOptions, WriteBatch};
use serde::{Deserialize, Serialize};

use super::catalog::read_meta;
use super::error::FolderError;
use super::folder::{self, Claim, Holds};
use super::keys::{self, GroupRecord};
use super::manifest;
use super::open::{self, Recovery};
use super::verify::verify_folder;
use super::view::scan;
use super::{FileOptions, FileStore, FileStoreHandle, sync};

/// Records that are rewritten at a time while a backup is restored.
const REWRITTEN: usize = 10_000;

/// What was copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// Where to.
    pub path: PathBuf,
    /// How many files.
    pub files: u64,
    /// Their size together. Files in the same file system share their space with the store.
    pub bytes: u64,
    /// Where the store is now that was there before, where a restore has put one aside.
    pub aside: Option<PathBuf>,
}

impl FileStoreHandle {
    /// Copies the store as it is now into the folder `to`, while it is in use.
    ///
    /// The copy is one state of the whole store, is on the disk when this returns, and is a store of its own.
    ///
    /// # Errors
    /// Where the store is closed, or where `to` is not empty or cannot be written.
    pub fn backup(&self, to: &Path) -> Result<Copied, FolderError> {
        let store = self.0.upgrade().ok_or_else(closed)?;
        refuse_inside(to, store.path())?;
        // A copy begins another log. Where writes are not synced one by one, they wait: none may go into that before this one is on the disk.
        let _log = store.hold_log();
        sync::sync_logs(store.db.path()).map_err(|cause| FolderError::writing(store.path(), cause))?;
        backup_db(&store.db, to).map_err(FolderError::of_target)
    }
}

pub(super) fn closed() -> FolderError {
    FolderError::Failed { path: PathBuf::new(), detail: "the store is closed".into() }
}

/// Copies the store in the folder `path`, which no server uses, into the folder `to`.
///
/// # Errors
/// As for [`FileStore::open`] and [`FileStoreHandle::backup`].
pub fn backup(path: &Path, to: &Path) -> Result<Copied, FolderError> {
    let store = FileStore::open_existing(path, FileOptions::default())?;
    // Before the copy has links to what was made by opening it.
    store.store.give_to_owner();
    store.handle().backup(to)
}

/// Refuses a target in the folder of a store, where nothing belongs but what is the store's own.
fn refuse_inside(to: &Path, store: &Path) -> Result<(), FolderError> {
    let to = std::path::absolute(to).map_err(|cause| FolderError::writing(to, cause))?;
    let store = store.canonicalize().map_err(|cause| FolderError::reading(store, cause))?;
    // Of the target, the part that exists may have links in it.
    let existing = to.ancestors().find_map(|part| Some((part.canonicalize().ok()?, to.strip_prefix(part).ok()?)));
    let Some((mut real, rest)) = existing else { return Ok(()) };
    for part in rest.components() {
        if part == Component::ParentDir {
            real.pop();
        } else {
            real.push(part);
        }
    }
    if real.starts_with(&store) { Err(FolderError::Inside { path: to, store }) } else { Ok(()) }
}

fn backup_db(db: &DB, to: &Path) -> Result<Copied, FolderError> {
    match fs::read_dir(to) {
        Ok(mut entries) => {
            if entries.next().is_some() {
                return Err(FolderError::InTheWay { path: to.into(), hint: "give an empty folder, or one that does not exist yet" });
            }
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
        Err(cause) => return Err(FolderError::writing(to, cause)),
    }
    let made = !to.exists();
    folder::make(to)?;
    let copy = folder::db_of(to);
    let copied = Checkpoint::new(db).and_then(|checkpoint| checkpoint.create_checkpoint(&copy));
    let marked = copied.map_err(|error| FolderError::rocksdb(to, &error)).and_then(|()| {
        // Last, so that half a copy is not taken for a backup.
        folder::mark(&copy)?;
        folder::sync_folder(to)
    });
    if let Err(error) = marked {
        // Only what was made here.
        let _ = fs::remove_dir_all(&copy);
        if made {
            let _ = fs::remove_dir(to);
        }
        return Err(error);
    }
    size_of(&copy).map(|(files, bytes)| Copied { path: to.into(), files, bytes, aside: None })
}

fn size_of(db: &Path) -> Result<(u64, u64), FolderError> {
    let entries = fs::read_dir(db).and_then(|entries| entries.map(|entry| entry?.metadata()).collect::<Result<Vec<_>, _>>());
    let entries = entries.map_err(|cause| FolderError::reading(db, cause))?;
    Ok((entries.len() as u64, entries.iter().map(fs::Metadata::len).sum()))
}

/// Makes the backup in the folder `from` the store of the folder `path`, which no server uses.
///
/// The backup is read through first, and stays as it is. Subscribers that saw later changes get a new epoch and newer timestamps than
/// they have seen, as far as the wall clock tells. With `replace`, a store that is there already is put aside in its folder.
///
/// # Errors
/// Where `from` holds no whole backup, where `path` holds a store already and it is not to be replaced, is in use or cannot be written.
pub fn restore(from: &Path, path: &Path, replace: bool) -> Result<Copied, FolderError> {
    if folder::inspect(from)? == Holds::Nothing {
        return Err(FolderError::NoStore { path: from.into() });
    }
    let _reading = Claim::to_read(from)?;
    let (claim, holds) = Claim::take(path)?;
    if holds == Holds::Store && !replace {
        let hint = "`--replace` puts that store aside and takes its place";
        return Err(FolderError::InTheWay { path: path.into(), hint });
    }
    let checked = verify_folder(from)?;
    if let Some(problem) = checked.problems.first() {
        return Err(FolderError::Damaged { path: from.into(), detail: problem.clone() });
    }
    if let Some(torn) = manifest::look_through(&folder::db_of(from))? {
        // A backup is made of what is on the disk; only a copy that was broken off ends like this.
        return Err(FolderError::Damaged { path: torn.path, detail: format!("it ends in the middle of a record, at byte {}", torn.at) });
    }
    let new = claim.clear_new()?;
    let mut copied = Copied { path: path.into(), files: 0, bytes: 0, aside: None };
    copied.aside = claim.publish_new_or_discard(|| {
        fs::create_dir(&new).map_err(|cause| FolderError::writing(&new, cause))?;
        copy_files(&folder::db_of(from), &new)?;
        begin_anew(path, &new)?;
        (copied.files, copied.bytes) = size_of(&new)?;
        Ok(())
    })?;
    Ok(copied)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), FolderError> {
    for entry in fs::read_dir(from).map_err(|cause| FolderError::reading(from, cause))? {
        let entry = entry.map_err(|cause| FolderError::reading(from, cause))?;
        let target = to.join(entry.file_name());
        let copied = fs::copy(entry.path(), &target).and_then(|_| File::open(&target)?.sync_all());
        copied.map_err(|cause| FolderError::writing(&target, cause))?;
    }
    folder::sync_folder(to)
}

/// Gives a restored store a new epoch, and no group a timestamp that a client may have seen already.
fn begin_anew(path: &Path, new: &Path) -> Result<(), FolderError> {
    let failed = |error: rocksdb::Error| FolderError::rocksdb(path, &error);
    let db = DB::open(&open::rocksdb_options(8 << 20, Recovery::Prefix), new).map_err(failed)?;
    let lost = || FolderError::Damaged { path: path.into(), detail: "the record of the store itself is missing".into() };
    let mut meta = read_meta(&db).map_err(failed)?.ok_or_else(lost)?;
    let now = crate::clock::wall();
    let mut batch = WriteBatch::default();
    let rewritten = scan(&db, ReadOptions::default(), keys::groups(), std::convert::identity, |key, value| {
        if let Some(mut record) = GroupRecord::decode(value) {
            record.head.timestamp = record.head.timestamp.max(now);
            batch.put(key, record.encode());
        }
        if batch.len() >= REWRITTEN { db.write(std::mem::take(&mut batch)) } else { Ok(()) }
    });
    rewritten.and_then(|()| db.write(batch)).map_err(failed)?;
    meta.floor.timestamp = meta.floor.timestamp.max(now);
    meta.epoch = rand::random();
    open::put_meta(&db, meta).map_err(failed)
}
