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
/// The worker's own error, `JSON_ERROR` where its answer has the wrong shape, or `code` where a write answers nothing or the adapter is not
/// there.
pub fn call(
    registry: &Registry,
    with: Override,
    op: Op,
    code: &'static str,
) -> impl Future<Output = (Op, Result<Answered, CallError>)> + use<> {
    let id = registry.override_id(with, op.stream());
    let answer = invoke(registry, with, &op, code);
    async move {
        let result = answer.await.and_then(|output| read(&id, &op, output, code));
        (op, result)
    }
}

fn read(id: &str, op: &Op, output: Output, code: &'static str) -> Result<Answered, CallError> {
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
                _ => return Err(CallError::new(code, format!("'{id}' answered no result; it must answer an object with `new_value`"))),
            };
            let new = new.ok_or_else(|| CallError::new(JSON_ERROR, "the override's result has no `new_value`"))?;
            Ok(Answered::Written { old, new, errors })
        }
    }
}

/// The value of an item by the `get` override.
///
/// # Errors
/// The worker's own error, or `code` where the adapter is not there.
pub async fn get(registry: &Registry, key: &ItemKey, code: &'static str) -> Result<Option<Json>, CallError> {
    let output = invoke(registry, Override::Get, &Op::Get { key: key.clone() }, code).await?;
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
    let json = value_or_null(invoke(registry, Override::List, &op, op.error_code()).await)?;
    // An override answers values without their names; a `sync` needs no more.
    Ok(list(&json)?.into_iter().map(|value| (Name::from(""), value)).collect())
}

fn invoke(registry: &Registry, with: Override, op: &Op, code: &'static str) -> impl Future<Output = Outcome> + use<> {
    let id = registry.override_id(with, op.stream());
    let call = registry.call(&id, op.to_input(), registry.settings.stream.join_timeout);
    // An adapter that nobody serves is a failure of ours, and not of whoever called.
    let is_adapter = registry.settings.stream.adapter_functions.as_ref().is_some_and(|adapter| id == with.adapter_id(adapter));
    async move {
        call.await.map_err(|error| {
            if !is_adapter || error.code != FUNCTION_NOT_FOUND {
                return error;
            }
            CallError::new(code, format!("the adapter is not there: no connected worker serves '{id}'; start the worker that does"))
        })
    }
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
