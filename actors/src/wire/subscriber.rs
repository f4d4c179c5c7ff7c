//! The stream socket: `join`, `leave` and `refresh` from clients, envelopes to them (protocol.md C.2, C.3).

use std::borrow::Cow;

use bytes::BufMut;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{put_field, put_string};
use crate::change::Kind;
use crate::clock::Millis;
use crate::frame::{Encoded, FrameBuilder};
use crate::ids::{GroupKey, Name};
use crate::json::{Json, object};

/// What a client may ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Request {
    /// Subscribe to a group, or to one item of it.
    Join {
        /// The client's own name for the subscription; a second join with it replaces the first.
        subscription_id: String,
        /// The stream.
        stream: String,
        /// The group.
        group: String,
        /// The item, or `None` for the whole group.
        item: Option<String>,
    },
    /// End a subscription.
    Leave {
        /// The name that the join gave.
        subscription_id: String,
    },
    /// Renew what the auth function has granted.
    Refresh {
        /// What the client shows for it.
        token: String,
    },
}

/// Parses one message of a client.
///
/// An empty item name means the whole group, as the published clients route it (protocol.md C.5).
///
/// # Errors
/// What is wrong with the message, for the log; the socket stays open.
pub fn parse(text: &[u8]) -> Result<Request, serde_json::Error> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        data: &'a RawValue,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Data {
        subscription_id: String,
        stream_name: Option<String>,
        group_id: Option<String>,
        id: Option<String>,
    }
    let Envelope { kind, data } = object(text)?;
    if kind == "refresh" {
        #[derive(Deserialize)]
        struct Refresh {
            token: String,
        }
        let Refresh { token } = object(data.get().as_bytes())?;
        return Ok(Request::Refresh { token });
    }
    let data: Data = object(data.get().as_bytes())?;
    let missing = |key| serde::de::Error::custom(format!("missing field `{key}`"));
    match &*kind {
        "join" => Ok(Request::Join {
            subscription_id: data.subscription_id,
            stream: data.stream_name.ok_or_else(|| missing("streamName"))?,
            group: data.group_id.ok_or_else(|| missing("groupId"))?,
            item: data.id.filter(|id| !id.is_empty()),
        }),
        "leave" => Ok(Request::Leave { subscription_id: data.subscription_id }),
        other => Err(serde::de::Error::custom(format!("unknown type `{other}`; expected `join`, `leave` or `refresh`"))),
    }
}

/// The part of an envelope that names the group, encoded once per group: `,"streamName":"s","groupId":"g","id":`.
#[derive(Debug, Clone)]
pub struct Address(bytes::Bytes);

impl Address {
    /// The address of `group`.
    #[must_use]
    pub fn new(group: &GroupKey) -> Self {
        let mut out = Vec::with_capacity(48 + group.stream().len() + group.group().len());
        out.put_u8(b',');
        put_field(&mut out, "streamName", group.stream());
        put_field(&mut out, "groupId", group.group());
        out.put_slice(b"\"id\":");
        Self(out.into())
    }

    /// The envelope of a change; `body` is the new value, or for a delete the one that was removed.
    #[must_use]
    pub fn change(&self, timestamp: Millis, item: Option<&Name>, kind: Kind, body: &Json) -> Encoded {
        let mut frame = self.open(timestamp, item, kind.as_str(), body.as_bytes().len());
        frame.put(b",\"data\":");
        frame.put(body.as_bytes());
        frame.put(b"}}");
        frame.finish()
    }

    /// The envelope of a custom event named `name`.
    #[must_use]
    pub fn event(&self, timestamp: Millis, item: Option<&Name>, name: &str, body: &Json) -> Encoded {
        let mut frame = self.open(timestamp, item, Kind::Event.as_str(), body.as_bytes().len() + name.len());
        frame.put(b",\"event\":{\"type\":");
        put_string(frame.payload_mut(), name);
        frame.put(b",\"data\":");
        frame.put(body.as_bytes());
        frame.put(b"}}}");
        frame.finish()
    }

    /// The `sync` of a whole group. Items that hold `null` are left out, see [`GroupView`](crate::change::GroupView).
    #[must_use]
    pub fn sync_group(&self, timestamp: Millis, items: &[(Name, Json)]) -> Encoded {
        let size = items.iter().map(|(_, value)| value.as_bytes().len() + 1).sum();
        let mut frame = self.open(timestamp, None, "sync", size);
        frame.put(b",\"data\":[");
        let mut first = true;
        for (_, value) in items.iter().filter(|(_, value)| !value.is_null()) {
            if !std::mem::take(&mut first) {
                frame.put(b",");
            }
            frame.put(value.as_bytes());
        }
        frame.put(b"]}}");
        frame.finish()
    }

    /// The `sync` of one item; `null` where there is no such item.
    #[must_use]
    pub fn sync_item(&self, timestamp: Millis, item: &Name, value: Option<&Json>) -> Encoded {
        let value = value.map_or(&b"null"[..], Json::as_bytes);
        let mut frame = self.open(timestamp, Some(item), "sync", value.len());
        frame.put(b",\"data\":");
        frame.put(value);
        frame.put(b"}}");
        frame.finish()
    }

    /// The answer to a join that was refused.
    ///
    /// With timestamp 0: the published item client remembers it, and would drop the `sync` of a later join that carries an older one.
    #[must_use]
    pub fn unauthorized(&self, item: Option<&Name>) -> Encoded {
        let mut frame = self.open(0, item, "unauthorized", 0);
        frame.put(b"}}");
        frame.finish()
    }

    /// The answer to a join that passes a limit.
    ///
    /// The published clients drop an event they do not know; a timestamp of 0 also keeps it out of their order of events.
    #[must_use]
    pub fn error(&self, item: Option<&Name>, code: &str, message: &str) -> Encoded {
        let mut frame = self.open(0, item, "error", code.len() + message.len());
        frame.put(b",\"data\":{");
        put_field(frame.payload_mut(), "code", code);
        frame.put(b"\"message\":");
        put_string(frame.payload_mut(), message);
        frame.put(b"}}}");
        frame.finish()
    }

    fn open(&self, timestamp: Millis, item: Option<&Name>, event: &str, body_bytes: usize) -> FrameBuilder {
        let size = 96 + self.0.len() + item.map_or(4, |item| item.as_str().len() + 2) + body_bytes;
        let mut frame = FrameBuilder::text(size);
        frame.put(b"{\"type\":\"stream\",\"timestamp\":");
        let mut digits = itoa::Buffer::new();
        frame.put(digits.format(timestamp).as_bytes());
        frame.put(&self.0);
        match item {
            Some(item) => put_string(frame.payload_mut(), item.as_str()),
            None => frame.put(b"null"),
        }
        frame.put(b",\"event\":{\"type\":\"");
        frame.put(event.as_bytes());
        frame.put(b"\"");
        frame
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::{Value, json};

    fn payload(frame: &Encoded) -> Value {
        serde_json::from_slice(&frame.payload()).unwrap()
    }

    #[test]
    fn envelope_of_a_change_has_the_documented_keys() {
        let address = Address::new(&GroupKey::new("se\"ats", "row/9"));
        let frame = address.change(17, Some(&"9C".into()), Kind::Update, &Json::of(&json!({"id": "9C"})).unwrap());
        assert_eq!(
            payload(&frame),
            json!({"type": "stream", "timestamp": 17, "streamName": "se\"ats", "groupId": "row/9", "id": "9C",
                   "event": {"type": "update", "data": {"id": "9C"}}})
        );
    }

    #[test]
    fn envelope_of_an_event_nests_its_name_and_data() {
        let frame = Address::new(&GroupKey::new("s", "g")).event(1, None, "bl\"ink", &Json::NULL);
        assert_eq!(payload(&frame)["event"], json!({"type": "event", "event": {"type": "bl\"ink", "data": null}}));
        assert_eq!(payload(&frame)["id"], Value::Null);
    }

    #[test]
    fn sync_of_a_group_leaves_nulls_out() {
        let items = [("a", "null"), ("b", "1"), ("c", "null"), ("d", "[2]")].map(|(name, json)| (Name::from(name), Json::assembled(json)));
        let frame = Address::new(&GroupKey::new("s", "g")).sync_group(5, &items);
        assert_eq!(payload(&frame)["event"], json!({"type": "sync", "data": [1, [2]]}));
    }

    #[test]
    fn join_without_a_group_is_refused_with_its_key() {
        let error = parse(br#"{"type":"join","data":{"subscriptionId":"a","streamName":"s"}}"#).unwrap_err();
        assert!(error.to_string().contains("groupId"), "{error}");
    }

    #[test]
    fn join_with_an_empty_or_null_item_is_for_the_group() {
        for id in ["\"\"", "null"] {
            let text = format!(r#"{{"data":{{"id":{id},"groupId":"g","streamName":"s","subscriptionId":"x"}},"type":"join"}}"#);
            let Request::Join { item, .. } = parse(text.as_bytes()).unwrap() else { unreachable!() };
            assert_eq!(item, None);
        }
    }
}
