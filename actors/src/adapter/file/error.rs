//! Why a file store cannot be opened, backed up or restored: what is wrong where, and what to do about it.

use std::path::{Path, PathBuf};

/// Why a folder cannot be used as a file store. Nothing in it was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is something else in it.
    #[error("{} is not a Weir store: it holds {found}; set `file_path` to an empty folder or to one that does not exist yet", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What is there, in words.
        found: String,
    },
    /// There is no store in it.
    #[error("{} holds no Weir store; check the path, or `file_path` in the configuration", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// A newer Weir has written it.
    #[error("{} was written by a newer Weir (format {found}, this one reads up to {supported}); run that version or restore an older backup", path.display())]
    NewerFormat {
        /// The folder.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that this version reads.
        supported: u32,
    },
    /// Another process has it.
    #[error("{} is in use by {owner}; stop that first, or set another `file_path`", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// Who, as far as it is known.
        owner: String,
    },
    /// It cannot be written.
    #[error("{} cannot be written ({cause}); make it writable for this user, or set another `file_path`", path.display())]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It cannot be read.
    #[error("{} cannot be read ({cause}); make it readable for this user", path.display())]
    NotReadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// There is no room on the disk.
    #[error("{} has no room left ({detail}); free some space there and start again", path.display())]
    Full {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// What is stored cannot be read.
    #[error(
        "{} is damaged ({detail}); nothing was changed. `weir verify` says what can be read, `weir restore` brings back a backup; keep a copy of the folder before you try anything else",
        path.display()
    )]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What does not fit.
        detail: String,
    },
    /// A restore has put a store aside, and was broken off before it had put another into its place.
    #[error(
        "{} holds no store but one that was put aside, {}: a restore was broken off; run `weir restore` again, or rename that to `db`",
        path.display(), aside
    )]
    HalfRestored {
        /// The folder.
        path: PathBuf,
        /// The name of what was put aside.
        aside: String,
    },
    /// The target of a backup or of a restore is there already.
    #[error("{} is there already and not empty; {hint}", path.display())]
    InTheWay {
        /// The folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
    },
    /// The target of a backup is where a store keeps its own files.
    #[error("{} lies within the folder of the store, {}; give a folder elsewhere", path.display(), store.display())]
    Inside {
        /// The target.
        path: PathBuf,
        /// The folder of the store.
        store: PathBuf,
    },
    /// Anything else that RocksDB says.
    #[error("{}: {detail}", path.display())]
    Failed {
        /// The folder.
        path: PathBuf,
        /// What it said.
        detail: String,
    },
}

impl FolderError {
    /// A stable name of the cause.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAStore { .. } => "not_a_store",
            Self::NoStore { .. } => "no_store",
            Self::NewerFormat { .. } => "newer_format",
            Self::Locked { .. } => "locked",
            Self::NotWritable { .. } => "not_writable",
            Self::NotReadable { .. } => "not_readable",
            Self::Full { .. } => "full",
            Self::Damaged { .. } => "damaged",
            Self::HalfRestored { .. } => "half_restored",
            Self::InTheWay { .. } => "in_the_way",
            Self::Inside { .. } => "inside",
            Self::Failed { .. } => "failed",
        }
    }

    pub(super) fn writing(path: &Path, cause: std::io::Error) -> Self {
        if cause.kind() == std::io::ErrorKind::StorageFull {
            return Self::Full { path: path.into(), detail: cause.to_string() };
        }
        Self::NotWritable { path: path.into(), cause }
    }

    pub(super) fn reading(path: &Path, cause: std::io::Error) -> Self {
        Self::NotReadable { path: path.into(), cause }
    }

    /// What RocksDB said, with its own path of the file where it names one.
    pub(super) fn rocksdb(path: &Path, error: &rocksdb::Error) -> Self {
        Self::rocksdb_kind(path, &error.kind(), error.to_string())
    }

    pub(super) fn rocksdb_kind(path: &Path, kind: &rocksdb::ErrorKind, detail: String) -> Self {
        match kind {
            rocksdb::ErrorKind::Corruption => Self::Damaged { path: path.into(), detail },
            // A file of the store is not there.
            rocksdb::ErrorKind::IOError if detail.contains("No such file") => Self::Damaged { path: path.into(), detail },
            _ if is_full(&detail) => Self::Full { path: path.into(), detail },
            _ if detail.contains("Read-only file system") || detail.contains("Permission denied") => {
                Self::NotWritable { path: path.into(), cause: std::io::Error::other(detail) }
            }
            _ => Self::Failed { path: path.into(), detail },
        }
    }
}

/// RocksDB passes on what the system said as a text.
pub(super) fn is_full(detail: &str) -> bool {
    detail.contains("No space left") || detail.contains("Disk quota exceeded")
}
