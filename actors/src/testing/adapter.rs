//! The conformance suite of adapters.
//!
//! ```
//! use weir_actors::adapter::memory::Memory;
//! use weir_actors::testing::adapter::{Lasts, conforms};
//!
//! conforms(&mut |_fresh| Box::new(Memory::new()), Lasts::No);
//! ```

#![allow(clippy::panic, clippy::expect_used, reason = "a check that fails panics, as a test does")]

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::adapter::{Adapter, Head, Items, Streams, Write};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

/// Whether what is stored outlasts the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasts {
    /// It is gone with the adapter.
    No,
    /// The next adapter of the same place has it.
    Yes,
}

/// Makes an adapter: on an empty place with `true`, on the place of the one before, which is closed then, with `false`.
pub type Open<'a> = dyn FnMut(bool) -> Box<dyn Adapter> + 'a;

/// Runs every check.
///
/// # Panics
/// Where the adapter does not do what it must, with what was expected.
pub fn conforms(open: &mut Open<'_>, lasts: Lasts) {
    values_are_stored_and_removed(&mut *open(true));
    stored_null_is_a_value(&mut *open(true));
    updates_keep_their_place_and_what_comes_back_goes_to_the_end(&mut *open(true));
    writes_of_one_batch_apply_in_order(&mut *open(true));
    groups_and_streams_are_listed_while_they_hold_an_item(&mut *open(true));
    streams_are_counted_while_they_hold_an_item(open, lasts);
    names_of_any_kind_are_kept_apart(&mut *open(true));
    values_come_back_byte_for_byte(&mut *open(true));
    large_groups_are_listed_whole_and_as_they_were_when_asked_for(&mut *open(true));
    random_writes_agree_with_a_model(open, lasts);
    if lasts == Lasts::Yes {
        heads_outlast_the_adapter(open);
        heads_never_fall_below_what_a_group_had(open);
    }
}

fn json(text: &str) -> Json {
    Json::assembled(text)
}

fn put(item: &ItemKey, value: &str) -> Write {
    Write::Put(item.clone(), json(value))
}

/// Commits with heads that nobody looks at.
fn commit(adapter: &mut dyn Adapter, writes: &[Write]) {
    let mut heads: Vec<(GroupKey, Head)> = Vec::new();
    for write in writes {
        let group = match write {
            Write::Put(key, _) | Write::Delete(key) => &key.group,
            Write::Touch(group) => group,
        };
        if !heads.iter().any(|(known, _)| known == group) {
            heads.push((group.clone(), Head { seq: 1, timestamp: 1 }));
        }
    }
    adapter.commit(writes, &heads).expect("commit");
}

fn get(adapter: &mut dyn Adapter, item: &ItemKey) -> Option<String> {
    let value = adapter.get(item).expect("get");
    value.map(|json| String::from_utf8(json.as_bytes().to_vec()).expect("JSON is UTF-8"))
}

fn list(adapter: &mut dyn Adapter, group: &GroupKey) -> Items {
    adapter.list(group).expect("list").wait().expect("list")
}

fn names(items: &Items) -> Vec<&str> {
    items.iter().map(|(name, _)| name.as_str()).collect()
}

fn list_groups(adapter: &mut dyn Adapter, stream: &str) -> Vec<String> {
    let groups = adapter.list_groups(stream).expect("list_groups").wait().expect("list_groups");
    groups.iter().map(|name| name.as_str().to_owned()).collect()
}

fn list_all(adapter: &mut dyn Adapter) -> Streams {
    adapter.list_all().expect("list_all").wait().expect("list_all")
}

fn all(streams: &Streams) -> Vec<(&str, Vec<&str>)> {
    streams.iter().map(|(stream, groups)| (stream.as_str(), groups.iter().map(Name::as_str).collect())).collect()
}

fn values_are_stored_and_removed(adapter: &mut dyn Adapter) {
    let item = ItemKey::new("s", "g", "i");
    assert_eq!(get(adapter, &item), None);
    commit(adapter, &[put(&item, "1")]);
    assert_eq!(get(adapter, &item).as_deref(), Some("1"));
    commit(adapter, &[put(&item, "{\"a\":[2]}")]);
    assert_eq!(get(adapter, &item).as_deref(), Some("{\"a\":[2]}"));
    assert_eq!(get(adapter, &ItemKey::new("s", "g", "other")), None);
    assert_eq!(get(adapter, &ItemKey::new("s", "other", "i")), None);
    assert_eq!(get(adapter, &ItemKey::new("other", "g", "i")), None);
    commit(adapter, &[Write::Delete(item.clone())]);
    assert_eq!(get(adapter, &item), None);
    commit(adapter, &[Write::Delete(item.clone()), Write::Delete(ItemKey::new("no", "such", "item"))]);
    assert_eq!(get(adapter, &item), None);
}

fn stored_null_is_a_value(adapter: &mut dyn Adapter) {
    let item = ItemKey::new("s", "g", "i");
    commit(adapter, &[put(&item, "null")]);
    assert_eq!(get(adapter, &item).as_deref(), Some("null"));
    assert_eq!(names(&list(adapter, &item.group)), ["i"]);
}

fn updates_keep_their_place_and_what_comes_back_goes_to_the_end(adapter: &mut dyn Adapter) {
    let group = GroupKey::new("s", "g");
    let item = |name: &str| ItemKey { group: group.clone(), item: name.into() };
    for name in ["c", "a", "b"] {
        commit(adapter, &[put(&item(name), "1")]);
    }
    commit(adapter, &[put(&item("c"), "2")]);
    assert_eq!(names(&list(adapter, &group)), ["c", "a", "b"]);
    commit(adapter, &[Write::Delete(item("c"))]);
    commit(adapter, &[put(&item("c"), "3")]);
    assert_eq!(names(&list(adapter, &group)), ["a", "b", "c"]);
    commit(adapter, &[Write::Delete(item("a")), put(&item("a"), "4")]);
    assert_eq!(names(&list(adapter, &group)), ["b", "c", "a"]);
}

fn writes_of_one_batch_apply_in_order(adapter: &mut dyn Adapter) {
    let group = GroupKey::new("s", "g");
    let item = |name: &str| ItemKey { group: group.clone(), item: name.into() };
    let (a, b, c) = (item("a"), item("b"), item("c"));
    commit(
        adapter,
        &[put(&a, "1"), put(&b, "1"), put(&a, "2"), Write::Delete(b.clone()), put(&c, "1"), put(&b, "3"), Write::Touch(group.clone())],
    );
    assert_eq!(get(adapter, &a).as_deref(), Some("2"));
    assert_eq!(names(&list(adapter, &group)), ["a", "c", "b"]);
    commit(adapter, &[put(&item("d"), "1"), Write::Delete(item("d"))]);
    assert_eq!(get(adapter, &item("d")), None);
    assert_eq!(names(&list(adapter, &group)), ["a", "c", "b"]);
}

fn groups_and_streams_are_listed_while_they_hold_an_item(adapter: &mut dyn Adapter) {
    assert!(list_all(adapter).is_empty());
    let keys = [("b", "2"), ("a", "1"), ("b", "1"), ("b", "10")].map(|(stream, group)| ItemKey::new(stream, group, "i"));
    for key in &keys {
        commit(adapter, &[put(key, "1")]);
    }
    commit(adapter, &[Write::Touch(GroupKey::new("c", "only an event"))]);
    assert_eq!(all(&list_all(adapter)), [("a", vec!["1"]), ("b", vec!["1", "10", "2"])]);
    assert_eq!(list_groups(adapter, "b"), ["1", "10", "2"]);
    assert!(list_groups(adapter, "c").is_empty());
    commit(adapter, &[Write::Delete(keys[1].clone()), Write::Delete(keys[0].clone())]);
    assert_eq!(all(&list_all(adapter)), [("b", vec!["1", "10"])]);
    assert!(list_groups(adapter, "a").is_empty());
    commit(adapter, &[put(&keys[1], "1")]);
    assert_eq!(list_groups(adapter, "a"), ["1"]);
    commit(adapter, &[put(&ItemKey::new("x", "y", "z"), "1"), Write::Delete(ItemKey::new("x", "y", "z"))]);
    assert_eq!(all(&list_all(adapter)), [("a", vec!["1"]), ("b", vec!["1", "10"])]);
}

fn streams_are_counted_while_they_hold_an_item(open: &mut Open<'_>, lasts: Lasts) {
    let before = |adapter: &mut dyn Adapter, stream: &str| adapter.streams_before(stream).expect("streams_before");
    let mut adapter = open(true);
    let key = |stream: &str, group: &str| ItemKey::new(stream, group, "i");
    for asked in [true, false] {
        // Whether it was asked before it was written to must not matter.
        if asked {
            assert_eq!(before(&mut *adapter, "a"), Some(0));
        }
        commit(&mut *adapter, &[put(&key("a", "1"), "1"), put(&key("b", "1"), "1"), put(&key("a", "2"), "1")]);
        commit(&mut *adapter, &[put(&key("a", "1"), "2"), Write::Touch(GroupKey::new("c", "only an event"))]);
        for (stream, streams) in [("a", None), ("b", None), ("c", Some(2))] {
            assert_eq!(before(&mut *adapter, stream), streams, "{stream}");
        }
        commit(&mut *adapter, &[Write::Delete(key("a", "1"))]);
        assert_eq!((before(&mut *adapter, "a"), before(&mut *adapter, "c")), (None, Some(2)));
        commit(&mut *adapter, &[Write::Delete(key("a", "2")), put(&key("x", "1"), "1"), Write::Delete(key("x", "1"))]);
        assert_eq!((before(&mut *adapter, "a"), before(&mut *adapter, "x")), (Some(1), Some(1)));
        commit(&mut *adapter, &[Write::Delete(key("b", "1")), put(&key("b", "2"), "1")]);
        assert_eq!((before(&mut *adapter, "a"), before(&mut *adapter, "b")), (Some(1), None));
        if lasts == Lasts::Yes {
            drop(adapter);
            adapter = open(false);
            assert_eq!((before(&mut *adapter, "a"), before(&mut *adapter, "b")), (Some(1), None));
        }
        drop(adapter);
        adapter = open(true);
    }
}

fn names_of_any_kind_are_kept_apart(adapter: &mut dyn Adapter) {
    let odd = ["", "a", "a:b", "b:c", ":", "\0", "a\0", "é", "e\u{301}", "%3A", "../..", "a/b", "😀", "stream:a:b", "\u{10ffff}"];
    let mut keys = Vec::new();
    for stream in odd {
        for group in odd {
            keys.push(ItemKey::new(stream, group, "i"));
        }
        keys.push(ItemKey::new("items", "g", stream));
    }
    let long = "n".repeat(512);
    keys.push(ItemKey::new(&long, &long, &long));
    let writes: Vec<_> = keys.iter().enumerate().map(|(n, key)| put(key, &n.to_string())).collect();
    commit(adapter, &writes);
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(get(adapter, key), Some(n.to_string()), "{key:?}");
    }
    assert_eq!(list(adapter, &GroupKey::new("items", "g")).len(), odd.len());
    let mut sorted = odd.to_vec();
    sorted.sort_unstable();
    assert_eq!(list_groups(adapter, "a:b"), sorted);
    commit(adapter, &keys.iter().map(|key| Write::Delete(key.clone())).collect::<Vec<_>>());
    assert!(list_all(adapter).is_empty());
}

fn values_come_back_byte_for_byte(adapter: &mut dyn Adapter) {
    let long = format!("\"{}\"", "x".repeat(3 << 20));
    let values =
        ["1.0", "1e400", "-0", "12345678901234567890123", "\"\\u0000\\ud800\"", "{\"b\":1,\"a\":2,\"b\":3}", "[ ]", "\"😀\"", &long];
    for (n, value) in values.iter().enumerate() {
        let item = ItemKey::new("s", "g", &n.to_string());
        commit(adapter, &[put(&item, value)]);
        assert_eq!(get(adapter, &item).as_deref(), Some(*value));
    }
    for ((_, held), value) in list(adapter, &GroupKey::new("s", "g")).iter().zip(values) {
        assert_eq!(held.as_bytes(), value.as_bytes());
    }
}

fn large_groups_are_listed_whole_and_as_they_were_when_asked_for(adapter: &mut dyn Adapter) {
    const ITEMS: usize = 3_000;
    let group = GroupKey::new("s", "g");
    // Not in the order of their names.
    let item = |n: usize| ItemKey { group: group.clone(), item: format!("{:x}", n * 7_919 % 100_003).as_str().into() };
    for n in (0..ITEMS).step_by(100) {
        commit(adapter, &(n..n + 100).map(|n| put(&item(n), &n.to_string())).collect::<Vec<_>>());
    }
    let pending = adapter.list(&group).expect("list");
    let all_pending = adapter.list_all().expect("list_all");
    let groups_pending = adapter.list_groups("s").expect("list_groups");
    commit(adapter, &[put(&item(0), "\"changed\""), Write::Delete(item(1)), put(&ItemKey::new("t", "g", "i"), "1")]);
    let before = pending.wait().expect("list");
    assert_eq!(before.len(), ITEMS);
    for (n, (name, value)) in before.iter().enumerate() {
        assert_eq!((name, value.as_bytes()), (&item(n).item, n.to_string().as_bytes()));
    }
    assert_eq!(all(&all_pending.wait().expect("list_all")), [("s", vec!["g"])]);
    assert_eq!(groups_pending.wait().expect("list_groups").len(), 1);
    let after = list(adapter, &group);
    assert_eq!((after.len(), after[0].1.as_bytes()), (ITEMS - 1, &b"\"changed\""[..]));
}

/// What an adapter must hold: the items of each group in order, and each group's head.
#[derive(Default)]
struct Model {
    groups: BTreeMap<(String, String), Vec<(String, String)>>,
}

impl Model {
    fn apply(&mut self, write: &Write) {
        match write {
            Write::Put(key, json) => {
                let text = String::from_utf8(json.as_bytes().to_vec()).expect("JSON is UTF-8");
                let items = self.groups.entry((key.group.stream().into(), key.group.group().into())).or_default();
                match items.iter_mut().find(|(name, _)| name == key.item.as_str()) {
                    Some(item) => item.1 = text,
                    None => items.push((key.item.as_str().into(), text)),
                }
            }
            Write::Delete(key) => {
                let group = (key.group.stream().to_owned(), key.group.group().to_owned());
                if let Some(items) = self.groups.get_mut(&group) {
                    items.retain(|(name, _)| name != key.item.as_str());
                    if items.is_empty() {
                        self.groups.remove(&group);
                    }
                }
            }
            Write::Touch(_) => {}
        }
    }

    fn agrees(&self, adapter: &mut dyn Adapter) {
        let mut streams: Vec<(&str, Vec<&str>)> = Vec::new();
        for ((stream, group), items) in &self.groups {
            match streams.last_mut().filter(|(last, _)| last == stream) {
                Some((_, groups)) => groups.push(group),
                None => streams.push((stream, vec![group])),
            }
            let held = list(adapter, &GroupKey::new(stream, group));
            let held: Vec<_> = held.iter().map(|(name, json)| (name.as_str(), json.as_bytes())).collect();
            let expected: Vec<_> = items.iter().map(|(name, json)| (name.as_str(), json.as_bytes())).collect();
            assert_eq!(held, expected, "{stream} {group}");
        }
        assert_eq!(all(&list_all(adapter)), streams);
    }
}

fn random_writes_agree_with_a_model(open: &mut Open<'_>, lasts: Lasts) {
    let mut adapter = open(true);
    let mut model = Model::default();
    let mut random = StdRng::seed_from_u64(3);
    for round in 0..200 {
        let writes: Vec<_> = (0..random.random_range(1..20))
            .map(|n| {
                let key = ItemKey::new(
                    &random.random_range(0..3).to_string(),
                    &random.random_range(0..3).to_string(),
                    &random.random_range(0..8).to_string(),
                );
                match random.random_range(0..10) {
                    0..6 => put(&key, &format!("{}", round * 100 + n)),
                    6..9 => Write::Delete(key),
                    _ => Write::Touch(key.group),
                }
            })
            .collect();
        // Some of what is written was read just before, as the store does it, and some was not.
        for write in &writes {
            if let (Write::Put(key, _) | Write::Delete(key), true) = (write, random.random_bool(0.5)) {
                drop(adapter.get(key).expect("get"));
            }
        }
        commit(&mut *adapter, &writes);
        writes.iter().for_each(|write| model.apply(write));
        if round % 20 == 0 {
            model.agrees(&mut *adapter);
            if lasts == Lasts::Yes {
                drop(adapter);
                adapter = open(false);
                model.agrees(&mut *adapter);
            }
        }
    }
    model.agrees(&mut *adapter);
}

fn heads_outlast_the_adapter(open: &mut Open<'_>) {
    let mut adapter = open(true);
    let epoch = adapter.epoch();
    let item = ItemKey::new("s", "g", "i");
    let head = Head { seq: 7, timestamp: 1_767_225_600_123 };
    adapter.commit(&[put(&item, "1")], &[(item.group.clone(), Head { seq: 6, timestamp: 1_767_225_600_122 })]).expect("commit");
    adapter.commit(&[Write::Touch(item.group.clone())], &[(item.group.clone(), head)]).expect("commit");
    assert_eq!(adapter.head(&item.group).expect("head"), Some(head));
    drop(adapter);
    let mut adapter = open(false);
    assert_eq!((adapter.epoch(), adapter.head(&item.group).expect("head")), (epoch, Some(head)));
}

fn heads_never_fall_below_what_a_group_had(open: &mut Open<'_>) {
    let mut adapter = open(true);
    let (gone, sent) = (ItemKey::new("s", "gone", "i"), GroupKey::new("t", "only events"));
    let head = |seq, timestamp| Head { seq, timestamp };
    adapter.commit(&[put(&gone, "1")], &[(gone.group.clone(), head(1, 1_000))]).expect("commit");
    adapter.commit(&[Write::Delete(gone.clone())], &[(gone.group.clone(), head(2, 5_000))]).expect("commit");
    adapter.commit(&[Write::Touch(sent.clone())], &[(sent.clone(), head(9, 3_000))]).expect("commit");
    drop(adapter);
    let mut adapter = open(false);
    for (group, least) in [(&gone.group, head(2, 5_000)), (&sent, head(9, 3_000))] {
        let start = adapter.head(group).expect("head").unwrap_or_else(|| adapter.floor());
        assert!(start.seq >= least.seq && start.timestamp >= least.timestamp, "{group:?} would start at {start:?}, below {least:?}");
    }
}
