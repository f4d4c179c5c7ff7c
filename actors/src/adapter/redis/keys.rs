//! What things are called in Redis.
//!
//! The items of a group are a hash at `stream:{name}:{group}`, as existing deployments have it. Everything else that belongs to the group
//! carries that name as a Cluster hash tag, so that one script may touch it all.

use crate::ids::GroupKey;

/// Slots of a Cluster.
pub(super) const SLOTS: u16 = 16_384;
/// Says that the items which were there before us are in the index.
pub(super) const INDEXED: &str = "weir:{index}:done";
/// The streams that have, or had, a group: a sorted set by the time of the last look.
pub(super) const STREAMS: &str = "weir:{index}:streams";
/// Says that somebody has cleared out the index lately.
pub(super) const SWEPT: &str = "weir:{index}:swept";
/// What the items of every group begin with.
const ITEMS: &str = "stream:";

/// The keys of one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    /// Item to value, a hash.
    pub(super) items: String,
    /// Epoch, number and time of the last change, a hash.
    pub(super) head: String,
    /// Item to its place in the order of insertion, a hash.
    pub(super) places: String,
    /// The last changes, a Redis stream.
    pub(super) log: String,
}

impl Keys {
    pub(super) fn new(group: &GroupKey) -> Self {
        let items = items(group);
        let tagged = |suffix: &str| format!("weir:{{{items}}}:{suffix}");
        Self { head: tagged("head"), places: tagged("places"), log: tagged("log"), items }
    }
}

/// The key of a group's items.
pub(super) fn items(group: &GroupKey) -> String {
    let mut key = String::with_capacity(ITEMS.len() + 1 + group.stream().len() + group.group().len());
    key.push_str(ITEMS);
    escape(group.stream(), &mut key);
    key.push(':');
    escape(group.group(), &mut key);
    key
}

/// Whose items a key holds; `None` where the key is none of ours, or a name in it has a `:` that nobody has escaped.
pub(super) fn parse_items(key: &str) -> Option<GroupKey> {
    let (stream, group) = key.strip_prefix(ITEMS)?.split_once(':')?;
    Some(GroupKey::new(&unescape(stream)?, &unescape(group)?))
}

/// Where the changes of a group are published: the script makes it of the head's key. Channels know no databases, so `db` is part of it.
pub(super) fn channel(group: &GroupKey, db: i64) -> String {
    format!("weir:{{{}}}:head@{db}", items(group))
}

/// Where it is published that a group of the stream has got its first number: the group's name, [escaped](escaped).
pub(super) fn births(stream: &str, db: i64) -> String {
    let mut channel = "weir:births:".to_owned();
    escape(stream, &mut channel);
    format!("{channel}@{db}")
}

/// Where messages for a node are published, and those for all.
pub(super) fn mesh(node: Option<&str>, db: i64) -> String {
    format!("weir:{{mesh}}:{}@{db}", node.unwrap_or("all"))
}

/// The groups that a stream has, or had: a sorted set by the time of the last look.
pub(super) fn groups(stream: &str) -> String {
    let mut key = "weir:{index}:groups:".to_owned();
    escape(stream, &mut key);
    key
}

/// A key that is gone when the data of its node is.
pub(super) fn life(number: u16) -> String {
    format!("weir:life:{{{number}}}")
}

/// A name as it stands in keys.
pub(super) fn escaped(name: &str) -> String {
    let mut text = String::new();
    escape(name, &mut text);
    text
}

/// `:` parts names, `{` and `}` mark a hash tag, `%` escapes.
fn escape(name: &str, out: &mut String) {
    for char in name.chars() {
        match char {
            '%' => out.push_str("%25"),
            ':' => out.push_str("%3A"),
            '{' => out.push_str("%7B"),
            '}' => out.push_str("%7D"),
            char => out.push(char),
        }
    }
}

/// The name that `escape` has made `text` of; `None` where it has not.
pub(super) fn unescape(text: &str) -> Option<String> {
    if text.contains([':', '{', '}']) {
        return None;
    }
    let mut parts = text.split('%');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        name.push(match part.get(..2)? {
            "25" => '%',
            "3A" => ':',
            "7B" => '{',
            "7D" => '}',
            _ => return None,
        });
        name.push_str(part.get(2..)?);
    }
    Some(name)
}

/// The Cluster slot of a key: CRC16 (XMODEM) of its hash tag, or of all of it (Redis Cluster specification, "hash tags").
pub(super) fn slot(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag).filter(|tag| !tag.is_empty());
    crc16(tag.unwrap_or(key).as_bytes()) % SLOTS
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_have_the_keys_of_existing_deployments() {
        let keys = Keys::new(&GroupKey::new("chat", "room-1"));
        assert_eq!(keys.items, "stream:chat:room-1");
        assert_eq!(keys.head, "weir:{stream:chat:room-1}:head");
    }

    #[test]
    fn slots_are_those_of_the_cluster_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("{user1000}.following"), slot("{user1000}.followers"));
        assert_eq!(slot("foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot("foo{{bar}}zap"), crc16(b"{bar") % SLOTS);
    }

    #[test]
    fn keys_of_others_are_not_taken_for_items() {
        for key in ["stream:a", "stream:a:b:c", "streams:a:b", "stream:a:%zz", "stream:a:%2", "stream:{a}:b", "weir:{stream:a:b}:head"] {
            assert_eq!(parse_items(key), None, "{key}");
        }
    }

    proptest! {
        #[test]
        fn names_come_back_and_all_keys_share_a_slot(stream in "[a:%{}é/]{0,6}", group in "[a:%{}é/]{0,6}") {
            let key = GroupKey::new(&stream, &group);
            let keys = Keys::new(&key);
            prop_assert_eq!(parse_items(&keys.items), Some(key.clone()));
            for other in [&keys.head, &keys.places, &keys.log, &channel(&key, 3)] {
                prop_assert_eq!(slot(other), slot(&keys.items));
            }
        }
    }
}
