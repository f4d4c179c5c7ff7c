//! What happens in a group, with the values as a host program has them.

use std::borrow::Cow;
use std::collections::VecDeque;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::Error;
use crate::change;
use crate::clock::Millis;
use crate::json::{Json, parse, present};

/// A change of a group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change<T> {
    /// The stream.
    pub stream: String,
    /// The group.
    pub group: String,
    /// The item; `None` for an event to the whole group.
    pub item: Option<String>,
    /// Milliseconds since the epoch; strictly greater than that of the change before it.
    pub timestamp: Millis,
    /// What happened.
    pub event: Event<T>,
}

/// What happened to an item.
#[derive(Debug, Clone, PartialEq)]
pub enum Event<T> {
    /// It was not there, and has this value now.
    Create(T),
    /// It was there, and has this value now.
    Update(T),
    /// It is gone; this is what it was.
    Delete(T),
    /// Somebody sent an event; nothing is stored.
    Custom {
        /// The event's own type.
        name: String,
        /// Its payload.
        data: Json,
    },
}

/// The state of a group at one moment.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct State<T> {
    /// Items with their names, in the order in which they came; without those that are no `T`, for each of which an [`Error::Decode`] follows.
    pub items: Vec<(String, T)>,
    /// The timestamp of the last change before it.
    pub timestamp: Millis,
}

/// What a [`Subscription`](super::Subscription) brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Told<T> {
    /// The group as it is now, in place of all that was told before: at the beginning, and again where the subscriber has fallen behind.
    State(State<T>),
    /// What has changed since.
    Change(Change<T>),
}

impl<T: DeserializeOwned> State<T> {
    /// The state, and an error for each item that is no `T`.
    pub(super) fn of(snapshot: &change::Snapshot) -> (Self, VecDeque<Error>) {
        let (mut items, mut errors) = (Vec::new(), VecDeque::new());
        for (name, value) in snapshot.whole.as_deref().unwrap_or_default() {
            match decode(name.as_str(), value) {
                Ok(item) => items.push((name.as_str().to_owned(), item)),
                Err(error) => errors.push_back(error),
            }
        }
        (Self { items, timestamp: snapshot.timestamp }, errors)
    }
}

/// An envelope, as clients and triggers get it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    timestamp: Millis,
    #[serde(borrow)]
    stream_name: Cow<'a, str>,
    #[serde(borrow)]
    group_id: Cow<'a, str>,
    id: Option<String>,
    #[serde(borrow)]
    event: Body<'a>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<Own<'a>>,
}

/// What somebody has sent.
#[derive(Deserialize)]
struct Own<'a> {
    #[serde(rename = "type")]
    name: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<T: DeserializeOwned> Change<T> {
    /// Reads an envelope.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Error> {
        let fails = |what: String| move |source| Error::Decode { what, source };
        let Envelope { timestamp, stream_name, group_id, id: item, event } =
            serde_json::from_slice(payload).map_err(fails("a change".to_owned()))?;
        let what = || format!("item '{}' of group '{group_id}' in stream '{stream_name}'", item.as_deref().unwrap_or_default());
        let value = || parse(event.data.map_or("null", RawValue::get)).map_err(fails(what()));
        let event = match (event.kind, event.event) {
            ("create", _) => Event::Create(value()?),
            ("delete", _) => Event::Delete(value()?),
            ("event", Some(Own { name, data })) => Event::Custom { name, data: Json::copy(data) },
            _ => Event::Update(value()?),
        };
        Ok(Self { stream: stream_name.into_owned(), group: group_id.into_owned(), item, timestamp, event })
    }
}

/// A stored value as a `T`.
pub(super) fn decode<T: DeserializeOwned>(name: &str, value: &Json) -> Result<T, Error> {
    value.parse().map_err(|source| Error::Decode { what: format!("item '{name}'"), source })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::change::Kind;
    use crate::ids::GroupKey;
    use crate::wire::subscriber::Address;

    fn address() -> Address {
        Address::new(&GroupKey::new("s\"", "g\n"))
    }

    #[test]
    fn changes_are_read_as_they_are_sent() {
        for (kind, event) in [(Kind::Create, Event::Create(7)), (Kind::Update, Event::Update(7)), (Kind::Delete, Event::Delete(7))] {
            let frame = address().change(5, Some(&"i".into()), kind, &Json::assembled("7"));
            let change = Change::<u8>::read(&frame.payload()).unwrap();
            let item = Some("i".to_owned());
            assert_eq!(change, Change { stream: "s\"".into(), group: "g\n".into(), item, timestamp: 5, event });
        }
        let frame = address().event(5, None, "typing", &Json::assembled("[1]"));
        let change = Change::<u8>::read(&frame.payload()).unwrap();
        assert_eq!((change.item, change.event), (None, Event::Custom { name: "typing".into(), data: Json::assembled("[1]") }));
    }

    #[test]
    fn null_is_a_value_for_whoever_takes_one() {
        let frame = address().change(5, Some(&"i".into()), Kind::Update, &Json::NULL);
        assert_eq!(Change::<Option<u8>>::read(&frame.payload()).unwrap().event, Event::Update(None));
        let error = Change::<u8>::read(&frame.payload()).unwrap_err();
        assert!(error.to_string().starts_with("item 'i' of group 'g\n' in stream 's\"' does not have the shape"), "{error}");
    }
}
