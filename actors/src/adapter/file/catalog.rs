//! Which streams and groups there are, under which ids, and what a batch makes of them.

use std::collections::hash_map::Entry;

use rocksdb::{DB, ReadOptions, WriteBatch};

use super::keys::{self, GroupRecord, Meta, StreamRecord};
use super::shared::Shared;
use super::view::{json_of, scan};
use crate::adapter::{AdapterError, Head, Write};
use crate::hash::{HashMap, Lru};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

/// Groups, and as many streams, whose records are kept at hand.
const CACHED: usize = 65_536;
/// Items that were read lately, so that a write of what was just read need not read it again.
const SEEN: usize = 8_192;

/// Where an item stands in its group, and how long its value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    place: u64,
    bytes: u64,
}

/// The catalog as the last commit left it.
pub(super) struct Catalog {
    meta: Meta,
    streams: Lru<Box<str>, StreamRecord>,
    /// How many there are, once somebody has asked: a start need not wait for it.
    count: Option<usize>,
    groups: Lru<GroupKey, GroupRecord>,
    seen: HashMap<ItemKey, Option<Place>>,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A batch that is ready to be written, and what the catalog is once it is.
pub(super) struct Staged {
    pub(super) batch: WriteBatch,
    pub(super) removed: Removed,
    meta: Meta,
    streams: HashMap<Box<str>, (Option<StreamRecord>, StreamRecord)>,
    groups: HashMap<GroupKey, StagedGroup>,
}

/// Items that a batch removes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Removed {
    pub(super) items: u64,
    pub(super) bytes: u64,
}

struct StagedGroup {
    before: Option<GroupRecord>,
    now: GroupRecord,
    items: HashMap<Name, StagedItem>,
}

struct StagedItem {
    before: Option<Place>,
    now: Option<(Place, Json)>,
    written: bool,
}

impl Catalog {
    pub(super) fn new(meta: Meta) -> Self {
        Self {
            meta,
            streams: Lru::with_hasher(CACHED, Default::default()),
            count: None,
            groups: Lru::with_hasher(CACHED, Default::default()),
            seen: HashMap::default(),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    pub(super) fn meta(&self) -> Meta {
        self.meta
    }

    pub(super) fn stream(&mut self, store: &Shared, name: &str) -> Result<Option<StreamRecord>, AdapterError> {
        if let Some(record) = self.streams.get(name) {
            return Ok(Some(*record));
        }
        let record = read(store, &keys::stream(name), StreamRecord::decode, "the record of a stream")?;
        if let Some(record) = record {
            self.streams.insert(name.into(), record);
        }
        Ok(record)
    }

    /// How many streams there are; `None` where this is one of them.
    pub(super) fn streams_before(&mut self, store: &Shared, name: &str) -> Result<Option<usize>, AdapterError> {
        if self.stream(store, name)?.is_some() {
            return Ok(None);
        }
        if self.count.is_none() {
            let mut count = 0;
            scan(
                &store.db,
                ReadOptions::default(),
                keys::streams(),
                |error| store.fault(&error),
                |_, _| {
                    count += 1;
                    Ok(())
                },
            )?;
            self.count = Some(count);
        }
        Ok(self.count)
    }

    pub(super) fn group(&mut self, store: &Shared, group: &GroupKey) -> Result<Option<GroupRecord>, AdapterError> {
        if let Some(record) = self.groups.get(group) {
            return Ok(Some(*record));
        }
        let Some(stream) = self.stream(store, group.stream())? else { return Ok(None) };
        let record = read(store, &keys::group(stream.id, group.group()), GroupRecord::decode, "the record of a group")?;
        if let Some(record) = record {
            self.groups.insert(group.clone(), record);
        }
        Ok(record)
    }

    pub(super) fn get(&mut self, store: &Shared, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        let Some(group) = self.group(store, &key.group)? else { return Ok(None) };
        keys::item_into(&mut self.key, group.id, key.item.as_str());
        let found = store.db.get_pinned(&self.key).map_err(|error| store.fault(&error))?;
        let (place, json) = match &found {
            None => (None, None),
            Some(value) => {
                let (place, json) = keys::place_and_json(value).ok_or_else(|| store.damaged("the record of an item"))?;
                (Some(Place { place, bytes: json.len() as u64 }), Some(json_of(json)))
            }
        };
        if self.seen.len() >= SEEN {
            self.seen.clear();
        }
        self.seen.insert(key.clone(), place);
        Ok(json)
    }

    fn place(&mut self, store: &Shared, group: Option<GroupRecord>, key: &ItemKey) -> Result<Option<Place>, AdapterError> {
        match self.seen.get(key) {
            Some(place) => Ok(*place),
            None if group.is_none() => Ok(None),
            None => {
                self.get(store, key)?;
                Ok(self.seen.get(key).copied().flatten())
            }
        }
    }

    /// What these writes come to. Nothing has happened yet.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn stage(&mut self, store: &Shared, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<Staged, AdapterError> {
        let mut staged = Staged {
            batch: WriteBatch::default(),
            removed: Removed::default(),
            meta: self.meta,
            streams: HashMap::default(),
            groups: HashMap::default(),
        };
        for write in writes {
            match write {
                Write::Touch(group) => {
                    self.stage_group(store, &mut staged, group)?;
                }
                Write::Put(key, json) => {
                    let (group, item) = self.stage_item(store, &mut staged, key)?;
                    let bytes = json.as_bytes().len() as u64;
                    let place = match item.now.take() {
                        Some((held, _)) => {
                            group.bytes = group.bytes.saturating_sub(held.bytes);
                            held.place
                        }
                        None => {
                            group.items += 1;
                            group.next_place += 1;
                            group.next_place - 1
                        }
                    };
                    group.bytes += bytes;
                    item.now = Some((Place { place, bytes }, json.clone()));
                    item.written = true;
                }
                Write::Delete(key) => {
                    let (group, item) = self.stage_item(store, &mut staged, key)?;
                    if let Some((held, _)) = item.now.take() {
                        group.items = group.items.saturating_sub(1);
                        group.bytes = group.bytes.saturating_sub(held.bytes);
                    }
                }
            }
        }
        for (group, head) in heads {
            self.stage_group(store, &mut staged, group)?.now.head = *head;
        }
        self.write(store, &mut staged)?;
        Ok(staged)
    }

    fn stage_group<'s>(&mut self, store: &Shared, staged: &'s mut Staged, group: &GroupKey) -> Result<&'s mut StagedGroup, AdapterError> {
        Ok(match staged.groups.entry(group.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.group(store, group)?;
                let now = before.unwrap_or(GroupRecord { id: 0, head: Head::default(), next_place: 0, items: 0, bytes: 0 });
                entry.insert(StagedGroup { before, now, items: HashMap::default() })
            }
        })
    }

    fn stage_item<'s>(
        &mut self,
        store: &Shared,
        staged: &'s mut Staged,
        key: &ItemKey,
    ) -> Result<(&'s mut GroupRecord, &'s mut StagedItem), AdapterError> {
        let StagedGroup { before, now, items } = self.stage_group(store, staged, &key.group)?;
        let item = match items.entry(key.item.clone()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let before = self.place(store, *before, key)?;
                entry.insert(StagedItem { before, now: before.map(|place| (place, Json::NULL)), written: false })
            }
        };
        Ok((now, item))
    }

    /// Turns what was staged into records.
    fn write(&mut self, store: &Shared, staged: &mut Staged) -> Result<(), AdapterError> {
        let Staged { batch, removed, meta, streams, groups } = staged;
        for (key, group) in groups.iter_mut() {
            let (existed, exists) = (group.before.is_some(), group.now.items > 0);
            if existed != exists {
                let stream = match streams.entry(key.stream().into()) {
                    Entry::Occupied(entry) => entry.into_mut(),
                    Entry::Vacant(entry) => {
                        let before = self.stream(store, key.stream())?;
                        entry.insert((before, before.unwrap_or(StreamRecord { id: 0, groups: 0 })))
                    }
                };
                if exists {
                    if stream.1.id == 0 {
                        stream.1.id = next_id(meta);
                    }
                    group.now.id = next_id(meta);
                    stream.1.groups += 1;
                    batch.put(keys::group(stream.1.id, key.group()), group.now.encode());
                } else {
                    stream.1.groups = stream.1.groups.saturating_sub(1);
                    batch.delete(keys::group(stream.1.id, key.group()));
                }
            } else if exists && group.before != Some(group.now) {
                let stream = self.stream(store, key.stream())?.ok_or_else(|| store.damaged("the stream of a group"))?;
                batch.put(keys::group(stream.id, key.group()), group.now.encode());
            }
            if !exists {
                // A group that comes back must not count from where its subscribers have been before.
                meta.floor = meta.floor.max(group.now.head);
            }
            for (name, item) in &group.items {
                keys::item_into(&mut self.key, group.now.id, name.as_str());
                match &item.now {
                    Some((place, json)) if item.written => {
                        keys::item_value_into(&mut self.value, place.place, json.as_bytes());
                        batch.put(&self.key, &self.value);
                    }
                    Some(_) => {}
                    None => {
                        if let Some(before) = item.before {
                            batch.delete(&self.key);
                            removed.items += 1;
                            removed.bytes += before.bytes;
                        }
                    }
                }
            }
        }
        for (name, (before, now)) in streams.iter() {
            if now.groups > 0 {
                batch.put(keys::stream(name), now.encode());
            } else if before.is_some() {
                batch.delete(keys::stream(name));
            }
        }
        if *meta != self.meta {
            batch.put(keys::META, meta.encode());
        }
        Ok(())
    }

    /// The batch was written.
    pub(super) fn accept(&mut self, staged: Staged) {
        self.meta = staged.meta;
        self.seen.clear();
        for (name, (before, now)) in staged.streams {
            let exists = now.groups > 0;
            self.count = self.count.map(|count| (count + usize::from(exists)).saturating_sub(usize::from(before.is_some())));
            if exists {
                self.streams.insert(name, now);
            } else {
                self.streams.remove(&*name);
            }
        }
        for (key, group) in staged.groups {
            if group.now.items > 0 {
                self.groups.insert(key, group.now);
            } else {
                self.groups.remove(&key);
            }
        }
    }

    /// The batch was not written.
    pub(super) fn refuse(&mut self) {
        self.seen.clear();
    }
}

fn next_id(meta: &mut Meta) -> u64 {
    meta.next_id += 1;
    meta.next_id - 1
}

/// The store's own record.
pub(super) fn read_meta(db: &DB) -> Result<Option<Meta>, rocksdb::Error> {
    Ok(db.get_pinned(keys::META)?.and_then(|value| Meta::decode(&value)))
}

fn read<T>(store: &Shared, key: &[u8], decode: impl Fn(&[u8]) -> Option<T>, what: &str) -> Result<Option<T>, AdapterError> {
    match store.db.get_pinned(key).map_err(|error| store.fault(&error))? {
        None => Ok(None),
        Some(value) => decode(&value).map(Some).ok_or_else(|| store.damaged(what)),
    }
}
