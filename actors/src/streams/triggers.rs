//! Triggers of this program: what happens, as calls of its async closures.

use std::future::Future;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::Change;
use super::handler::{Handler, HandlerError, function};
use super::host::Generation;
use super::{Error, Streams, WeakStreams};
use crate::error::{CallError, INVOCATION_FAILED, Output, TRIGGER_REGISTRATION_FAILED};
use crate::functions::table::FunctionInfo;
use crate::ids::Name;
use crate::json::Json;
use crate::trigger::config::{Filter, Kind};
use crate::trigger::reason::Reason;
use crate::trigger::table::Binding;

/// What is watched: a stream, perhaps one group or one item of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watch {
    stream: Option<String>,
    group: Option<String>,
    item: Option<String>,
}

impl Watch {
    /// All streams; for joins and leaves only, since changes are watched stream by stream.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// A stream.
    #[must_use]
    pub fn stream(name: impl Into<String>) -> Self {
        Self { stream: Some(name.into()), ..Self::default() }
    }

    /// Only a group of that name.
    #[must_use]
    pub fn group(self, name: impl Into<String>) -> Self {
        Self { group: Some(name.into()), ..self }
    }

    /// Only an item of that name. Of joins and leaves, those that are for this item alone.
    #[must_use]
    pub fn item(self, name: impl Into<String>) -> Self {
        Self { item: Some(name.into()), ..self }
    }

    /// As those who list triggers see it.
    fn config(&self) -> Json {
        let keys = [("stream_name", &self.stream), ("group_id", &self.group), ("item_id", &self.item)];
        let map: Map<String, Value> = keys.into_iter().filter_map(|(key, name)| Some((key.to_owned(), name.as_deref()?.into()))).collect();
        Json::from_value(&Value::Object(map))
    }

    /// Not by way of the configuration, where an empty name means any.
    fn filter(self) -> Filter {
        let name = |name: Option<String>| name.as_deref().map(Name::from);
        Filter { stream: name(self.stream), group: name(self.group), item: name(self.item), condition: None }
    }
}

/// A client that wants to subscribe.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct Join {
    /// The client's own name for the subscription.
    pub subscription_id: String,
    /// The stream.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// The group.
    #[serde(rename = "group_id")]
    pub group: String,
    /// The item, where it is only one.
    #[serde(rename = "id")]
    pub item: Option<String>,
    /// What the auth function has said of the client.
    pub context: Option<Json>,
}

/// A subscription that has ended.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[non_exhaustive]
pub struct Leave {
    /// The client's own name for the subscription.
    pub subscription_id: String,
    /// The stream.
    #[serde(rename = "stream_name")]
    pub stream: String,
    /// The group.
    #[serde(rename = "group_id")]
    pub group: String,
    /// The item, where it was only one.
    #[serde(rename = "id")]
    pub item: Option<String>,
    /// What the auth function has said of the client.
    pub context: Option<Json>,
    /// Why it ended.
    #[serde(deserialize_with = "reason")]
    pub reason: Reason,
}

/// Whether a client may subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It may.
    Admit,
    /// It may not, and is told so.
    Refuse,
}

/// A function or a trigger of this program. Dropping it changes nothing: what is registered stays until the system stops.
#[derive(Debug)]
pub struct Registration {
    streams: WeakStreams,
    function_id: Box<str>,
    generation: Generation,
    trigger_id: Option<Box<str>>,
}

impl Registration {
    pub(super) fn function(streams: WeakStreams, id: &str, generation: Generation) -> Self {
        Self { streams, function_id: id.into(), generation, trigger_id: None }
    }

    /// Ends it, unless its id has been registered anew since. Calls under way go on.
    pub fn end(self) {
        let Some(streams) = self.streams.upgrade() else { return };
        if let Some(id) = &self.trigger_id {
            streams.shared.life.end_trigger(id);
        }
        streams.shared.life.end_function(&self.function_id, self.generation);
    }
}

impl Streams {
    /// Calls `handler` with every change of what is watched, from the calls that are made after this on; in the order of each group, one at a time:
    /// the next when the one before has returned. Custom events are no changes.
    ///
    /// What a handler returns as an error is logged. Of a handler that is slower than the changes, 10,000 wait; more are dropped, counted and logged.
    ///
    /// # Errors
    /// Where nothing is watched, or as many triggers are registered as `max_functions` allows.
    pub fn on_change<T, R, F>(&self, watch: Watch, handler: F) -> Result<Registration, Error>
    where
        T: DeserializeOwned + Send + 'static,
        R: Future<Output = Result<(), HandlerError>> + Send + 'static,
        F: Fn(Change<T>) -> R + Send + Sync + 'static,
    {
        let handler = std::sync::Arc::new(handler);
        let called: Handler = std::sync::Arc::new(move |payload: Json| {
            let handler = handler.clone();
            Box::pin(async move {
                let change = Change::read(payload.as_bytes()).map_err(|error| CallError::new(INVOCATION_FAILED, error.to_string()))?;
                handler(change).await.map_err(HandlerError::into_call_error)?;
                Ok(Output::Absent)
            })
        });
        if watch.stream.is_none() {
            return Err(CallError::new(TRIGGER_REGISTRATION_FAILED, "changes are watched stream by stream; name one").into());
        }
        self.on("stream", Kind::Stream, watch, called, true)
    }

    /// Asks `handler` whether a client may subscribe. All that watch are asked, in the order of their registration, until one refuses; an error, a panic
    /// and `join_timeout` refuse, unless `join_failure` of the settings says otherwise.
    ///
    /// # Errors
    /// As many triggers are registered as `max_functions` allows.
    pub fn on_join<R, F>(&self, watch: Watch, handler: F) -> Result<Registration, Error>
    where
        R: Future<Output = Result<Answer, HandlerError>> + Send + 'static,
        F: Fn(Join) -> R + Send + Sync + 'static,
    {
        let handler = std::sync::Arc::new(handler);
        let asked = function("stream:join", move |join: Join| {
            let handler = handler.clone();
            async move { handler(join).await.map(|answer| json!({"unauthorized": answer == Answer::Refuse})) }
        });
        self.on("stream:join", Kind::Join, watch, asked, false)
    }

    /// Calls `handler` when a subscription has ended that was admitted, exactly once for each, one at a time.
    ///
    /// # Errors
    /// As many triggers are registered as `max_functions` allows.
    pub fn on_leave<R, F>(&self, watch: Watch, handler: F) -> Result<Registration, Error>
    where
        R: Future<Output = Result<(), HandlerError>> + Send + 'static,
        F: Fn(Leave) -> R + Send + Sync + 'static,
    {
        self.on("stream:leave", Kind::Leave, watch, function("stream:leave", handler), true)
    }

    fn on(
        &self,
        trigger_type: &str,
        kind: fn(Filter) -> Kind,
        watch: Watch,
        handler: Handler,
        one_at_a_time: bool,
    ) -> Result<Registration, Error> {
        let life = &self.shared.life;
        let (config, kind) = (watch.config(), kind(watch.filter()));
        let id: Box<str> = format!("host::{trigger_type}::{}", Uuid::new_v4().simple()).into();
        let info = FunctionInfo { description: Some(format!("a {trigger_type} trigger of the host program")), ..FunctionInfo::default() };
        let generation = life.serve(&id, handler, info)?;
        let binding = Binding {
            id: id.clone(),
            trigger_type: trigger_type.into(),
            function_id: id.clone(),
            config,
            metadata: None,
            kind,
            owner: life.owner(),
            one_at_a_time,
        };
        if let Err(error) = life.bind(binding) {
            life.end_function(&id, generation);
            return Err(error);
        }
        Ok(Registration { streams: self.downgrade(), function_id: id.clone(), generation, trigger_id: Some(id) })
    }
}

fn reason<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Reason, D::Error> {
    let word = <String as serde::Deserialize>::deserialize(from)?;
    Reason::of(&word).ok_or_else(|| serde::de::Error::custom(format!("unknown reason `{word}`")))
}
