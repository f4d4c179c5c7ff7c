//! Reading a file store: at the newest commit, or at the one where a [`View`] was taken, on any thread.

use std::sync::Arc;

use rocksdb::{DB, ReadOptions};
use self_cell::self_cell;

use super::keys;
use super::shared::Shared;
use crate::adapter::{AdapterError, Items, Streams};
use crate::ids::Name;
use crate::json::Json;

pub(super) type Snapshot<'a> = rocksdb::SnapshotWithThreadMode<'a, DB>;

self_cell!(
    /// All that was committed when it was taken. It holds the store open.
    pub(super) struct View {
        owner: Arc<Shared>,
        #[covariant]
        dependent: Snapshot,
    }
);

/// Reads ahead by this much when more than a few items are read in a row.
const READ_AHEAD_BYTES: usize = 256 << 10;

impl View {
    pub(super) fn take(store: &Arc<Shared>) -> Self {
        Self::new(store.clone(), |store| store.db.snapshot())
    }

    /// Calls `each` with every key and value of a range, in the order of the keys.
    pub(super) fn walk<E: From<AdapterError>>(
        &self,
        range: (Vec<u8>, Vec<u8>),
        each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let store = self.borrow_owner();
        let mut options = ReadOptions::default();
        options.set_snapshot(self.borrow_dependent());
        options.fill_cache(false);
        options.set_readahead_size(READ_AHEAD_BYTES);
        scan(&store.db, options, range, |error| store.fault(&error).into(), each)
    }

    /// The id of a stream that holds an item.
    pub(super) fn stream(&self, name: &str) -> Result<Option<u64>, AdapterError> {
        let store = self.borrow_owner();
        let found = self.borrow_dependent().get_pinned(keys::stream(name)).map_err(|error| store.fault(&error))?;
        let Some(value) = found else { return Ok(None) };
        let record = keys::StreamRecord::decode(&value).ok_or_else(|| store.damaged("the record of a stream"))?;
        Ok(Some(record.id))
    }

    pub(super) fn items(&self, group: u64) -> Result<Items, AdapterError> {
        let mut items = Collector::default();
        self.walk(keys::items_of(group), |key, value| items.take(self.borrow_owner(), key, value))?;
        Ok(items.sorted())
    }

    pub(super) fn groups(&self, stream: u64) -> Result<Vec<Name>, AdapterError> {
        let mut names = Vec::new();
        self.walk(keys::groups_of(stream), |key, _| {
            names.push(name_of(self.borrow_owner(), key)?.1);
            Ok::<_, AdapterError>(())
        })?;
        Ok(names)
    }

    pub(super) fn streams(&self) -> Result<Streams, AdapterError> {
        let store = self.borrow_owner();
        // Groups are sorted by the id of their stream, streams by name.
        let mut by_id: Vec<(u64, usize)> = Vec::new();
        let mut streams: Streams = Vec::new();
        self.walk(keys::streams(), |key, value| {
            let name = keys::stream_name(key).ok_or_else(|| store.damaged("the name of a stream"))?;
            let record = keys::StreamRecord::decode(value).ok_or_else(|| store.damaged("the record of a stream"))?;
            by_id.push((record.id, streams.len()));
            streams.push((name.into(), Vec::new()));
            Ok::<_, AdapterError>(())
        })?;
        by_id.sort_unstable();
        let mut place = 0;
        self.walk(keys::groups(), |key, _| {
            let (stream, name) = name_of(store, key)?;
            while by_id.get(place).is_some_and(|(id, _)| *id < stream) {
                place += 1;
            }
            let (_, index) = by_id.get(place).filter(|(id, _)| *id == stream).ok_or_else(|| store.damaged("a group without a stream"))?;
            streams[*index].1.push(name);
            Ok::<_, AdapterError>(())
        })?;
        Ok(streams)
    }
}

/// All items of a group at the newest commit; for groups that are known to be small.
pub(super) fn few_items(store: &Shared, group: u64) -> Result<Items, AdapterError> {
    let mut items = Collector::default();
    let fault = |error: rocksdb::Error| store.fault(&error);
    scan(&store.db, ReadOptions::default(), keys::items_of(group), fault, |key, value| items.take(store, key, value))?;
    Ok(items.sorted())
}

#[derive(Default)]
struct Collector(Vec<(u64, (Name, Json))>);

impl Collector {
    fn take(&mut self, store: &Shared, key: &[u8], value: &[u8]) -> Result<(), AdapterError> {
        let (_, name) = name_of(store, key)?;
        let (place, json) = keys::place_and_json(value).ok_or_else(|| store.damaged("the record of an item"))?;
        self.0.push((place, (name, json_of(json))));
        Ok(())
    }

    fn sorted(mut self) -> Items {
        self.0.sort_unstable_by_key(|(place, _)| *place);
        self.0.into_iter().map(|(_, item)| item).collect()
    }
}

/// A stored value, which was checked before it was stored and by a checksum since.
pub(super) fn json_of(text: &[u8]) -> Json {
    Json::assembled(text)
}

fn name_of(store: &Shared, key: &[u8]) -> Result<(u64, Name), AdapterError> {
    let (id, name) = keys::id_and_name(key).ok_or_else(|| store.damaged("a key"))?;
    Ok((id, name.into()))
}

/// Calls `each` with every key and value of a range, in the order of the keys, until it fails; `fault` turns what RocksDB says into an error.
pub(super) fn scan<E>(
    db: &DB,
    mut options: ReadOptions,
    (from, to): (Vec<u8>, Vec<u8>),
    fault: impl FnOnce(rocksdb::Error) -> E,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    options.set_iterate_lower_bound(from);
    options.set_iterate_upper_bound(to);
    let mut iterator = db.raw_iterator_opt(options);
    iterator.seek_to_first();
    while let Some((key, value)) = iterator.item() {
        each(key, value)?;
        iterator.next();
    }
    iterator.status().map_err(fault)
}
