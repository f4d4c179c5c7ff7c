//! Calls to the functions by which a worker takes over a stream (protocol.md B.6), or all streams, as an adapter of functions.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::Op;
use crate::error::{CallError, FUNCTION_NOT_FOUND, JSON_ERROR, Outcome, Output};
use crate::functions::table::Override;
use crate::functions::{Registry, value_or_null};
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::{Json, object, present};

/// The override that serves an operation, if its stream has one for it.
#[must_use]
pub fn of(op: &Op) -> Option<Override> {
    Some(match op {
        Op::Set { .. } => Override::Set,
        Op::Get { .. } => Override::Get,
        Op::Delete { .. } => Override::Delete,
        Op::List { .. } => Override::List,
        Op::ListGroups { .. } => Override::ListGroups,
        Op::Update { .. } => Override::Update,
        Op::ListAll => Override::ListAll,
        Op::Send { .. } => return None,
    })
}

/// What an override's answer comes to.
#[derive(Debug)]
pub enum Answered {
    /// A read.
    Read(Output),
    /// A set or an update.
    Written {
        /// As the worker says; missing and `null` both mean that the item is new.
        old: Option<Json>,
        /// The value that the worker keeps now.
        new: Json,
        /// The operations of an update that failed.
        errors: Option<Json>,
    },
    /// A delete; `None` where the worker had no such item.
    Deleted(Option<Json>),
}

/// Calls the override `with` for `op`. The call is sent at once; the future waits for the answer and hands the operation back.
///
/// # Errors
/// The worker's own error, `JSON_ERROR` where its answer has the wrong shape, or the operation's code where a write answers nothing.
pub fn call(registry: &Registry, with: Override, op: Op) -> impl Future<Output = (Op, Result<Answered, CallError>)> + use<> {
    let (stream, input) = (op.stream(), op.to_input());
    let id = registry.override_id(with, stream);
    let answer = invoke(registry, with, stream, input);
    // An adapter that nobody serves is a failure of ours, and not of whoever called.
    let absent = registry.settings.stream.adapter_functions.clone().filter(|adapter| id == with.adapter_id(adapter));
    async move {
        let result = match answer.await {
            Err(error) if absent.is_some() && error.code == FUNCTION_NOT_FOUND => {
                let text = format!("the adapter is not there: no connected worker serves '{id}'; start the worker that does");
                Err(CallError::new(op.error_code(), text))
            }
            answer => answer.and_then(|output| read(&id, &op, output)),
        };
        (op, result)
    }
}

fn read(id: &str, op: &Op, output: Output) -> Result<Answered, CallError> {
    match op {
        Op::Get { .. } => Ok(Answered::Read(output)),
        Op::List { .. } => Ok(Answered::Read(Output::List(list(&value_or_null(Ok(output))?)?))),
        Op::ListGroups { .. } => {
            let json = value_or_null(Ok(output))?;
            json.parse::<Vec<String>>().map_err(|error| wrong_shape("an array of strings", &error))?;
            Ok(Answered::Read(Output::Value(json)))
        }
        Op::ListAll => {
            #[derive(Deserialize)]
            struct Stream {
                #[serde(rename = "id")]
                _id: String,
                #[serde(rename = "groups")]
                _groups: Vec<String>,
            }
            #[derive(Deserialize)]
            struct All {
                #[serde(rename = "stream")]
                _stream: Vec<Stream>,
            }
            let json = value_or_null(Ok(output))?;
            let shape = object::<All>(json.as_bytes());
            shape.map_err(|error| wrong_shape("an object with `stream`, an array of objects with `id` and `groups`", &error))?;
            Ok(Answered::Read(Output::Value(json)))
        }
        Op::Delete { .. } => Ok(Answered::Deleted(pair(&value_or_null(Ok(output))?)?.0)),
        _ => {
            let (old, new, errors) = match output {
                Output::Value(json) if !json.is_null() => pair(&json)?,
                _ => return Err(no_result(op, id)),
            };
            let new = new.ok_or_else(|| CallError::new(JSON_ERROR, "the override's result has no `new_value`"))?;
            Ok(Answered::Written { old, new, errors })
        }
    }
}

/// The value of an item by the `get` override.
///
/// # Errors
/// The worker's own error.
pub async fn get(registry: &Registry, key: &ItemKey) -> Result<Option<Json>, CallError> {
    let op = Op::Get { key: key.clone() };
    let output = invoke(registry, Override::Get, op.stream(), op.to_input()).await?;
    // `null` is what a Python or Node `get` answers for an item that is not there.
    Ok(match output {
        Output::Value(json) if !json.is_null() => Some(json),
        _ => None,
    })
}

/// All values of a group by the `list` override.
///
/// # Errors
/// The worker's own error, or `JSON_ERROR`.
pub async fn list_group(registry: &Registry, group: &GroupKey) -> Result<Vec<(Name, Json)>, CallError> {
    let op = Op::List { group: group.clone() };
    let json = value_or_null(invoke(registry, Override::List, op.stream(), op.to_input()).await)?;
    // An override answers values without their names; a `sync` needs no more.
    Ok(list(&json)?.into_iter().map(|value| (Name::from(""), value)).collect())
}

fn invoke(registry: &Registry, with: Override, stream: &str, data: Json) -> impl Future<Output = Outcome> + use<> {
    registry.call(&registry.override_id(with, stream), data, registry.settings.stream.join_timeout)
}

fn no_result(op: &Op, id: &str) -> CallError {
    CallError::new(op.error_code(), format!("'{id}' answered no result; it must answer an object with `new_value`"))
}

fn wrong_shape(expected: &str, error: &serde_json::Error) -> CallError {
    CallError::new(JSON_ERROR, format!("the override must answer {expected}: {error}"))
}

fn list(json: &Json) -> Result<Vec<Json>, CallError> {
    let values: Vec<&RawValue> = json.parse().map_err(|error| wrong_shape("an array", &error))?;
    Ok(values.into_iter().map(Json::copy).collect())
}

type Pair = (Option<Json>, Option<Json>, Option<Json>);

fn pair(json: &Json) -> Result<Pair, CallError> {
    #[derive(Deserialize, Default)]
    struct Shape<'a> {
        #[serde(borrow, default)]
        old_value: Option<&'a RawValue>,
        #[serde(borrow, default, deserialize_with = "present")]
        new_value: Option<&'a RawValue>,
        #[serde(borrow, default)]
        errors: Option<&'a RawValue>,
    }
    if json.is_null() {
        return Ok((None, None, None));
    }
    let shape: Shape<'_> = object(json.as_bytes()).map_err(|error| wrong_shape("an object with `old_value` and `new_value`", &error))?;
    Ok((shape.old_value.map(Json::copy), shape.new_value.map(Json::copy), shape.errors.map(Json::copy)))
}
