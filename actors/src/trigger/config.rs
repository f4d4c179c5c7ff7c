//! What a trigger watches: its type and configuration, checked when it is registered (protocol.md D).

use serde_json::{Map, Value};

use crate::error::{CallError, TRIGGER_REGISTRATION_FAILED};
use crate::ids::{GroupKey, Name};
use crate::json::Json;

/// A trigger type and, for those that Weir serves, what the trigger asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `stream`: changes of items.
    Stream(Filter),
    /// `stream:join`: a client subscribes.
    Join(Filter),
    /// `stream:leave`: a subscription ends.
    Leave(Filter),
    /// `engine::functions-available`: the set of functions changed.
    FunctionsAvailable,
    /// `engine::workers-available`: a worker came, left or told of itself.
    WorkersAvailable,
    /// A type that a worker provides, now or later.
    Custom,
}

/// The types that Weir serves itself, with what each is for.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("stream", "fires when an item of a stream is created, updated or deleted"),
    ("stream:join", "fires when a client subscribes; the handler may refuse with {\"unauthorized\": true}"),
    ("stream:leave", "fires when a subscription ends"),
    ("engine::functions-available", "fires when the set of registered functions changes"),
    ("engine::workers-available", "fires when a worker connects, disconnects or describes itself"),
];

/// Which stream, group and item a trigger is for, and the condition that guards its handler. An absent part matches all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Filter {
    /// The stream.
    pub stream: Option<Name>,
    /// The group.
    pub group: Option<Name>,
    /// The item.
    pub item: Option<Name>,
    /// The function that is asked first; where it answers `false`, the handler is not called.
    pub condition: Option<Name>,
}

impl Filter {
    /// Whether a change of `item` in `group` is for this trigger. A change of the whole group has no item, and matches no item.
    #[must_use]
    pub fn matches(&self, group: &GroupKey, item: Option<&str>) -> bool {
        let fits = |wanted: &Option<Name>, found: Option<&str>| wanted.as_ref().is_none_or(|wanted| Some(wanted.as_str()) == found);
        fits(&self.stream, Some(group.stream())) && fits(&self.group, Some(group.group())) && fits(&self.item, item)
    }
}

impl Kind {
    /// Checks the configuration of a trigger of type `trigger_type`.
    ///
    /// # Errors
    /// `trigger_registration_failed`, with the key that is wrong.
    pub fn parse(trigger_type: &str, config: &Json) -> Result<Self, CallError> {
        let refuse = |text: String| CallError::new(TRIGGER_REGISTRATION_FAILED, text);
        let config = || config.to_value().ok_or_else(|| refuse("config is nested too deeply".into()));
        Ok(match trigger_type {
            "stream" => {
                let filter = match config()? {
                    Value::Object(map) => filter(&map).map_err(refuse)?,
                    Value::Null => Filter::default(),
                    other => return Err(refuse(format!("config must be an object with stream_name, not {}", type_of(&other)))),
                };
                if filter.stream.is_none() {
                    return Err(refuse("config.stream_name is required: the name of the stream to watch".into()));
                }
                Self::Stream(filter)
            }
            "stream:join" | "stream:leave" => {
                // Upstream takes anything here, so only an object can say something wrong.
                let filter = match config()? {
                    Value::Object(map) => filter(&map).map_err(refuse)?,
                    _ => Filter::default(),
                };
                if trigger_type == "stream:join" { Self::Join(filter) } else { Self::Leave(filter) }
            }
            "engine::functions-available" => Self::FunctionsAvailable,
            "engine::workers-available" => Self::WorkersAvailable,
            _ => Self::Custom,
        })
    }

    /// The stream whose changes are watched, where it is that.
    #[must_use]
    pub fn stream(&self) -> Option<&str> {
        match self {
            Self::Stream(filter) => filter.stream.as_ref().map(Name::as_str),
            _ => None,
        }
    }

    /// The function that is asked before the handler, if there is one.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        match self {
            Self::Stream(filter) | Self::Join(filter) | Self::Leave(filter) => filter.condition.as_ref().map(Name::as_str),
            Self::FunctionsAvailable | Self::WorkersAvailable | Self::Custom => None,
        }
    }

    /// Whether `trigger_type` is one that Weir serves itself.
    #[must_use]
    pub fn is_built_in(trigger_type: &str) -> bool {
        BUILT_IN.iter().any(|(name, _)| *name == trigger_type)
    }
}

/// `null` and `""` mean any, as the published SDKs send them for what is not set; other keys are the user's own.
fn filter(map: &Map<String, Value>) -> Result<Filter, String> {
    let text = |key: &str| match map.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Name::from(text.as_str()))),
        Some(other) => Err(format!("config.{key} must be a string, not {}", type_of(other))),
    };
    Ok(Filter { stream: text("stream_name")?, group: text("group_id")?, item: text("item_id")?, condition: text("condition_function_id")? })
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn parse(trigger_type: &str, config: &Value) -> Result<Kind, CallError> {
        Kind::parse(trigger_type, &Json::from_value(config))
    }

    #[test]
    fn stream_trigger_without_a_stream_is_refused() {
        for config in [
            json!({}),
            json!(null),
            json!("x"),
            json!([1]),
            json!(7),
            json!({"stream_name": 1}),
            json!({"stream_name": "s", "group_id": []}),
        ] {
            let error = parse("stream", &config).unwrap_err();
            assert_eq!(error.code, TRIGGER_REGISTRATION_FAILED, "{config}");
        }
    }

    #[test]
    fn nulls_and_empty_texts_in_a_filter_match_all() {
        let Kind::Stream(filter) = parse("stream", &json!({"stream_name": "s", "group_id": null, "item_id": "", "metadata": {}})).unwrap()
        else {
            unreachable!()
        };
        assert!(filter.matches(&GroupKey::new("s", "any"), Some("i")));
        assert!(!filter.matches(&GroupKey::new("t", "any"), Some("i")));
    }

    #[test]
    fn item_filter_does_not_match_an_event_to_the_group() {
        let filter = Filter { item: Some("i".into()), ..Filter::default() };
        assert!(filter.matches(&GroupKey::new("s", "g"), Some("i")));
        assert!(!filter.matches(&GroupKey::new("s", "g"), None));
        let unnamed = Filter { item: Some("".into()), ..Filter::default() };
        assert!(unnamed.matches(&GroupKey::new("s", "g"), Some("")));
        assert!(!unnamed.matches(&GroupKey::new("s", "g"), None));
    }

    #[test]
    fn join_trigger_takes_any_config_and_honours_what_it_knows() {
        for config in [json!({}), json!(null), json!("x"), json!([])] {
            assert_eq!(parse("stream:join", &config).unwrap(), Kind::Join(Filter::default()));
        }
        let Kind::Leave(filter) = parse("stream:leave", &json!({"condition_function_id": "c"})).unwrap() else { unreachable!() };
        assert_eq!(filter.condition, Some("c".into()));
    }

    #[test]
    fn unknown_type_is_kept_for_a_provider_to_come() {
        assert_eq!(parse("webhook", &json!(5)).unwrap(), Kind::Custom);
    }
}
