//! Backup, restore and verify.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use weir_actors::adapter::file::{FileStore, FolderError, maintain, verify};
use weir_actors::adapter::{Adapter, Head, Write};
use weir_actors::ids::{GroupKey, ItemKey};

use crate::damage::assert_clear;
use crate::files::{assert_untouched, copy, db_files, files, largest_table, scratch};
use crate::store::{Writer, contents, get, open, put};

fn item(group: &str, n: usize) -> ItemKey {
    ItemKey::new("s", group, &format!("i{n}"))
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A store with a few groups, one of which is gone, whose items do not stand in the order of their names.
fn fill(store: &mut FileStore) -> (Writer, Vec<ItemKey>) {
    let mut writer = Writer::default();
    let keys: Vec<_> = (0..60).map(|n| item(["a", "b", "gone"][n % 3], 59 - n)).collect();
    for (n, key) in keys.iter().enumerate() {
        writer.commit(store, &[put(key, &format!("{{\"n\":{n}}}"))]).unwrap();
    }
    let gone: Vec<_> = keys.iter().filter(|key| key.group.group() == "gone").map(|key| Write::Delete(key.clone())).collect();
    writer.commit(store, &gone).unwrap();
    (writer, keys)
}

#[test]
fn backup_of_an_open_store_is_one_state_while_others_write() {
    let (origin, copies) = (scratch(), scratch());
    let mut store = open(origin.path()).unwrap();
    let handle = store.handle();
    let ended = AtomicBool::new(false);
    let count = |store: &mut FileStore, group: &str| get(store, &item(group, 0)).map_or(0, |text| text[1..8].parse::<u64>().unwrap());
    std::thread::scope(|threads| {
        let writing = threads.spawn(|| {
            let mut writer = Writer::default();
            // More than RocksDB holds in memory, so that tables are written and compacted meanwhile.
            for n in 0.. {
                let value = format!("\"{n:07} {}\"", "x".repeat(20_000));
                writer.commit(&mut store, &[put(&item("a", 0), &value), put(&item("b", 0), &value)]).unwrap();
                if ended.load(Ordering::Relaxed) {
                    return (store, n);
                }
            }
            unreachable!()
        });
        let mut before = 0;
        for n in 0..8 {
            let to = copies.path().join(n.to_string());
            let copied = handle.backup(&to).unwrap();
            assert_eq!((copied.path.as_path(), copied.files > 3, copied.bytes > 1_000), (to.as_path(), true, true));
            let verified = verify::verify(&to).unwrap();
            assert!(verified.is_whole() && verified.notes.is_empty(), "{verified:?}");
            let mut copy = open(&to).unwrap();
            let (a, b) = (count(&mut copy, "a"), count(&mut copy, "b"));
            let seq = copy.head(&item("a", 0).group).unwrap().map_or(0, |head| head.seq);
            assert!(
                a == b && a >= before && seq == a + u64::from(seq > 0),
                "backup {n} has {a} and {b}, number {seq}; the one before had {before}"
            );
            before = a;
        }
        ended.store(true, Ordering::Relaxed);
        let (mut store, last) = writing.join().unwrap();
        assert!(before > 0 && last >= before, "nothing was written meanwhile");
        assert_eq!(count(&mut store, "a"), last);
    });
}

#[test]
fn backup_shares_nothing_that_the_store_changes_later() {
    let (origin, place) = (scratch(), scratch());
    let to = place.path().join("backup");
    let mut store = open(origin.path()).unwrap();
    let (mut writer, keys) = fill(&mut store);
    let then = contents(&mut store, &keys).unwrap();
    store.handle().backup(&to).unwrap();
    let before = files(&to);
    for log in db_files(&to, |name| name.ends_with(".log")) {
        // A log is cut off where it is torn; a table is never written again.
        assert_eq!(fs::metadata(&log).unwrap().nlink(), 1, "{} is shared", log.display());
    }
    for round in 0..3 {
        for n in 0..400 {
            writer
                .commit(&mut store, &[put(&item("a", n), &format!("\"{round} {}\"", "y".repeat(50_000))), Write::Delete(item("b", n))])
                .unwrap();
        }
        drop(store);
        store = open(origin.path()).unwrap();
    }
    drop(store);
    assert_untouched(&before, &to, "after many writes");
    assert!(verify::verify(&to).unwrap().is_whole());
    assert_eq!(contents(&mut open(&to).unwrap(), &keys).unwrap(), then);
}

#[test]
fn backup_of_a_closed_store_is_the_same() {
    let (origin, place) = (scratch(), scratch());
    let mut store = open(origin.path()).unwrap();
    let (_, keys) = fill(&mut store);
    let held = contents(&mut store, &keys).unwrap();
    drop(store);
    // Into an empty folder that is there already.
    maintain::backup(origin.path(), place.path()).unwrap();
    assert_eq!(contents(&mut open(place.path()).unwrap(), &keys).unwrap(), held);
    assert_eq!(contents(&mut open(origin.path()).unwrap(), &keys).unwrap(), held);
}

#[test]
fn backup_into_what_is_there_already_is_refused_and_touches_nothing() {
    let (origin, place) = (scratch(), scratch());
    let mut store = open(origin.path()).unwrap();
    fill(&mut store);
    fs::write(place.path().join("mine"), "mine").unwrap();
    let other = scratch();
    store.handle().backup(other.path()).unwrap();
    for to in [place.path(), other.path()] {
        let before = files(to);
        let error = store.handle().backup(to).unwrap_err();
        assert!(error.code() == "in_the_way" && error.to_string().contains(to.to_str().unwrap()), "{error}");
        assert!(error.to_string().contains("give an empty folder"), "{error}");
        assert_untouched(&before, to, "a second backup");
    }
    let file = place.path().join("mine");
    let error = store.handle().backup(&file).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn backup_into_the_folder_of_the_store_is_refused() {
    let origin = scratch();
    let mut store = open(origin.path()).unwrap();
    fill(&mut store);
    fs::create_dir(origin.path().join("db/sub")).unwrap();
    for inside in ["backup", "a/b", "./x/../backup", "db/sub"] {
        let to = origin.path().join(inside);
        let error = store.handle().backup(&to).unwrap_err();
        assert!(error.code() == "inside" && error.to_string().contains(origin.path().to_str().unwrap()), "{error}");
    }
    assert!(!origin.path().join("backup").exists() && !origin.path().join("a").exists());
    fs::remove_dir(origin.path().join("db/sub")).unwrap();
    drop(store);
    open(origin.path()).unwrap();
}

#[test]
fn restored_store_holds_the_same_under_a_new_epoch_and_never_looks_older() {
    let (origin, place) = (scratch(), scratch());
    let (backup, restored) = (place.path().join("backup"), place.path().join("restored"));
    let mut store = open(origin.path()).unwrap();
    let (writer, keys) = fill(&mut store);
    // One group whose timestamps have run ahead of the clock.
    let ahead = GroupKey::new("s", "ahead");
    let (future, key) = (now() + 1_000_000, ItemKey { group: ahead.clone(), item: "i".into() });
    store.commit(&[put(&key, "1")], &[(ahead.clone(), Head { seq: 3, timestamp: future })]).unwrap();
    let then = contents(&mut store, &keys).unwrap();
    store.handle().backup(&backup).unwrap();
    let before = files(&backup);

    let began = now();
    let copied = maintain::restore(&backup, &restored, false).unwrap();
    assert_eq!(copied.path, restored);
    assert_untouched(&before, &backup, "restored");
    let mut store = open(&restored).unwrap();
    let mut found = contents(&mut store, &keys).unwrap();
    assert_ne!(found.epoch, then.epoch);
    for group in ["a", "b"].map(|group| GroupKey::new("s", group)) {
        let (head, was) = (store.head(&group).unwrap().unwrap(), writer.head(&group).unwrap());
        assert!(head.seq == was.seq && head.timestamp >= began, "{head:?}, was {was:?}");
    }
    assert_eq!(store.head(&ahead).unwrap(), Some(Head { seq: 3, timestamp: future }));
    let gone = writer.head(&GroupKey::new("s", "gone")).unwrap();
    assert!(found.floor.seq >= gone.seq && found.floor.timestamp >= began, "{:?}, was {gone:?}", found.floor);
    (found.epoch, found.floor, found.heads) = (then.epoch, then.floor, then.heads.clone());
    assert_eq!(found, then);

    let again = place.path().join("again");
    maintain::restore(&backup, &again, false).unwrap();
    assert_ne!(open(&again).unwrap().epoch(), store.epoch());
}

/// A folder with a backup, and one with a store that it would replace.
fn backup_and_store() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = scratch();
    let (origin, backup, target) = (place.path().join("origin"), place.path().join("backup"), place.path().join("target"));
    let mut store = open(&origin).unwrap();
    fill(&mut store);
    store.handle().backup(&backup).unwrap();
    Writer::default().commit(&mut open(&target).unwrap(), &[put(&item("mine", 0), "1")]).unwrap();
    (place, backup, target)
}

#[test]
fn restore_over_a_store_is_refused_unless_it_is_to_be_replaced_and_then_puts_it_aside() {
    let (place, backup, target) = backup_and_store();
    let before = files(&target);
    let error = maintain::restore(&backup, &target, false).unwrap_err();
    assert!(error.code() == "in_the_way" && error.to_string().contains("--replace"), "{error}");
    assert!(error.to_string().contains(target.to_str().unwrap()), "{error}");
    assert_untouched(&before, &target, "not to be replaced");

    maintain::restore(&backup, &target, true).unwrap();
    let mut store = open(&target).unwrap();
    assert_eq!((get(&mut store, &item("mine", 0)), get(&mut store, &item("a", 59)).as_deref()), (None, Some("{\"n\":0}")));
    drop(store);
    let names = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let aside: Vec<_> = names.filter(|name| name.starts_with("db.before-")).collect();
    assert_eq!(aside.len(), 1, "{aside:?}");
    // What was put aside is still what it was.
    let old = place.path().join("old");
    fs::create_dir(&old).unwrap();
    fs::rename(target.join(&aside[0]), old.join("db")).unwrap();
    assert_eq!(get(&mut open(&old).unwrap(), &item("mine", 0)).as_deref(), Some("1"));
}

fn refused_and_unchanged(backup: &Path, target: &Path, what: &str) -> FolderError {
    let before = (files(backup), files(target));
    let error = maintain::restore(backup, target, true).err().unwrap_or_else(|| panic!("{what}: it was restored"));
    assert!(error.to_string().contains(backup.to_str().unwrap()), "{what}: {error}");
    assert_untouched(&before.0, backup, what);
    assert_untouched(&before.1, target, what);
    error
}

#[test]
fn restore_of_a_damaged_or_incomplete_backup_is_refused_before_anything_changes() {
    let (_place, backup, target) = backup_and_store();
    let manifest = db_files(&backup, |name| name.starts_with("MANIFEST")).remove(0);
    let table = largest_table(&backup);
    let current = backup.join("db/CURRENT");
    let turn = |bytes: &mut Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    };
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(bytes.len() - 3);
    type Damage<'a> = &'a dyn Fn(&mut Vec<u8>);
    let damages: [(&Path, &str, Damage<'_>); 6] = [
        (&table, "turned", &turn),
        (&table, "cut", &cut),
        (&manifest, "turned", &turn),
        (&manifest, "cut", &cut),
        (&current, "turned", &turn),
        (&current, "cut", &cut),
    ];
    for (file, what, damage) in damages {
        let whole = fs::read(file).unwrap();
        let mut bytes = whole.clone();
        damage(&mut bytes);
        fs::write(file, bytes).unwrap();
        let error = refused_and_unchanged(&backup, &target, &format!("{} {what}", file.display()));
        assert_eq!(error.code(), "damaged", "{error}");
        fs::write(file, whole).unwrap();
    }
    for file in [&table, &manifest, &current, &backup.join("db/FORMAT")] {
        let whole = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        let error = refused_and_unchanged(&backup, &target, &format!("{} missing", file.display()));
        assert_eq!(error.code(), "damaged", "{error}");
        fs::write(file, whole).unwrap();
    }
    let none = refused_and_unchanged(&backup.join("db"), &target, "a folder too deep");
    assert_eq!(none.code(), "not_a_store");
    maintain::restore(&backup, &target, true).unwrap();
}

#[test]
fn restore_into_the_folder_of_the_backup_is_refused() {
    let (_place, backup, _) = backup_and_store();
    let before = files(&backup);
    let error = maintain::restore(&backup, &backup, true).unwrap_err();
    assert!(error.to_string().contains(backup.to_str().unwrap()), "{error}");
    assert_untouched(&before, &backup, "restored onto itself");
}

#[test]
fn verify_of_an_open_store_counts_what_it_holds() {
    let origin = scratch();
    let mut store = open(origin.path()).unwrap();
    fill(&mut store);
    let found = store.handle().verify().unwrap();
    assert!(found.is_whole() && found.notes.is_empty(), "{found:?}");
    // 40 items of `{"n":0}` to `{"n":58}`.
    assert_eq!((found.streams, found.groups, found.items, found.bytes), (1, 2, 40, 40 * 7 + 33));
    let handle = store.handle();
    drop(store);
    assert_eq!(verify::verify(origin.path()).unwrap(), found);
    assert!(handle.verify().unwrap_err().to_string().contains("closed"));
}

#[test]
fn verify_of_a_damaged_table_says_which_groups_and_reads_the_others() {
    let (origin, damaged, elsewhere) = (scratch(), scratch(), scratch());
    let mut store = open(origin.path()).unwrap();
    let mut writer = Writer::default();
    for group in 0..50 {
        let value = format!("\"{}\"", "z".repeat(3_000));
        let writes: Vec<_> = (0..10).map(|n| put(&item(&format!("g{group:02}"), n), &value)).collect();
        writer.commit(&mut store, &writes).unwrap();
    }
    drop(store);
    let mut named = BTreeMap::new();
    for part in [10, 5, 3, 2] {
        copy(origin.path(), damaged.path());
        let table = largest_table(damaged.path());
        let mut bytes = fs::read(&table).unwrap();
        let at = bytes.len() / part;
        bytes[at] ^= 16;
        fs::write(&table, bytes).unwrap();
        let found = verify::verify(damaged.path()).unwrap();
        assert!(!found.is_whole() && found.items > 100 && found.items < 500, "{found:?}");
        assert!(found.problems.iter().all(|problem| problem.contains(table.to_str().unwrap())), "{found:?}");
        let groups: Vec<_> = (0..50).filter(|n| found.problems.iter().any(|problem| problem.contains(&format!("\"g{n:02}\"")))).collect();
        assert!(!groups.is_empty() && groups.len() < 5, "{found:?}");
        named.insert(part, groups);
    }
    assert!(named[&10] < named[&2], "{named:?}");
    assert_clear(&maintain::restore(damaged.path(), elsewhere.path(), false).unwrap_err(), damaged.path());
}

#[test]
fn look_through_a_store_in_use_sees_one_state_of_it() {
    let scratch = scratch();
    let mut store = open(scratch.path()).unwrap();
    let mut writer = Writer::default();
    let (handle, ends) = (store.handle(), AtomicBool::new(false));
    std::thread::scope(|threads| {
        let ends = &ends;
        threads.spawn(|| {
            for n in 0.. {
                let item = |n: usize| ItemKey::new("s", &(n % 7).to_string(), &(n % 100).to_string());
                let mut writes = vec![put(&item(n), &"1".repeat(n % 50 + 1))];
                if n >= 50 {
                    writes.push(Write::Delete(item(n - 50)));
                }
                writer.commit(&mut store, &writes).unwrap();
                if ends.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for _ in 0..50 {
            let found = handle.verify().unwrap();
            assert_eq!(found.problems, Vec::<String>::new());
        }
        ends.store(true, Ordering::Relaxed);
    });
}
