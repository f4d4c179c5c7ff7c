//! `stream::disconnect`: a worker has clients closed.
//!
//! Sockets belong to the threads that accepted them, so the call is one message to each of these threads, which asks its own sessions; the
//! thread of the caller and that of the store do nothing that grows with the number of clients. Everybody asked holds a share of the
//! [`Inquiry`], and the last one to let go of it answers, whatever becomes of the sessions meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};

use super::{Registry, ReplyTo};
use crate::error::{CallError, CloseCode, Output};
use crate::json::Json;
use crate::metrics::calls::BuiltIn;
use crate::session::subscribers::Question;
use crate::trigger::admission::Membership;

/// The function's id.
pub const ID: &str = "stream::disconnect";

/// The longest reason; a close frame has room for 123 bytes.
const REASON_BYTES: usize = 120;

const KEYS: [&str; 5] = ["subscription_id", "context", "stream_name", "group_id", "reason"];

/// One call, and how many clients it has closed.
#[derive(Debug)]
pub struct Inquiry {
    whom: Whom,
    count: AtomicUsize,
    reply: ReplyTo,
}

#[derive(Debug, PartialEq)]
struct Whom {
    who: Who,
    stream: Option<Box<str>>,
    group: Option<Box<str>>,
    reason: Option<Box<str>>,
}

#[derive(Debug, PartialEq)]
enum Who {
    Subscription(Box<str>),
    Context { field: Box<str>, value: Value },
}

impl Inquiry {
    /// Whether a client of that context with these subscriptions is meant.
    pub fn is_about<'m>(&self, context: Option<&Json>, joined: impl Iterator<Item = &'m Membership>) -> bool {
        self.whom.is(context, joined)
    }

    /// What the close frame says.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.whom.reason.as_deref().unwrap_or(CloseCode::Disconnected.reason())
    }

    /// Counts a client that is being closed.
    pub fn count(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Inquiry {
    fn drop(&mut self) {
        let answer = json!({"count": *self.count.get_mut()});
        std::mem::replace(&mut self.reply, ReplyTo::Nobody).send(Ok(Output::Value(Json::from_value(&answer))));
    }
}

/// Has all clients of this node closed that `data` names.
pub fn call(registry: &Registry, data: &Json, reply: ReplyTo) {
    let whom = match read(data) {
        Ok(whom) => whom,
        Err(detail) => {
            let outcome = Err(CallError::bad_input(ID, detail));
            registry.metrics.served(BuiltIn::Disconnect, &outcome);
            return reply.send(outcome);
        }
    };
    // Nothing can go wrong with it any more.
    registry.metrics.served(BuiltIn::Disconnect, &Ok(()));
    let inquiry = Arc::new(Inquiry { whom, count: AtomicUsize::new(0), reply });
    for subscribers in registry.subscribers.read().iter() {
        subscribers.do_send(Question::Disconnect(inquiry.clone()));
    }
}

impl Whom {
    fn is<'m>(&self, context: Option<&Json>, mut joined: impl Iterator<Item = &'m Membership>) -> bool {
        let there = |membership: &Membership| {
            self.stream.as_ref().is_none_or(|stream| **stream == *membership.group.stream())
                && self.group.as_ref().is_none_or(|group| **group == *membership.group.group())
        };
        match &self.who {
            // By the client's name for it or by the one that handlers know, which a return within the grace keeps.
            Who::Subscription(id) => joined
                .any(|membership| (membership.subscription_id == *id || membership.known_as.as_ref() == Some(id)) && there(membership)),
            Who::Context { field, value } => {
                let holds = || context.and_then(Json::to_value).is_some_and(|context| at(&context, field) == Some(value));
                ((self.stream.is_none() && self.group.is_none()) || joined.any(there)) && holds()
            }
        }
    }
}

/// The value at a dotted path through objects.
fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').try_fold(value, |value, key| value.as_object()?.get(key))
}

fn read(data: &Json) -> Result<Whom, String> {
    let Some(Value::Object(mut input)) = data.to_value() else { return Err("expected an object".to_owned()) };
    // A key that is not understood might have been meant to spare somebody.
    known(&input, &KEYS)?;
    let reason = text(&mut input, "reason")?;
    if let Some(reason) = reason.as_ref().filter(|reason| reason.len() > REASON_BYTES) {
        return Err(format!("`reason` has {} bytes; the limit is {REASON_BYTES}", reason.len()));
    }
    let who = match (text(&mut input, "subscription_id")?, input.remove("context").filter(|context| !context.is_null())) {
        (Some(id), None) => Who::Subscription(id),
        (None, Some(Value::Object(mut context))) => {
            known(&context, &["field", "value"])?;
            let field = text(&mut context, "field")?.filter(|field| !field.is_empty()).ok_or("missing field `context.field`")?;
            let value = context.remove("value").ok_or("missing field `context.value`")?;
            Who::Context { field, value }
        }
        (None, Some(_)) => return Err("`context` must be an object with `field` and `value`".to_owned()),
        _ => return Err("expected either `subscription_id` or `context`".to_owned()),
    };
    Ok(Whom { who, stream: text(&mut input, "stream_name")?, group: text(&mut input, "group_id")?, reason })
}

fn known(input: &Map<String, Value>, keys: &[&str]) -> Result<(), String> {
    match input.keys().find(|key| !keys.contains(&key.as_str())) {
        Some(key) => Err(format!("unknown field `{key}`; there are {}", keys.join(", "))),
        None => Ok(()),
    }
}

fn text(input: &mut Map<String, Value>, key: &str) -> Result<Option<Box<str>>, String> {
    match input.remove(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.into())),
        Some(_) => Err(format!("`{key}` must be a text")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ids::GroupKey;

    fn whom(input: &Value) -> Result<Whom, String> {
        read(&Json::from_value(input))
    }

    fn joined(id: &str, known_as: Option<&str>, stream: &str, group: &str) -> Membership {
        let known_as = known_as.map(Into::into);
        Membership { subscription_id: id.into(), known_as, group: GroupKey::new(stream, group), item: None, context: None }
    }

    #[test]
    fn subscription_is_found_by_either_name_and_where_it_is() {
        let there = [joined("1", None, "s", "g"), joined("2", Some("old"), "s", "h")];
        for (input, expected) in [
            (json!({"subscription_id": "1"}), true),
            (json!({"subscription_id": "old"}), true),
            (json!({"subscription_id": "3"}), false),
            (json!({"subscription_id": "1", "stream_name": "s", "group_id": "g"}), true),
            (json!({"subscription_id": "1", "group_id": "h"}), false),
        ] {
            assert_eq!(whom(&input).unwrap().is(None, there.iter()), expected, "{input}");
        }
    }

    #[test]
    fn context_is_compared_as_json_at_a_dotted_path() {
        let context = Json::from_value(&json!({"user": {"id": 7, "tags": {"a": 1, "b": [null]}}, "n": null}));
        let there = [joined("1", None, "s", "g")];
        for (field, value, expected) in [
            ("user.id", json!(7), true),
            ("user.id", json!("7"), false),
            ("user.tags", json!({"b": [null], "a": 1}), true),
            ("n", json!(null), true),
            ("missing", json!(null), false),
            ("user.id.more", json!(null), false),
            ("user.tags.b.0", json!(null), false),
        ] {
            let input = json!({"context": {"field": field, "value": value}});
            assert_eq!(whom(&input).unwrap().is(Some(&context), there.iter()), expected, "{input}");
            assert!(!whom(&input).unwrap().is(None, there.iter()), "{input}");
        }
        let narrow = |stream: &str| whom(&json!({"context": {"field": "user.id", "value": 7}, "stream_name": stream})).unwrap();
        assert!(narrow("s").is(Some(&context), there.iter()));
        assert!(!narrow("other").is(Some(&context), there.iter()));
    }

    #[test]
    fn bad_input_is_refused_in_words() {
        for (input, word) in [
            (json!([]), "object"),
            (json!({}), "either"),
            (json!({"subscription_id": "1", "context": {"field": "a", "value": 1}}), "either"),
            (json!({"subscription_id": 1}), "`subscription_id`"),
            (json!({"context": "a"}), "`context`"),
            (json!({"context": {"value": 1}}), "`context.field`"),
            (json!({"context": {"field": "", "value": 1}}), "`context.field`"),
            (json!({"context": {"field": "a"}}), "`context.value`"),
            (json!({"subscription_id": "1", "stream": "s"}), "`stream`"),
            (json!({"subscription_id": "1", "reason": "x".repeat(121)}), "121 bytes"),
        ] {
            let detail = whom(&input).unwrap_err();
            assert!(detail.contains(word), "{input}: {detail}");
        }
    }
}
