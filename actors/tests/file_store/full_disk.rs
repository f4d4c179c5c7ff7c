//! A disk without room: what is refused and how, what is still there, and how it goes on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use weir_actors::adapter::file::{FileOptions, FileStore, FolderError, Fsync, maintain, verify};
use weir_actors::adapter::{Adapter, AdapterError, Write};
use weir_actors::ids::ItemKey;

use crate::files::{assert_untouched, crash, db_files, files, scratch};
use crate::log::rocksdb_has_said;
use crate::mount::Mount;
use crate::store::{Writer, get, open, put};

const MIB: u64 = 1 << 20;
/// Within this a store must go on by itself when there is room again: RocksDB looks every 5 s.
const DEADLINE: Duration = Duration::from_secs(30);

fn item(n: usize) -> ItemKey {
    ItemKey::new("s", &format!("g{}", n % 4), &format!("i{n}"))
}

/// A value that cannot be compressed by much.
fn value(n: usize, length: usize) -> String {
    let mut random = StdRng::seed_from_u64(n as u64);
    let text: String = (0..length).map(|_| char::from(random.random_range(b'#'..=b'['))).collect();
    format!("\"{n} {text}\"")
}

/// What was acknowledged.
#[derive(Default)]
struct Acknowledged {
    writer: Writer,
    /// By item: the value's number and length, or `None` where it was deleted.
    items: BTreeMap<usize, Option<(usize, usize)>>,
}

impl Acknowledged {
    /// Sets two items in one batch.
    fn set(&mut self, store: &mut FileStore, n: usize, held: (usize, usize)) -> Result<(), AdapterError> {
        let value = value(held.0, held.1);
        self.writer.commit(store, &[put(&item(2 * n), &value), put(&item(2 * n + 1), &value)])?;
        self.items.extend([(2 * n, Some(held)), (2 * n + 1, Some(held))]);
        Ok(())
    }

    fn delete(&mut self, store: &mut FileStore, n: usize) -> Result<(), AdapterError> {
        self.writer.commit(store, &[Write::Delete(item(n))])?;
        self.items.insert(n, None);
        Ok(())
    }

    /// Sets items until one is refused, which must be because the disk is full; its number.
    fn fill(&mut self, store: &mut FileStore, length: usize) -> usize {
        for n in 1..5_000 {
            if let Err(error) = self.set(store, n, (n, length)) {
                assert_full(&error);
                return n;
            }
        }
        panic!("the disk takes more than it has");
    }

    /// Fails unless an open store holds what was acknowledged, and nothing else.
    fn assert_all(&self, store: &mut FileStore, when: &str) {
        let mut items = 0;
        for (n, held) in &self.items {
            let expected = held.map(|(n, length)| value(n, length));
            assert!(get(store, &item(*n)) == expected, "{when}: item {n} is not what was acknowledged");
            items += usize::from(expected.is_some());
        }
        let groups: Vec<_> = (0..4).map(|n| item(n).group).collect();
        let listed: usize = groups.iter().map(|group| store.list(group).unwrap().wait().unwrap().len()).sum();
        assert_eq!(listed, items, "{when}: items");
        for group in &groups {
            assert_eq!(store.head(group).unwrap(), self.writer.head(group), "{when}: the head of {group:?}");
        }
    }
}

/// Fails unless the error says that the disk is full, which one, and what to do.
fn assert_full(error: &AdapterError) {
    let text = error.to_string();
    let full = matches!(error, AdapterError::Full { .. } | AdapterError::Reserve { .. });
    assert!(full && text.contains("weir-mount-") && text.contains("free some space"), "{text}");
}

/// Sets an item until that succeeds; the first refusals must still say why.
fn goes_on_by_itself(acknowledged: &mut Acknowledged, store: &mut FileStore, n: usize) {
    eventually("writing goes on", || acknowledged.set(store, n, (n, 10)).inspect_err(assert_full).is_ok());
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn options(fsync: Fsync, min_free_bytes: u64) -> FileOptions {
    FileOptions { fsync, min_free_bytes, ..FileOptions::default() }
}

#[test]
fn write_below_the_reserve_is_refused_until_there_is_room_again() {
    let Some(mount) = Mount::tmpfs(128) else { return };
    let folder = mount.path().join("store");
    let mut store = FileStore::open(&folder, options(Fsync::Always, 8 * MIB)).unwrap();
    let mut acknowledged = Acknowledged::default();
    for n in 0..20 {
        acknowledged.set(&mut store, n, (n, 1_000)).unwrap();
    }

    mount.leave(6 * MIB);
    let error = acknowledged.set(&mut store, 3, (99, 1_000)).unwrap_err();
    assert_full(&error);
    assert!(error.to_string().contains("`min_free_bytes`"), "{error}");
    // The rest of a batch is refused with what has no room.
    let mixed = [Write::Delete(item(0)), put(&item(100), "1"), Write::Touch(item(1).group)];
    assert_full(&acknowledged.writer.commit(&mut store, &mixed).unwrap_err());
    acknowledged.assert_all(&mut store, "below the reserve");
    // Deleting makes room, events take next to none.
    acknowledged.delete(&mut store, 7).unwrap();
    acknowledged.writer.commit(&mut store, &[Write::Touch(item(3).group)]).unwrap();
    acknowledged.assert_all(&mut store, "after a deletion");

    for error in [store.probe(), store.admit()] {
        assert_full(&error.unwrap_err());
    }

    mount.leave(2 * MIB);
    for error in [acknowledged.delete(&mut store, 8), acknowledged.writer.commit(&mut store, &[Write::Touch(item(3).group)])] {
        assert_full(&error.unwrap_err());
    }
    acknowledged.assert_all(&mut store, "below half of the reserve");

    mount.leave(20 * MIB);
    store.probe().unwrap();
    acknowledged.assert_all(&mut store, "after a probe");
    acknowledged.set(&mut store, 3, (99, 1_000)).unwrap();
    acknowledged.assert_all(&mut store, "with room again");
    drop(store);
    acknowledged.assert_all(&mut open(&folder).unwrap(), "reopened");
}

#[test]
fn batch_that_is_larger_than_what_is_free_is_refused() {
    let Some(mount) = Mount::tmpfs(96) else { return };
    let mut store = FileStore::open(&mount.path().join("store"), options(Fsync::Always, MIB)).unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.set(&mut store, 0, (0, 10)).unwrap();
    mount.leave(3 * MIB);
    assert_full(&acknowledged.set(&mut store, 1, (1, 2 << 20)).unwrap_err());
    acknowledged.set(&mut store, 1, (1, 1 << 10)).unwrap();
    acknowledged.assert_all(&mut store, "with a smaller batch");
}

#[test]
fn batch_whose_values_were_admitted_may_take_some_of_the_reserve() {
    let Some(mount) = Mount::tmpfs(96) else { return };
    let mut store = FileStore::open(&mount.path().join("store"), options(Fsync::Always, 8 * MIB)).unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.set(&mut store, 0, (0, 10)).unwrap();
    mount.leave(9 * MIB);
    assert_full(&acknowledged.set(&mut store, 1, (1, 1 << 20)).unwrap_err());
    store.admit().unwrap();
    acknowledged.set(&mut store, 1, (1, 1 << 20)).unwrap();
    assert_full(&acknowledged.set(&mut store, 2, (2, 1 << 20)).unwrap_err());
    acknowledged.assert_all(&mut store, "below the reserve");
}

#[test]
fn disk_without_files_left_is_told_before_rocksdb_finds_out() {
    let Some(mount) = Mount::tmpfs(96) else { return };
    let mut store = FileStore::open(&mount.path().join("store"), options(Fsync::Always, MIB)).unwrap();
    let mut acknowledged = Acknowledged::default();
    mount.leave_files(10);
    let error = acknowledged.set(&mut store, 0, (0, 10)).unwrap_err();
    assert_full(&error);
    assert!(error.to_string().contains("files"), "{error}");
    mount.leave_files(100);
    acknowledged.set(&mut store, 0, (0, 10)).unwrap();
    acknowledged.assert_all(&mut store, "with files left again");
}

/// Lets RocksDB find the disk full, with so many bytes left behind the room that a log has reserved.
fn rocksdb_finds_the_disk_full(fsync: Fsync, left: u64, length: usize) {
    let Some(mount) = Mount::tmpfs(128) else { return };
    let folder = mount.path().join("store");
    let mut store = FileStore::open(&folder, options(fsync, 0)).unwrap();
    let mut acknowledged = Acknowledged::default();
    acknowledged.set(&mut store, 0, (0, 10)).unwrap();
    mount.leave(left);
    let refused = acknowledged.fill(&mut store, length);
    for _ in 0..3 {
        assert_full(&acknowledged.set(&mut store, refused, (refused, length)).unwrap_err());
        assert_full(&acknowledged.delete(&mut store, 0).unwrap_err());
    }
    acknowledged.assert_all(&mut store, "on a full disk");
    // What was refused does not come back, whenever the process ends.
    let crashed = scratch();
    crash(&folder, crashed.path());
    let verified = verify::verify(crashed.path()).unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    acknowledged.assert_all(&mut open(crashed.path()).unwrap(), "killed on a full disk");

    mount.leave(80 * MIB);
    goes_on_by_itself(&mut acknowledged, &mut store, refused);
    acknowledged.assert_all(&mut store, "with room again");
    let crashed = scratch();
    crash(&folder, crashed.path());
    acknowledged.assert_all(&mut open(crashed.path()).unwrap(), "killed with room again");
    drop(store);
    acknowledged.assert_all(&mut open(&folder).unwrap(), "reopened");
    assert!(verify::verify(&folder).unwrap().is_whole());
}

#[test]
fn log_that_finds_the_disk_full_goes_on_when_there_is_room() {
    rocksdb_finds_the_disk_full(Fsync::Always, 20_000, 5_000);
}

#[test]
fn log_that_finds_the_disk_full_in_the_middle_of_a_large_batch_goes_on_when_there_is_room() {
    rocksdb_finds_the_disk_full(Fsync::Always, 600_000, 200_000);
}

#[test]
fn flush_that_finds_the_disk_full_goes_on_when_there_is_room() {
    rocksdb_finds_the_disk_full(Fsync::Always, 6 * MIB, 50_000);
}

#[test]
fn log_that_finds_the_disk_full_goes_on_though_it_is_synced_by_the_clock() {
    rocksdb_finds_the_disk_full(Fsync::Every(Duration::from_millis(1)), 20_000, 5_000);
}

#[test]
fn log_that_finds_the_disk_full_goes_on_though_it_is_never_synced() {
    rocksdb_finds_the_disk_full(Fsync::Never, 20_000, 5_000);
}

#[test]
fn compaction_that_finds_the_disk_full_stops_nobody_and_goes_on_when_there_is_room() {
    let Some(mount) = Mount::tmpfs(160) else { return };
    let folder = mount.path().join("store");
    let mut acknowledged = Acknowledged::default();
    // Tables over the same keys, one fewer than are compacted: the first, of a new store, has no items.
    for round in 0..2 {
        let mut store = FileStore::open(&folder, options(Fsync::Always, 0)).unwrap();
        for n in 0..80 {
            acknowledged.set(&mut store, n, (80 * round + n, 50_000)).unwrap();
        }
    }
    let tables = || db_files(&folder, |name| name.ends_with(".sst")).len();
    assert_eq!(tables(), 3);
    let mut store = FileStore::open(&folder, options(Fsync::Always, 0)).unwrap();
    acknowledged.set(&mut store, 0, (200, 10)).unwrap();
    drop(store);
    // Not enough for a table of 8 MiB.
    mount.leave(3 * MIB);
    let compaction_failed = || rocksdb_has_said("Background IO error", &folder);
    assert!(!compaction_failed());
    let mut store = FileStore::open(&folder, options(Fsync::Always, 0)).unwrap();
    // When it has failed, and taken away the half of a table that it has written.
    eventually("compaction fails", || compaction_failed() && mount.free_bytes() > 2 * MIB);
    for n in 0..100 {
        acknowledged.set(&mut store, n, (300 + n, 1_000)).unwrap();
    }
    assert!(tables() >= 4, "it was compacted, with {} tables", tables());
    acknowledged.assert_all(&mut store, "while compaction fails");
    mount.leave(80 * MIB);
    eventually("compaction goes on", || tables() < 4);
    acknowledged.set(&mut store, 0, (500, 1_000)).unwrap();
    acknowledged.assert_all(&mut store, "with room again");
    drop(store);
    acknowledged.assert_all(&mut open(&folder).unwrap(), "reopened");
}

#[test]
fn log_that_cannot_be_begun_needs_a_new_start_and_says_so() {
    let Some(mount) = Mount::tmpfs(128) else { return };
    let folder = mount.path().join("store");
    let mut store = FileStore::open(&folder, options(Fsync::Always, 0)).unwrap();
    let mut acknowledged = Acknowledged::default();
    mount.leave_files(0);
    let refused = acknowledged.fill(&mut store, 50_000);
    acknowledged.assert_all(&mut store, "without files");
    mount.leave_files(100);
    eventually("it is said that a start is needed", || match acknowledged.set(&mut store, refused, (refused, 10)).unwrap_err() {
        AdapterError::Failed(text) => text.contains(folder.to_str().unwrap()) && text.contains("start Weir again"),
        error => {
            assert_full(&error);
            false
        }
    });
    acknowledged.assert_all(&mut store, "until the new start");
    drop(store);
    let mut store = open(&folder).unwrap();
    acknowledged.assert_all(&mut store, "started again");
    acknowledged.set(&mut store, refused, (refused, 10)).unwrap();
}

fn assert_folder_full(error: &FolderError, folder: &Path) {
    let text = error.to_string();
    assert!(error.code() == "full" && text.contains(folder.to_str().unwrap()) && text.contains("; free some space"), "{text}");
}

#[test]
fn new_store_on_a_full_disk_is_refused_and_leaves_nothing() {
    let Some(mount) = Mount::tmpfs(64) else { return };
    let folder = mount.path().join("store");
    for left in [0, 4_096, 20_000] {
        mount.leave(left);
        let error = open(&folder).err().unwrap();
        assert_folder_full(&error, &folder);
        assert!(!folder.exists() || files(&folder).is_empty(), "{left}: {:?}", files(&folder).keys());
    }
    mount.leave(60 * MIB);
    open(&folder).unwrap();
}

#[test]
fn start_with_a_log_that_has_no_room_as_a_table_is_refused_and_changes_nothing() {
    let Some(mount) = Mount::tmpfs(128) else { return };
    let (origin, folder) = (scratch(), mount.path().join("store"));
    let mut store = open(origin.path()).unwrap();
    let mut acknowledged = Acknowledged::default();
    for n in 0..100 {
        acknowledged.set(&mut store, n, (n, 50_000)).unwrap();
    }
    crash(origin.path(), &folder);
    let log = db_files(&folder, |name| name.ends_with(".log")).remove(0);
    let bytes = fs::read(&log).unwrap();
    // Also where the log would have to be mended first.
    for torn in [0, 20] {
        mount.leave(50 * MIB);
        fs::write(&log, [&bytes[..], &bytes[..torn]].concat()).unwrap();
        let before = files(&folder);
        for left in [0, 50_000, MIB, 3 * MIB] {
            mount.leave(left);
            assert_folder_full(&open(&folder).err().unwrap(), &folder);
            let verified = verify::verify(&folder).unwrap();
            assert!(verified.is_whole() && verified.items == 200, "{verified:?}");
            assert_untouched(&before, &folder, &format!("with {left} bytes left, torn {torn}"));
        }
    }
    mount.leave(80 * MIB);
    acknowledged.assert_all(&mut open(&folder).unwrap(), "with room again");
}

#[test]
fn backup_and_restore_onto_a_full_disk_are_refused_and_leave_nothing() {
    let Some(mount) = Mount::tmpfs(64) else { return };
    let (origin, small) = (scratch(), mount.path().join("small"));
    let mut store = open(origin.path()).unwrap();
    let mut acknowledged = Acknowledged::default();
    for n in 0..100 {
        acknowledged.set(&mut store, n, (n, 50_000)).unwrap();
    }
    drop(open(&small).unwrap());
    for left in [10_000, 3 * MIB] {
        mount.leave(left);
        let before = files(mount.path());
        let to = mount.path().join("backup");
        assert_folder_full(&store.handle().backup(&to).unwrap_err(), &to);
        assert_untouched(&before, mount.path(), "a backup without room");
    }
    let backup = scratch();
    store.handle().backup(&backup.path().join("backup")).unwrap();
    for left in [10_000, 3 * MIB] {
        mount.leave(left);
        let before = files(mount.path());
        let error = maintain::restore(&backup.path().join("backup"), &small, true).unwrap_err();
        assert_folder_full(&error, &small);
        assert_untouched(&before, mount.path(), "a restore without room");
    }
    mount.leave(60 * MIB);
    maintain::restore(&backup.path().join("backup"), &small, true).unwrap();
    assert_eq!(verify::verify(&small).unwrap().items, 200);
}
