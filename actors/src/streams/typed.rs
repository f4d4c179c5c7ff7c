//! Streams and groups whose items have one type.

use std::future::Future;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::event::decode;
use super::update::{Ops, Updated};
use super::{Error, Streams, Subscription};
use crate::ids::{GroupKey, ItemKey};

/// A stream whose items are `T`s. See [`Streams`] for what its methods do; it keeps the system running as that does.
#[derive(Debug)]
pub struct Stream<T> {
    streams: Streams,
    name: Box<str>,
    items: PhantomData<fn(T) -> T>,
}

/// A group whose items are `T`s. See [`Streams`] for what its methods do; it keeps the system running as that does.
///
/// ```
/// # use weir_actors::streams::Streams;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
/// struct Person {
///     id: String,
///     online: bool,
/// }
///
/// let streams = Streams::builder().start().await?;
/// let room = streams.group::<Person>("presence", "room-1");
/// room.set("alice", &Person { id: "alice".into(), online: true }).await?;
/// assert!(room.get("alice").await?.is_some_and(|alice| alice.online));
/// # streams.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Group<T> {
    streams: Streams,
    key: GroupKey,
    items: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        Self { streams: self.streams.clone(), name: self.name.clone(), items: PhantomData }
    }
}

impl<T> Clone for Group<T> {
    fn clone(&self) -> Self {
        Self { streams: self.streams.clone(), key: self.key.clone(), items: PhantomData }
    }
}

impl<T> Stream<T> {
    pub(super) fn new(streams: Streams, name: &str) -> Self {
        Self { streams, name: name.into(), items: PhantomData }
    }

    /// A group of this stream.
    #[must_use]
    pub fn group(&self, group: &str) -> Group<T> {
        Group::new(self.streams.clone(), GroupKey::new(&self.name, group))
    }

    /// The groups that hold an item, sorted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn groups(&self) -> impl Future<Output = Result<Vec<String>, Error>> + Send + use<T> {
        self.streams.list_groups(&self.name)
    }
}

impl<T> Group<T> {
    pub(super) fn new(streams: Streams, key: GroupKey) -> Self {
        Self { streams, key, items: PhantomData }
    }

    fn item(&self, item: &str) -> ItemKey {
        ItemKey { group: self.key.clone(), item: item.into() }
    }

    /// Sends an event to everybody who watches the group.
    ///
    /// # Errors
    /// As [`Streams::send`].
    pub fn send<E: Serialize + ?Sized>(&self, name: &str, data: &E) -> impl Future<Output = Result<(), Error>> + Send + use<T, E> {
        self.streams.send_event(self.key.clone(), None, name, data)
    }
}

impl<T: Serialize + DeserializeOwned> Group<T> {
    /// Stores an item. Returns what it was before.
    ///
    /// # Errors
    /// As [`Streams::set`]. Where what was there before is not a `T`, the new value is stored all the same.
    pub fn set(&self, item: &str, value: &T) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<T> {
        let (key, item) = (self.item(item), item.to_owned());
        let called = self.streams.set_item(key, value);
        async move { called.await?.map(|old| decode(&item, &old)).transpose() }
    }
}

impl<T: DeserializeOwned> Group<T> {
    /// The value of an item.
    ///
    /// # Errors
    /// As [`Streams::get`].
    pub fn get(&self, item: &str) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<T> {
        self.streams.get_item(self.item(item))
    }

    /// Removes an item. Returns what it was.
    ///
    /// # Errors
    /// As [`Streams::delete`]. Where what was there is not a `T`, it is removed all the same.
    pub fn delete(&self, item: &str) -> impl Future<Output = Result<Option<T>, Error>> + Send + use<T> {
        let (key, item) = (self.item(item), item.to_owned());
        let called = self.streams.delete_item(key);
        async move { called.await?.map(|old| decode(&item, &old)).transpose() }
    }

    /// Changes an item by operations.
    ///
    /// # Errors
    /// As [`Streams::update`].
    pub fn update(&self, item: &str, ops: Ops) -> impl Future<Output = Result<Updated<T>, Error>> + Send + use<T> {
        self.streams.update_item(self.item(item), ops)
    }

    /// The items, in the order in which they came.
    ///
    /// # Errors
    /// As [`Streams::list`].
    pub fn list(&self) -> impl Future<Output = Result<Vec<T>, Error>> + Send + use<T> {
        self.streams.list_items(self.key.clone())
    }

    /// Follows the group: its state, then every change.
    #[must_use]
    pub fn subscribe(&self) -> Subscription<T> {
        self.streams.follow(self.key.clone())
    }
}
