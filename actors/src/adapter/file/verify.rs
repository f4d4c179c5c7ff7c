//! Reads through all of a file store and says what does not fit.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use rocksdb::{DB, ReadOptions};
use serde::{Deserialize, Serialize};

use super::FileStoreHandle;
use super::error::FolderError;
use super::folder::{self, Claim, Holds};
use super::keys::{self, GroupRecord, Meta, StreamRecord};
use super::logs::{self, Torn};
use super::maintain::closed;
use super::manifest;
use super::open::Recovery;
use super::repair::StandIn;
use super::view::{Snapshot, scan};
use crate::json::{self, MAX_DEPTH};

/// Problems that are told one by one; the others are counted.
const TOLD: usize = 100;
/// Reads ahead by this much.
const READ_AHEAD_BYTES: usize = 1 << 20;

/// What reading through a store has shown.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Verification {
    /// Streams that hold an item.
    pub streams: u64,
    /// Groups that hold an item.
    pub groups: u64,
    /// Items that could be read.
    pub items: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// What is wrong; empty where nothing is.
    pub problems: Vec<String>,
    /// How many problems were found beyond those.
    pub more_problems: u64,
    /// What is no damage but worth knowing.
    pub notes: Vec<String>,
}

impl Verification {
    fn problem(&mut self, text: String) {
        if self.problems.len() < TOLD {
            self.problems.push(text);
        } else {
            self.more_problems += 1;
        }
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.is_empty()
    }
}

impl FileStoreHandle {
    /// Reads through all of the store while it is in use.
    ///
    /// # Errors
    /// Where the store is closed.
    pub fn verify(&self) -> Result<Verification, FolderError> {
        let store = self.0.upgrade().ok_or_else(closed)?;
        Ok(verify_db(&store.db, &store.db.snapshot()))
    }
}

/// Reads through all of the store in the folder `path`, which no server uses. A damaged one as well, as far as it goes; nothing is changed.
///
/// # Errors
/// Where there is no store, or so little of one that it cannot be opened.
pub fn verify(path: &Path) -> Result<Verification, FolderError> {
    if folder::inspect(path)? == Holds::Nothing {
        return Err(FolderError::NoStore { path: path.into() });
    }
    let _claim = Claim::to_read(path)?;
    verify_folder(path)
}

pub(super) fn verify_folder(path: &Path) -> Result<Verification, FolderError> {
    let db = folder::db_of(path);
    let manifest = manifest::look_through(&db)?;
    let logs = logs::look_through(&db)?;
    let repairs: Vec<_> = manifest.iter().map(manifest::Torn::repair).chain(logs.repairs()).collect();
    let standin = StandIn::to_read(path, &repairs)?;
    let db = standin.open(Recovery::Prefix)?;
    let mut found = verify_db(&db, &db.snapshot());
    found.problems = found.problems.into_iter().map(|problem| standin.rename(problem)).collect();
    if let Some((log, at)) = logs.damaged.first() {
        found.problems.insert(0, format!("{}: cannot be read at byte {at}; the writes behind it are lost", log.display()));
    }
    if let Some(torn) = logs.torn {
        let Torn { path, at, bytes, .. } = &torn;
        found.notes.push(format!("{}: {} ({bytes} bytes at byte {at}); the next start drops it", path.display(), torn.reason()));
    }
    if let Some(manifest::Torn { path, at, bytes }) = manifest {
        found.notes.push(format!("{}: {} ({bytes} bytes at byte {at})", path.display(), manifest::Torn::REASON));
    }
    Ok(found)
}

/// A group, as its own record and its items have it.
struct Counted {
    name: String,
    record: GroupRecord,
    items: u64,
    bytes: u64,
    places: HashSet<u64>,
}

/// Everything as of one moment: others may go on writing.
fn verify_db(db: &DB, moment: &Snapshot<'_>) -> Verification {
    let mut found = Verification::default();
    let mut streams: HashMap<u64, (String, StreamRecord, u64)> = HashMap::new();
    let mut groups: BTreeMap<u64, Counted> = BTreeMap::new();
    let next_id = match moment.get_pinned(keys::META).map(|value| value.and_then(|value| Meta::decode(&value))) {
        Ok(Some(meta)) => meta.next_id,
        missing => {
            let why = missing.map_or_else(|error| error.to_string(), |_| "it is missing or cannot be read".into());
            found.problem(format!("the record of the store itself: {why}"));
            u64::MAX
        }
    };
    let read = walk(db, moment, keys::streams(), |key, value| match (keys::stream_name(key), StreamRecord::decode(value)) {
        (Some(name), Some(record)) if record.id < next_id => {
            if let Some((other, ..)) = streams.insert(record.id, (name.to_owned(), record, 0)) {
                found.problem(format!("streams {other:?} and {name:?} have the same id"));
            }
        }
        _ => found.problem(format!("the record of a stream cannot be read: {:?}", String::from_utf8_lossy(key))),
    });
    if let Err(error) = read {
        found.problem(format!("the list of streams: {error}"));
    }
    let read = walk(db, moment, keys::groups(), |key, value| {
        let (Some((stream, name)), Some(record)) = (keys::id_and_name(key), GroupRecord::decode(value)) else {
            found.problem(format!("the record of a group cannot be read: {:?}", String::from_utf8_lossy(key)));
            return;
        };
        let name = match streams.get_mut(&stream) {
            Some((stream, _, groups)) => {
                *groups += 1;
                format!("{name:?} of stream {stream:?}")
            }
            None => {
                found.problem(format!("group {name:?} belongs to no stream"));
                format!("{name:?} of no stream")
            }
        };
        if record.id >= next_id || groups.contains_key(&record.id) {
            found.problem(format!("group {name} has the id of another"));
        }
        groups.insert(record.id, Counted { name, record, items: 0, bytes: 0, places: HashSet::new() });
    });
    if let Err(error) = read {
        found.problem(format!("the list of groups: {error}"));
    }
    for (name, record, groups) in streams.values() {
        if record.groups != *groups {
            found.problem(format!("stream {name:?} should have {} groups and has {groups}", record.groups));
        }
    }
    verify_items(db, moment, &mut found, &mut groups);
    for range in keys::others() {
        let read =
            walk(db, moment, range, |key, _| found.problem(format!("a record of no known kind: {:?}", String::from_utf8_lossy(key))));
        if let Err(error) = read {
            found.problem(format!("records of no known kind: {error}"));
        }
    }
    found.streams = streams.len() as u64;
    found.groups = groups.len() as u64;
    found
}

fn verify_items(db: &DB, moment: &Snapshot<'_>, found: &mut Verification, groups: &mut BTreeMap<u64, Counted>) {
    let (mut from, to) = keys::items();
    loop {
        let mut last = None;
        let read = walk(db, moment, (from.clone(), to.clone()), |key, value| {
            let Some((id, item)) = keys::id_and_name(key) else {
                found.problem(format!("an item with a key that cannot be read: {:?}", String::from_utf8_lossy(key)));
                return;
            };
            last = Some(id);
            let Some(group) = groups.get_mut(&id) else {
                found.problem(format!("item {item:?} belongs to no group"));
                return;
            };
            let Some((place, json)) = keys::place_and_json(value).filter(|(_, json)| is_json(json)) else {
                found.problem(format!("item {item:?} of group {} is no JSON value", group.name));
                return;
            };
            if place >= group.record.next_place || !group.places.insert(place) {
                found.problem(format!("item {item:?} of group {} has the place of another", group.name));
            }
            group.items += 1;
            group.bytes += json.len() as u64;
            found.items += 1;
            found.bytes += json.len() as u64;
        });
        let Err(error) = read else { break };
        // Where reading fails, the rest of that group is lost to sight; the next one may be whole.
        let begun = keys::id_and_name(&from).map(|(id, _)| id);
        let id = last.or_else(|| groups.range(begun.unwrap_or_default()..).next().map(|(id, _)| *id));
        let Some(id) = id else {
            found.problem(format!("items: {error}"));
            break;
        };
        match groups.remove(&id) {
            Some(group) => found.problem(format!("group {}: {error}", group.name)),
            None => found.problem(format!("items of no group: {error}")),
        }
        from = keys::items_of(id.saturating_add(1)).0;
    }
    for group in groups.values() {
        let (items, bytes) = (group.record.items, group.record.bytes);
        if (items, bytes) != (group.items, group.bytes) {
            let text = format!("should hold {items} items of {bytes} bytes and holds {} of {}", group.items, group.bytes);
            found.problem(format!("group {} {text}", group.name));
        }
    }
}

fn is_json(text: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok() && json::depth(text) <= MAX_DEPTH
}

fn walk(db: &DB, moment: &Snapshot<'_>, range: (Vec<u8>, Vec<u8>), mut each: impl FnMut(&[u8], &[u8])) -> Result<(), rocksdb::Error> {
    let mut options = ReadOptions::default();
    options.set_snapshot(moment);
    options.fill_cache(false);
    options.set_readahead_size(READ_AHEAD_BYTES);
    scan(db, options, range, std::convert::identity, |key, value| {
        each(key, value);
        Ok(())
    })
}
