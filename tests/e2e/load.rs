//! Many writers at once, and what they and the subscribers of their groups know of it when the server is gone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::{Server, until, within};
use crate::subscriber::Subscriber;
use crate::worker::{key, write};

/// Connections that write.
pub(crate) const WRITERS: usize = 48;
/// Groups that they write to, each writer to one.
pub(crate) const GROUPS: usize = 8;
/// Calls that a writer has under way.
const IN_FLIGHT: usize = 4;
/// Items with higher numbers are large.
const LARGE: u64 = 500_000;
/// The newest items of a writer, which it does not delete.
const YOUNG: usize = 8;

/// The stream of all groups.
pub(crate) const STREAM: &str = "s";
/// The item that all writers of a group count up.
pub(crate) const COUNTER: &str = "counter";

/// An item: whose it is, and its number among the items of that writer.
pub(crate) type Item = (usize, u64);

/// The name of a group.
pub(crate) fn group_name(group: usize) -> String {
    format!("g{group}")
}

fn name((writer, n): Item) -> String {
    format!("w{writer:02}-{n:06}")
}

/// The item with that name; `None` for the counter.
pub(crate) fn item(name: &str) -> Option<Item> {
    let (writer, n) = name.strip_prefix('w')?.split_once('-')?;
    Some((writer.parse().ok()?, n.parse().ok()?))
}

/// What is in an item. Now and then more than a page of a disk takes.
pub(crate) fn data((writer, n): Item) -> Value {
    let padding = match n {
        LARGE.. => 40_000,
        _ if (n + writer as u64).is_multiple_of(200) => 20_000,
        _ => usize::try_from(n % 100).unwrap(),
    };
    json!({"id": name((writer, n)), "writer": writer, "n": n, "padding": "x".repeat(padding)})
}

/// What writers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    /// Make new items.
    Creates,
    /// Make new items, and fill RocksDB's memory with some hundred of them.
    LargeCreates,
    /// Make new items, delete older ones, and count up the counter of their group.
    All,
}

/// One change that a writer asks for. None of them leaves its group as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Create(u64),
    Delete(u64),
    Count,
}

/// What one writer knows in the end.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// What it has asked for, in order.
    pub(crate) ops: Vec<Op>,
    /// How many of these were acknowledged: the first ones, since results come in the order of the calls.
    pub(crate) acked: usize,
    /// The highest value of the counter that was acknowledged.
    pub(crate) counted: u64,
}

/// A state of its group that a subscriber was shown, and the changes that followed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) state: Vec<Item>,
    pub(crate) created: Vec<Item>,
    /// The first is the state's.
    pub(crate) timestamps: Vec<u64>,
}

/// What each writer and each group's subscriber knows in the end.
pub(crate) type Known = (Vec<Written>, Vec<Vec<Seen>>);

/// Writers and subscribers at work.
pub(crate) struct Load {
    acked: Arc<Vec<AtomicUsize>>,
    writers: Vec<JoinHandle<Written>>,
    subscribers: Vec<JoinHandle<Vec<Seen>>>,
}

impl Load {
    /// Has writers, each of which has these items already, and where items are only made, a subscriber per group begin.
    pub(crate) async fn start(server: &Server, items: Vec<BTreeSet<u64>>, mix: Mix) -> Self {
        let mut subscribers = Vec::new();
        for group in 0..if mix == Mix::All { 0 } else { GROUPS } {
            let mut subscriber = Subscriber::open(server, &format!("/stream/{STREAM}/{}/", group_name(group))).await;
            // Before the first write, so that it sees all of them.
            let sync = subscriber.next_text().await;
            subscribers.push(tokio::spawn(watch(subscriber, sync)));
        }
        let acked: Arc<Vec<AtomicUsize>> = Arc::new((0..WRITERS).map(|_| AtomicUsize::default()).collect());
        let sockets = join_all((0..WRITERS).map(|_| connect(server.workers()))).await;
        let writers = sockets.into_iter().zip(items).enumerate();
        let writers = writers.map(|(writer, (socket, items))| {
            let acked = acked.clone();
            tokio::spawn(async move { Writer { writer, items, mix, written: Written::default() }.run(socket, &acked[writer]).await })
        });
        Self { writers: writers.collect(), acked, subscribers }
    }

    /// How many changes of each writer were acknowledged so far.
    pub(crate) fn acked(&self) -> Vec<usize> {
        self.acked.iter().map(|acked| acked.load(Ordering::Relaxed)).collect()
    }

    /// Waits until so many were acknowledged, of all writers together.
    pub(crate) async fn acknowledged(&self, count: usize) {
        until("acknowledged writes", async || self.acked().iter().sum::<usize>() >= count).await;
    }

    /// What writers and subscribers know, once the server is gone.
    pub(crate) async fn end(self) -> Known {
        let (writers, subscribers) =
            within("end of all sockets", async { (join_all(self.writers).await, join_all(self.subscribers).await) }).await;
        (writers.into_iter().map(Result::unwrap).collect(), subscribers.into_iter().map(Result::unwrap).collect())
    }
}

async fn connect(address: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    within("handshake", client_async(format!("ws://{address}/"), stream)).await.unwrap().0
}

/// Lighter than [`Worker`](crate::worker::Worker), so that the server is what is busy, and content with a socket that ends.
struct Writer {
    writer: usize,
    /// The items it will have when all it has asked for is done.
    items: BTreeSet<u64>,
    mix: Mix,
    written: Written,
}

impl Writer {
    async fn run(mut self, mut socket: WebSocketStream<TcpStream>, acked: &AtomicUsize) -> Written {
        let mut alive = true;
        loop {
            while alive && self.written.ops.len() < self.written.acked + IN_FLIGHT {
                let op = self.choose();
                let call = self.call(op);
                // Before it is sent: it may be stored and the socket fail all the same.
                self.written.ops.push(op);
                alive = socket.send(Message::text(call)).await.is_ok();
            }
            // Results may be there that came before the end.
            match socket.next().await {
                Some(Ok(Message::Text(text))) => self.take(&text),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return self.written,
            }
            acked.store(self.written.acked, Ordering::Relaxed);
        }
    }

    fn choose(&mut self) -> Op {
        let turn = self.written.ops.len();
        if self.mix == Mix::All && turn % 4 == 3 {
            return Op::Count;
        }
        if self.mix == Mix::All && turn % 4 == 1 && self.items.len() > YOUNG {
            let n = *self.items.iter().nth(turn * 7 % (self.items.len() - YOUNG)).unwrap();
            self.items.remove(&n);
            return Op::Delete(n);
        }
        let n = self.items.last().unwrap_or(if self.mix == Mix::LargeCreates { &LARGE } else { &0 }) + 1;
        self.items.insert(n);
        Op::Create(n)
    }

    fn call(&self, op: Op) -> String {
        let group = group_name(self.writer % GROUPS);
        let item = |n| name((self.writer, n));
        let (function, data) = match op {
            Op::Create(n) => ("stream::set", write(STREAM, &group, &item(n), data((self.writer, n)))),
            Op::Delete(n) => ("stream::delete", key(STREAM, &group, &item(n))),
            Op::Count => {
                let mut input = key(STREAM, &group, COUNTER);
                input["ops"] = json!([{"type": "increment", "path": "n", "by": 1}]);
                ("stream::update", input)
            }
        };
        let id = self.written.ops.len().to_string();
        json!({"type": "invokefunction", "invocation_id": id, "function_id": function, "data": data}).to_string()
    }

    fn take(&mut self, text: &str) {
        #[derive(Deserialize)]
        struct Reply<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            invocation_id: Option<&'a str>,
            result: Option<&'a RawValue>,
        }
        let reply: Reply = serde_json::from_str(text).unwrap();
        if reply.kind == "workerregistered" {
            return;
        }
        assert_eq!(reply.invocation_id, Some(&*self.written.acked.to_string()), "a result out of order: {text}");
        let result = reply.result.unwrap_or_else(|| panic!("the server refused: {text}"));
        if self.written.ops[self.written.acked] == Op::Count {
            let result: Value = serde_json::from_str(result.get()).unwrap();
            self.written.counted = result["new_value"]["n"].as_u64().unwrap();
        }
        self.written.acked += 1;
    }
}

/// Records what a subscriber sees from its first `sync` on.
async fn watch(mut subscriber: Subscriber, sync: String) -> Vec<Seen> {
    #[derive(Deserialize)]
    struct Frame {
        timestamp: u64,
        id: Option<String>,
        event: Event,
    }
    #[derive(Deserialize)]
    struct Event {
        #[serde(rename = "type")]
        kind: String,
        data: Value,
    }
    let mut seen: Vec<Seen> = Vec::new();
    let mut next = Some(sync);
    while let Some(text) = next {
        let frame: Frame = serde_json::from_str(&text).unwrap();
        match &*frame.event.kind {
            // A subscriber that falls behind gets another one.
            "sync" => {
                let items = frame.event.data.as_array().unwrap().iter();
                let state = items.map(|data| item(data["id"].as_str().unwrap()).unwrap()).collect();
                seen.push(Seen { state, created: Vec::new(), timestamps: vec![frame.timestamp] });
            }
            "create" => {
                let run = seen.last_mut().unwrap();
                run.created.push(item(frame.id.as_deref().unwrap()).unwrap());
                run.timestamps.push(frame.timestamp);
            }
            other => panic!("unexpected event {other}"),
        }
        next = subscriber.next_or_end().await;
    }
    seen
}
