//! The stream functions as workers call them: input checked and turned into an [`Op`] (protocol.md B.1).

use std::borrow::Cow;

use bytes::BufMut;
use serde::Deserialize;
use serde_json::value::RawValue;

pub use super::function::{FUNCTIONS, Function};
use crate::error::CallError;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::{Json, MAX_DEPTH, is_too_deep, object, present, text};
use crate::metrics::limit::Limit;
use crate::ops::{self, UpdateOp};
use crate::settings::Settings;
use crate::wire::{self, put_string};

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
mod tests;
