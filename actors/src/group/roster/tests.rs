#![allow(clippy::unwrap_used)]

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::sync::{CHANGE_BYTES, KEPT_BYTES, PATIENCE};
use super::*;
use crate::adapter::memory::Memory;
use crate::change::Snapshot;
use crate::ids::{GroupKey, ItemKey};
use crate::json::Json;
use crate::store::input::Op;
use crate::store::ledger::Ledger;
use crate::store::publish::encode;
use crate::wire::subscriber::Address;

const SOCKETS: usize = 3;

/// A queue that takes so many frames, and a client behind it.
#[derive(Clone)]
struct Pipe(Rc<RefCell<Queue>>);

struct Queue {
    frames: Vec<Bytes>,
    room: usize,
}

impl Sink for Pipe {
    fn push(&self, frame: &Bytes) -> bool {
        let mut queue = self.0.borrow_mut();
        let room = queue.frames.len() < queue.room;
        if room {
            // Several may come as one.
            let mut rest = frame.clone();
            while !rest.is_empty() {
                let (header, length) = bounds(&rest);
                queue.frames.push(rest.split_to(header + length));
            }
        }
        room
    }

    fn queue(&self, frame: &Bytes) -> bool {
        self.push(frame)
    }

    fn push_with(&self, frame: &Bytes) {
        self.0.borrow_mut().frames.push(frame.clone());
    }
}

/// The length of the header of a server's frame, and that of its payload.
fn bounds(frame: &[u8]) -> (usize, usize) {
    match frame[1] {
        126 => (4, usize::from(u16::from_be_bytes([frame[2], frame[3]]))),
        127 => (10, usize::try_from(u64::from_be_bytes(*frame[2..].first_chunk().unwrap())).unwrap()),
        length => (2, usize::from(length)),
    }
}

/// What a published client makes of the frames: one list for the group, one value per item.
#[derive(Default, Debug)]
struct Client {
    group: BTreeMap<String, Value>,
    items: HashMap<String, Value>,
    last: u64,
}

impl Client {
    fn read(&mut self, frame: &Bytes) {
        let (header, length) = bounds(frame);
        assert_eq!(frame.len(), header + length);
        let envelope: Value = serde_json::from_slice(&frame[header..]).unwrap();
        let stamp = envelope["timestamp"].as_u64().unwrap();
        let event = &envelope["event"];
        let data = event["data"].clone();
        let item = envelope["id"].as_str();
        if event["type"] == "sync" {
            assert!(stamp >= self.last, "a sync older than what came before: {envelope}");
            match item {
                Some(item) => drop(self.items.insert(item.to_owned(), data)),
                None => {
                    let key = |value: &Value| value["id"].as_str().unwrap().to_owned();
                    self.group = data.as_array().unwrap().iter().map(|value| (key(value), value.clone())).collect();
                }
            }
        } else {
            assert!(stamp > self.last, "a change twice, or out of order: {envelope}, after {}", self.last);
            let (item, id) = (item.unwrap().to_owned(), data["id"].as_str().map(str::to_owned));
            if event["type"] == "delete" {
                self.group.remove(&id.unwrap_or_default());
                self.items.insert(item, Value::Null);
            } else {
                if let Some(id) = id {
                    self.group.insert(id, data.clone());
                }
                self.items.insert(item, data);
            }
        }
        self.last = stamp;
    }
}

struct World {
    ledger: Ledger,
    key: GroupKey,
    address: Address,
    roster: Roster<Pipe>,
    sockets: Vec<(SocketId, Pipe, Client)>,
    /// What is subscribed to at the end, by socket and subscription.
    joined: HashMap<(usize, u8), Scope>,
    wanted: Option<Wanted>,
    on_its_way: Option<(u64, Snapshot)>,
    full: Vec<SocketId>,
    written: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Write(u8),
    WriteNull(u8),
    Delete(u8),
    Join(usize, u8, Option<u8>),
    Leave(usize, u8),
    Remove(usize),
    Ask,
    TakeSnapshot,
    DeliverSnapshot,
    Drain(usize),
    Resync,
}

fn name(item: u8) -> Name {
    ["a", "b", "c"][usize::from(item) % 3].into()
}

impl World {
    fn new(room: usize) -> Self {
        let key = GroupKey::new("s", "g");
        let pipe = || Pipe(Rc::new(RefCell::new(Queue { frames: Vec::new(), room })));
        Self {
            ledger: Ledger::new(Box::new(Memory::new()), 1 << 20, 10),
            address: Address::new(&key),
            key,
            roster: Roster::default(),
            sockets: (0..SOCKETS).map(|_| (SocketId::next(), pipe(), Client::default())).collect(),
            joined: HashMap::new(),
            wanted: None,
            on_its_way: None,
            full: Vec::new(),
            written: 0,
        }
    }

    fn item(&self, item: u8) -> ItemKey {
        ItemKey { group: self.key.clone(), item: name(item) }
    }

    fn apply(&mut self, op: Op) {
        self.ledger.apply(op).unwrap();
        let changes: Vec<_> = self.ledger.commit().unwrap().into_iter().map(|change| Arc::new(encode(change, &self.address))).collect();
        let full = self.roster.changes(&changes);
        self.full.extend(full);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Write(item) => {
                self.written += 1;
                let data = Json::from_value(&json!({"id": name(item).as_str(), "v": self.written}));
                self.apply(Op::Set { key: self.item(item), data });
            }
            Step::WriteNull(item) => self.apply(Op::Set { key: self.item(item), data: Json::NULL }),
            Step::Delete(item) => self.apply(Op::Delete { key: self.item(item) }),
            Step::Join(socket, id, item) => {
                let scope = item.map_or(Scope::Group, |item| Scope::Item(name(item)));
                self.joined.insert((socket, id), scope.clone());
                let (number, pipe, _) = &self.sockets[socket];
                self.roster.join(*number, pipe.clone(), id.to_string().into(), scope);
            }
            Step::Leave(socket, id) => {
                self.joined.remove(&(socket, id));
                if self.roster.leave(self.sockets[socket].0, &id.to_string()) {
                    self.full.push(self.sockets[socket].0);
                }
            }
            Step::Remove(socket) => {
                self.joined.retain(|(other, _), _| *other != socket);
                self.roster.remove(self.sockets[socket].0);
            }
            Step::Ask => self.wanted = self.roster.wanted().or(self.wanted.take()),
            Step::TakeSnapshot => {
                if let Some(wanted) = self.wanted.take() {
                    self.on_its_way =
                        Some((wanted.request, self.ledger.snapshot(&self.key, wanted.whole, &wanted.items).unwrap().wait().unwrap()));
                }
            }
            Step::DeliverSnapshot => {
                if let Some((request, snapshot)) = self.on_its_way.take() {
                    let full = self.roster.snapshot(request, &snapshot, &self.address);
                    self.full.extend(full);
                }
            }
            Step::Drain(socket) => {
                let (number, pipe, client) = &mut self.sockets[socket];
                for frame in std::mem::take(&mut pipe.0.borrow_mut().frames) {
                    client.read(&frame);
                }
                let before = self.full.len();
                self.full.retain(|full| full != number);
                if self.full.len() < before {
                    self.roster.drained(*number);
                }
            }
            Step::Resync => self.roster.resync(),
        }
    }

    /// Lets everything that is under way arrive.
    fn settle(&mut self) {
        for _ in 0..200 {
            (0..SOCKETS).for_each(|socket| self.step(Step::Drain(socket)));
            [Step::Ask, Step::TakeSnapshot, Step::DeliverSnapshot].into_iter().for_each(|step| self.step(step));
        }
    }

    fn check(&mut self) {
        let Ok(crate::error::Output::List(values)) = self.ledger.apply(Op::List { group: self.key.clone() }) else { unreachable!() };
        let stored: Vec<Value> = values.iter().map(|json| json.to_value().unwrap()).filter(|value| !value.is_null()).collect();
        let stored: BTreeMap<_, _> = stored.into_iter().map(|value| (value["id"].as_str().unwrap().to_owned(), value)).collect();
        for ((socket, _), scope) in &self.joined {
            let client = &self.sockets[*socket].2;
            match scope {
                Scope::Group => assert_eq!(client.group, stored, "socket {socket}"),
                Scope::Item(item) => {
                    let expected = stored.get(item.as_str()).cloned().unwrap_or_default();
                    assert_eq!(client.items.get(item.as_str()), Some(&expected), "socket {socket}, item {item}");
                }
            }
        }
        assert!(self.roster.kept.is_empty() && self.roster.asked.is_none(), "something is kept for nobody");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let (socket, id, item) = (0..SOCKETS, 0..3u8, 0..3u8);
    prop_oneof![
        8 => item.clone().prop_map(Step::Write),
        1 => item.clone().prop_map(Step::WriteNull),
        2 => item.clone().prop_map(Step::Delete),
        4 => (socket.clone(), id.clone(), proptest::option::of(item)).prop_map(|(socket, id, item)| Step::Join(socket, id, item)),
        1 => (socket.clone(), id).prop_map(|(socket, id)| Step::Leave(socket, id)),
        1 => socket.clone().prop_map(Step::Remove),
        4 => Just(Step::Ask),
        4 => Just(Step::TakeSnapshot),
        4 => Just(Step::DeliverSnapshot),
        4 => socket.prop_map(Step::Drain),
        1 => Just(Step::Resync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn sync_and_what_follows_equal_the_store_in_any_order_of_events(steps in proptest::collection::vec(step(), 1..80), room in 2..40usize) {
        let mut world = World::new(room);
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check();
    }
}

/// More changes than are kept for the first snapshot.
const TOO_MANY: usize = KEPT_BYTES / CHANGE_BYTES;

#[test]
fn kept_changes_over_the_bound_lead_to_a_newer_snapshot() {
    let mut world = World::new(usize::MAX);
    world.step(Step::Join(0, 0, None));
    for step in [Step::Ask, Step::TakeSnapshot] {
        world.step(step);
    }
    for _ in 0..TOO_MANY {
        world.step(Step::Write(1));
    }
    assert!(world.roster.kept.len() < TOO_MANY);
    world.settle();
    world.check();
    assert_eq!(world.sockets[0].2.group["b"]["v"], TOO_MANY);
}

#[test]
fn snapshot_that_came_too_late_again_and_again_becomes_urgent() {
    let mut world = World::new(usize::MAX);
    world.step(Step::Join(0, 0, None));
    for round in 0..PATIENCE {
        let wanted = world.roster.wanted().unwrap();
        assert!(!wanted.urgent);
        world.step(Step::TakeSnapshot);
        for _ in 0..TOO_MANY << round {
            world.step(Step::Write(1));
        }
    }
    assert!(world.roster.wanted().unwrap().urgent);
}

#[test]
fn all_who_join_before_the_snapshot_is_asked_for_share_it() {
    let mut world = World::new(usize::MAX);
    for socket in 0..SOCKETS {
        world.step(Step::Join(socket, 0, Some(1)));
        world.step(Step::Join(socket, 1, None));
    }
    let wanted = world.roster.wanted().unwrap();
    assert_eq!((wanted.whole, wanted.items), (true, vec![name(1)]));
    assert!(world.roster.wanted().is_none());
}

/// A queue that counts how often it is put into a list.
struct Counting(Rc<std::cell::Cell<usize>>);

impl Clone for Counting {
    fn clone(&self) -> Self {
        self.0.set(self.0.get() + 1);
        Self(self.0.clone())
    }
}

impl Sink for Counting {
    fn push(&self, _: &Bytes) -> bool {
        true
    }

    fn queue(&self, _: &Bytes) -> bool {
        true
    }

    fn push_with(&self, _: &Bytes) {}
}

#[test]
fn end_of_one_of_many_subscriptions_lists_none_of_the_others_anew() {
    const MANY: usize = 1_000;
    let (mut roster, clones, socket) = (Roster::default(), Rc::<std::cell::Cell<usize>>::default(), SocketId::next());
    for n in 0..MANY {
        roster.join(socket, Counting(clones.clone()), n.to_string().into(), Scope::Item(n.to_string().as_str().into()));
    }
    let (mut ledger, key) = (Ledger::new(Box::new(Memory::new()), 1 << 20, 10), GroupKey::new("s", "g"));
    let wanted = roster.wanted().unwrap();
    let snapshot = ledger.snapshot(&key, wanted.whole, &wanted.items).unwrap().wait().unwrap();
    roster.snapshot(wanted.request, &snapshot, &Address::new(&key));
    assert_eq!((roster.by_item.len(), clones.get()), (MANY, MANY));
    for n in 0..MANY {
        assert_eq!(roster.by_item.len(), MANY - n);
        assert!(!roster.leave(socket, &n.to_string()));
    }
    assert!(roster.is_empty() && roster.by_item.is_empty());
    assert_eq!(clones.get(), MANY);
}

#[test]
fn large_state_that_waits_for_one_socket_is_not_copied_for_the_next() {
    let mut world = World::new(usize::MAX);
    let text = "x".repeat(100_000);
    world.apply(Op::Set { key: world.item(0), data: Json::from_value(&json!({"id": "a", "text": text})) });
    let sync = |world: &mut World, socket: usize, item: Option<u8>| {
        world.step(Step::Join(socket, 0, item));
        [Step::Ask, Step::TakeSnapshot, Step::DeliverSnapshot].into_iter().for_each(|step| world.step(step));
        world.sockets[socket].1.0.borrow().frames.last().unwrap().as_ptr()
    };
    for item in [None, Some(0)] {
        assert_eq!(sync(&mut world, 0, item), sync(&mut world, 1, item));
    }
    let before = sync(&mut world, 0, None);
    world.apply(Op::Set { key: world.item(1), data: Json::from_value(&json!({"id": "b"})) });
    assert_ne!(before, sync(&mut world, 2, None), "it is another one");
    world.settle();
    world.check();
}
