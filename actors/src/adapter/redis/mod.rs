//! Redis: items that several nodes share, with one order for all of them.
//!
//! - [`Redis`] is what calls are made with; [`Feed`] brings the changes of all nodes, this one's own included.
//! - Every write is one call of one script (`script.lua`): it stores, numbers, keeps and publishes the change, or does nothing.
//! - What was in flight when a link broke is answered by [`AdapterError::Unknown`] and never sent again.
//!
//! # Layout
//!
//! `keys` names what is in Redis · `script`, `message`, `read` say what it is told and answers · `call`, `order` are calls and their turns ·
//! `driver` sends them, on the connections of `node`, to whom `topology` says; `line` leads there · `index` knows which groups there are, and
//! `sweep` clears it out · `feed` listens · `start` begins it all.

mod call;
mod driver;
mod error;
mod examine;
mod feed;
mod index;
mod keys;
mod line;
mod mesh;
mod message;
mod node;
mod options;
mod order;
mod read;
mod script;
mod start;
mod sweep;
mod topology;

use std::sync::Arc;

use redis::Value;
use tokio::sync::{mpsc, oneshot};

use self::call::{Answer, Load, Permit, Request, Task, Update};
use self::driver::Command;
use self::line::{Line, new_call, replies};
use self::order::Share;
use crate::adapter::{AdapterError, Items, Streams};
use crate::change::{Position, Snapshot};
use crate::health::Link;
use crate::ids::{GroupKey, ItemKey, Name};
use crate::json::Json;
use crate::ops::UpdateOp;
use crate::store::ledger::Body;

#[doc(hidden)]
pub use self::call::Applied;
pub use self::error::RedisError;
pub use self::examine::{Examined, examine};
#[doc(hidden)]
pub use self::feed::{Feed, FeedItem};
#[cfg(test)]
pub(crate) use self::mesh::Out;
#[doc(hidden)]
pub use self::mesh::{Mesh, MeshFeed, MeshItem};
pub use self::options::RedisOptions;

/// Reads a published change of `group`, as the feed does; `None` where it is none. For fuzzing.
#[cfg(feature = "testing")]
#[must_use]
#[doc(hidden)]
pub fn read_message(group: &GroupKey, message: &bytes::Bytes) -> Option<crate::store::ledger::Recorded> {
    message::parse(group, message)
}

/// A handle on one Redis, or one Cluster. Its clones share the connections and the order of calls.
///
/// A method hands its call over before it returns; the future only waits for the answer. The first parameter of a call, `by`, says who calls:
/// the calls of one number for a group are carried out in the order in which they were made, reads included, whatever becomes of the futures.
/// So are the calls for one item, whoever makes them. Calls of others for other items may overtake an update, which reads first and may have
/// to try again; but what concerns the whole group (lists, snapshots, events without an item) comes after all that was called before it.
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct Redis {
    line: Line,
    feed: mpsc::UnboundedSender<feed::Ask>,
    load: Arc<Load>,
    link: Arc<Link>,
    setup: Arc<mesh::Setup>,
    max_calls: usize,
    max_bytes: usize,
}

impl Redis {
    /// Connects, and tries to for `connect_timeout`. Runs on the tokio runtime of the caller.
    ///
    /// The first to connect to a Redis looks through its keys for groups that were there before.
    ///
    /// # Errors
    /// Where the address is none, where Redis refuses us or is too old, or where it is not reached in time.
    pub async fn connect(options: RedisOptions) -> Result<(Self, Feed), RedisError> {
        start::connect(options).await
    }

    /// Whether all nodes are connected.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.link.is_whole()
    }

    /// Where it stands which nodes are connected.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        self.link.clone()
    }

    /// Joins the other nodes, on the tokio runtime of the caller.
    #[must_use]
    pub fn join(&self) -> (Mesh, MeshFeed) {
        mesh::join(self.line.clone(), self.setup.clone())
    }

    /// Stores a value; a new item goes to the end of its group, an update keeps its place.
    ///
    /// # Errors
    /// Where nothing was stored, and by [`AdapterError::Unknown`] where it is not known whether it was.
    pub fn set(&self, by: u64, key: &ItemKey, data: Json) -> impl Future<Output = Result<Applied, AdapterError>> + use<> {
        let size = data.as_bytes().len();
        self.write(by, &key.group, Some(key.item.clone()), Share::Item, Task::Set(data), size)
    }

    /// Removes an item. Where there is none, nothing changes.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn delete(&self, by: u64, key: &ItemKey) -> impl Future<Output = Result<Applied, AdapterError>> + use<> {
        self.write(by, &key.group, Some(key.item.clone()), Share::Item, Task::Delete, 0)
    }

    /// Applies operations to an item, with exactly the results of the other backends.
    ///
    /// # Errors
    /// As for [`set`](Self::set); also where the value would pass a limit, or other nodes change the item all the time.
    pub fn update(
        &self,
        by: u64,
        key: &ItemKey,
        ops: Vec<UpdateOp>,
        max_value_bytes: usize,
    ) -> impl Future<Output = Result<Applied, AdapterError>> + use<> {
        let update = Update { ops, max_value_bytes, base: None, made: None, attempts: 0 };
        // The size is known when the value is; the operations have passed a limit of their own.
        self.write(by, &key.group, Some(key.item.clone()), Share::Update, Task::Update(update), 0)
    }

    /// Sends a custom event: it gets a number and a time, and nothing is stored.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn event(
        &self,
        by: u64,
        group: &GroupKey,
        item: Option<Name>,
        name: &str,
        data: Json,
    ) -> impl Future<Output = Result<(), AdapterError>> + use<> {
        self.record(by, group, item, &Body::Event { name: name.into(), data })
    }

    /// Numbers and publishes a change of an item that is stored elsewhere.
    ///
    /// # Errors
    /// As for [`set`](Self::set).
    pub fn touch(&self, by: u64, key: &ItemKey, body: &Body) -> impl Future<Output = Result<(), AdapterError>> + use<> {
        self.record(by, &key.group, Some(key.item.clone()), body)
    }

    fn record(&self, by: u64, group: &GroupKey, item: Option<Name>, body: &Body) -> impl Future<Output = Result<(), AdapterError>> + use<> {
        let parts = message::parts(body);
        let size = parts.first.len() + parts.second.len();
        // What is said to the whole group comes after all that was done in it.
        let share = if item.is_some() { Share::Item } else { Share::Group };
        let written = self.write(by, group, item, share, Task::Record(parts), size);
        async move { written.await.map(drop) }
    }

    /// The value of an item.
    ///
    /// # Errors
    /// Where Redis is away or busy, or the item holds what is no JSON.
    pub fn get(&self, by: u64, key: &ItemKey) -> impl Future<Output = Result<Option<Json>, AdapterError>> + use<> {
        let group = key.group.clone();
        let replies = self.read(by, &group, Some(key.item.clone()), Share::Item, read::get, Vec::new());
        async move { read::value(replies.await?.pop(), &group) }
    }

    /// All items of a group in the order of insertion.
    ///
    /// # Errors
    /// Where Redis is away or busy.
    pub fn list(&self, by: u64, group: &GroupKey) -> impl Future<Output = Result<Items, AdapterError>> + use<> {
        let group = group.clone();
        let replies = self.read(by, &group, None, Share::Group, read::list, Vec::new());
        let redis = self.clone();
        async move {
            let mut replies = match replies.await {
                Err(AdapterError::Full { .. }) => redis.read_without_room(by, &group, &[]).await?.split_off(1),
                replies => replies?,
            }
            .into_iter();
            read::items(replies.next(), replies.next(), &group)
        }
    }

    /// The state of a group and its position, at one moment.
    ///
    /// # Errors
    /// Where Redis is away or busy, or an item that is asked for by name holds what is no JSON.
    pub fn snapshot(
        &self,
        by: u64,
        group: &GroupKey,
        whole: bool,
        items: &[Name],
    ) -> impl Future<Output = Result<Snapshot, AdapterError>> + use<> {
        let (group, items) = (group.clone(), items.to_vec());
        let names = items.iter().map(|item| item.as_str().to_owned()).collect();
        let replies = self.read(by, &group, None, Share::Group, if whole { read::all } else { read::some }, names);
        let redis = self.clone();
        async move {
            match replies.await {
                Err(AdapterError::Full { .. }) => {
                    let all = redis.read_without_room(by, &group, &items).await?;
                    let snapshot = read::snapshot(all, &group, true, &items)?;
                    Ok(Snapshot { whole: snapshot.whole.filter(|_| whole), ..snapshot })
                }
                replies => read::snapshot(replies?, &group, whole, &items),
            }
        }
    }

    /// Everything about a group, from a Redis that has no room left and then takes no transaction.
    async fn read_without_room(&self, by: u64, group: &GroupKey, items: &[Name]) -> Result<Vec<Value>, AdapterError> {
        let names = items.iter().map(|item| item.as_str().to_owned()).collect();
        read::unscripted(self.read(by, group, None, Share::Group, read::scripted, names).await?)
    }

    /// The groups of a stream that hold an item, sorted.
    ///
    /// # Errors
    /// Where Redis is away or busy.
    pub fn list_groups(&self, stream: &str) -> impl Future<Output = Result<Vec<Name>, AdapterError>> + use<> {
        let (line, stream) = (self.line.clone(), stream.to_owned());
        let replies = self.wide(keys::groups(&stream));
        async move {
            let groups = index::names(replies.await?.pop())?.into_iter().map(|group| GroupKey::new(&stream, group.as_str())).collect();
            let mut names: Vec<Name> = line.holding(groups).await?.iter().map(|group| group.group().into()).collect();
            names.sort_unstable();
            Ok(names)
        }
    }

    /// All streams that hold an item, each with its groups, both sorted.
    ///
    /// # Errors
    /// Where Redis is away or busy.
    pub fn list_all(&self) -> impl Future<Output = Result<Streams, AdapterError>> + use<> {
        let line = self.line.clone();
        let replies = self.wide(keys::STREAMS.to_owned());
        async move {
            let mut streams = index::names(replies.await?.pop())?;
            streams.sort_unstable();
            let asked: Vec<_> = streams.iter().map(|stream| line.members(keys::groups(stream.as_str()))).collect();
            let mut all = Vec::new();
            for (stream, members) in streams.into_iter().zip(asked) {
                let groups = index::names(members.await?.pop())?;
                let groups = groups.into_iter().map(|group| GroupKey::new(stream.as_str(), group.as_str())).collect();
                let mut names: Vec<Name> = line.holding(groups).await?.iter().map(|group| group.group().into()).collect();
                names.sort_unstable();
                if !names.is_empty() {
                    all.push((stream, names));
                }
            }
            Ok(all)
        }
    }

    /// From the position on that it resolves to, every change of the group comes through the [`Feed`], until [`unwatch`](Self::unwatch).
    ///
    /// # Errors
    /// Where Redis is away or lets us not listen; the group is not watched then, unless it was before.
    pub fn watch(&self, group: &GroupKey) -> impl Future<Output = Result<Position, AdapterError>> + use<> {
        let (done, result) = oneshot::channel();
        let asked = self.feed.send(feed::Ask::Watch(group.clone(), done));
        async move {
            let result = if asked.is_ok() { result.await.ok() } else { None };
            result.unwrap_or_else(|| Err(closed()))
        }
    }

    /// Ends what [`watch`](Self::watch) began.
    pub fn unwatch(&self, group: &GroupKey) {
        // A feed that is gone watches nothing.
        let _ = self.feed.send(feed::Ask::Unwatch(group.clone()));
    }

    /// From when it resolves, every change of every group of the stream comes through the [`Feed`], of groups that do not exist yet, too.
    ///
    /// # Errors
    /// Where Redis is away or lets us not listen; the stream is not watched then, unless it was before.
    pub fn watch_stream(&self, stream: &str) -> impl Future<Output = Result<(), AdapterError>> + use<> {
        let (done, result) = oneshot::channel();
        let asked = self.feed.send(feed::Ask::WatchStream(stream.into(), done));
        async move {
            let result = if asked.is_ok() { result.await.ok() } else { None };
            result.unwrap_or_else(|| Err(closed()))
        }
    }

    /// Ends what [`watch_stream`](Self::watch_stream) began.
    pub fn unwatch_stream(&self, stream: &str) {
        let _ = self.feed.send(feed::Ask::UnwatchStream(stream.into()));
    }

    fn write(
        &self,
        by: u64,
        group: &GroupKey,
        item: Option<Name>,
        share: Share,
        task: Task,
        size: usize,
    ) -> impl Future<Output = Result<Applied, AdapterError>> + use<> {
        let answer = self.submit(by, group, item, share, task, size);
        async move {
            match answer?.await.map_err(|_gone| closed())?? {
                Answer::Applied(applied) => Ok(applied),
                Answer::Replies(_) => Err(error::garbled("a write")),
            }
        }
    }

    fn read(
        &self,
        by: u64,
        group: &GroupKey,
        item: Option<Name>,
        share: Share,
        build: fn(&Request<'_>) -> call::Batch,
        args: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        let answer = self.submit(by, group, item, share, Task::Read(build, args), 0);
        async move { replies(answer?).await }
    }

    fn submit(
        &self,
        by: u64,
        group: &GroupKey,
        item: Option<Name>,
        share: Share,
        task: Task,
        size: usize,
    ) -> Result<oneshot::Receiver<Result<Answer, AdapterError>>, AdapterError> {
        let permit = Permit::take(&self.load, size, self.max_calls, self.max_bytes).ok_or_else(overloaded)?;
        let (call, answer) = new_call(group.clone(), keys::slot(&keys::items(group)), task, Some(permit));
        self.line.commands.send(Command::Call { by, group: group.clone(), item, share, call }).map_err(|_gone| closed())?;
        Ok(answer)
    }

    fn wide(&self, key: String) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        let permit = Permit::take(&self.load, 0, self.max_calls, self.max_bytes).ok_or_else(overloaded);
        let answer = permit.and_then(|permit| {
            let slot = keys::slot(&key);
            let (call, answer) = new_call(GroupKey::new("", ""), slot, Task::Read(read::members, vec![key]), Some(permit));
            self.line.commands.send(Command::Wide(call)).map_err(|_gone| closed())?;
            Ok(answer)
        });
        async move { replies(answer?).await }
    }
}

fn closed() -> AdapterError {
    AdapterError::Away("the connection to redis is closed; nothing was sent".into())
}

fn overloaded() -> AdapterError {
    AdapterError::Overloaded("too many calls to redis are under way; wait for some of them, then try again".into())
}
