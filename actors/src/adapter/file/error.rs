//! Why a file store cannot be opened, backed up or restored: what is wrong where, and what to do about it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::process::geteuid;

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
    #[error("{} cannot be written ({cause}); {}", path.display(), who(path, cause, "make it writable for this user, or set another `file_path`"))]
    NotWritable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// It cannot be read.
    #[error("{} cannot be read ({cause}); {}", path.display(), who(path, cause, "make it readable for this user"))]
    NotReadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The target of a backup cannot be written by the process that has the store, which may be a server of another user.
    #[error("{} cannot be written by {user}, who runs on the store ({cause}); give a folder that this user may write", path.display())]
    TargetNotWritable {
        /// The file or folder.
        path: PathBuf,
        /// The user.
        user: String,
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
            Self::NotWritable { .. } | Self::TargetNotWritable { .. } => "not_writable",
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

    /// The same of the target of a backup.
    pub(super) fn of_target(self) -> Self {
        match self {
            Self::NotWritable { path, cause } if cause.kind() == ErrorKind::PermissionDenied || is_refused(&cause.to_string()) => {
                Self::TargetNotWritable { path, user: named(geteuid().as_raw()), cause }
            }
            other => other,
        }
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
            _ if detail.contains("Read-only file system") || is_refused(&detail) => {
                Self::NotWritable { path: path.into(), cause: std::io::Error::other(detail) }
            }
            _ => Self::Failed { path: path.into(), detail },
        }
    }
}

/// What to do about a file that may not be read or written: it may be another user's, whose commands these are then.
fn who(path: &Path, cause: &std::io::Error, otherwise: &str) -> String {
    let there = path.ancestors().find_map(|part| std::fs::symlink_metadata(part).ok());
    let owner = there.map(|about| about.uid()).filter(|owner| *owner != geteuid().as_raw());
    match owner {
        Some(owner) if cause.kind() == ErrorKind::PermissionDenied || is_refused(&cause.to_string()) => {
            let owner = named(owner);
            format!("it is {owner}'s: run this as that user, as in `sudo -u {owner} weir …`, or {otherwise}")
        }
        _ => otherwise.to_owned(),
    }
}

/// The name of a user; for `sudo` and people, the number does where there is none.
fn named(user: u32) -> String {
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{user}"))
}

fn is_refused(detail: &str) -> bool {
    detail.contains("Permission denied")
}

/// RocksDB passes on what the system said as a text.
pub(super) fn is_full(detail: &str) -> bool {
    detail.contains("No space left") || detail.contains("Disk quota exceeded")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn file_of_another_user_is_told_with_its_owner() {
        let place = tempfile::TempDir::new().unwrap();
        let theirs = if geteuid().is_root() {
            std::os::unix::fs::chown(place.path(), Some(123_456), None).unwrap();
            place.path()
        } else {
            Path::new("/")
        };
        let refused = || std::io::Error::from(ErrorKind::PermissionDenied);
        let said = FolderError::writing(&theirs.join("LOCK"), refused()).to_string();
        assert!(said.contains("run this as that user, as in `sudo -u ") && said.contains("`file_path`"), "{said}");
        let said = FolderError::writing(&theirs.join("b"), refused()).of_target();
        assert!(said.code() == "not_writable" && said.to_string().contains("runs on the store"), "{said}");
        let mine = tempfile::TempDir::new().unwrap();
        let said = FolderError::writing(mine.path(), refused()).to_string();
        assert!(!said.contains("sudo") && said.contains("make it writable"), "{said}");
    }

    #[test]
    fn user_is_named_or_has_a_number() {
        assert_eq!((named(0).as_str(), named(4_000_000_000).as_str()), ("root", "#4000000000"));
    }
}
