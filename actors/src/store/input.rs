//! The stream functions as workers call them: input checked and turned into an [`Op`] (protocol.md B.1).

use std::borrow::Cow;

use bytes::BufMut;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::CallError;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::{Json, MAX_DEPTH, is_too_deep, object, present, text};
use crate::metrics::limit::Limit;
use crate::ops::{self, UpdateOp};
use crate::settings::Settings;
use crate::wire::{self, put_string};

/// The function ids that the store serves, in the order of product.md.
pub const FUNCTIONS: [&str; 8] = [
    "stream::set",
    "stream::get",
    "stream::delete",
    "stream::list",
    "stream::list_groups",
    "stream::list_all",
    "stream::send",
    "stream::update",
];

/// The codes of a failure of the backend, in the same order.
const ERROR_CODES: [&str; FUNCTIONS.len()] = [
    "STREAM_SET_ERROR",
    "STREAM_GET_ERROR",
    "STREAM_DELETE_ERROR",
    "STREAM_GET_GROUP_ERROR",
    "STREAM_LIST_GROUPS_ERROR",
    "STREAM_LIST_ALL_ERROR",
    "STREAM_SEND_ERROR",
    "STREAM_UPDATE_ERROR",
];

/// One of [`FUNCTIONS`], by its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function(u8);

impl Function {
    /// The one of that id.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        FUNCTIONS.into_iter().zip(0..).find_map(|(known, place)| (known == id).then_some(Self(place)))
    }

    /// Its place.
    #[must_use]
    pub fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Its id.
    #[must_use]
    pub fn id(self) -> &'static str {
        FUNCTIONS[self.place()]
    }

    /// The code of a failure of the backend in it.
    #[must_use]
    pub fn error_code(self) -> &'static str {
        ERROR_CODES[self.place()]
    }
}

/// One call of a stream function.
#[derive(Debug)]
pub enum Op {
    /// `stream::set`
    Set {
        /// What is written.
        key: ItemKey,
        /// The value.
        data: Json,
    },
    /// `stream::get`
    Get {
        /// What is read.
        key: ItemKey,
    },
    /// `stream::delete`
    Delete {
        /// What is removed.
        key: ItemKey,
    },
    /// `stream::list`
    List {
        /// What is read.
        group: GroupKey,
    },
    /// `stream::list_groups`
    ListGroups {
        /// What is read.
        stream: Name,
    },
    /// `stream::list_all`
    ListAll,
    /// `stream::send`
    Send {
        /// Who gets it.
        group: GroupKey,
        /// The item it is about.
        item: Option<Name>,
        /// The event's own type.
        name: Box<str>,
        /// Its payload.
        data: Json,
    },
    /// `stream::update`
    Update {
        /// What is changed.
        key: ItemKey,
        /// How, in order.
        ops: Vec<UpdateOp>,
        /// The operations as they came, for a worker that updates for us.
        raw: Json,
    },
}

impl Op {
    /// The function.
    #[must_use]
    pub fn called(&self) -> Function {
        Function(match self {
            Self::Set { .. } => 0,
            Self::Get { .. } => 1,
            Self::Delete { .. } => 2,
            Self::List { .. } => 3,
            Self::ListGroups { .. } => 4,
            Self::ListAll => 5,
            Self::Send { .. } => 6,
            Self::Update { .. } => 7,
        })
    }

    /// Bytes of the value, or of the operations.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Set { data, .. } | Self::Send { data, .. } => data.as_bytes().len(),
            Self::Update { raw, .. } => raw.as_bytes().len(),
            _ => 0,
        }
    }

    /// The function id.
    #[must_use]
    pub fn function(&self) -> &'static str {
        self.called().id()
    }

    /// The code of a failure of the backend in this function.
    #[must_use]
    pub fn error_code(&self) -> &'static str {
        self.called().error_code()
    }

    /// The group it is about; `None` for the two that are about more.
    #[must_use]
    pub fn group(&self) -> Option<&GroupKey> {
        match self {
            Self::Set { key, .. } | Self::Get { key } | Self::Delete { key } | Self::Update { key, .. } => Some(&key.group),
            Self::List { group } | Self::Send { group, .. } => Some(group),
            Self::ListGroups { .. } | Self::ListAll => None,
        }
    }

    /// The stream it is about; none where it is about all.
    #[must_use]
    pub fn stream(&self) -> &str {
        match self {
            Self::ListGroups { stream } => stream.as_str(),
            other => other.group().map_or("", GroupKey::stream),
        }
    }

    /// The declared keys of the call and nothing else; values as they came.
    #[must_use]
    pub fn to_input(&self) -> Json {
        if matches!(self, Self::ListAll) {
            return Json::assembled("{}");
        }
        let mut out = b"{\"stream_name\":".to_vec();
        put_string(&mut out, self.stream());
        let mut text = |key: &str, value: &str| {
            out.put_slice(key.as_bytes());
            put_string(&mut out, value);
        };
        if let Some(group) = self.group() {
            text(",\"group_id\":", group.group());
        }
        let value = match self {
            Self::Set { key, .. } | Self::Get { key } | Self::Delete { key } | Self::Update { key, .. } => {
                text(",\"item_id\":", key.item.as_str());
                match self {
                    Self::Set { data, .. } => Some((",\"data\":", data)),
                    Self::Update { raw, .. } => Some((",\"ops\":", raw)),
                    _ => None,
                }
            }
            Self::Send { item, name, data, .. } => {
                if let Some(item) = item {
                    text(",\"id\":", item.as_str());
                }
                text(",\"type\":", name);
                Some((",\"data\":", data))
            }
            Self::List { .. } | Self::ListGroups { .. } | Self::ListAll => None,
        };
        if let Some((key, value)) = value {
            out.put_slice(key.as_bytes());
            out.put_slice(value.as_bytes());
        }
        out.put_u8(b'}');
        Json::assembled(out)
    }

    /// Whether it lists more than one item.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        matches!(self, Self::List { .. } | Self::ListGroups { .. } | Self::ListAll)
    }

    /// Whether it only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(self, Self::Get { .. }) || self.is_wide()
    }
}

/// All keys of all stream functions; which of them a function needs is checked afterwards, so that the error can name the key.
#[derive(Deserialize, Default)]
struct Input<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    stream_name: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    group_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    item_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    ops: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type", deserialize_with = "text")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "text")]
    id: Option<Cow<'a, str>>,
}

/// The stream function that is called `id`, in the text that lasts.
#[must_use]
pub fn function(id: &str) -> Option<&'static str> {
    FUNCTIONS.into_iter().find(|known| *known == id)
}

/// Parses the input of stream function `id`; `None` if there is no such function.
///
/// The inner error is a `deserialization_error` that names the function and what is wrong with the input.
#[must_use]
pub fn parse(id: &str, data: &[u8], settings: &Settings) -> Option<Result<Op, CallError>> {
    let function = function(id)?;
    Some(read(function, data, settings).map_err(|Refusal { text, limit }| CallError::bad_input(function, text).past(limit)))
}

/// The operation of a call in the usual form, of the functions that are called most. `None` for others, and where something is wrong with
/// the call; [`parse`] then says what.
#[must_use]
pub fn plain(call: &wire::call::Call<'_>, settings: &Settings) -> Option<(&'static str, Op)> {
    let function = function(call.function_id)?;
    let limits = &settings.stream;
    let name = |text: Option<&'_ str>| text.is_some_and(|text| text.len() <= limits.max_name_bytes);
    let input = &call.input;
    if !name(input.stream_name) || !name(input.group_id) || !name(input.item_id) {
        return None;
    }
    let key = || Some(ItemKey::new(input.stream_name?, input.group_id?, input.item_id?));
    let op = match function {
        "stream::set" => {
            let data = input.data.filter(|data| data.len() <= limits.max_value_bytes)?;
            Op::Set { key: key()?, data: Json::scanned(data) }
        }
        "stream::get" => Op::Get { key: key()? },
        "stream::delete" => Op::Delete { key: key()? },
        _ => return None,
    };
    Some((function, op))
}

/// Whether a value may be stored.
///
/// # Errors
/// The limit that it passes.
pub(crate) fn fits(value: &Json, settings: &Settings) -> Result<(), String> {
    Limits::of(settings).check(value.as_bytes()).map_err(|refusal| refusal.text)
}

/// What is wrong with an input, and the limit that it passes if it is that.
struct Refusal {
    text: String,
    limit: Option<Limit>,
}

impl<T: Into<String>> From<T> for Refusal {
    fn from(text: T) -> Self {
        Self { text: text.into(), limit: None }
    }
}

fn read(function: &'static str, data: &[u8], settings: &Settings) -> Result<Op, Refusal> {
    if function == "stream::list_all" {
        return Ok(Op::ListAll);
    }
    let input: Input<'_> = object(data).map_err(|error| error.to_string())?;
    let limits = Limits::of(settings);
    let stream = limits.name("stream_name", input.stream_name)?;
    if function == "stream::list_groups" {
        return Ok(Op::ListGroups { stream: Name::from(&*stream) });
    }
    let group = GroupKey::new(&stream, &limits.name("group_id", input.group_id)?);
    let item = |group| Ok::<_, Refusal>(ItemKey { group, item: Name::from(&*limits.name("item_id", input.item_id)?) });
    Ok(match function {
        "stream::set" => Op::Set { key: item(group)?, data: limits.value(input.data)? },
        "stream::get" => Op::Get { key: item(group)? },
        "stream::delete" => Op::Delete { key: item(group)? },
        "stream::update" => {
            let key = item(group)?;
            let raw = input.ops.ok_or("missing field `ops`")?;
            if is_too_deep(raw.get().as_bytes()) {
                return Err(format!("`ops` is nested deeper than {MAX_DEPTH} levels").into());
            }
            let ops = ops::parse(raw).map_err(|error| error.to_string())?;
            Op::Update { key, ops, raw: Json::copy(raw) }
        }
        "stream::send" => {
            let name = limits.name("type", input.kind)?.as_ref().into();
            let item = input.id.map(|id| limits.name("id", Some(id))).transpose()?;
            Op::Send { group, item: item.as_deref().map(Name::from), name, data: limits.value(input.data)? }
        }
        _ => Op::List { group },
    })
}

#[derive(Clone, Copy)]
struct Limits {
    name: usize,
    value: usize,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        Self { name: settings.stream.max_name_bytes, value: settings.stream.max_value_bytes }
    }

    fn name<'a>(self, key: &str, text: Option<Cow<'a, str>>) -> Result<Cow<'a, str>, Refusal> {
        let text = text.ok_or_else(|| format!("missing field `{key}`"))?;
        if text.len() > self.name {
            let text = format!("`{key}` has {} bytes; the limit is {} (`max_name_bytes`)", text.len(), self.name);
            return Err(Refusal { text, limit: Some(Limit::Name) });
        }
        Ok(text)
    }

    fn value(self, raw: Option<&RawValue>) -> Result<Json, Refusal> {
        let raw = raw.ok_or("missing field `data`")?;
        self.check(raw.get().as_bytes())?;
        Ok(Json::copy(raw))
    }

    fn check(self, data: &[u8]) -> Result<(), Refusal> {
        if data.len() > self.value {
            let text = format!("`data` has {} bytes; the limit is {} (`max_value_bytes`)", data.len(), self.value);
            return Err(Refusal { text, limit: Some(Limit::Value) });
        }
        if is_too_deep(data) {
            return Err(format!("`data` is nested deeper than {MAX_DEPTH} levels").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(function: &str, data: &str) -> Result<Op, CallError> {
        parse(function, data.as_bytes(), &Settings::default()).unwrap()
    }

    #[test]
    fn every_missing_key_is_named() {
        let full =
            [("stream_name", "\"s\""), ("group_id", "\"g\""), ("item_id", "\"i\""), ("data", "null"), ("type", "\"t\""), ("ops", "[]")];
        let needs = [
            ("stream::set", &["stream_name", "group_id", "item_id", "data"][..]),
            ("stream::get", &["stream_name", "group_id", "item_id"]),
            ("stream::delete", &["stream_name", "group_id", "item_id"]),
            ("stream::list", &["stream_name", "group_id"]),
            ("stream::list_groups", &["stream_name"]),
            ("stream::send", &["stream_name", "group_id", "type", "data"]),
            ("stream::update", &["stream_name", "group_id", "item_id", "ops"]),
        ];
        for (function, keys) in needs {
            for left_out in keys {
                let fields: Vec<_> =
                    full.iter().filter(|(key, _)| key != left_out).map(|(key, value)| format!("\"{key}\":{value}")).collect();
                let error = read(function, &format!("{{{}}}", fields.join(","))).unwrap_err();
                assert_eq!(error.code, "deserialization_error");
                assert!(error.message.contains(left_out) && error.message.starts_with(function), "{error}");
            }
            let fields: Vec<_> = full.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            assert!(read(function, &format!("{{{}}}", fields.join(","))).is_ok());
        }
    }

    #[test]
    fn wrong_types_and_payloads_that_are_no_object_are_refused() {
        for data in ["null", "[]", "\"x\"", "7", "", "[\"s\",\"g\",\"i\",1]", r#"{"stream_name":1,"group_id":"g","item_id":"i","data":1}"#]
        {
            assert_eq!(read("stream::set", data).unwrap_err().code, "deserialization_error", "{data}");
        }
    }

    #[test]
    fn null_data_is_data_and_list_all_takes_anything() {
        let op = read("stream::set", r#"{"stream_name":"","group_id":"","item_id":"","data":null,"_caller_worker_id":"x"}"#).unwrap();
        assert!(matches!(op, Op::Set { data, .. } if data.is_null()));
        for data in ["null", "{}", ""] {
            assert!(matches!(read("stream::list_all", data).unwrap(), Op::ListAll));
        }
    }

    #[test]
    fn input_of_a_call_parses_to_the_same_call() {
        for (function, data) in [
            ("stream::set", r#"{"stream_name":"s\"","group_id":"","item_id":"é","data":{"a":1e400}}"#),
            ("stream::get", r#"{"stream_name":"s","group_id":"g","item_id":"i"}"#),
            ("stream::delete", r#"{"stream_name":"s","group_id":"g","item_id":"i"}"#),
            ("stream::update", r#"{"stream_name":"s","group_id":"g","item_id":"i","ops":[{"type":"remove","path":"a"}]}"#),
            ("stream::send", r#"{"stream_name":"s","group_id":"g","id":"i","type":"t","data":null}"#),
            ("stream::send", r#"{"stream_name":"s","group_id":"g","type":"t","data":[]}"#),
            ("stream::list", r#"{"stream_name":"s","group_id":"g"}"#),
            ("stream::list_groups", r#"{"stream_name":"s"}"#),
            ("stream::list_all", "{}"),
        ] {
            let op = read(function, data).unwrap();
            assert_eq!(std::str::from_utf8(op.to_input().as_bytes()).unwrap(), data);
            assert_eq!(op.function(), function);
        }
    }

    #[test]
    fn names_and_values_over_the_limit_are_refused_with_the_limit() {
        let long = "x".repeat(513);
        let error = read("stream::get", &format!(r#"{{"stream_name":"{long}","group_id":"g","item_id":"i"}}"#)).unwrap_err();
        assert!(error.message.contains("512"), "{error}");
        let deep = "[".repeat(MAX_DEPTH + 1) + &"]".repeat(MAX_DEPTH + 1);
        let error = read("stream::set", &format!(r#"{{"stream_name":"s","group_id":"g","item_id":"i","data":{deep}}}"#)).unwrap_err();
        assert!(error.message.contains("nested"), "{error}");
    }
}
