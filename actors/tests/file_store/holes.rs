//! Pages of a log that the power failure has kept from the disk, where later ones are there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use weir_actors::adapter::file::{FileOptions, FileStore, FolderError, Fsync};
use weir_actors::adapter::{Adapter, Head, Write};
use weir_actors::ids::{GroupKey, ItemKey};
use weir_actors::json::Json;

/// What is written at once.
const PAGE: usize = 4_096;
/// What every write takes in the log. None crosses from one page into another, so a missing page begins where a write should: RocksDB (11.8)
/// takes its zeros for the end of a block and goes on with the next.
const WRITE: usize = PAGE / 4;

/// The items of `g`, in order, each named by its number, and the number of the last change.
fn stored(folder: &Path, fsync: Fsync) -> Result<(Vec<u64>, u64), FolderError> {
    let mut store = FileStore::open(folder, FileOptions { fsync, ..FileOptions::default() })?;
    let group = GroupKey::new("s", "g");
    let items = store.list(&group).unwrap().wait().unwrap();
    let seq = store.head(&group).unwrap().unwrap().seq;
    Ok((items.iter().map(|(name, _)| name.as_str().parse().unwrap()).collect(), seq))
}

fn log(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "log")).max().unwrap()
}

/// A store of `count` items, each of which was one write of [`WRITE`] bytes, as a crash leaves it.
fn crashed(count: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut store = FileStore::open(folder.path(), FileOptions { fsync: Fsync::Never, ..FileOptions::default() }).unwrap();
    let length = || usize::try_from(fs::metadata(log(folder.path())).unwrap().len()).unwrap();
    let mut write = |number: u64, padding: usize| {
        let key = ItemKey { group: GroupKey::new("s", "g"), item: format!("{number:06}").as_str().into() };
        let head = (key.group.clone(), Head { seq: number, timestamp: number });
        store.commit(&[Write::Put(key, Json::from_value(&"x".repeat(padding).into()))], &[head]).unwrap();
    };
    // The first makes the stream and the group too; the second shows what a write takes beside its value.
    write(1, 500);
    let first = length();
    write(2, 500);
    let beside = length() - first - 500;
    write(3, 2 * WRITE - beside - length() % WRITE);
    for number in 4..=count {
        write(number, WRITE - beside);
    }
    assert_eq!(length() % WRITE, 0);
    let crashed = TempDir::new().unwrap();
    fs::create_dir(crashed.path().join("db")).unwrap();
    for entry in fs::read_dir(folder.path().join("db")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, crashed.path().join("db").join(path.file_name().unwrap())).unwrap();
    }
    crashed
}

#[test]
fn page_that_is_missing_ends_the_history_before_it_without_a_sync_per_write() {
    for fsync in [Fsync::Never, Fsync::Every(Duration::from_secs(60))] {
        for page in [2, 8, 9, 15, 16] {
            let folder = crashed(100);
            let mut bytes = fs::read(log(folder.path())).unwrap();
            bytes[page * PAGE..(page + 1) * PAGE].fill(0);
            fs::write(log(folder.path()), bytes).unwrap();

            let (items, seq) = stored(folder.path(), fsync).unwrap();
            assert_eq!(items, (1..=seq).collect::<Vec<_>>(), "page {page}");
            assert!((1..100).contains(&seq), "page {page}");
            assert_eq!(stored(folder.path(), fsync).unwrap(), (items, seq), "opened again");
        }
    }
}

#[test]
fn page_that_is_missing_is_damage_with_a_sync_per_write() {
    let folder = crashed(100);
    let mut bytes = fs::read(log(folder.path())).unwrap();
    bytes[9 * PAGE..10 * PAGE].fill(0);
    fs::write(log(folder.path()), &bytes).unwrap();
    assert_eq!(stored(folder.path(), Fsync::Always).unwrap_err().code(), "damaged");
    assert_eq!(fs::read(log(folder.path())).unwrap(), bytes, "nothing is changed");
}
