//! The stream functions, and calls of any other function.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::sync::oneshot;

use super::event::decode;
use super::update::{Ops, Skipped, Updated};
use super::{Error, Streams};
use crate::error::{CallError, OVERLOADED, Output};
use crate::functions::{self, ReplyTo};
use crate::ids::{GroupKey, ItemKey, Name, SocketId};
use crate::json::Json;
use crate::store::Submit;
use crate::store::input::{self, Op};

impl Streams {
    /// Stores an item, tells everybody who watches its group, and has triggers called. Returns what it was before.
    ///
    /// Resolves when the write is as durable as the adapter is configured to make it. A future that is dropped does not take the call back. Write
    /// values that browsers are to match by id with an `id` in them, as the published clients expect.
    ///
    /// # Errors
    /// Where the value is no JSON or larger than `max_value_bytes`, a name is longer than `max_name_bytes`, the store is overloaded, or cannot write.
    pub async fn set<T: Serialize + ?Sized>(&self, stream: &str, group: &str, item: &str, value: &T) -> Result<Option<Json>, Error> {
        self.set_item(ItemKey::new(stream, group, item), value).await
    }

    /// The value of an item.
    ///
    /// # Errors
    /// Where the store cannot be read, or what is there is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, stream: &str, group: &str, item: &str) -> Result<Option<T>, Error> {
        self.get_item(ItemKey::new(stream, group, item)).await
    }

    /// Removes an item. Returns what it was; without one, nothing happens.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn delete(&self, stream: &str, group: &str, item: &str) -> Result<Option<Json>, Error> {
        self.delete_item(ItemKey::new(stream, group, item)).await
    }

    /// Changes an item by operations, as one change that nobody else's comes between; one that is not there begins as `{}`.
    ///
    /// # Errors
    /// As [`set`](Self::set), or where there are more than 1,000 operations. Where the item does not become a `T`, it is changed all the same.
    pub async fn update<T: DeserializeOwned>(&self, stream: &str, group: &str, item: &str, ops: Ops) -> Result<Updated<T>, Error> {
        self.update_item(&ItemKey::new(stream, group, item), ops).await
    }

    /// The items of a group, in the order in which they came.
    ///
    /// # Errors
    /// Where the store cannot be read, or one of them is not a `T`.
    pub async fn list<T: DeserializeOwned>(&self, stream: &str, group: &str) -> Result<Vec<T>, Error> {
        self.list_items(GroupKey::new(stream, group)).await
    }

    /// The groups of a stream that hold an item, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn list_groups(&self, stream: &str) -> Result<Vec<String>, Error> {
        answer(self.submit(Op::ListGroups { stream: stream.into() })?.await?, "the list of groups")
    }

    /// The streams that hold an item, each with its groups, both sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub async fn list_all(&self) -> Result<Vec<(String, Vec<String>)>, Error> {
        #[derive(serde::Deserialize)]
        struct All {
            stream: Vec<One>,
        }
        #[derive(serde::Deserialize)]
        struct One {
            id: String,
            groups: Vec<String>,
        }
        let All { stream } = answer(self.submit(Op::ListAll)?.await?, "the list of streams")?;
        Ok(stream.into_iter().map(|One { id, groups }| (id, groups)).collect())
    }

    /// Tells everybody who watches a group of an event of type `name`. Nothing is stored, and no trigger is called.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn send(&self, stream: &str, group: &str, name: &str, data: &impl Serialize) -> Result<(), Error> {
        self.send_event(GroupKey::new(stream, group), None, name, data).await
    }

    /// The same for an event about one item, which those who watch only that item hear of too.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub async fn send_about(&self, stream: &str, group: &str, item: &str, name: &str, data: &impl Serialize) -> Result<(), Error> {
        self.send_event(GroupKey::new(stream, group), Some(item.into()), name, data).await
    }

    /// Calls a function, whoever serves it: a worker, this program, or Weir itself (`stream::…`, `engine::…`).
    ///
    /// # Errors
    /// What the function answers; `function_not_found`, `invocation_timeout` and so on; or where the result is not an `O`.
    pub async fn invoke<I: Serialize + ?Sized, O: DeserializeOwned>(&self, function_id: &str, input: &I) -> Result<O, Error> {
        let input = encode("the input", input)?;
        if self.shared.life.has_ended() {
            return Err(Error::Closed);
        }
        let limit = self.shared.registry.settings.worker.invocation_timeout;
        // Whoever serves the function sees to it that this comes to an end.
        match self.shared.registry.send(function_id, input, limit)?.await {
            Ok(outcome) => answer(outcome?, "the result"),
            Err(_gone) if self.shared.life.has_ended() => Err(Error::Closed),
            Err(_gone) => Err(functions::stopped(function_id).into()),
        }
    }

    pub(super) async fn set_item<T: Serialize + ?Sized>(&self, key: ItemKey, value: &T) -> Result<Option<Json>, Error> {
        let data = encode("the value", value)?;
        self.check(&key.group, Some(&key.item))?;
        self.fits(&data)?;
        written(self.submit(Op::Set { key, data })?.await?).map(|written| written.old)
    }

    pub(super) async fn get_item<T: DeserializeOwned>(&self, key: ItemKey) -> Result<Option<T>, Error> {
        let name = key.item.clone();
        self.check(&key.group, Some(&key.item))?;
        match self.submit(Op::Get { key })?.await? {
            // What a worker that serves the stream says of an item that is not there; or an item that is null.
            Output::Value(value) if value.is_null() => Ok(value.parse().ok()),
            Output::Value(value) => decode(name.as_str(), &value).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) async fn delete_item(&self, key: ItemKey) -> Result<Option<Json>, Error> {
        self.check(&key.group, Some(&key.item))?;
        written(self.submit(Op::Delete { key })?.await?).map(|written| written.old)
    }

    pub(super) async fn update_item<T: DeserializeOwned>(&self, key: &ItemKey, ops: Ops) -> Result<Updated<T>, Error> {
        const ID: &str = "stream::update";
        let (stream, group, item) = (key.group.stream(), key.group.group(), key.item.as_str());
        let input = Json::from_value(&json!({"stream_name": stream, "group_id": group, "item_id": item, "ops": ops.into_value()}));
        let parsed = input::parse(ID, input.as_bytes(), &self.shared.registry.settings);
        let op = parsed.unwrap_or_else(|| Err(CallError::function_not_found(ID)))?;
        let Written { old, new, errors } = written(self.submit(op)?.await?)?;
        let errors: Option<Vec<Skipped>> = errors.map(|errors| answer(Output::Value(errors), "the errors of an update")).transpose()?;
        Ok(Updated {
            old: old.map(|old| decode(item, &old)).transpose()?,
            new: decode(item, &new.unwrap_or(Json::NULL))?,
            errors: errors.unwrap_or_default(),
        })
    }

    pub(super) async fn list_items<T: DeserializeOwned>(&self, group: GroupKey) -> Result<Vec<T>, Error> {
        self.check(&group, None)?;
        let what = format!("an item of group '{}' in stream '{}'", group.group(), group.stream());
        match self.submit(Op::List { group })?.await? {
            Output::List(values) => {
                values.iter().map(|value| value.parse().map_err(|source| Error::Decode { what: what.clone(), source })).collect()
            }
            output => answer(output, &what),
        }
    }

    pub(super) async fn send_event(&self, group: GroupKey, item: Option<Name>, name: &str, data: &impl Serialize) -> Result<(), Error> {
        let data = encode("the event", data)?;
        self.check(&group, item.as_ref())?;
        self.check_name("the type of the event", name)?;
        self.fits(&data)?;
        self.submit(Op::Send { group, item, name: name.into(), data })?.await.map(drop)
    }

    /// Hands a call to the store at once, so that calls keep their order; the future waits for the answer.
    fn submit(&self, op: Op) -> Result<impl Future<Output = Result<Output, Error>> + use<>, Error> {
        let (sender, receiver) = oneshot::channel();
        let store = self.shared.registry.store().ok_or(Error::Closed)?;
        let submit = Submit { op, by: SocketId::NONE, reply: ReplyTo::Once(sender) };
        store.try_send(submit).map_err(|error| match error {
            actix::dev::SendError::Full(_) => CallError::new(OVERLOADED, "the store is behind; call again later").into(),
            actix::dev::SendError::Closed(_) => Error::Closed,
        })?;
        Ok(async move { receiver.await.map_or(Err(Error::Closed), |outcome| outcome.map_err(Error::Call)) })
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
        Err(CallError::new(crate::error::DESERIALIZATION_ERROR, text).into())
    }

    fn fits(&self, value: &Json) -> Result<(), Error> {
        input::fits(value, &self.shared.registry.settings).map_err(|text| CallError::new(crate::error::DESERIALIZATION_ERROR, text).into())
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
