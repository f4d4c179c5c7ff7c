//! Backups, and stores that are made of them; what a look through a store finds.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_actors::adapter::file::maintain::{backup, restore};
use weir_actors::adapter::file::verify::verify;
use weir_actors::adapter::{Adapter, Write};
use weir_actors::clock;
use weir_actors::ids::ItemKey;

use crate::files::{assert_untouched, files, scratch};
use crate::store::{Writer, get, open, put};

fn key(group: &str, item: &str) -> ItemKey {
    ItemKey::new("s", group, item)
}

/// A store with items `a` and `b` in that order, and one group that was emptied.
fn make(path: &Path) -> Writer {
    let mut store = open(path).unwrap();
    let mut writer = Writer::default();
    for item in ["b", "a", "c"] {
        writer.commit(&mut store, &[put(&key("g", item), "1")]).unwrap();
    }
    writer.commit(&mut store, &[put(&key("g", "b"), "2"), Write::Delete(key("g", "c"))]).unwrap();
    writer.commit(&mut store, &[put(&key("gone", "x"), "1")]).unwrap();
    writer.commit(&mut store, &[Write::Delete(key("gone", "x"))]).unwrap();
    writer
}

fn has_what_was_made(path: &Path) {
    let mut store = open(path).unwrap();
    let names: Vec<_> = store.list(&key("g", "").group).unwrap().wait().unwrap().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(get(&mut store, &key("g", "b")).as_deref(), Some("2"));
    assert_eq!(store.list_all().unwrap().wait().unwrap().len(), 1);
}

#[test]
fn backup_of_a_store_in_use_is_one_state_of_it() {
    let scratch = scratch();
    let mut store = open(&scratch.path().join("store")).unwrap();
    let mut writer = Writer::default();
    let (handle, ends) = (store.handle(), AtomicBool::new(false));
    let (one, two) = (key("one", "i"), key("two", "i"));
    std::thread::scope(|threads| {
        let ends = &ends;
        threads.spawn(|| {
            // Both are always written together.
            for n in 0.. {
                let value = n.to_string();
                writer.commit(&mut store, &[put(&one, &value), put(&two, &value)]).unwrap();
                if ends.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
        for n in 0..5 {
            handle.backup(&scratch.path().join(format!("backup-{n}"))).unwrap();
        }
        ends.store(true, Ordering::Relaxed);
    });
    for n in 0..5 {
        let path = scratch.path().join(format!("backup-{n}"));
        // What the store went on to write is not in the files that both share.
        assert!(verify(&path).unwrap().is_whole());
        let mut copy = open(&path).unwrap();
        assert_eq!(get(&mut copy, &one), get(&mut copy, &two));
    }
    drop(handle);
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
                let item = |n: usize| key(&(n % 7).to_string(), &(n % 100).to_string());
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

#[test]
fn restored_store_has_what_the_backup_has_and_looks_newer_to_clients() {
    let scratch = scratch();
    let (path, copy, restored) = (scratch.path().join("store"), scratch.path().join("backup"), scratch.path().join("restored"));
    let writer = make(&path);
    let epoch = open(&path).unwrap().epoch();
    let copied = backup(&path, &copy).unwrap();
    assert_eq!((copied.path.as_path(), copied.files > 3, copied.bytes > 1_000), (copy.as_path(), true, true));
    let before = files(&copy);
    let began = clock::wall();
    restore(&copy, &restored, false).unwrap();
    assert_untouched(&before, &copy, "restored from");
    has_what_was_made(&restored);
    assert!(verify(&restored).unwrap().is_whole());
    let mut store = open(&restored).unwrap();
    assert_ne!(store.epoch(), epoch);
    for group in ["g", "gone"] {
        let group = key(group, "").group;
        let (had, has) = (writer.head(&group).unwrap(), store.head(&group).unwrap().unwrap_or_else(|| store.floor()));
        assert!(has.seq >= had.seq && has.timestamp >= had.timestamp.max(began), "{group:?}: {had:?}, {has:?}");
    }
    has_what_was_made(&path);
}

#[test]
fn store_that_is_there_is_replaced_only_when_asked_for_and_put_aside() {
    let scratch = scratch();
    let (path, copy) = (scratch.path().join("store"), scratch.path().join("backup"));
    make(&path);
    backup(&path, &copy).unwrap();
    let mut store = open(&path).unwrap();
    Writer::default().commit(&mut store, &[put(&key("later", "i"), "1")]).unwrap();
    let running = restore(&copy, &path, true).unwrap_err();
    assert_eq!(running.code(), "locked", "{running}");
    drop(store);
    let before = files(&path);
    let refused = restore(&copy, &path, false).unwrap_err();
    assert!(refused.code() == "in_the_way" && refused.to_string().contains("--replace"), "{refused}");
    assert_untouched(&before, &path, "refused");
    restore(&copy, &path, true).unwrap();
    has_what_was_made(&path);
    let aside = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.to_string_lossy().contains("db.before-"));
    let again = scratch.path().join("again");
    fs::create_dir(&again).unwrap();
    fs::rename(aside.unwrap(), again.join("db")).unwrap();
    assert_eq!(get(&mut open(&again).unwrap(), &key("later", "i")).as_deref(), Some("1"));
}

#[test]
fn half_a_backup_and_a_damaged_one_are_refused_before_anything_changes() {
    let scratch = scratch();
    let (path, copy, target) = (scratch.path().join("store"), scratch.path().join("backup"), scratch.path().join("target"));
    make(&path);
    backup(&path, &copy).unwrap();
    make(&target);
    let before = files(&target);
    let damage = |what: &str, harm: &dyn Fn(&Path)| {
        let bad = scratch.path().join(what);
        crate::files::copy(&copy, &bad);
        harm(&bad.join("db"));
        let refused = restore(&bad, &target, true).unwrap_err();
        assert_eq!(refused.code(), "damaged", "{what}: {refused}");
        assert_untouched(&before, &target, what);
    };
    damage("without its mark", &|db| fs::remove_file(db.join("FORMAT")).unwrap());
    damage("with a turned bit", &|db| {
        let table = fs::read_dir(db).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.extension().is_some_and(|e| e == "sst"));
        let mut bytes = fs::read(table.as_ref().unwrap()).unwrap();
        bytes[10] ^= 1;
        fs::write(table.unwrap(), bytes).unwrap();
    });
    let nothing = scratch.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    assert_eq!(restore(&nothing, &target, true).unwrap_err().code(), "no_store");
    assert_untouched(&before, &target, "nothing");
}

#[test]
fn backup_into_a_folder_that_holds_something_is_refused() {
    let scratch = scratch();
    let (path, copy) = (scratch.path().join("store"), scratch.path().join("backup"));
    make(&path);
    fs::create_dir(&copy).unwrap();
    fs::write(copy.join("mine"), "precious").unwrap();
    assert_eq!(backup(&path, &copy).unwrap_err().code(), "in_the_way");
    assert_eq!(fs::read_dir(&copy).unwrap().count(), 1);
    assert_eq!(backup(&scratch.path().join("none"), &scratch.path().join("to")).unwrap_err().code(), "no_store");
    assert!(!scratch.path().join("to").exists() && !scratch.path().join("none").exists());
}
