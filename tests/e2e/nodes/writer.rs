//! Writers: many calls under way on sockets of their own, and what became of each.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::STREAM;
use crate::server::{until, within};
use crate::worker::{key, write};

/// The items that all writers write to.
const SHARED: u64 = 3;
/// Items of its own that a writer keeps in a group.
const OWN: usize = 5;

/// How fast writers write.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Calls of one writer that are under way at most.
    pub(super) in_flight: usize,
    /// How long a writer rests after each call.
    pub(super) rest: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Set,
    Update,
    Delete,
    Event,
}

/// What a writer was told of a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// It is done; the result.
    Done(Value),
    /// Nothing was done.
    Refused(String),
    /// It may be done.
    Unknown(String),
}

/// One call.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) kind: Kind,
    pub(super) group: String,
    pub(super) item: String,
    /// Tells it from all other calls of this writer.
    pub(super) n: u64,
    pub(super) outcome: Outcome,
    /// How long the answer took.
    pub(super) took: Duration,
}

/// The name of a shared item.
pub(super) fn shared(n: u64) -> String {
    format!("shared{n}")
}

/// Writers at work.
pub(super) struct Writers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<Call>>>,
}

impl Writers {
    /// One writer for each of these worker ports.
    pub(super) async fn start(addresses: Vec<String>, groups: &[String], pace: Pace) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let sockets = join_all(addresses.iter().map(|address| connect(address))).await;
        let tasks = sockets.into_iter().enumerate().map(|(writer, socket)| {
            let rng = StdRng::seed_from_u64(writer as u64);
            let (groups, stop, answered) = (groups.to_vec(), stop.clone(), answered.clone());
            let writer = Writer { writer, groups, pace, rng, own: HashMap::new(), calls: Vec::new(), answered };
            tokio::spawn(writer.run(socket, stop))
        });
        Self { tasks: tasks.collect(), stop, answered }
    }

    /// How many calls are answered, of all writers together.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more are.
    pub(super) async fn answer(&self, count: usize) {
        let due = self.answered() + count;
        until(&format!("{count} more answers for the writers"), async || self.answered() >= due).await;
    }

    /// All calls of each writer, once the last is answered.
    pub(super) async fn stop(self) -> Vec<Vec<Call>> {
        self.stop.store(true, Ordering::Relaxed);
        let calls = within("answers for all writers", join_all(self.tasks)).await;
        calls.into_iter().map(|calls| calls.expect("a writer has failed")).collect()
    }
}

async fn connect(address: &str) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    within("handshake", client_async(format!("ws://{address}/"), stream)).await.unwrap().0
}

struct Writer {
    writer: usize,
    groups: Vec<String>,
    pace: Pace,
    rng: StdRng,
    /// Its items by group, if all it has asked for is done.
    own: HashMap<String, Vec<String>>,
    calls: Vec<(Call, Instant, bool)>,
    answered: Arc<AtomicUsize>,
}

impl Writer {
    async fn run(mut self, mut socket: WebSocketStream<TcpStream>, stop: Arc<AtomicBool>) -> Vec<Call> {
        let mut under_way = 0;
        let mut rest = tokio::time::interval(self.pace.rest.max(Duration::from_micros(1)));
        rest.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let goes_on = !stop.load(Ordering::Relaxed);
            if !goes_on && under_way == 0 {
                return self.calls.into_iter().map(|(call, ..)| call).collect();
            }
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => under_way -= usize::from(self.take(&text)),
                    Some(Ok(_)) => {}
                    ended => panic!("writer {} was disconnected: {ended:?}", self.writer),
                },
                _ = rest.tick() => {
                    if goes_on && under_way < self.pace.in_flight {
                        let call = self.ask();
                        socket.send(Message::text(call)).await.unwrap();
                        under_way += 1;
                    }
                }
            }
        }
    }

    fn ask(&mut self) -> String {
        let n = self.calls.len() as u64;
        let group = self.groups[self.rng.random_range(0..self.groups.len())].clone();
        let own = self.own.entry(group.clone()).or_default();
        let is_shared = self.rng.random_bool(0.4);
        let kind = match self.rng.random_range(0..10) {
            0..4 => Kind::Set,
            4..7 => Kind::Update,
            7..9 => Kind::Delete,
            _ => Kind::Event,
        };
        let item = if is_shared {
            shared(self.rng.random_range(0..SHARED))
        } else if own.len() < OWN || (own.len() == OWN && kind == Kind::Set) {
            // It is set before anything else is done to it.
            let item = format!("w{}-{n}", self.writer);
            own.push(item.clone());
            item
        } else {
            own[self.rng.random_range(0..own.len())].clone()
        };
        if kind == Kind::Delete {
            own.retain(|other| *other != item);
        }
        let by = json!({"id": item, "writer": self.writer, "n": n});
        let (function, input) = match kind {
            Kind::Set => ("stream::set", write(STREAM, &group, &item, by)),
            Kind::Update => {
                let mut input = key(STREAM, &group, &item);
                input["ops"] = json!([{"type": "merge", "value": by}, {"type": "increment", "path": "updates", "by": 1}]);
                ("stream::update", input)
            }
            Kind::Delete => ("stream::delete", key(STREAM, &group, &item)),
            Kind::Event => {
                let id = if is_shared { Value::Null } else { json!(item) };
                ("stream::send", json!({"stream_name": STREAM, "group_id": group, "id": id, "type": "told", "data": by}))
            }
        };
        let call = Call { kind, group, item, n, outcome: Outcome::Refused("no answer".to_owned()), took: Duration::ZERO };
        self.calls.push((call, Instant::now(), false));
        json!({"type": "invokefunction", "invocation_id": n.to_string(), "function_id": function, "data": input}).to_string()
    }

    /// Whether it answers a call.
    fn take(&mut self, text: &str) -> bool {
        let mut reply: Value = serde_json::from_str(text).unwrap();
        if reply["type"] != "invocationresult" {
            return false;
        }
        let n: usize = reply["invocation_id"].as_str().unwrap().parse().unwrap();
        let (call, asked, is_answered) = &mut self.calls[n];
        assert!(!std::mem::replace(is_answered, true), "two answers to {call:?}");
        call.took = asked.elapsed();
        call.outcome = match reply.get("error") {
            None => Outcome::Done(reply["result"].take()),
            Some(error) => failure(call.kind, error),
        };
        self.answered.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// What an error says of its call. It must be one that a caller can act upon.
fn failure(kind: Kind, error: &Value) -> Outcome {
    let expected = match kind {
        Kind::Set => "STREAM_SET_ERROR",
        Kind::Update => "STREAM_UPDATE_ERROR",
        Kind::Delete => "STREAM_DELETE_ERROR",
        Kind::Event => "STREAM_SEND_ERROR",
    };
    let message = error["message"].as_str().unwrap().to_owned();
    assert!(error["code"] == expected && message.contains("redis"), "expected {expected} with a word on redis, got {error}");
    if message.contains("the write may or may not be there") {
        return Outcome::Unknown(message);
    }
    assert!(message.contains("nothing was sent") || message.contains("nothing was stored"), "says nothing of the outcome: {error}");
    Outcome::Refused(message)
}
