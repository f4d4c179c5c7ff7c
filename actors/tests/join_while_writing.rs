//! Promise 2 with the real actors and no sockets: a subscriber that joins while four writers run ends with the store's state.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::{Actor, Addr, Handler};
use futures_util::Stream;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use weir_actors::adapter::memory::Memory;
use weir_actors::adapter::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use weir_actors::error::Output;
use weir_actors::functions::ReplyTo;
use weir_actors::group::local::Local;
use weir_actors::group::roster::Scope;
use weir_actors::group::{Group, Subscribe, Unsubscribe};
use weir_actors::ids::{GroupKey, ItemKey, Name, SocketId};
use weir_actors::json::Json;
use weir_actors::metrics::peer::{Counted, Peer};
use weir_actors::session::body::Body;
use weir_actors::session::outbox::{OutboxRef, Shut};
use weir_actors::settings::Settings;
use weir_actors::store::Submit;
use weir_actors::store::input::Op;
use weir_actors::system::System;

const WRITERS: usize = 4;
const ITEMS: u8 = 5;

/// Stands where a session would.
struct Nobody;

impl Actor for Nobody {
    type Context = actix::Context<Self>;
}

impl Handler<Shut> for Nobody {
    type Result = ();
    fn handle(&mut self, _: Shut, _: &mut Self::Context) {}
}

/// A subscriber of the group, with the state that it has pieced together.
struct Subscriber {
    socket: SocketId,
    group: Addr<Group>,
    body: Body,
    /// What has come and was not looked at.
    unread: Vec<u8>,
    state: Option<BTreeMap<String, Value>>,
    last: u64,
    syncs: usize,
}

impl Subscriber {
    fn join(local: &Rc<Local>, key: &GroupKey, nobody: &Addr<Nobody>, outbox_bytes: usize) -> Self {
        let socket = SocketId::next();
        let counted = Counted::new(local.registry.metrics.clone(), Peer::Subscriber);
        let outbox = OutboxRef::new(socket, outbox_bytes, nobody.clone().recipient(), None, &counted);
        local.add(socket, outbox.clone());
        let group = local.enter(key);
        group.do_send(Subscribe { socket, subscription_id: "s".into(), scope: Scope::Group });
        Self { socket, group, body: Body::new(outbox, None), unread: Vec::new(), state: None, last: 0, syncs: 0 }
    }

    fn leave(self, local: &Rc<Local>, key: &GroupKey) {
        self.group.do_send(Unsubscribe { socket: self.socket, subscription_id: "s".into() });
        local.exit(key);
        local.remove(self.socket);
    }

    /// Reads all that waits in the outbox.
    fn read(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        // Frames that came together are one piece, and one that is long may be several.
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut self.body).poll_next(&mut cx) {
            self.unread.extend_from_slice(&piece);
        }
        while self.unread.len() >= 10 {
            let (header, length) = match self.unread[1] {
                126 => (4, usize::from(u16::from_be_bytes([self.unread[2], self.unread[3]]))),
                127 => (10, usize::try_from(u64::from_be_bytes(*self.unread[2..].first_chunk().unwrap())).unwrap()),
                length => (2, usize::from(length)),
            };
            assert!(self.unread.len() >= header + length, "a part of a frame");
            let frame = self.unread.drain(..header + length);
            let envelope: Value = serde_json::from_slice(&frame.as_slice()[header..]).unwrap();
            drop(frame);
            let (stamp, event) = (envelope["timestamp"].as_u64().unwrap(), &envelope["event"]);
            let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
            match (event["type"].as_str().unwrap(), &mut self.state) {
                ("sync", state) => {
                    assert!(stamp >= self.last, "a sync that is older than what came before");
                    *state = Some(event["data"].as_array().unwrap().iter().map(|value| (id(value), value.clone())).collect());
                    self.syncs += 1;
                }
                (_, None) => panic!("a change before the sync: {envelope}"),
                (kind, Some(state)) => {
                    assert!(stamp > self.last, "a change twice or out of order: {envelope}");
                    let data = event["data"].clone();
                    match kind {
                        "create" => assert!(state.insert(id(&data), data).is_none(), "created twice: {envelope}"),
                        "update" => assert!(state.insert(id(&data), data).is_some(), "updated before it was created: {envelope}"),
                        "delete" => assert!(state.remove(&id(&data)).is_some(), "deleted before it was created: {envelope}"),
                        other => panic!("unexpected event {other}"),
                    }
                }
            }
            self.last = stamp;
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Set(usize, u8),
    Delete(u8),
    Join,
    Leave(usize),
    Read(usize),
    /// Lets the other threads and this one's actors run.
    Yield(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..WRITERS, 0..ITEMS).prop_map(|(writer, item)| Step::Set(writer, item)),
        4 => (0..ITEMS).prop_map(Step::Delete),
        3 => Just(Step::Join),
        1 => (0..8usize).prop_map(Step::Leave),
        2 => (0..8usize).prop_map(Step::Read),
        6 => (0..4u8).prop_map(Step::Yield),
    ]
}

/// Reads listings beside the writer, as the file store does with large groups.
struct Deferring(Memory);

impl Adapter for Deferring {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.0.get(key)
    }
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        let items = self.0.list(group)?;
        Ok(Read::Deferred(Box::new(|| {
            // Whatever the other threads do may come first.
            std::thread::yield_now();
            items.wait()
        })))
    }
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.0.list_groups(stream)
    }
    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        self.0.list_all()
    }
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.0.streams_before(stream)
    }
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        self.0.commit(writes, heads)
    }
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        self.0.head(group)
    }
    fn floor(&self) -> Head {
        self.0.floor()
    }
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

async fn run(steps: Vec<Step>, outbox_bytes: usize, deferring: bool) {
    let adapter: Box<dyn Adapter> = if deferring { Box::new(Deferring(Memory::new())) } else { Box::new(Memory::new()) };
    let system = System::start(Settings::default(), adapter);
    let store = system.registry().store().unwrap().clone();
    let local = Local::new(system.registry().clone());
    let nobody = Nobody.start();
    let key = GroupKey::new("s", "g");
    let item = |item: u8| ItemKey { group: key.clone(), item: format!("i{item}").as_str().into() };
    let mut subscribers: Vec<Subscriber> = Vec::new();
    for (n, step) in steps.into_iter().enumerate() {
        match step {
            Step::Set(writer, which) => {
                let data = Json::from_value(&json!({"id": format!("i{which}"), "writer": writer, "n": n}));
                store.do_send(Submit { op: Op::Set { key: item(which), data }, by: SocketId::NONE, reply: ReplyTo::Nobody });
            }
            Step::Delete(which) => {
                store.do_send(Submit { op: Op::Delete { key: item(which) }, by: SocketId::NONE, reply: ReplyTo::Nobody })
            }
            Step::Join => subscribers.push(Subscriber::join(&local, &key, &nobody, outbox_bytes)),
            Step::Leave(which) if which < subscribers.len() => subscribers.swap_remove(which).leave(&local, &key),
            Step::Read(which) if which < subscribers.len() => subscribers[which].read(),
            Step::Leave(_) | Step::Read(_) => {}
            Step::Yield(times) => {
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
        }
    }
    let (sender, receiver) = oneshot::channel();
    store.do_send(Submit { op: Op::List { group: key.clone() }, by: SocketId::NONE, reply: ReplyTo::Once(sender) });
    let Ok(Output::List(values)) = receiver.await.unwrap() else { panic!("the store did not answer") };
    let stored: BTreeMap<String, Value> =
        values.iter().map(|json| json.to_value().unwrap()).map(|value| (value["id"].as_str().unwrap().to_owned(), value)).collect();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        subscribers.iter_mut().for_each(Subscriber::read);
        if subscribers.iter().all(|subscriber| subscriber.state.as_ref() == Some(&stored)) {
            break;
        }
        let states: Vec<_> = subscribers.iter().map(|subscriber| (&subscriber.state, subscriber.syncs)).collect();
        assert!(tokio::time::Instant::now() < deadline, "subscribers do not reach the store's state {stored:?}: {states:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    system.stop();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn subscriber_that_joins_among_four_writers_ends_with_the_state_of_the_store(
        steps in proptest::collection::vec(step(), 1..200),
        outbox_bytes in prop_oneof![Just(1usize << 20), 200..2_000usize],
        deferring in any::<bool>(),
    ) {
        actix_rt::System::new().block_on(run(steps, outbox_bytes, deferring));
    }
}
