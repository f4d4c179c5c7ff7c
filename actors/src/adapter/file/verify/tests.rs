#![allow(clippy::unwrap_used)]
use rocksdb::Options;
use tempfile::TempDir;

use super::*;
use crate::adapter::file::{FileOptions, FileStore};
use crate::adapter::{Adapter, Head, Write};
use crate::ids::ItemKey;
use crate::json::Json;

/// A key and its value.
type Record = (Vec<u8>, Vec<u8>);

/// What a look through the store finds after its records were changed behind its back.
fn tampered(change: impl Fn(&DB, &[Record])) -> Verification {
    let scratch = TempDir::new().unwrap();
    let mut store = FileStore::open(scratch.path(), FileOptions::default()).unwrap();
    let key = |item| ItemKey::new("s", "g", item);
    let head = |seq| [(key("").group, Head { seq, timestamp: seq })];
    store.commit(&[Write::Put(key("a"), Json::NULL), Write::Put(key("b"), Json::NULL)], &head(1)).unwrap();
    drop(store);
    let db = DB::open(&Options::default(), scratch.path().join("db")).unwrap();
    let records: Vec<_> =
        db.iterator(rocksdb::IteratorMode::Start).map(|record| record.unwrap()).map(|(key, value)| (key.into(), value.into())).collect();
    change(&db, &records);
    db.flush().unwrap();
    drop(db);
    verify(scratch.path()).unwrap()
}

fn of(records: &[Record], tag: u8) -> &Record {
    records.iter().find(|(key, _)| key[0] == tag).unwrap()
}

#[test]
fn records_that_do_not_fit_together_are_found() {
    assert!(tampered(|_, _| {}).is_whole());
    let found = |words: &str, change: &dyn Fn(&DB, &[Record])| {
        let found = tampered(change);
        assert!(found.problems.iter().any(|problem| problem.contains(words)), "{words}: {found:?}");
    };
    found("holds 1 of", &|db, records| db.delete(&of(records, b'i').0).unwrap());
    found("belongs to no group", &|db, records| db.delete(&of(records, b'g').0).unwrap());
    found("belongs to no stream", &|db, records| db.delete(&of(records, b's').0).unwrap());
    found("should have 1 groups and has 0", &|db, records| db.delete(&of(records, b'g').0).unwrap());
    found("the record of the store itself", &|db, records| db.delete(&of(records, b'm').0).unwrap());
    found("is no JSON value", &|db, records| {
        let (key, value) = of(records, b'i');
        db.put(key, [&value[..8], b"{\"a\":"].concat()).unwrap();
    });
    found("has the place of another", &|db, records| {
        let items: Vec<_> = records.iter().filter(|(key, _)| key[0] == b'i').collect();
        db.put(&items[0].0, [&items[1].1[..8], b"1"].concat()).unwrap();
    });
    found("cannot be read", &|db, records| db.put(&of(records, b'g').0, b"short").unwrap());
    found("cannot be read", &|db, _| db.put(b"s\xff", [0; 16]).unwrap());
}
