//! `CURRENT` and the MANIFEST that it names: which files make up a store. Looked through before RocksDB sees them.
//!
//! RocksDB (11.8) takes a record of the MANIFEST that does not end within the file for one that a crash has cut off. Where a turned bit
//! has made it so, it opens without the newest table file and deletes it: all that was written since the last start, in a store that was
//! closed in order. Another bit has it read on for ever. And where a crash has left zeros instead of a record, it refuses to open.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::error::FolderError;
use super::repair::{How, Repair};
use super::wal::{self, Verdict};

/// What a crash has left of the last record of a MANIFEST.
pub(super) struct Torn {
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) bytes: u64,
}

impl Torn {
    /// What happened.
    pub(super) const REASON: &str = "the last record is incomplete, as after a crash; it was not in force yet";

    /// Cuts it off: RocksDB refuses one that the disk has filled with zeros.
    pub(super) fn repair(&self) -> Repair {
        Repair { path: self.path.clone(), how: How::Cut(self.at) }
    }
}

/// Finds out whether the MANIFEST of a store is whole, but for what a crash has cut off.
///
/// What was cut off was not in force yet: RocksDB writes and syncs it before it deletes a file that the others still name, and the changes
/// in the new file are still in the log.
///
/// # Errors
/// Where it is missing or damaged.
pub(super) fn look_through(db: &Path) -> Result<Option<Torn>, FolderError> {
    let current = db.join("CURRENT");
    let damaged = |path: &Path, detail: String| FolderError::Damaged { path: path.into(), detail };
    let name = match fs::read(&current) {
        Ok(name) => name,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Err(damaged(&current, "it is missing".into())),
        Err(cause) => return Err(FolderError::reading(&current, cause)),
    };
    let number = |name: &str| name.strip_prefix("MANIFEST-")?.strip_suffix('\n')?.parse::<u64>().ok();
    let Some(name) = std::str::from_utf8(&name).ok().filter(|name| number(name).is_some()) else {
        return Err(damaged(&current, "it does not name a MANIFEST".into()));
    };
    let path = db.join(name.trim_end());
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            return Err(damaged(&current, format!("it names {}, which is not there", name.trim_end())));
        }
        Err(cause) => return Err(FolderError::reading(&path, cause)),
    };
    match wal::scan(file).map_err(|cause| FolderError::reading(&path, cause))? {
        Verdict::Clean => Ok(None),
        Verdict::Torn { at, whole: true, .. } | Verdict::Torn { at, endless: Some(_), .. } | Verdict::Damaged { at } => {
            Err(damaged(&path, format!("it cannot be read at byte {at}")))
        }
        Verdict::Torn { at, bytes, .. } => Ok(Some(Torn { path, at, bytes })),
    }
}
