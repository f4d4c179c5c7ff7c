//! `KvStore` with `store_method: in_memory`: maps, gone with the process.

use std::collections::BTreeMap;

use super::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use crate::hash::HashMap;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

/// Items in memory.
pub struct Memory {
    streams: BTreeMap<Name, BTreeMap<Name, Group>>,
    epoch: u64,
}

/// Two maps, so that both a look-up by name and an insertion-ordered walk are cheap, and removal is not linear.
#[derive(Default)]
struct Group {
    places: HashMap<Name, u64>,
    items: BTreeMap<u64, (Name, Json)>,
    next: u64,
}

impl Memory {
    /// An empty store in an epoch of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { streams: BTreeMap::new(), epoch: rand::random() }
    }

    fn group(&self, key: &GroupKey) -> Option<&Group> {
        self.streams.get(key.stream())?.get(key.group())
    }

    fn put(&mut self, key: &ItemKey, value: Json) {
        // Looked up by `&str` first: a name is allocated for a new stream or group only.
        if !self.streams.contains_key(key.group.stream()) {
            self.streams.insert(key.group.stream().into(), BTreeMap::new());
        }
        let Some(groups) = self.streams.get_mut(key.group.stream()) else { return };
        if !groups.contains_key(key.group.group()) {
            groups.insert(key.group.group().into(), Group::default());
        }
        let Some(group) = groups.get_mut(key.group.group()) else { return };
        if let Some(held) = group.places.get(&key.item).and_then(|place| group.items.get_mut(place)) {
            held.1 = value;
            return;
        }
        group.places.insert(key.item.clone(), group.next);
        group.items.insert(group.next, (key.item.clone(), value));
        group.next += 1;
    }

    fn delete(&mut self, key: &ItemKey) {
        let Some(groups) = self.streams.get_mut(key.group.stream()) else { return };
        let Some(group) = groups.get_mut(key.group.group()) else { return };
        if let Some(place) = group.places.remove(&key.item) {
            group.items.remove(&place);
        }
        if group.items.is_empty() {
            groups.remove(key.group.group());
        }
        if groups.is_empty() {
            self.streams.remove(key.group.stream());
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Adapter for Memory {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        let Some(group) = self.group(&key.group) else { return Ok(None) };
        let place = group.places.get(&key.item);
        Ok(place.and_then(|place| group.items.get(place)).map(|(_, value)| value.clone()))
    }

    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        Ok(Read::Done(self.group(group).map(|group| group.items.values().cloned().collect()).unwrap_or_default()))
    }

    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        Ok(Read::Done(self.streams.get(stream).map(|groups| groups.keys().cloned().collect()).unwrap_or_default()))
    }

    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        Ok(Read::Done(self.streams.iter().map(|(stream, groups)| (stream.clone(), groups.keys().cloned().collect())).collect()))
    }

    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        Ok((!self.streams.contains_key(stream)).then_some(self.streams.len()))
    }

    fn commit(&mut self, writes: &[Write], _heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        for write in writes {
            match write {
                Write::Put(key, value) => self.put(key, value.clone()),
                Write::Delete(key) => self.delete(key),
                Write::Touch(_) => {}
            }
        }
        Ok(())
    }

    fn head(&mut self, _group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        Ok(None)
    }

    fn floor(&self) -> Head {
        Head::default()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
