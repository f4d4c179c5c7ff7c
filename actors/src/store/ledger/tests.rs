#![allow(clippy::unwrap_used)]
use super::*;
use crate::adapter::memory::Memory;
use crate::adapter::{Items, Streams};

fn json(text: &str) -> Json {
    Json::assembled(text)
}

fn set(ledger: &mut Ledger, item: &str, value: &str) -> Output {
    ledger.apply(Op::Set { key: ItemKey::new("s", "g", item), data: json(value) }).unwrap()
}

fn at(ms: Millis) -> Ledger {
    let mut ledger = Ledger::new(Box::new(Memory::new()), 1 << 20, 3);
    ledger.clock.fixed = Some(ms);
    ledger
}

#[test]
fn operations_of_one_batch_see_each_other() {
    let mut ledger = at(1_000);
    set(&mut ledger, "a", "1");
    assert_eq!(set(&mut ledger, "a", "2"), Output::Written { old: Some(json("1")), new: Some(json("2")), errors: None });
    let gone = ledger.apply(Op::Delete { key: ItemKey::new("s", "g", "a") }).unwrap();
    assert_eq!(gone, Output::Written { old: Some(json("2")), new: None, errors: None });
    assert_eq!(ledger.apply(Op::Get { key: ItemKey::new("s", "g", "a") }).unwrap(), Output::Absent);
    let kinds: Vec<_> = ledger.commit().unwrap().iter().map(|r| r.body.kind()).collect();
    assert_eq!(kinds, [Kind::Create, Kind::Update, Kind::Delete]);
}

#[test]
fn timestamps_of_a_group_rise_strictly_within_one_millisecond() {
    let mut ledger = at(1_000);
    for _ in 0..3 {
        set(&mut ledger, "a", "1");
    }
    let stamps: Vec<_> = ledger.commit().unwrap().iter().map(|r| (r.position.seq, r.timestamp)).collect();
    assert_eq!(stamps, [(1, 1_000), (2, 1_001), (3, 1_002)]);
}

#[test]
fn sync_of_a_new_group_is_older_than_its_first_change() {
    let mut ledger = at(1_000);
    let snapshot = ledger.snapshot(&GroupKey::new("s", "g"), true, &[]).unwrap().wait().unwrap();
    assert_eq!((snapshot.position.seq, snapshot.timestamp), (0, 999));
    set(&mut ledger, "a", "1");
    assert_eq!(ledger.commit().unwrap()[0].timestamp, 1_000);
    assert_eq!(ledger.snapshot(&GroupKey::new("s", "g"), true, &[]).unwrap().wait().unwrap().timestamp, 1_000);
}

#[test]
fn forgotten_groups_continue_above_what_they_had() {
    let mut ledger = at(1_000);
    for _ in 0..5 {
        set(&mut ledger, "a", "1");
    }
    ledger.commit().unwrap();
    ledger.forget_above = 0;
    ledger.forget(|_| false);
    assert!(ledger.groups.is_empty());
    set(&mut ledger, "a", "1");
    let change = &ledger.commit().unwrap()[0];
    assert_eq!((change.position.seq, change.timestamp), (6, 1_005));
}

#[test]
fn deleting_what_is_not_there_changes_nothing() {
    let mut ledger = at(1_000);
    let output = ledger.apply(Op::Delete { key: ItemKey::new("s", "g", "a") }).unwrap();
    assert_eq!(output, Output::Written { old: None, new: None, errors: None });
    assert!(ledger.commit().unwrap().is_empty());
}

#[test]
fn stored_null_is_there_and_a_missing_item_is_not() {
    let mut ledger = at(1_000);
    set(&mut ledger, "a", "null");
    ledger.commit().unwrap();
    assert_eq!(ledger.apply(Op::Get { key: ItemKey::new("s", "g", "a") }).unwrap(), Output::Value(Json::NULL));
    assert_eq!(ledger.apply(Op::Get { key: ItemKey::new("s", "g", "b") }).unwrap(), Output::Absent);
    set(&mut ledger, "a", "1");
    assert_eq!(ledger.commit().unwrap()[0].body.kind(), Kind::Update);
}

struct Failing(Memory);

impl Adapter for Failing {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.0.get(key)
    }
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        self.0.list(group)
    }
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.0.list_groups(stream)
    }
    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        self.0.list_all()
    }
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.0.streams_before(stream)
    }
    fn commit(&mut self, _: &[Write], _: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        Err(AdapterError::Failed("the disk is full".into()))
    }
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        self.0.head(group)
    }
    fn floor(&self) -> Head {
        self.0.floor()
    }
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

#[test]
fn failed_commit_leaves_no_value_and_no_gap() {
    let mut ledger = Ledger::new(Box::new(Failing(Memory::new())), 1 << 20, 1);
    set(&mut ledger, "a", "1");
    assert!(ledger.commit().is_err());
    assert_eq!(ledger.apply(Op::Get { key: ItemKey::new("s", "g", "a") }).unwrap(), Output::Absent);
    assert_eq!(ledger.position(&GroupKey::new("s", "g")).unwrap().0.seq, 0);
    // Nor a stream, of which there may be one here.
    assert_eq!(
        ledger.apply(Op::Set { key: ItemKey::new("other", "g", "a"), data: json("1") }),
        Ok(Output::Written { old: None, new: Some(json("1")), errors: None })
    );
}

#[test]
fn streams_over_the_limit_are_refused_whether_committed_or_not() {
    let set = |ledger: &mut Ledger, stream: &str, item: &str| {
        ledger.apply(Op::Set { key: ItemKey::new(stream, "g", item), data: json("1") }).map(drop).map_err(|error| error.code)
    };
    let refused = Err("STREAM_SET_ERROR".into());
    for commits in [false, true] {
        let mut ledger = at(1_000);
        for stream in ["a", "b", "c"] {
            assert_eq!(set(&mut ledger, stream, "1"), Ok(()));
            if commits {
                ledger.commit().unwrap();
            }
        }
        assert_eq!(set(&mut ledger, "d", "1"), refused);
        for stream in ["a", "b", "c"] {
            assert_eq!(set(&mut ledger, stream, "2"), Ok(()), "a stream that is there may grow");
        }
        let event = Op::Send { group: GroupKey::new("d", "g"), item: None, name: "x".into(), data: Json::NULL };
        assert!(ledger.apply(event).is_ok(), "an event stores nothing");
        ledger.commit().unwrap();
        for item in ["1", "2"] {
            ledger.apply(Op::Delete { key: ItemKey::new("a", "g", item) }).unwrap();
        }
        assert_eq!(set(&mut ledger, "d", "1"), refused, "its room is free with the commit");
        ledger.commit().unwrap();
        assert_eq!(set(&mut ledger, "d", "1"), Ok(()));
    }
}

#[test]
fn update_past_the_value_limit_is_refused_and_changes_nothing() {
    let mut ledger = Ledger::new(Box::new(Memory::new()), 16, 1);
    let raw = serde_json::value::to_raw_value(&serde_json::json!([{"type": "set", "path": "a", "value": "0123456789abcdef"}])).unwrap();
    let op = Op::Update { key: ItemKey::new("s", "g", "a"), ops: crate::ops::parse(&raw).unwrap(), raw: Json::copy(&raw) };
    assert_eq!(ledger.apply(op).unwrap_err().code, "STREAM_UPDATE_ERROR");
    assert!(ledger.is_clean());
}
