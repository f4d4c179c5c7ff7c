//! A long listing holds up nobody: the store goes on while it is read, and it shows the moment at which it was asked for.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tokio::sync::oneshot;
use weir_actors::adapter::memory::Memory;
use weir_actors::adapter::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use weir_actors::error::{Outcome, Output};
use weir_actors::functions::ReplyTo;
use weir_actors::ids::{GroupKey, ItemKey, Name, SocketId};
use weir_actors::json::Json;
use weir_actors::settings::Settings;
use weir_actors::store::Submit;
use weir_actors::store::input::Op;
use weir_actors::system::System;

/// Lists a group only when it is told to.
struct Slow {
    items: Memory,
    go: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Adapter for Slow {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.items.get(key)
    }
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        let (items, go) = (self.items.list(group)?, self.go.clone());
        Ok(Read::Deferred(Box::new(move || {
            go.lock().unwrap().recv().expect("the test has ended");
            items.wait()
        })))
    }
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.items.list_groups(stream)
    }
    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        self.items.list_all()
    }
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.items.streams_before(stream)
    }
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        self.items.commit(writes, heads)
    }
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        self.items.head(group)
    }
    fn floor(&self) -> Head {
        self.items.floor()
    }
    fn epoch(&self) -> u64 {
        self.items.epoch()
    }
}

struct World {
    system: System,
    go: mpsc::Sender<()>,
}

impl World {
    fn new() -> Self {
        let (go, waits) = mpsc::channel();
        let adapter = Slow { items: Memory::new(), go: Arc::new(Mutex::new(waits)) };
        Self { system: System::start(Settings::default(), Box::new(adapter)), go }
    }

    fn submit(&self, op: Op) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.system.registry().store().unwrap().do_send(Submit { op, by: SocketId::NONE, reply: ReplyTo::Once(sender) });
        receiver
    }

    fn set(&self, item: &str, value: &str) -> oneshot::Receiver<Outcome> {
        let data = Json::from_value(&serde_json::from_str(value).unwrap());
        self.submit(Op::Set { key: ItemKey::new("s", "g", item), data })
    }

    fn list(&self) -> oneshot::Receiver<Outcome> {
        self.submit(Op::List { group: GroupKey::new("s", "g") })
    }

    /// Ends all listings, those that wait included.
    fn end(self) {
        drop(self.go);
        self.system.stop();
    }
}

async fn within(outcome: oneshot::Receiver<Outcome>) -> Outcome {
    tokio::time::timeout(Duration::from_secs(10), outcome).await.expect("no answer").unwrap()
}

fn values(outcome: Outcome) -> Vec<String> {
    let Ok(Output::List(values)) = outcome else { panic!("expected a list, got {outcome:?}") };
    values.iter().map(|json| String::from_utf8(json.as_bytes().to_vec()).unwrap()).collect()
}

#[actix_rt::test]
async fn calls_are_answered_while_a_listing_is_read_and_it_shows_the_moment_it_was_asked_for() {
    let world = World::new();
    drop(world.set("a", "1"));
    // Asked for in the same batch as the set before it, which it must see, and the one behind it, which it must not.
    let mut listing = world.list();
    drop(world.set("b", "2"));
    within(world.set("a", "3")).await.unwrap();
    assert_eq!(
        within(world.submit(Op::Get { key: ItemKey::new("s", "g", "a") })).await.unwrap(),
        Output::Value(Json::from_value(&3.into()))
    );
    assert!(listing.try_recv().is_err());
    world.go.send(()).unwrap();
    assert_eq!(values(within(listing).await), ["1"]);
    world.end();
}

#[actix_rt::test]
async fn listings_beyond_the_bound_are_refused_at_once() {
    let world = World::new();
    within(world.set("a", "1")).await.unwrap();
    let mut waiting: Vec<_> = (0..1_024).map(|_| world.list()).collect();
    let refused = within(world.list()).await.unwrap_err();
    assert_eq!(refused.code, "overloaded", "{refused}");
    assert!(waiting.iter_mut().all(|listing| listing.try_recv().is_err()));
    for _ in &waiting {
        world.go.send(()).unwrap();
    }
    for listing in waiting {
        assert_eq!(values(within(listing).await), ["1"]);
    }
    world.go.send(()).unwrap();
    assert_eq!(values(within(world.list()).await), ["1"]);
    world.end();
}

#[actix_rt::test]
async fn listing_that_panics_is_answered_and_the_next_is_read() {
    let World { system, go } = World::new();
    // The readers find nobody to tell them, and panic.
    drop(go);
    let world = World { system, go: mpsc::channel().0 };
    // As many as there are threads, and more.
    for _ in 0..4 {
        let refused = within(world.list()).await.unwrap_err();
        assert_eq!(refused.code, "STREAM_GET_GROUP_ERROR", "{refused}");
    }
    within(world.set("a", "1")).await.unwrap();
    world.end();
}
