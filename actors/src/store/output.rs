//! The results of calls, whoever keeps the items.

use crate::adapter::{Items, Streams};
use crate::error::{CallError, Output};
use crate::ids::Name;
use crate::json::Json;
use crate::metrics::limit::Limit;
use crate::ops;

/// The result of update operations on a value, and their errors if any failed.
///
/// # Errors
/// `STREAM_UPDATE_ERROR` where the value cannot be read as a tree or would grow past the limit.
pub fn updated(old: Option<&Json>, ops: &[ops::UpdateOp], max_value_bytes: usize) -> Result<(Json, Option<Json>), CallError> {
    let error = |text: String| CallError::new("STREAM_UPDATE_ERROR", text);
    let current = match old {
        None => None,
        Some(json) => Some(json.to_value().ok_or_else(|| {
            error(
                "the stored value is nested too deeply, or holds a lone surrogate or a number that no double can hold; set it anew".into(),
            )
        })?),
    };
    let updated = ops::apply(current, ops);
    let new = Json::from_value(&updated.value);
    if new.as_bytes().len() > max_value_bytes {
        return Err(error(format!(
            "the value would have {} bytes; the limit is {} (`max_value_bytes`)",
            new.as_bytes().len(),
            max_value_bytes
        ))
        .past(Some(Limit::Value)));
    }
    if crate::json::is_too_deep(new.as_bytes()) {
        return Err(error(format!("the value would be nested deeper than {} levels", crate::json::MAX_DEPTH)));
    }
    let errors = if updated.errors.is_empty() { None } else { Json::of(&updated.errors) };
    Ok((new, errors))
}

/// The result of `stream::list`.
pub(super) fn list(items: Items) -> Output {
    Output::List(items.into_iter().map(|(_, value)| value).collect())
}

/// The result of `stream::list_groups`.
#[expect(clippy::needless_pass_by_value, reason = "what follows a read takes its result")]
pub(super) fn groups(names: Vec<Name>) -> Output {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    Output::Value(Json::of(&names).unwrap_or(Json::NULL))
}

/// The result of `stream::list_all`.
#[expect(clippy::needless_pass_by_value, reason = "what follows a read takes its result")]
pub(super) fn streams(streams: Streams) -> Output {
    #[derive(serde::Serialize)]
    struct Stream<'a> {
        id: &'a str,
        groups: Vec<&'a str>,
    }
    #[derive(serde::Serialize)]
    struct All<'a> {
        stream: Vec<Stream<'a>>,
        count: usize,
    }
    let stream: Vec<_> =
        streams.iter().map(|(id, groups)| Stream { id: id.as_str(), groups: groups.iter().map(Name::as_str).collect() }).collect();
    Output::Value(Json::of(&All { count: stream.len(), stream }).unwrap_or(Json::NULL))
}
