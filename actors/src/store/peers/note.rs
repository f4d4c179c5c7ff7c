//! What nodes say to each other, as JSON.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::change::{Position, Snapshot};
use crate::error::{self, CallError, Outcome, Output};
use crate::ids::Name;
use crate::json::Json;

/// What a message may take: Redis ends the connection of whoever has more than 32 MiB waiting (`client-output-buffer-limit pubsub`).
pub(crate) const MAX_MESSAGE_BYTES: usize = 24 << 20;

/// A text of a message.
pub(crate) type Said<'a> = Cow<'a, str>;

/// One message. `from` is the node that says it, `n` its own number for what it asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Note<'a> {
    /// Who is there?
    Hello { from: &'a str },
    /// All streams that the node serves, and since when.
    Serves {
        from: &'a str,
        link: u64,
        version: u64,
        #[serde(borrow)]
        streams: Vec<(Said<'a>, u64)>,
    },
    /// One more, or one less.
    Change {
        from: &'a str,
        version: u64,
        #[serde(borrow)]
        stream: Said<'a>,
        since: Option<u64>,
    },
    /// Nothing new; `last` where the node stops, and says nothing after this. Not a note of its own: one that an older node does not know would
    /// be a warning in its log.
    Alive {
        from: &'a str,
        link: u64,
        version: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// Carry out this call.
    Call {
        from: &'a str,
        n: u64,
        #[serde(borrow)]
        function: Said<'a>,
        #[serde(borrow)]
        data: &'a RawValue,
    },
    /// Read the state of this group.
    Take {
        from: &'a str,
        n: u64,
        #[serde(borrow)]
        stream: Said<'a>,
        #[serde(borrow)]
        group: Said<'a>,
        whole: bool,
        #[serde(borrow)]
        items: Vec<Said<'a>>,
    },
    /// How a call has ended.
    Answer {
        n: u64,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::present")]
        result: Option<&'a RawValue>,
        #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
        error: Option<Failure<'a>>,
    },
    /// The state of a group.
    State {
        n: u64,
        #[serde(borrow)]
        state: Result<State<'a>, Failure<'a>>,
    },
}

/// Why something failed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure<'a> {
    #[serde(borrow)]
    code: Said<'a>,
    #[serde(borrow)]
    message: Said<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    stacktrace: Option<Said<'a>>,
}

/// A [`Snapshot`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct State<'a> {
    epoch: u64,
    seq: u64,
    timestamp: u64,
    #[serde(borrow)]
    whole: Option<Vec<(Said<'a>, &'a RawValue)>>,
    /// An empty array where there is no such item: `null` is a value.
    #[serde(borrow)]
    items: Vec<(Said<'a>, Vec<&'a RawValue>)>,
}

impl<'a> Note<'a> {
    /// The node that says this of itself.
    pub(crate) fn about(&self) -> Option<&'a str> {
        match self {
            Self::Hello { from } | Self::Serves { from, .. } | Self::Change { from, .. } | Self::Alive { from, .. } => Some(from),
            Self::Call { .. } | Self::Take { .. } | Self::Answer { .. } | Self::State { .. } => None,
        }
    }

    /// The message as text.
    pub(crate) fn to_text(&self) -> Vec<u8> {
        // Strings, numbers and raw values, and no map with other keys: nothing of it can fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a message; `None` where it is none of ours.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(text).ok()
    }
}

/// The text of the answer to call `n`.
pub(crate) fn answer(n: u64, mut outcome: Outcome) -> Vec<u8> {
    if let Ok(output) = &outcome
        && output.size() > MAX_MESSAGE_BYTES
    {
        let text = format!("the result has {} bytes; between nodes no more than {MAX_MESSAGE_BYTES} can be passed on", output.size());
        outcome = Err(CallError::new(error::PAYLOAD_TOO_LARGE, text));
    }
    let (result, error) = match &outcome {
        Ok(Output::Absent) => (None, None),
        Ok(output) => (Some(output.clone().into_json()), None),
        Err(error) => (None, Some(Failure::of(error))),
    };
    Note::Answer { n, result: result.as_ref().map(Json::as_raw), error }.to_text()
}

/// The outcome of a call by its answer.
pub(crate) fn outcome(result: Option<&RawValue>, error: Option<Failure<'_>>) -> Outcome {
    match (error, result) {
        (Some(error), _) => Err(error.into_error()),
        (None, Some(result)) => Ok(Output::Value(Json::copy(result))),
        (None, None) => Ok(Output::Absent),
    }
}

/// The text of the answer to `take` number `n`.
pub(crate) fn state(n: u64, snapshot: &Result<Snapshot, CallError>) -> Vec<u8> {
    let name = |name: &'_ Name| Cow::Owned(name.as_str().to_owned());
    let state = match snapshot {
        Ok(Snapshot { position, timestamp, whole, items }) => Ok(State {
            epoch: position.epoch,
            seq: position.seq,
            timestamp: *timestamp,
            whole: whole.as_ref().map(|whole| whole.iter().map(|(item, value)| (name(item), value.as_raw())).collect()),
            items: items.iter().map(|(item, value)| (name(item), value.iter().map(Json::as_raw).collect())).collect(),
        }),
        Err(error) => Err(Failure::of(error)),
    };
    let text = Note::State { n, state }.to_text();
    if text.len() <= MAX_MESSAGE_BYTES {
        return text;
    }
    let detail = format!("the group has {} bytes; between nodes no more than {MAX_MESSAGE_BYTES} can be passed on", text.len());
    Note::State { n, state: Err(Failure::of(&CallError::new(error::PAYLOAD_TOO_LARGE, detail))) }.to_text()
}

/// The snapshot that it tells.
pub(crate) fn snapshot(state: Result<State<'_>, Failure<'_>>) -> Result<Snapshot, CallError> {
    let State { epoch, seq, timestamp, whole, items } = state.map_err(Failure::into_error)?;
    Ok(Snapshot {
        position: Position { epoch, seq },
        timestamp,
        whole: whole.map(|whole| whole.into_iter().map(|(item, value)| ((&*item).into(), Json::copy(value))).collect()),
        items: items.into_iter().map(|(item, value)| ((&*item).into(), value.first().map(|value| Json::copy(value)))).collect(),
    })
}

impl<'a> Failure<'a> {
    fn of(error: &'a CallError) -> Self {
        Self {
            code: (&*error.code).into(),
            message: error.message.as_str().into(),
            stacktrace: error.stacktrace.as_deref().map(Into::into),
        }
    }

    fn into_error(self) -> CallError {
        CallError {
            code: self.code.into_owned().into(),
            message: self.message.into_owned(),
            stacktrace: self.stacktrace.map(Cow::into_owned),
            limit: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]
    use super::*;

    fn json(text: &str) -> Json {
        Json::copy(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn outcomes_come_back() {
        let written = Output::Written { old: None, new: Some(json("1e400")), errors: None };
        for (sent, got) in [
            (Ok(Output::Absent), Ok(Output::Absent)),
            (Ok(Output::Value(Json::NULL)), Ok(Output::Value(Json::NULL))),
            (Ok(written), Ok(Output::Value(json(r#"{"old_value":null,"new_value":1e400}"#)))),
            (Ok(Output::List(vec![json("\"a\\nb\"")])), Ok(Output::Value(json("[\"a\\nb\"]")))),
            (Err(CallError::new("X", "a \"b\"\n")), Err(CallError::new("X", "a \"b\"\n"))),
        ] {
            let text = answer(7, sent);
            let Some(Note::Answer { n: 7, result, error }) = Note::parse(&text) else { panic!("{}", String::from_utf8_lossy(&text)) };
            assert_eq!(outcome(result, error), got);
        }
    }

    #[test]
    fn states_come_back() {
        let sent = Snapshot {
            position: Position { epoch: 1 << 60, seq: 3 },
            timestamp: 5,
            whole: Some(vec![("é\"".into(), json("{\"a\":[]}")), ("".into(), Json::NULL)]),
            items: vec![("a".into(), None), ("b".into(), Some(Json::NULL)), ("c".into(), Some(json("0.10")))],
        };
        let text = state(1, &Ok(sent.clone()));
        let Some(Note::State { n: 1, state }) = Note::parse(&text) else { panic!("{}", String::from_utf8_lossy(&text)) };
        let got = snapshot(state).unwrap();
        assert_eq!((got.position, got.timestamp, got.whole, got.items), (sent.position, sent.timestamp, sent.whole, sent.items));
    }

    #[test]
    fn last_word_of_a_node_is_a_sign_of_life_to_older_ones() {
        let alive = |last| String::from_utf8(Note::Alive { from: "a", link: 1, version: 2, last }.to_text()).unwrap();
        assert_eq!(alive(false), r#"{"alive":{"from":"a","link":1,"version":2}}"#);
        assert_eq!(alive(true), r#"{"alive":{"from":"a","link":1,"version":2,"last":true}}"#);
        assert!(matches!(Note::parse(alive(false).as_bytes()), Some(Note::Alive { last: false, .. })));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for text in ["", "{}", "[]", "{\"hello\":{}}", "{\"unknown\":{\"from\":\"a\"}}", "\u{1}"] {
            assert!(Note::parse(text.as_bytes()).is_none(), "{text}");
        }
    }
}
