//! Stores with records that do not fit together, written past the adapter.

#![allow(clippy::unwrap_used)]

use tempfile::TempDir;

use super::*;
use crate::adapter::file::{FileOptions, FileStore};
use crate::adapter::{Adapter, Head, Write};
use crate::ids::ItemKey;
use crate::json::Json;

const HEAD: Head = Head { seq: 1, timestamp: 1 };

/// A store with streams 1 and 3 of one group each, 2 and 4, which hold two items and one.
fn store() -> TempDir {
    let folder = TempDir::new().unwrap();
    let mut store = FileStore::open(folder.path(), FileOptions { min_free_bytes: 0, ..FileOptions::default() }).unwrap();
    for (stream, item) in [("one", "a"), ("one", "b"), ("two", "c")] {
        let key = ItemKey::new(stream, "group", item);
        store.commit(&[Write::Put(key.clone(), Json::assembled("[1]"))], &[(key.group, HEAD)]).unwrap();
    }
    folder
}

/// Writes records past the adapter, and verifies.
fn verified(change: impl FnOnce(&DB)) -> Verification {
    let folder = store();
    let db = DB::open(&super::super::open::rocksdb_options(1 << 20, Recovery::Strict), folder::db_of(folder.path())).unwrap();
    change(&db);
    drop(db);
    verify(folder.path()).unwrap()
}

fn group_record(id: u64, items: u64, bytes: u64) -> [u8; 48] {
    GroupRecord { id, head: HEAD, next_place: 2, items, bytes }.encode()
}

fn item(group: u64, name: &str) -> Vec<u8> {
    let mut key = Vec::new();
    keys::item_into(&mut key, group, name);
    key
}

fn value(place: u64, json: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    keys::item_value_into(&mut value, place, json);
    value
}

#[test]
fn store_that_was_written_by_the_adapter_is_whole() {
    let expected = Verification { streams: 2, groups: 2, items: 3, bytes: 9, ..Verification::default() };
    assert_eq!(verified(|_| ()), expected);
}

#[test]
fn records_that_do_not_fit_are_told() {
    type Change = fn(&DB) -> Result<(), rocksdb::Error>;
    let cases: [(Change, &[&str]); 20] = [
        (|db| db.put(b"zoo", b"1"), &["a record of no known kind: \"zoo\""]),
        (|db| db.put(b"mm", b"1"), &["a record of no known kind: \"mm\""]),
        (|db| db.delete(keys::META), &["the record of the store itself: it is missing"]),
        (|db| db.put(keys::META, b"short"), &["the record of the store itself: it is missing"]),
        (
            |db| db.put(keys::stream("one"), b"short"),
            &["the record of a stream cannot be read: \"sone\"", "group \"group\" belongs to no stream"],
        ),
        (|db| db.put([b"s", &[0xff][..]].concat(), StreamRecord { id: 1, groups: 0 }.encode()), &["the record of a stream cannot be read"]),
        (|db| db.put(keys::stream("more"), StreamRecord { id: 1, groups: 1 }.encode()), &["streams \"more\" and \"one\" have the same id"]),
        (
            |db| db.put(keys::stream("one"), StreamRecord { id: 77, groups: 1 }.encode()),
            &["the record of a stream", "belongs to no stream"],
        ),
        (|db| db.put(keys::stream("one"), StreamRecord { id: 1, groups: 5 }.encode()), &["stream \"one\" should have 5 groups and has 1"]),
        (|db| db.delete(keys::stream("one")), &["group \"group\" belongs to no stream"]),
        (
            |db| db.put(keys::group(1, "group"), b"short"),
            &["the record of a group", "stream \"one\" should have 1 groups and has 0", "item \"a\" belongs to no group"],
        ),
        (|db| db.put(b"gxy", group_record(2, 0, 0)), &["the record of a group cannot be read: \"gxy\""]),
        (|db| db.put(keys::group(1, "more"), group_record(2, 0, 0)), &["has the id of another", "should have 1 groups and has 2"]),
        (
            |db| db.put(keys::group(1, "group"), group_record(2, 3, 6)),
            &["group \"group\" of stream \"one\" should hold 3 items of 6 bytes and holds 2 of 6"],
        ),
        (|db| db.put(keys::group(1, "group"), group_record(2, 2, 7)), &["should hold 2 items of 7 bytes and holds 2 of 6"]),
        (|db| db.delete(keys::group(1, "group")), &["item \"a\" belongs to no group", "item \"b\" belongs to no group"]),
        (|db| db.put(item(99, "lost"), value(0, b"1")), &["item \"lost\" belongs to no group"]),
        (
            |db| db.put(item(2, "a"), value(0, b"{\"no\":json}")),
            &["item \"a\" of group \"group\" of stream \"one\" is no JSON value", "should hold"],
        ),
        (|db| db.put(item(2, "a"), value(1, b"[1]")), &["has the place of another"]),
        (|db| db.put(item(2, "a"), value(2, b"[1]")), &["has the place of another"]),
    ];
    for (change, problems) in cases {
        let found = verified(|db| change(db).unwrap());
        assert!(!found.is_whole());
        for problem in problems {
            assert!(found.problems.iter().any(|text| text.contains(problem)), "no {problem:?} in {:?}", found.problems);
        }
    }
}

#[test]
fn values_that_no_client_could_have_stored_are_told() {
    let deep = [vec![b'['; MAX_DEPTH + 1], vec![b']'; MAX_DEPTH + 1]].concat();
    for json in [&b""[..], b" ", b"1 2", b"nul", b"\"\x01\"", b"\xff", &deep] {
        let found = verified(|db| db.put(item(2, "a"), value(0, json)).unwrap());
        assert!(found.problems.iter().any(|text| text.contains("item \"a\"") && text.contains("no JSON value")), "{json:?}: {found:?}");
    }
    let found = verified(|db| db.put(item(2, "a"), b"short").unwrap());
    assert!(found.problems.iter().any(|text| text.contains("item \"a\"")), "{found:?}");
    let found = verified(|db| db.put([&item(2, "")[..], &[0xff]].concat(), value(0, b"1")).unwrap());
    assert!(found.problems.iter().any(|text| text.contains("an item with a key that cannot be read")), "{found:?}");
}

#[test]
fn many_problems_are_counted() {
    let found = verified(|db| (0..TOLD as u64 + 23).for_each(|n| db.put(item(50 + n, "lost"), value(0, b"1")).unwrap()));
    assert_eq!((found.problems.len(), found.more_problems), (TOLD, 23));
    assert!(!found.is_whole());
}

#[test]
fn damaged_records_are_told_by_reads_too() {
    let folder = store();
    let db = DB::open(&super::super::open::rocksdb_options(1 << 20, Recovery::Strict), folder::db_of(folder.path())).unwrap();
    db.put(keys::stream("two"), b"short").unwrap();
    db.put(keys::group(1, "group"), b"short").unwrap();
    drop(db);
    let mut store = FileStore::open(folder.path(), FileOptions { min_free_bytes: 0, ..FileOptions::default() }).unwrap();
    for stream in ["one", "two"] {
        let key = ItemKey::new(stream, "group", "a");
        let write = [Write::Put(key.clone(), Json::assembled("1"))];
        for error in [store.get(&key).err(), store.head(&key.group).err(), store.commit(&write, &[(key.group, HEAD)]).err()] {
            let text = error.unwrap().to_string();
            assert!(text.contains("is damaged") && text.contains(&*folder.path().to_string_lossy()), "{text}");
        }
    }
    assert!(store.list_all().unwrap().wait().is_err());
}
