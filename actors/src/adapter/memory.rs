//! `KvStore` with `store_method: in_memory`: maps, gone with the process.

use std::collections::{BTreeMap, BTreeSet};

use super::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use crate::hash::{HashMap, LinkedHashMap};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;

/// Items in memory.
pub struct Memory {
    /// In the order in which the items of each were created.
    groups: HashMap<GroupKey, LinkedHashMap<Name, Json>>,
    /// The names of streams and of their groups once more, sorted. Looked at only by what lists them, and by what makes or empties a group.
    streams: BTreeMap<Name, BTreeSet<Name>>,
    epoch: u64,
}

impl Memory {
    /// An empty store in an epoch of its own.
    #[must_use]
    pub fn new() -> Self {
        Self { groups: HashMap::default(), streams: BTreeMap::new(), epoch: rand::random() }
    }

    fn put(&mut self, key: &ItemKey, value: Json) {
        let Some(items) = self.groups.get_mut(&key.group) else {
            let (stream, group) = (key.group.stream().into(), key.group.group().into());
            self.streams.entry(stream).or_default().insert(group);
            self.groups.entry(key.group.clone()).or_default().insert(key.item.clone(), value);
            return;
        };
        // `insert` would also move an item that is there to the end.
        match items.get_mut(&key.item) {
            Some(held) => *held = value,
            None => drop(items.insert(key.item.clone(), value)),
        }
    }

    fn delete(&mut self, key: &ItemKey) {
        let Some(items) = self.groups.get_mut(&key.group) else { return };
        items.remove(&key.item);
        if !items.is_empty() {
            return;
        }
        self.groups.remove(&key.group);
        let Some(groups) = self.streams.get_mut(key.group.stream()) else { return };
        groups.remove(key.group.group());
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
        Ok(self.groups.get(&key.group).and_then(|items| items.get(&key.item)).cloned())
    }

    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        let copy = |items: &LinkedHashMap<Name, Json>| items.iter().map(|(item, value)| (item.clone(), value.clone())).collect();
        Ok(Read::Done(self.groups.get(group).map(copy).unwrap_or_default()))
    }

    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        Ok(Read::Done(self.streams.get(stream).map(|groups| groups.iter().cloned().collect()).unwrap_or_default()))
    }

    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        Ok(Read::Done(self.streams.iter().map(|(stream, groups)| (stream.clone(), groups.iter().cloned().collect())).collect()))
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
