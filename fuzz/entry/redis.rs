//! Changes as other nodes publish them: what is read, written by the same form, is read again.

use bytes::Bytes;
use weir_actors::adapter::redis::read_message;
use weir_actors::ids::GroupKey;
use weir_actors::store::ledger::{Body, Recorded};

/// Reads `data` as one message.
pub fn run(data: &[u8]) {
    let group = GroupKey::new("s", "g");
    let Some(change) = read_message(&group, &Bytes::copy_from_slice(data)) else { return };
    assert_eq!(change.group, group);
    assert!(change.item.is_some() || matches!(change.body, Body::Event { .. }), "only an event is about a whole group");
    let again = read_message(&group, &written(&change).into()).expect("written and read");
    // All parts, none of which can be compared by itself.
    assert_eq!(format!("{again:?}"), format!("{change:?}"));
}

fn written(change: &Recorded) -> Vec<u8> {
    let (kind, first, second) = match &change.body {
        Body::Written { old: None, new } => ("c", None, Some(new.as_bytes())),
        Body::Written { old: Some(old), new } if old.is_null() => ("n", None, Some(new.as_bytes())),
        Body::Written { old: Some(old), new } => ("u", Some(old.as_bytes()), Some(new.as_bytes())),
        Body::Deleted { old } => ("d", Some(old.as_bytes()), None),
        Body::Event { name, data } => ("e", Some(name.as_bytes()), Some(data.as_bytes())),
    };
    let item = change.item.as_ref().map(|item| item.as_str().as_bytes());
    let length = |part: Option<&[u8]>| part.map_or_else(|| "-1".to_owned(), |part| part.len().to_string());
    let (position, timestamp) = (change.position, change.timestamp);
    let lengths = [item, first, second].map(length).join(" ");
    let header = format!("1 {kind} {} {} {timestamp} {lengths}\n", position.epoch, position.seq);
    [header.as_bytes(), item.unwrap_or_default(), first.unwrap_or_default(), second.unwrap_or_default()].concat()
}
