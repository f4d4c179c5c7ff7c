//! The write-ahead logs of a store, looked through before RocksDB sees them, and mended where a crash has cut one off.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Fsync;
use super::error::FolderError;
use super::repair::{How, Repair};
use super::wal::{self, Verdict};

/// What was found in the logs of a store.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) torn: Option<Torn>,
    /// The logs that miss writes before others that are there, and where.
    pub(super) damaged: Vec<(PathBuf, u64)>,
}

/// A log whose last write cannot be read.
pub(super) struct Torn {
    pub(super) path: PathBuf,
    pub(super) at: u64,
    pub(super) bytes: u64,
    whole: bool,
}

impl Torn {
    /// What happened, as far as can be told.
    pub(super) fn reason(&self) -> &'static str {
        if self.whole {
            "the last write cannot be read, although all of it is there, as where the disk has turned a bit"
        } else {
            "the last write is incomplete, as after a crash; it was not acknowledged"
        }
    }
}

/// Looks through all logs.
///
/// # Errors
/// Where one cannot be read.
pub(super) fn look_through(db: &Path) -> Result<Findings, FolderError> {
    let mut findings = Findings::default();
    for path in paths(db).map_err(|cause| FolderError::reading(db, cause))? {
        let file = File::open(&path).map_err(|cause| FolderError::reading(&path, cause))?;
        let empty = file.metadata().is_ok_and(|about| about.len() == 0);
        if !empty && let Some(Torn { path, at, .. }) = findings.torn.take() {
            findings.damaged.push((path, at));
        }
        match wal::scan(file).map_err(|cause| FolderError::reading(&path, cause))? {
            Verdict::Clean => {}
            Verdict::Torn { at, bytes, whole, .. } => findings.torn = Some(Torn { path, at, bytes, whole }),
            Verdict::Damaged { at } => findings.damaged.push((path, at)),
        }
    }
    Ok(findings)
}

/// The logs of a store, oldest first.
pub(super) fn paths(db: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(db)? {
        let path = entry?.path();
        // 000123.log
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
        if let Some(number) = number.filter(|_| path.extension().is_some_and(|extension| extension == "log")) {
            logs.push((number, path));
        }
    }
    logs.sort_unstable();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

impl Findings {
    /// # Errors
    /// Where writes are missing that were on the disk before they were acknowledged.
    pub(super) fn refuse_damage(&self, fsync: Fsync) -> Result<(), FolderError> {
        match self.damaged.first() {
            Some((path, at)) if fsync == Fsync::Always => {
                let detail = format!(
                    "the log cannot be read at byte {at}, and later writes follow; if the power failed while `fsync` was not `always`, start once with that setting to go on from the last consistent state"
                );
                Err(FolderError::Damaged { path: path.clone(), detail })
            }
            _ => Ok(()),
        }
    }

    /// What RocksDB needs to open it.
    pub(super) fn repairs(&self) -> Vec<Repair> {
        // RocksDB drops what follows, in the same log and in later ones, if it notices; where a power failure has left zeros, it does not.
        let stops = self.damaged.iter().map(|(path, at)| Repair { path: path.clone(), how: How::Stop(*at) });
        stops.chain(self.torn.iter().map(|torn| Repair { path: torn.path.clone(), how: How::Cut(torn.at) })).collect()
    }

    /// Tells the log what is dropped.
    pub(super) fn tell(&self) {
        for (path, at) in &self.damaged {
            tracing::error!(
                path = %path.display(), at,
                "the log cannot be read, and later writes follow; they are dropped, as this setting of `fsync` allows after a power failure"
            );
        }
        if let Some(torn) = &self.torn {
            let (path, at, bytes) = (torn.path.display(), torn.at, torn.bytes);
            if torn.whole {
                tracing::error!(%path, at, bytes, "{}; it is dropped", torn.reason());
            } else {
                tracing::warn!(%path, at, bytes, "{}, and is dropped", torn.reason());
            }
        }
    }
}
