//! A disk without room: what was acknowledged is there, what was refused is not, and writing goes on when there is room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use weir_actors::adapter::file::{FileOptions, FileStore};
use weir_actors::adapter::{Adapter, AdapterError, Write};
use weir_actors::ids::ItemKey;

use crate::mount::Mount;
use crate::store::{Writer, get, put};

const VALUE_BYTES: usize = 100_000;

fn key(n: usize) -> ItemKey {
    ItemKey::new("s", "g", &n.to_string())
}

/// A value that cannot be compressed much.
fn value(n: usize) -> String {
    let mut noise = n as u64 | 1;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        char::from(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[usize::try_from(noise >> 58).unwrap()])
    };
    format!("\"{}\"", (0..VALUE_BYTES).map(|_| next()).collect::<String>())
}

fn open(path: &Path, min_free_bytes: u64) -> FileStore {
    FileStore::open(path, FileOptions { min_free_bytes, ..FileOptions::default() }).unwrap()
}

/// Writes item after item from `n` until one is refused; how many there are, and why.
fn fill(store: &mut FileStore, writer: &mut Writer, mut n: usize) -> (usize, AdapterError) {
    loop {
        drop(store.get(&key(n)).unwrap());
        match writer.commit(store, &[put(&key(n), &value(n))]) {
            Ok(()) => n += 1,
            Err(error) => return (n, error),
        }
    }
}

/// Exactly the items below `count` are there, in order, and the head is that of the last acknowledged change.
fn holds(store: &mut FileStore, writer: &Writer, count: usize) {
    let group = key(0).group;
    let items = store.list(&group).unwrap().wait().unwrap();
    let names: Vec<_> = items.iter().map(|(name, _)| name.as_str().to_owned()).collect();
    assert_eq!(names, (0..count).map(|n| n.to_string()).collect::<Vec<_>>());
    for n in [0, count / 2, count - 1] {
        assert_eq!(items[n].1.as_bytes(), value(n).as_bytes());
    }
    assert_eq!(get(store, &key(count)), None);
    assert_eq!(store.head(&group).unwrap(), writer.head(&group));
}

/// Commits as soon as there is room.
fn commit_in_the_end(store: &mut FileStore, writer: &mut Writer, writes: &[Write]) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(error) = writer.commit(store, writes) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn refused_for_room(error: &AdapterError, path: &Path) {
    let AdapterError::Full { path: named, .. } = error else { panic!("expected a full disk, got {error}") };
    assert_eq!(named, &path.display().to_string());
    assert!(error.to_string().contains("free some space"), "{error}");
}

#[test]
fn reserve_keeps_writes_away_before_the_disk_is_full_and_lets_deletions_pass() {
    let Some(mount) = Mount::new(512) else { return };
    let (path, ballast) = (mount.path().join("store"), mount.path().join("ballast"));
    File::create(&ballast).unwrap().write_all(&vec![1; 50 << 20]).unwrap();
    let mut store = open(&path, 192 << 20);
    let mut writer = Writer::default();
    let (count, error) = fill(&mut store, &mut writer, 0);
    assert!(count > 100, "{count} items fitted");
    refused_for_room(&error, &path);
    holds(&mut store, &writer, count);
    // RocksDB takes some of the reserve now and then, to merge its files.
    commit_in_the_end(&mut store, &mut writer, &[Write::Delete(key(count - 1))]);
    let count = count - 1;
    holds(&mut store, &writer, count);
    fs::remove_file(&ballast).unwrap();
    commit_in_the_end(&mut store, &mut writer, &[put(&key(count), &value(count))]);
    let (more, error) = fill(&mut store, &mut writer, count + 1);
    refused_for_room(&error, &path);
    holds(&mut store, &writer, more);
    drop(store);
    let mut store = open(&path, 0);
    holds(&mut store, &writer, more);
}

#[test]
fn disk_that_rocksdb_finds_full_refuses_and_goes_on_when_there_is_room() {
    let Some(mount) = Mount::new(64) else { return };
    let (path, ballast) = (mount.path().join("store"), mount.path().join("ballast"));
    File::create(&ballast).unwrap().write_all(&vec![1; 30 << 20]).unwrap();
    let mut store = open(&path, 0);
    let mut writer = Writer::default();
    let (count, error) = fill(&mut store, &mut writer, 0);
    assert!(count > 50, "{count} items fitted");
    refused_for_room(&error, &path);
    holds(&mut store, &writer, count);
    refused_for_room(&fill(&mut store, &mut writer, count).1, &path);
    fs::remove_file(&ballast).unwrap();
    commit_in_the_end(&mut store, &mut writer, &[put(&key(count), &value(count))]);
    holds(&mut store, &writer, count + 1);
    drop(store);
    let mut store = open(&path, 0);
    holds(&mut store, &writer, count + 1);
}
