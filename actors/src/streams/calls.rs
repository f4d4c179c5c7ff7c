//! The stream functions, and calls of any other function.
//!
//! A call is handed to the store when the method is called, not when its future is first polled, so that calls keep their order however they are
//! awaited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;

use super::event::decode;
use super::update::{Ops, Skipped, Updated};
use super::{Error, Streams};
use crate::error::{CallError, DESERIALIZATION_ERROR, OVERLOADED, Outcome, Output};
use crate::functions;
use crate::ids::{GroupKey, ItemKey, Name, SocketId};
use crate::json::Json;
use crate::metrics::calls::BuiltIn;
use crate::store::Submit;
use crate::store::input::{self, Op};

/// A call that the store has been handed, or why it has not.
pub(super) enum Called {
    Waiting(oneshot::Receiver<Outcome>),
    Failed(Option<Error>),
}

impl Future for Called {
    type Output = Result<Output, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Failed(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Closed))),
            Self::Waiting(receiver) => {
                Pin::new(receiver).poll(context).map(|outcome| outcome.map_or(Err(Error::Closed), |outcome| outcome.map_err(Error::Call)))
            }
        }
    }
}

impl Streams {
    /// Stores an item, tells everybody who watches its group, and has triggers called. Resolves with what it was before, when the write is as durable as
    /// the adapter is configured to make it.
    ///
    /// Write values that browsers are to match by id with an `id` in them, as the published clients expect.
    ///
    /// # Errors
    /// Where the value is no JSON or larger than `max_value_bytes`, a name is longer than `max_name_bytes`, the store is overloaded, or cannot write.
    pub fn set<T: Serialize + ?Sized>(
        &self,
        stream: &str,
        group: &str,
        item: &str,
        value: &T,
    ) -> impl Future<Output = Result<Option<Json>, Error>> + Send + use<T> {
        self.set_item(ItemKey::new(stream, group, item), value)
    }

    /// The value of an item.
    ///
    /// # Errors
    /// Where the store cannot be read, or what is there is not a `T`.
    pub fn get<T: DeserializeOwned>(
        &self,
        stream: &str,
        group: &str,
        item: &str,
    ) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<T> {
        self.get_item(ItemKey::new(stream, group, item))
    }

    /// Removes an item. Resolves with what it was; without one, nothing happens.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn delete(&self, stream: &str, group: &str, item: &str) -> impl Future<Output = Result<Option<Json>, Error>> + Send + use<> {
        self.delete_item(ItemKey::new(stream, group, item))
    }

    /// Changes an item by operations, as one change that nobody else's comes between; one that is not there begins as `{}`.
    ///
    /// # Errors
    /// As [`set`](Self::set), or where there are more than 1,000 operations. Where the item does not become a `T`, it is changed all the same.
    pub fn update<T: DeserializeOwned>(
        &self,
        stream: &str,
        group: &str,
        item: &str,
        ops: Ops,
    ) -> impl Future<Output = Result<Updated<T>, Error>> + Send + use<T> {
        self.update_item(ItemKey::new(stream, group, item), ops)
    }

    /// The items of a group, in the order in which they came.
    ///
    /// # Errors
    /// Where the store cannot be read, or one of them is not a `T`: the error says which. As [`Json`] any can be read.
    pub fn list<T: DeserializeOwned>(&self, stream: &str, group: &str) -> impl Future<Output = Result<Vec<T>, Error>> + Send + use<T> {
        self.list_items(GroupKey::new(stream, group))
    }

    /// The groups of a stream that hold an item, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn list_groups(&self, stream: &str) -> impl Future<Output = Result<Vec<String>, Error>> + Send + use<> {
        let called = self.submit(Op::ListGroups { stream: stream.into() });
        async { answer(called.await?, "the list of groups") }
    }

    /// The streams that hold an item, each with its groups, both sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn list_all(&self) -> impl Future<Output = Result<Vec<(String, Vec<String>)>, Error>> + Send + use<> {
        #[derive(serde::Deserialize)]
        struct All {
            stream: Vec<One>,
        }
        #[derive(serde::Deserialize)]
        struct One {
            id: String,
            groups: Vec<String>,
        }
        let called = self.submit(Op::ListAll);
        async {
            let All { stream } = answer(called.await?, "the list of streams")?;
            Ok(stream.into_iter().map(|One { id, groups }| (id, groups)).collect())
        }
    }

    /// Tells everybody who watches a group of an event of type `name`. Nothing is stored, and no trigger is called.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn send<T: Serialize + ?Sized>(
        &self,
        stream: &str,
        group: &str,
        name: &str,
        data: &T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<T> {
        self.send_event(GroupKey::new(stream, group), None, name, data)
    }

    /// The same for an event about one item, which those who watch only that item hear of too.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn send_about<T: Serialize + ?Sized>(
        &self,
        stream: &str,
        group: &str,
        item: &str,
        name: &str,
        data: &T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<T> {
        self.send_event(GroupKey::new(stream, group), Some(item.into()), name, data)
    }

    /// Calls a function, whoever serves it: a worker, this program, or Weir itself (`stream::…`, `engine::…`).
    ///
    /// # Errors
    /// What the function answers; `function_not_found`, `invocation_timeout` and so on; or where the result is not an `O`.
    pub fn invoke<I: Serialize + ?Sized, O: DeserializeOwned>(
        &self,
        function_id: &str,
        input: &I,
    ) -> impl Future<Output = Result<O, Error>> + Send + use<I, O> {
        let limit = self.shared.registry.settings.worker.invocation_timeout;
        let called = encode("the input", input).and_then(|input| {
            if self.shared.life.has_ended() {
                return Err(Error::Closed);
            }
            Ok(self.shared.registry.send(function_id, input, limit)?)
        });
        let function_id: Box<str> = function_id.into();
        async move {
            // Whoever serves the function sees to it that this comes to an end; without an answer, it has gone.
            let outcome = called?.await.unwrap_or_else(|_gone| Err(functions::stopped(&function_id)));
            answer(outcome?, "the result")
        }
    }

    pub(super) fn set_item<T: Serialize + ?Sized>(
        &self,
        key: ItemKey,
        value: &T,
    ) -> impl Future<Output = Result<Option<Json>, Error>> + Send + use<T> {
        let called = self.fits(&key.group, Some(&key.item), "the value", value).map(|data| self.submit(Op::Set { key, data }));
        async { written(called?.await?).map(|written| written.old) }
    }

    pub(super) fn get_item<T: DeserializeOwned>(&self, key: ItemKey) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<T> {
        let name = key.item.clone();
        let called = self.check(&key.group, Some(&key.item)).map(|()| self.submit(Op::Get { key }));
        async move {
            match called?.await? {
                // What a worker that serves the stream says of an item that is not there; or an item that is null.
                Output::Value(value) if value.is_null() => Ok(value.parse().ok()),
                Output::Value(value) => decode(name.as_str(), &value).map(Some),
                _ => Ok(None),
            }
        }
    }

    pub(super) fn delete_item(&self, key: ItemKey) -> impl Future<Output = Result<Option<Json>, Error>> + Send + use<> {
        let called = self.check(&key.group, Some(&key.item)).map(|()| self.submit(Op::Delete { key }));
        async { written(called?.await?).map(|written| written.old) }
    }

    pub(super) fn update_item<T: DeserializeOwned>(
        &self,
        key: ItemKey,
        ops: Ops,
    ) -> impl Future<Output = Result<Updated<T>, Error>> + Send + use<T> {
        const ID: &str = "stream::update";
        let (stream, group) = (key.group.stream(), key.group.group());
        let input = json!({"stream_name": stream, "group_id": group, "item_id": key.item.as_str(), "ops": ops.into_value()});
        let parsed = input::parse(ID, Json::from_value(&input).as_bytes(), &self.shared.registry.settings);
        let op = parsed.unwrap_or_else(|| Err(CallError::function_not_found(ID)));
        let called = op.map(|op| self.submit(op));
        async move {
            let Written { old, new, errors } = written(called?.await?)?;
            let errors: Option<Vec<Skipped>> = errors.map(|errors| answer(Output::Value(errors), "the errors of an update")).transpose()?;
            Ok(Updated {
                old: old.map(|old| decode(key.item.as_str(), &old)).transpose()?,
                new: decode(key.item.as_str(), &new.unwrap_or(Json::NULL))?,
                errors: errors.unwrap_or_default(),
            })
        }
    }

    pub(super) fn list_items<T: DeserializeOwned>(&self, group: GroupKey) -> impl Future<Output = Result<Vec<T>, Error>> + Send + use<T> {
        let what = format!("group '{}' in stream '{}'", group.group(), group.stream());
        let called = self.check(&group, None).map(|()| self.submit(Op::List { group }));
        async move {
            match called?.await? {
                Output::List(values) => {
                    let read = |(place, value): (usize, &Json)| {
                        value.parse().map_err(|source| Error::Decode { what: format!("item {place}, from 0, of {what}"), source })
                    };
                    values.iter().enumerate().map(read).collect()
                }
                output => answer(output, &what),
            }
        }
    }

    pub(super) fn send_event<T: Serialize + ?Sized>(
        &self,
        group: GroupKey,
        item: Option<Name>,
        name: &str,
        data: &T,
    ) -> impl Future<Output = Result<(), Error>> + Send + use<T> {
        let data = self.check_name("the type of the event", name).and_then(|()| self.fits(&group, item.as_ref(), "the event", data));
        let called = data.map(|data| self.submit(Op::Send { group, item, name: name.into(), data }));
        async { called?.await.map(drop) }
    }

    fn submit(&self, op: Op) -> Called {
        let Some(store) = self.shared.registry.store() else { return Called::Failed(Some(Error::Closed)) };
        let (metrics, function) = (&self.shared.registry.metrics, op.called());
        let (sender, receiver) = oneshot::channel();
        let reply = self.shared.registry.reply_to(&op, sender);
        match store.try_send(Submit { op, by: SocketId::NONE, reply }) {
            Ok(()) => {
                metrics.submitted.add(1);
                Called::Waiting(receiver)
            }
            Err(actix::dev::SendError::Full(_)) => {
                let error = CallError::new(OVERLOADED, "the store is behind; call again later");
                let outcome: Result<(), _> = Err(error.clone());
                metrics.served(BuiltIn::Stream(function), &outcome);
                Called::Failed(Some(error.into()))
            }
            Err(actix::dev::SendError::Closed(_)) => Called::Failed(Some(Error::Closed)),
        }
    }

    /// A value as JSON, where it and the names that it goes by keep to the limits.
    fn fits<T: Serialize + ?Sized>(&self, group: &GroupKey, item: Option<&Name>, what: &'static str, value: &T) -> Result<Json, Error> {
        self.check(group, item)?;
        let json = encode(what, value)?;
        input::fits(&json, &self.shared.registry.settings).map_err(|text| CallError::new(DESERIALIZATION_ERROR, text))?;
        Ok(json)
    }

    fn check(&self, group: &GroupKey, item: Option<&Name>) -> Result<(), Error> {
        self.check_name("the name of the stream", group.stream())?;
        self.check_name("the name of the group", group.group())?;
        item.map_or(Ok(()), |item| self.check_name("the name of the item", item.as_str()))
    }

    fn check_name(&self, what: &str, name: &str) -> Result<(), Error> {
        let limit = self.shared.registry.settings.stream.max_name_bytes;
        if name.len() <= limit {
            return Ok(());
        }
        let text = format!("{what} has {} bytes; the limit is {limit} (`max_name_bytes`)", name.len());
        Err(CallError::new(DESERIALIZATION_ERROR, text).into())
    }
}

fn encode<T: Serialize + ?Sized>(what: &'static str, value: &T) -> Result<Json, Error> {
    Json::write(value).map_err(|source| Error::Encode { what, source })
}

/// A result as an `O`.
fn answer<O: DeserializeOwned>(output: Output, what: &str) -> Result<O, Error> {
    output.into_json().parse().map_err(|source| Error::Decode { what: what.to_owned(), source })
}

/// The parts of a write's result.
#[derive(serde::Deserialize)]
struct Written {
    /// `None` also where it was `null`: on the wire both are the same.
    #[serde(rename = "old_value")]
    old: Option<Json>,
    #[serde(rename = "new_value")]
    new: Option<Json>,
    /// The operations that failed.
    errors: Option<Json>,
}

fn written(output: Output) -> Result<Written, Error> {
    match output {
        Output::Written { old, new, errors } => Ok(Written { old: old.filter(|old| !old.is_null()), new, errors }),
        // What a worker that serves the stream has answered.
        output => answer(output, "the result of the write"),
    }
}
