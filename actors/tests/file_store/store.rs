//! A file store and all that is in it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use weir_actors::adapter::file::{FileOptions, FileStore, FolderError};
use weir_actors::adapter::{Adapter, AdapterError, Head, Write};
use weir_actors::ids::{GroupKey, ItemKey};
use weir_actors::json::Json;

/// Opens with the default options, but for the room that must be free: a disk of the machine that runs the tests may be rather full.
pub(crate) fn open(path: &Path) -> Result<FileStore, FolderError> {
    FileStore::open(path, FileOptions { min_free_bytes: 0, ..FileOptions::default() })
}

pub(crate) fn json(text: &str) -> Json {
    Json::copy(serde_json::from_str(text).unwrap())
}

pub(crate) fn put(key: &ItemKey, value: &str) -> Write {
    Write::Put(key.clone(), json(value))
}

/// The text of an item's value.
pub(crate) fn get(store: &mut FileStore, key: &ItemKey) -> Option<String> {
    text(store.get(key).unwrap())
}

fn text(json: Option<Json>) -> Option<String> {
    json.map(|json| String::from_utf8(json.as_bytes().to_vec()).unwrap())
}

/// Commits as the store actor does, with the next number and timestamp for every group that is written.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writer {
    heads: HashMap<GroupKey, Head>,
}

impl Writer {
    pub(crate) fn commit(&mut self, store: &mut FileStore, writes: &[Write]) -> Result<(), AdapterError> {
        let mut heads = self.heads.clone();
        let mut written = Vec::new();
        for write in writes {
            let group = match write {
                Write::Put(key, _) | Write::Delete(key) => &key.group,
                Write::Touch(group) => group,
            };
            let head = heads.entry(group.clone()).or_default();
            *head = Head { seq: head.seq + 1, timestamp: head.timestamp + 1_000 };
            if !written.contains(group) {
                written.push(group.clone());
            }
        }
        let moved: Vec<_> = written.into_iter().map(|group| (group.clone(), heads[&group])).collect();
        store.commit(writes, &moved)?;
        self.heads = heads;
        Ok(())
    }

    pub(crate) fn head(&self, group: &GroupKey) -> Option<Head> {
        self.heads.get(group).copied()
    }
}

/// What an adapter answers to every question about some items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) epoch: u64,
    pub(crate) floor: Head,
    /// Every stream with its groups.
    pub(crate) streams: Vec<(String, Vec<String>)>,
    /// By stream.
    pub(crate) groups: BTreeMap<String, Vec<String>>,
    pub(crate) heads: BTreeMap<(String, String), Option<Head>>,
    /// In the order of the listing.
    pub(crate) lists: BTreeMap<(String, String), Vec<(String, String)>>,
    pub(crate) items: BTreeMap<(String, String, String), Option<String>>,
}

/// Asks about `keys`, all that ever were.
pub(crate) fn contents(store: &mut FileStore, keys: &[ItemKey]) -> Result<Contents, AdapterError> {
    let mut contents = Contents {
        epoch: store.epoch(),
        floor: store.floor(),
        streams: Vec::new(),
        groups: BTreeMap::new(),
        heads: BTreeMap::new(),
        lists: BTreeMap::new(),
        items: BTreeMap::new(),
    };
    let names = |names: Vec<weir_actors::ids::Name>| names.iter().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
    for (stream, groups) in store.list_all()?.wait()? {
        contents.streams.push((stream.as_str().to_owned(), names(groups)));
    }
    for key in keys {
        let (stream, group) = (key.group.stream().to_owned(), key.group.group().to_owned());
        let value = text(store.get(key)?);
        contents.items.insert((stream.clone(), group.clone(), key.item.as_str().to_owned()), value);
        if !contents.groups.contains_key(&stream) {
            contents.groups.insert(stream.clone(), names(store.list_groups(&stream)?.wait()?));
        }
        let group = (stream, group);
        if !contents.heads.contains_key(&group) {
            contents.heads.insert(group.clone(), store.head(&key.group)?);
            let items = store.list(&key.group)?.wait()?;
            let items = items.into_iter().map(|(name, json)| (name.as_str().to_owned(), text(Some(json)).unwrap_or_default()));
            contents.lists.insert(group, items.collect());
        }
    }
    Ok(contents)
}
