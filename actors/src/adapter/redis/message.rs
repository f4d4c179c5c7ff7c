//! A change as it is published and kept: a short header of text with the lengths of what follows, then the bytes.
//!
//! `1 <kind> <epoch> <seq> <timestamp> <item> <first> <second>\n` and three parts of these lengths; a part that is not there has length -1.
//! The script writes it, so what each kind carries stands there: only what subscribers and triggers are shown.

use bytes::Bytes;

use crate::change::Position;
use crate::clock::Millis;
use crate::ids::{GroupKey, Name};
use crate::json::Json;
use crate::store::ledger::{Body, Recorded};

/// Header fields after the kind.
const NUMBERS: usize = 6;
/// A header is never longer: eight fields of at most 20 digits.
const HEADER: usize = 160;

/// A change before Redis has numbered it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) kind: &'static str,
    pub(super) first: Bytes,
    pub(super) second: Bytes,
}

/// The parts of a change whose values somebody else keeps, or nobody.
pub(super) fn parts(body: &Body) -> Parts {
    let bytes = |json: &Json| Bytes::copy_from_slice(json.as_bytes());
    match body {
        Body::Written { old: None, new } => Parts { kind: "c", first: Bytes::new(), second: bytes(new) },
        Body::Written { old: Some(old), new } if old.is_null() => Parts { kind: "n", first: Bytes::new(), second: bytes(new) },
        Body::Written { old: Some(old), new } => {
            Parts { kind: "u", first: if new.is_null() { bytes(old) } else { Bytes::new() }, second: bytes(new) }
        }
        Body::Deleted { old } => Parts { kind: "d", first: bytes(old), second: Bytes::new() },
        Body::Event { name, data } => Parts { kind: "e", first: Bytes::copy_from_slice(name.as_bytes()), second: bytes(data) },
    }
}

/// Reads a message about `group`; `None` where it is none.
pub(super) fn parse(group: &GroupKey, message: &Bytes) -> Option<Recorded> {
    let end = message.iter().take(HEADER).position(|byte| *byte == b'\n')?;
    let header = std::str::from_utf8(message.get(..end)?).ok()?;
    let mut fields = header.split(' ');
    if fields.next()? != "1" {
        return None;
    }
    let kind = fields.next()?;
    let numbers: Vec<&str> = fields.collect();
    let [epoch, seq, timestamp, item, first, second] = <[&str; NUMBERS]>::try_from(numbers).ok()?;
    let mut rest = message.slice(end + 1..);
    let item = take(&mut rest, item)?;
    let first = take(&mut rest, first)?;
    let second = take(&mut rest, second)?;
    if !rest.is_empty() {
        return None;
    }
    let item = match item {
        Some(name) => Some(Name::from(std::str::from_utf8(&name).ok()?)),
        None => None,
    };
    let body = match kind {
        "c" => Body::Written { old: None, new: Json::read(second?)? },
        "n" => Body::Written { old: Some(Json::NULL), new: Json::read(second?)? },
        "u" => {
            let old = first.filter(|old| !old.is_empty());
            Body::Written { old: Some(old.map_or(Some(NOT_SENT), Json::read)?), new: Json::read(second?)? }
        }
        "d" => Body::Deleted { old: Json::read(first?)? },
        "e" => Body::Event { name: std::str::from_utf8(&first?).ok()?.into(), data: Json::read(second?)? },
        _ => return None,
    };
    if item.is_none() && !matches!(body, Body::Event { .. }) {
        return None;
    }
    let position = Position { epoch: epoch.parse().ok()?, seq: seq.parse().ok()? };
    Some(Recorded { group: group.clone(), item, position, timestamp: timestamp.parse::<Millis>().ok()?, body })
}

/// Stands for an old value that nobody is shown: all that matters of it is that it was there and not null.
const NOT_SENT: Json = Json::TRUE;

/// Cuts a part off the front; the inner `None` is one that is not there.
#[expect(clippy::option_option, reason = "a part that does not fit, and one that is not there")]
fn take(rest: &mut Bytes, len: &str) -> Option<Option<Bytes>> {
    if len == "-1" {
        return Some(None);
    }
    let len: usize = len.parse().ok()?;
    (len <= rest.len()).then(|| Some(rest.split_to(len)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn read(message: &[u8]) -> Option<Recorded> {
        parse(&GroupKey::new("s", "g"), &Bytes::copy_from_slice(message))
    }

    #[test]
    fn every_kind_is_read() {
        let change = read(b"1 c 18446744073709551615 7 1700000000000 1 -1 3\ni1.0").unwrap();
        assert_eq!((change.position, change.timestamp), (Position { epoch: u64::MAX, seq: 7 }, 1_700_000_000_000));
        assert_eq!(change.item, Some("i".into()));
        assert!(matches!(change.body, Body::Written { old: None, new } if new.as_bytes() == b"1.0"));
        let old = |message: &[u8]| match read(message).unwrap().body {
            Body::Written { old, .. } => old,
            Body::Deleted { old } => Some(old),
            Body::Event { .. } => None,
        };
        assert!(old(b"1 n 1 7 1 1 -1 1\ni1").unwrap().is_null());
        assert!(!old(b"1 u 1 7 1 1 -1 1\ni1").unwrap().is_null());
        assert_eq!(old(b"1 u 1 7 1 1 2 4\ni[]null").unwrap().as_bytes(), b"[]");
        assert_eq!(old(b"1 d 1 7 1 1 2 -1\ni[]").unwrap().as_bytes(), b"[]");
        let event = read(b"1 e 1 7 1 -1 4 2\nping{}").unwrap();
        assert!(event.item.is_none() && matches!(event.body, Body::Event { name, data } if &*name == "ping" && data.as_bytes() == b"{}"));
    }

    #[test]
    fn what_does_not_fit_is_no_message() {
        for message in [
            &b"1 c 1 7 1 1 -1 2\ni1"[..],
            b"1 c 1 7 1 1 -1 1\ni12",
            b"2 c 1 7 1 1 -1 1\ni1",
            b"1 x 1 7 1 1 -1 1\ni1",
            b"1 c 1 7 1 1 -1 1 i1",
            b"1 c 1 7 1 -1 -1 1\n1",
            b"1 c 1 7 1 1 -1 1\ni{",
            b"1 c 1 7 1 1 -1 18446744073709551616\ni1",
            b"1 c 1 7 1 1 -1\ni1",
            b"1 c 1 7 1 1 -1 1\n\xff1",
            b"",
        ] {
            assert!(read(message).is_none(), "{:?}", String::from_utf8_lossy(message));
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&message);
        }

        #[test]
        fn headers_of_any_numbers_are_read_without_a_panic(
            kind in "[cnudex]", numbers in proptest::collection::vec(-2i64..12, 6), rest in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let mut message = format!("1 {kind} {}\n", numbers.join(" ")).into_bytes();
            message.extend(rest);
            let _ = read(&message);
        }
    }
}
