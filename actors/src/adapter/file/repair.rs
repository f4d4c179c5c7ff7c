//! What a store needs before RocksDB can open it after a crash, and a stand-in that has it already, to look at first.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rocksdb::DB;

use super::error::FolderError;
use super::folder;
use super::open::{Recovery, rocksdb_options};
use super::wal;

/// Block cache for looking at a store.
const CACHE_BYTES: usize = 8 << 20;

/// One file to mend.
#[derive(Debug)]
pub(super) struct Repair {
    pub(super) path: PathBuf,
    pub(super) how: How,
}

/// How to mend a file.
#[derive(Debug)]
pub(super) enum How {
    /// It ends here.
    Cut(u64),
    /// RocksDB reads it up to here and no further.
    Stop(u64),
}

impl Repair {
    /// Mends the file.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn carry_out(&self) -> Result<(), FolderError> {
        self.apply(&self.path).map_err(|cause| FolderError::writing(&self.path, cause))
    }

    fn apply(&self, path: &Path) -> io::Result<()> {
        let mut file = File::options().write(true).open(path)?;
        match self.how {
            How::Cut(at) => file.set_len(at)?,
            How::Stop(at) => {
                let (stop, at) = wal::stop(at);
                file.seek(SeekFrom::Start(at))?;
                file.write_all(&stop)?;
            }
        }
        file.sync_all()
    }
}

/// A store to read, as it will be when it is mended. Itself where it needs nothing; else a folder of links, with copies of what is mended.
pub(super) struct StandIn {
    path: PathBuf,
    db: PathBuf,
    made: Option<PathBuf>,
}

impl StandIn {
    /// The stand-in of the store in the folder `path`, made within it.
    ///
    /// # Errors
    /// Where a file cannot be read or a folder be made.
    pub(super) fn new(path: &Path, repairs: &[Repair]) -> Result<Self, FolderError> {
        if repairs.is_empty() {
            return Ok(Self { path: path.into(), db: folder::db_of(path), made: None });
        }
        Self::make(path, repairs, folder::place_to_look(path))
    }

    /// The same for a store that is only looked at: where its folder cannot be written, the stand-in is made elsewhere.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub(super) fn to_read(path: &Path, repairs: &[Repair]) -> Result<Self, FolderError> {
        match Self::new(path, repairs) {
            Ok(standin) => Ok(standin),
            Err(error) => Self::make(path, repairs, folder::other_place_to_look()).or(Err(error)),
        }
    }

    fn make(path: &Path, repairs: &[Repair], db: PathBuf) -> Result<Self, FolderError> {
        fs::create_dir(&db).map_err(|cause| FolderError::writing(&db, cause))?;
        let standin = Self { path: path.into(), db: db.clone(), made: Some(db) };
        standin.fill(&folder::db_of(path), repairs).map_err(|cause| FolderError::writing(&standin.db, cause))?;
        Ok(standin)
    }

    fn fill(&self, real: &Path, repairs: &[Repair]) -> io::Result<()> {
        let real = std::path::absolute(real)?;
        let names = fs::read_dir(&real)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<OsString>>>()?;
        for name in names {
            let (from, to) = (real.join(&name), self.db.join(&name));
            let mut repairs = repairs.iter().filter(|repair| repair.path.file_name() == Some(&name)).peekable();
            if repairs.peek().is_none() {
                symlink(from, to)?;
                continue;
            }
            fs::copy(from, &to)?;
            repairs.try_for_each(|repair| repair.apply(&to))?;
        }
        Ok(())
    }

    /// Opens it to read it only.
    ///
    /// # Errors
    /// Where RocksDB refuses.
    pub(super) fn open(&self, recovery: Recovery) -> Result<DB, FolderError> {
        let db = DB::open_for_read_only(&rocksdb_options(CACHE_BYTES, recovery), &self.db, false);
        db.map_err(|error| self.fault(&error))
    }

    /// What RocksDB says, about the store itself.
    pub(super) fn fault(&self, error: &rocksdb::Error) -> FolderError {
        FolderError::rocksdb_kind(&self.path, &error.kind(), self.rename(error.to_string()))
    }

    /// Puts the paths of the store itself into a text that has those of the stand-in.
    pub(super) fn rename(&self, text: String) -> String {
        match &self.made {
            None => text,
            Some(made) => text.replace(&*made.to_string_lossy(), &folder::db_of(&self.path).to_string_lossy()),
        }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        if let Some(made) = &self.made
            && let Err(error) = fs::remove_dir_all(made)
        {
            tracing::warn!(path = %made.display(), %error, "this folder is not needed any more and could not be removed");
        }
    }
}
