//! The folder of a file store: what belongs into it, whose it is, and how old it is.
//!
//! ```text
//! file_path/
//!   LOCK          held locked as long as somebody uses the folder; says who
//!   control       the socket of the server that runs on it, where there is one
//!   db/           RocksDB's files, and
//!     FORMAT      the version of what is in them
//!   db.new/       a store that is being made or restored; renamed to `db` when it is complete
//!   db.look/      links to `db`, while a store that has crashed is looked through
//!   db.before-*/  what `weir restore --replace` has put aside
//! ```
//!
//! Beside a store, what else is in the folder is left alone, and told: it must not keep a server from its items. Where there is none yet, it is a
//! sign that the folder is somebody else's. What root makes here belongs to the owner of the folder, who runs the server.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, FileType, Mode, OFlags, access, chownat, openat, statat};
use rustix::process::{Gid, Uid, geteuid};

use super::error::FolderError;

/// The version of what `keys` describes.
#[doc(hidden)]
pub const FORMAT: u32 = 1;

/// The name of the file that has the format, below `db`.
const MARK: &str = "FORMAT";
const TITLE: &str = "weir store, format ";
const LOCK: &str = "LOCK";
const DB: &str = "db";
const NEW: &str = "db.new";
const LOOK: &str = "db.look";
const BEFORE: &str = "db.before-";
/// The name of the control socket, which belongs to the server and not to the store.
pub const CONTROL: &str = "control";

/// A folder that this process has locked. Dropping it lets others in.
#[derive(Debug)]
#[doc(hidden)]
pub struct Claim {
    path: PathBuf,
    lock: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.give_to_owner();
        // Closing the file is not enough where this process is just about to start another, which has a copy of it for a moment.
        let _ = self.lock.unlock();
    }
}

/// Who uses the folder at `path`, in words; `None` where nobody does. Makes and changes nothing.
///
/// # Errors
/// Where that cannot be read.
pub fn owner(path: &Path) -> std::io::Result<Option<String>> {
    let lock = match File::open(path.join(LOCK)) {
        Ok(lock) => lock,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(cause),
    };
    // Shared, so that two who ask are not in each other's way; a server that starts in this very moment is.
    match lock.try_lock_shared() {
        Ok(()) => lock.unlock().map(|()| None),
        Err(TryLockError::WouldBlock) => Ok(Some(named_in(&lock))),
        Err(TryLockError::Error(cause)) => Err(cause),
    }
}

/// Who has written its name into the file that it holds locked.
fn named_in(lock: &File) -> String {
    let mut owner = String::new();
    // Whoever holds it may be about to write its name.
    let _ = lock.take(128).read_to_string(&mut owner);
    if owner.is_empty() { "another process".to_owned() } else { owner.trim_end().to_owned() }
}

/// Whether a server can start on the folder at `path`, as far as can be told without touching it; what is beside a store there, in words.
///
/// # Errors
/// Why it cannot.
pub fn look(path: &Path) -> Result<Option<String>, FolderError> {
    if inspect(path)? == Holds::Nothing {
        refuse_inside_a_store(path)?;
        if path.exists() {
            refuse_half_restored(path)?;
        }
        return Ok(None);
    }
    // A command of another user may have left them.
    for file in [path.join(LOCK), path.join(DB)].iter().filter(|file| file.exists()) {
        access(file, Access::WRITE_OK).map_err(|cause| FolderError::writing(file, cause.into()))?;
    }
    stray(path)
}

/// What is in a folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Store,
    Nothing,
}

impl Claim {
    /// Locks the folder `path` for this process, and makes it where it is missing.
    ///
    /// # Errors
    /// Where the folder holds something else, was written by a newer version, or is in use, and where it cannot be read or written.
    pub(super) fn take(path: &Path) -> Result<(Self, Holds), FolderError> {
        if inspect(path)? == Holds::Nothing {
            refuse_inside_a_store(path)?;
        }
        make(path)?;
        let file = path.join(LOCK);
        let options = File::options().read(true).write(true).create(true).truncate(false).open(&file);
        let lock = options.map_err(|cause| FolderError::writing(&file, cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(FolderError::Locked { path: path.into(), owner: named_in(&lock) }),
            Err(TryLockError::Error(cause)) => return Err(FolderError::writing(&file, cause)),
        }
        let named = lock.set_len(0).and_then(|()| writeln!(&lock, "process {}", std::process::id()));
        match named {
            // On a full disk it stays nameless.
            Err(cause) if cause.kind() != std::io::ErrorKind::StorageFull => return Err(FolderError::writing(&file, cause)),
            _ => {}
        }
        // Once more, now that nobody else is at it.
        let holds = inspect(path)?;
        Ok((Self { path: path.into(), lock }, holds))
    }

    /// The same for a folder that must hold a store.
    pub(super) fn existing(path: &Path) -> Result<Self, FolderError> {
        if inspect(path)? == Holds::Nothing {
            return Err(FolderError::NoStore { path: path.into() });
        }
        Self::take(path).map(|(claim, _)| claim)
    }

    /// The same for a folder that is only read: on a medium that cannot be written there is nobody to lock out.
    pub(super) fn to_read(path: &Path) -> Result<Option<Self>, FolderError> {
        match Self::existing(path) {
            Ok(claim) => Ok(Some(claim)),
            Err(FolderError::NotWritable { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Refuses to begin an empty store where one was put aside.
    pub(super) fn refuse_half_restored(&self) -> Result<(), FolderError> {
        refuse_half_restored(&self.path)
    }

    /// Gives what this process has made as root to the owner of the folder.
    pub(super) fn give_to_owner(&self) {
        if geteuid().is_root()
            && let Err(error) = give_to_owner(&self.path)
        {
            // The next server of another user says whose the files are.
            tracing::warn!(path = %self.path.display(), %error, "what was made here may still be root's");
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn db(&self) -> PathBuf {
        self.path.join(DB)
    }

    /// An empty place for a store that is being made; what an earlier attempt has left there is removed.
    pub(super) fn clear_new(&self) -> Result<PathBuf, FolderError> {
        let new = self.path.join(NEW);
        match fs::remove_dir_all(&new) {
            Ok(()) => {}
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {}
            Err(cause) => return Err(FolderError::writing(&new, cause)),
        }
        Ok(new)
    }

    /// Removes what a process has left that ended while it looked through the store.
    pub(super) fn clear_look(&self) {
        // Where that fails, the place is in the way when it is needed again, and is told then.
        let _ = fs::remove_dir_all(self.path.join(LOOK));
    }

    /// Makes the store that `make` makes in `db.new` the store of this folder, at once or not at all. One that is there already is put
    /// aside, under the name that is returned, which tells when.
    pub(super) fn publish_new_or_discard(&self, make: impl FnOnce() -> Result<(), FolderError>) -> Result<Option<PathBuf>, FolderError> {
        let new = self.path.join(NEW);
        let published = make().and_then(|()| {
            mark(&new)?;
            self.take_place(&new).map_err(|cause| FolderError::writing(&self.path, cause))
        });
        if published.is_err() {
            // Where that fails, the next attempt removes it.
            let _ = fs::remove_dir_all(&new);
        }
        let aside = published?;
        sync_folder(&self.path)?;
        Ok(aside)
    }

    fn take_place(&self, new: &Path) -> std::io::Result<Option<PathBuf>> {
        let (db, aside) = (self.db(), self.path.join(format!("{BEFORE}{}", crate::clock::wall())));
        let aside = if db.try_exists()? { fs::rename(&db, &aside).map(|()| Some(aside))? } else { None };
        if let Err(cause) = fs::rename(new, &db) {
            if let Some(aside) = &aside {
                fs::rename(aside, &db)?;
            }
            return Err(cause);
        }
        Ok(aside)
    }
}

/// Where RocksDB's files of the store at `path` are.
pub(super) fn db_of(path: &Path) -> PathBuf {
    path.join(DB)
}

/// Where links to the store at `path` are put to look it through.
pub(super) fn place_to_look(path: &Path) -> PathBuf {
    path.join(LOOK)
}

/// The same beside the system's temporary files, for a folder that cannot be written.
pub(super) fn other_place_to_look() -> PathBuf {
    std::env::temp_dir().join(format!("weir-{LOOK}-{}", uuid::Uuid::new_v4()))
}

/// Whether a store is in the folder, without touching it.
///
/// # Errors
/// Where it holds something else or something newer.
pub(super) fn inspect(path: &Path) -> Result<Holds, FolderError> {
    let names = names(path)?;
    let holds = if names.iter().any(|name| name == DB) { Holds::Store } else { Holds::Nothing };
    // Without its mark, `db` may be somebody else's too.
    if let Some(stray) = first_stray(&names)
        && !(holds == Holds::Store && path.join(DB).join(MARK).exists())
    {
        return Err(FolderError::NotAStore { path: path.into(), found: stray });
    }
    if holds == Holds::Store {
        read_format(&path.join(DB))?;
    }
    Ok(holds)
}

/// What is in the folder beside what belongs there, in words.
pub(super) fn stray(path: &Path) -> Result<Option<String>, FolderError> {
    names(path).map(|names| first_stray(&names))
}

fn first_stray(names: &[OsString]) -> Option<String> {
    let belongs = |name: &&OsString| match name.to_str() {
        // A file system of its own has a `lost+found`.
        Some(DB | LOCK | CONTROL | NEW | LOOK | "lost+found") => true,
        name => name.is_some_and(|name| name.starts_with(BEFORE)),
    };
    let name = names.iter().filter(|name| !belongs(name)).min()?;
    Some(if name.to_string_lossy().ends_with(".bin") {
        format!("{name:?}, probably of the iii engine, whose files Weir does not read")
    } else {
        format!("{name:?}")
    })
}

/// The names in a folder; none where it does not exist.
fn names(path: &Path) -> Result<Vec<OsString>, FolderError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(FolderError::NotAStore { path: path.into(), found: "no folder but a file".into() });
        }
        Err(cause) => return Err(FolderError::reading(path, cause)),
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>();
    names.map_err(|cause| FolderError::reading(path, cause))
}

/// Refuses to begin an empty store where one was put aside.
fn refuse_half_restored(path: &Path) -> Result<(), FolderError> {
    let aside = names(path)?.into_iter().filter_map(|name| name.into_string().ok()).find(|name| name.starts_with(BEFORE));
    aside.map_or(Ok(()), |aside| Err(FolderError::HalfRestored { path: path.into(), aside }))
}

/// Refuses to begin a store within the folder of another, which is a path that was not meant.
fn refuse_inside_a_store(path: &Path) -> Result<(), FolderError> {
    let absolute = std::path::absolute(path).map_err(|cause| FolderError::reading(path, cause))?;
    // Of the part that exists, links may lead elsewhere.
    let existing = absolute.ancestors().find_map(|part| Some((part.canonicalize().ok()?, part == absolute)));
    let Some((real, is_whole)) = existing else { return Ok(()) };
    let store = real.ancestors().skip(usize::from(is_whole)).find(|folder| folder.join(DB).join(MARK).is_file());
    store.map_or(Ok(()), |store| Err(FolderError::Inside { path: path.into(), store: store.into() }))
}

/// Gives what root has made in the folder of a store to the owner of the folder, so that a server of that user can go on with it.
///
/// Links are not followed, and what has a second name is left alone: the owner must not get hold of a file elsewhere in this way.
fn give_to_owner(path: &Path) -> std::io::Result<()> {
    let folder = File::open(path)?;
    let owner = folder.metadata()?;
    if owner.uid() == 0 {
        return Ok(());
    }
    give(&folder, (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid())))
}

fn give(folder: &File, owner: (Uid, Gid)) -> std::io::Result<()> {
    for entry in rustix::fs::Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let about = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let is_folder = match FileType::from_raw_mode(about.st_mode) {
            FileType::Directory => true,
            FileType::RegularFile | FileType::Socket if about.st_nlink == 1 => false,
            _ => continue,
        };
        if about.st_uid == 0 {
            chownat(folder, name, Some(owner.0), Some(owner.1), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if is_folder {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            give(&File::from(openat(folder, name, flags, Mode::empty())?), owner)?;
        }
    }
    Ok(())
}

fn read_format(db: &Path) -> Result<(), FolderError> {
    let file = db.join(MARK);
    let damaged = |detail: &str| FolderError::Damaged { path: file.clone(), detail: detail.into() };
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Err(damaged("it is missing")),
        Err(cause) => return Err(FolderError::reading(&file, cause)),
    };
    let version = std::str::from_utf8(&text).ok().and_then(|text| text.strip_prefix(TITLE)?.strip_suffix('\n')?.parse::<u32>().ok());
    match version {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(FolderError::NewerFormat { path: db.into(), found, supported: FORMAT }),
        _ => Err(damaged("it does not name a format")),
    }
}

/// Writes the mark of a complete store into its folder.
pub(super) fn mark(db: &Path) -> Result<(), FolderError> {
    let file = db.join(MARK);
    let written = File::create(&file).and_then(|mut mark| writeln!(mark, "{TITLE}{FORMAT}").and_then(|()| mark.sync_all()));
    written.map_err(|cause| FolderError::writing(&file, cause))?;
    sync_folder(db)
}

/// Makes a folder and those above it that are missing, permanently: what is synced into it must not go with it. Made by root, they belong to the
/// owner of the one that was there.
pub(super) fn make(path: &Path) -> Result<(), FolderError> {
    let path = std::path::absolute(path).map_err(|cause| FolderError::writing(path, cause))?;
    let missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(&path).map_err(|cause| FolderError::writing(&path, cause))?;
    if geteuid().is_root()
        && let Some(there) = missing.last().and_then(|folder| folder.parent())
        && let Ok(about) = fs::metadata(there)
    {
        let given = missing.iter().try_for_each(|folder| chown(folder, Some(about.uid()), Some(about.gid())));
        given.map_err(|cause| FolderError::writing(&path, cause))?;
    }
    missing.into_iter().filter_map(Path::parent).try_for_each(sync_folder)
}

/// Makes the names in a folder permanent.
pub(super) fn sync_folder(path: &Path) -> Result<(), FolderError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|cause| FolderError::writing(path, cause))
}
