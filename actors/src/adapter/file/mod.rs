//! `KvStore` with `store_method: file_based`: items in a folder, in RocksDB, and still there after a crash.
//!
//! Layout: [`FileStore`] is the adapter; `folder` says whose a folder is, `open` looks it through and opens it, `manifest` and `logs` are
//! what it looks at, `repair` mends what a crash has cut off, `wal` tells that from damage, `keys` has the records, `catalog` turns a batch into
//! them, `view` reads, `sync` syncs where a write does not, `room` looks after a disk that is filling up, and [`maintain`], [`verify`] and
//! [`export`] are for people: backup and restore, reading through all, and streams as NDJSON.
//!
//! One keyspace holds all streams. (A column family per stream was measured: with 2,000 of them RocksDB takes 200 ms to create one and
//! 400 ms to drop one, since it rewrites its options for all each time; a database per stream needs a sync per stream in every commit.)

mod catalog;
mod error;
pub mod export;
pub mod folder;
mod keys;
mod logs;
pub mod maintain;
mod manifest;
mod open;
mod repair;
mod room;
mod shared;
mod sync;
pub mod verify;
mod view;
#[doc(hidden)]
pub mod wal;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use rocksdb::{WriteBatch, WriteOptions};

use super::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use crate::distribution::Histogram;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;
use catalog::{Catalog, Removed};
pub use error::FolderError;
use room::Room;
use shared::Shared;
use sync::Syncer;
use view::View;

/// A group of up to this many items, and of up to [`SMALL_BYTES`], is read at once; a larger one beside the writer.
const SMALL_ITEMS: u64 = 64;
/// See [`SMALL_ITEMS`].
const SMALL_BYTES: u64 = 64 << 10;
/// A stream of up to this many groups has them listed at once.
const FEW_GROUPS: u64 = 64;

/// After so many removed items, or so many bytes of their values, a table is written that makes RocksDB give their space back. It would do so by
/// itself when enough else has been written.
const REMOVED: Removed = Removed { items: 10_000, bytes: 32 << 20 };

/// When what was written is forced onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fsync {
    /// Before it is acknowledged: nothing that was acknowledged is lost when the power fails.
    #[default]
    Always,
    /// This often: the changes of so long may be lost when the power fails, and none when the process is killed.
    Every(Duration),
    /// When the system likes, which is within about half a minute, and before another log is begun; none are lost when the process is killed.
    Never,
}

/// How a file store behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileOptions {
    /// When what was written is forced onto the disk.
    pub fsync: Fsync,
    /// Memory for what was read lately.
    pub cache_bytes: usize,
    /// Values are refused while less than this is free on the disk, so that RocksDB finds room to merge its files; deleting stops at half of it.
    /// With 0, RocksDB may find the disk full: it then stops by itself, and goes on within seconds when 32 MiB are free.
    pub min_free_bytes: u64,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self { fsync: Fsync::Always, cache_bytes: 64 << 20, min_free_bytes: 256 << 20 }
    }
}

/// Items in a folder.
///
/// Dropping it closes the store, once what reads or copies beside it has ended too.
pub struct FileStore {
    catalog: Catalog,
    fsync: Fsync,
    room: Room,
    /// Whether there was room for the values of the next commit when somebody asked.
    admitted: bool,
    write: WriteOptions,
    /// Since the last table that was written for it.
    removed: Removed,
    // Before the store itself, so that it syncs a last time while the store is open.
    syncer: Option<Syncer>,
    store: Arc<Shared>,
}

/// Reaches an open store from beside its adapter, on any thread. It does not hold the store open.
#[derive(Clone)]
pub struct FileStoreHandle(Weak<Shared>);

impl FileStore {
    /// Opens the store in the folder `path`, or makes an empty one where there is none.
    ///
    /// The end of a write that a crash has cut off is dropped with a warning in the log; it was never acknowledged.
    ///
    /// # Errors
    /// Where the folder holds something else, something damaged or something newer, is in use, or cannot be written. Nothing in it was
    /// changed then.
    pub fn open(path: &Path, options: FileOptions) -> Result<Self, FolderError> {
        let (store, meta) = open::open(path, &options)?;
        let store = Arc::new(store);
        let mut write = WriteOptions::default();
        write.set_sync(options.fsync == Fsync::Always);
        let syncer = match options.fsync {
            Fsync::Every(period) => Some(Syncer::start(&store, period)),
            Fsync::Always | Fsync::Never => None,
        };
        let fsync = options.fsync;
        Ok(Self {
            catalog: Catalog::new(meta),
            fsync,
            room: Room::new(options),
            admitted: false,
            write,
            removed: Removed::default(),
            syncer,
            store,
        })
    }

    /// The same for a folder that must hold a store already.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and where there is none.
    pub fn open_existing(path: &Path, options: FileOptions) -> Result<Self, FolderError> {
        if folder::inspect(path)? == folder::Holds::Nothing {
            return Err(FolderError::NoStore { path: path.into() });
        }
        Self::open(path, options)
    }

    /// What reaches the store from beside this adapter.
    #[must_use]
    pub fn handle(&self) -> FileStoreHandle {
        FileStoreHandle(Arc::downgrade(&self.store))
    }

    fn write(&mut self, batch: WriteBatch) -> Result<(), AdapterError> {
        let _log = (self.fsync != Fsync::Always).then(|| self.store.hold_log());
        let began = (self.fsync == Fsync::Always).then(Instant::now);
        let written = self.store.db.write_opt(batch, &self.write);
        if let Some(began) = began {
            self.store.syncs.took(began.elapsed());
        }
        written.map_err(|error| self.room.refused(&self.store, &error))?;
        self.room.granted();
        Ok(())
    }

    /// Has the space of removed items given back, once there are enough of them.
    fn give_back(&mut self, removed: Removed) {
        self.removed.items += removed.items;
        self.removed.bytes += removed.bytes;
        if self.removed.items < REMOVED.items && self.removed.bytes < REMOVED.bytes {
            return;
        }
        self.removed = Removed::default();
        // The table has mostly deletions in it, which is what RocksDB is told to look out for.
        if let Err(error) = sync::end_log(&self.store, self.fsync, false) {
            tracing::warn!(path = %self.store.path().display(), %error, "the space of removed items is given back later");
        }
    }
}

impl Adapter for FileStore {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.catalog.get(&self.store, key)
    }

    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        let Some(record) = self.catalog.group(&self.store, group)? else { return Ok(Read::Done(Items::new())) };
        if record.items <= SMALL_ITEMS && record.bytes <= SMALL_BYTES {
            return view::few_items(&self.store, record.id).map(Read::Done);
        }
        let view = View::take(&self.store);
        Ok(Read::Deferred(Box::new(move || view.items(record.id))))
    }

    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        let Some(record) = self.catalog.stream(&self.store, stream)? else { return Ok(Read::Done(Vec::new())) };
        let view = View::take(&self.store);
        if record.groups <= FEW_GROUPS {
            return view.groups(record.id).map(Read::Done);
        }
        Ok(Read::Deferred(Box::new(move || view.groups(record.id))))
    }

    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        let view = View::take(&self.store);
        Ok(Read::Deferred(Box::new(move || view.streams())))
    }

    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.catalog.streams_before(&self.store, stream)
    }

    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        if let Some(syncer) = &self.syncer {
            syncer.check()?;
        }
        // With a sync per write, every log is on the disk up to its end.
        if self.fsync != Fsync::Always {
            sync::end_full_log(&self.store, self.fsync)?;
        }
        let mut staged = self.catalog.stage(&self.store, writes, heads)?;
        let batch = std::mem::take(&mut staged.batch);
        // What was admitted may make use of the other half: what shares its batch has no part in how large that is.
        let grows = !std::mem::take(&mut self.admitted) && writes.iter().any(|write| matches!(write, Write::Put(..)));
        let written = self.room.check(&self.store, batch.size_in_bytes(), grows).and_then(|()| self.write(batch));
        match written {
            Ok(()) => {
                self.give_back(staged.removed);
                self.catalog.accept(staged);
                Ok(())
            }
            Err(error) => {
                self.catalog.refuse();
                Err(error)
            }
        }
    }

    fn admit(&mut self) -> Result<(), AdapterError> {
        self.admitted = false;
        self.room.check(&self.store, 0, true)?;
        self.admitted = true;
        Ok(())
    }

    fn probe(&mut self) -> Result<(), AdapterError> {
        if let Some(syncer) = &self.syncer {
            syncer.check()?;
        }
        self.room.check(&self.store, 0, true)?;
        // An empty batch would not get to the disk.
        let mut same = WriteBatch::default();
        same.put(keys::META, self.catalog.meta().encode());
        self.write(same)
    }

    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        Ok(self.catalog.group(&self.store, group)?.map(|record| record.head))
    }

    fn floor(&self) -> Head {
        self.catalog.meta().floor
    }

    fn epoch(&self) -> u64 {
        self.catalog.meta().epoch
    }

    fn syncs(&self) -> Option<Arc<Histogram>> {
        Some(self.store.syncs.clone())
    }
}
