//! What the keys and values of a file store look like. No I/O.
//!
//! | key | value |
//! |---|---|
//! | `m` | the store: epoch, next id, floor of numbers, floor of timestamps |
//! | `s` stream | its id, how many groups it has |
//! | `g` id-of-stream group | its id, number and timestamp of its last change, next place, how many items, bytes of their values |
//! | `i` id-of-group item | its place in the group, then its value as JSON text |
//!
//! Numbers have 8 bytes, big endian. A name is the rest of its key and an id has a fixed length, so no two names can meet. An item that is
//! written again keeps its place; a listing sorts by it. (A second record per item, sorted by place, would spare the sorting and cost a
//! write and a read with every set; and a group whose items come and go would leave a trail of deleted places to walk over.)
//!
//! Groups and streams that hold nothing have no records; ids are not used twice.

use crate::adapter::Head;
use crate::clock::Millis;

/// The key of the store's own record.
pub(super) const META: &[u8] = b"m";
const STREAM: u8 = b's';
const GROUP: u8 = b'g';
const ITEM: u8 = b'i';
/// An item's value begins behind its place.
const PLACE_BYTES: usize = 8;

/// The store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) epoch: u64,
    pub(super) next_id: u64,
    /// No group without a record ever had a higher head.
    pub(super) floor: Head,
}

/// A stream that holds an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct StreamRecord {
    pub(super) id: u64,
    pub(super) groups: u64,
}

/// A group that holds an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GroupRecord {
    pub(super) id: u64,
    pub(super) head: Head,
    pub(super) next_place: u64,
    pub(super) items: u64,
    pub(super) bytes: u64,
}

impl Meta {
    pub(super) fn encode(&self) -> [u8; 32] {
        numbers([self.epoch, self.next_id, self.floor.seq, self.floor.timestamp])
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let [epoch, next_id, seq, timestamp] = read(value)?;
        Some(Self { epoch, next_id, floor: head(seq, timestamp) })
    }
}

impl StreamRecord {
    pub(super) fn encode(&self) -> [u8; 16] {
        numbers([self.id, self.groups])
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let [id, groups] = read(value)?;
        Some(Self { id, groups })
    }
}

impl GroupRecord {
    pub(super) fn encode(&self) -> [u8; 48] {
        numbers([self.id, self.head.seq, self.head.timestamp, self.next_place, self.items, self.bytes])
    }

    pub(super) fn decode(value: &[u8]) -> Option<Self> {
        let [id, seq, timestamp, next_place, items, bytes] = read(value)?;
        Some(Self { id, head: head(seq, timestamp), next_place, items, bytes })
    }
}

fn head(seq: u64, timestamp: Millis) -> Head {
    Head { seq, timestamp }
}

pub(super) fn stream(name: &str) -> Vec<u8> {
    [&[STREAM], name.as_bytes()].concat()
}

pub(super) fn group(stream: u64, name: &str) -> Vec<u8> {
    [&[GROUP], &stream.to_be_bytes()[..], name.as_bytes()].concat()
}

/// Written into `key`, which is used again: this one is made for every read and write of an item.
pub(super) fn item_into(key: &mut Vec<u8>, group: u64, name: &str) {
    key.clear();
    key.push(ITEM);
    key.extend_from_slice(&group.to_be_bytes());
    key.extend_from_slice(name.as_bytes());
}

pub(super) fn item_value_into(value: &mut Vec<u8>, place: u64, json: &[u8]) {
    value.clear();
    value.extend_from_slice(&place.to_be_bytes());
    value.extend_from_slice(json);
}

/// The keys of all streams.
pub(super) fn streams() -> (Vec<u8>, Vec<u8>) {
    (vec![STREAM], vec![STREAM + 1])
}

/// The keys of all groups of all streams.
pub(super) fn groups() -> (Vec<u8>, Vec<u8>) {
    (vec![GROUP], vec![GROUP + 1])
}

/// The keys of all groups of a stream.
pub(super) fn groups_of(stream: u64) -> (Vec<u8>, Vec<u8>) {
    range(GROUP, stream)
}

/// The keys of all items of a group.
pub(super) fn items_of(group: u64) -> (Vec<u8>, Vec<u8>) {
    range(ITEM, group)
}

/// The keys of all items of all groups.
pub(super) fn items() -> (Vec<u8>, Vec<u8>) {
    (vec![ITEM], vec![ITEM + 1])
}

/// Where no key of ours is.
pub(super) fn others() -> [(Vec<u8>, Vec<u8>); 5] {
    let behind_meta = [META, &[0]].concat();
    [
        (vec![], vec![GROUP]),
        (vec![GROUP + 1], vec![ITEM]),
        (vec![ITEM + 1], META.to_vec()),
        (behind_meta, vec![STREAM]),
        (vec![STREAM + 1], vec![u8::MAX; 9]),
    ]
}

fn range(tag: u8, id: u64) -> (Vec<u8>, Vec<u8>) {
    // Ids are counted up from 1 and never reach the last one.
    let bound = |id: u64| [&[tag], &id.to_be_bytes()[..]].concat();
    (bound(id), bound(id.saturating_add(1)))
}

/// The name of the stream with that key.
pub(super) fn stream_name(key: &[u8]) -> Option<&str> {
    let name = key.strip_prefix(&[STREAM])?;
    std::str::from_utf8(name).ok()
}

/// Of a group's key the stream's id and the name; of an item's key the group's id and the name.
pub(super) fn id_and_name(key: &[u8]) -> Option<(u64, &str)> {
    let (id, name) = key.get(1..)?.split_first_chunk()?;
    Some((u64::from_be_bytes(*id), std::str::from_utf8(name).ok()?))
}

/// Of an item's value its place and its JSON text.
pub(super) fn place_and_json(value: &[u8]) -> Option<(u64, &[u8])> {
    let (place, json) = value.split_first_chunk::<PLACE_BYTES>()?;
    Some((u64::from_be_bytes(*place), json))
}

fn numbers<const N: usize, const B: usize>(numbers: [u64; N]) -> [u8; B] {
    let mut bytes = [0; B];
    for (number, place) in numbers.iter().zip(bytes.as_chunks_mut::<8>().0) {
        *place = number.to_be_bytes();
    }
    bytes
}

fn read<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let chunks: &[[u8; 8]; N] = chunks.try_into().ok()?;
    rest.is_empty().then(|| chunks.map(u64::from_be_bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn records_read_as_they_were_written_and_not_at_another_length() {
        let head = Head { seq: 7, timestamp: 1_767_225_600_123 };
        let meta = Meta { epoch: u64::MAX, next_id: 2, floor: head };
        let stream = StreamRecord { id: 3, groups: 4 };
        let group = GroupRecord { id: 5, head, next_place: 6, items: 7, bytes: 8 };
        assert_eq!(Meta::decode(&meta.encode()).unwrap(), meta);
        assert_eq!(StreamRecord::decode(&stream.encode()).unwrap(), stream);
        assert_eq!(GroupRecord::decode(&group.encode()).unwrap(), group);
        for length in [0, 8, 31, 33] {
            assert_eq!(Meta::decode(&vec![0; length]), None);
            assert_eq!(StreamRecord::decode(&vec![0; length]), None);
            assert_eq!(GroupRecord::decode(&vec![0; length]), None);
        }
        assert_eq!(place_and_json(b"1234567"), None);
    }

    proptest! {
        #[test]
        fn keys_of_different_names_differ_and_lie_in_the_range_of_their_own_group(
            a in (1..4u64, ".{0,4}"), b in (1..4u64, ".{0,4}")
        ) {
            let key = |(id, name): &(u64, String)| { let mut key = Vec::new(); item_into(&mut key, *id, name); key };
            prop_assert_eq!(key(&a) == key(&b), a == b);
            let (own, of_stream) = (key(&a), stream(&a.1));
            prop_assert_eq!(id_and_name(&own), Some((a.0, a.1.as_str())));
            let (from, to) = items_of(a.0);
            let inside = |key: Vec<u8>| from <= key && key < to;
            prop_assert!(inside(key(&a)));
            prop_assert_eq!(inside(key(&b)), a.0 == b.0);
            prop_assert_eq!(stream_name(&of_stream), Some(a.1.as_str()));
            let others = others();
            let is_other = |key: &[u8]| others.iter().any(|(from, to)| &from[..] <= key && key < &to[..]);
            prop_assert!(!is_other(&own) && !is_other(&of_stream) && !is_other(&group(a.0, &a.1)) && !is_other(META));
            prop_assert!(is_other(b"mm") && is_other(b"") && is_other(b"z") && is_other(b"h"));
            prop_assert_eq!(group(a.0, &a.1) == group(b.0, &b.1), a == b);
        }
    }
}
