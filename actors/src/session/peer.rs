//! The other end of a session, for tests: what it sends, and what it is sent where it reads, without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, StreamHandler};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Chunk;
use super::body::Body;
use super::gate::Gate;
use super::outbox::{OutboxRef, Shut};
use super::socket::Socket;
use super::subscriber::{Entrance, SubscriberSession};
use super::worker::WorkerSession;
use crate::adapter::Adapter;
use crate::adapter::memory::Memory;
use crate::auth::{AuthInput, Grant};
use crate::frame::Opcode;
use crate::functions::Worker;
use crate::functions::unread::Unread;
use crate::group::local::Local;
use crate::metrics::peer::{Counted, Peer as Kind};
use crate::settings::Settings;
use crate::system::System;

const DEADLINE: Duration = Duration::from_secs(20);

/// A system, and the tables of the thread on which its peers are.
pub(super) struct World {
    pub(super) system: System,
    pub(super) local: Rc<Local>,
}

/// One connection.
pub(super) struct Peer {
    chunks: mpsc::UnboundedSender<Chunk>,
    /// How many chunks the session has taken.
    taken: Rc<Cell<usize>>,
    body: Body,
    outbox: OutboxRef,
    bytes: Vec<u8>,
}

impl World {
    pub(super) fn new(settings: Settings) -> Self {
        Self::on(settings, Memory::new())
    }

    pub(super) fn on(settings: Settings, adapter: impl Adapter) -> Self {
        let system = System::start(settings, Box::new(adapter));
        let local = Local::new(system.registry().clone());
        Self { system, local }
    }

    fn settings(&self) -> &Settings {
        &self.local.registry.settings
    }

    pub(super) fn client(&self) -> Peer {
        let input = AuthInput { headers: Default::default(), path: "/".into(), query_params: Default::default(), addr: String::new() };
        let entrance = Entrance { grant: Grant::default(), input, address: None, subscribe: None, refused: None };
        let (local, limits) = (self.local.clone(), &self.settings().stream);
        let counted = Counted::new(local.registry.metrics.clone(), Kind::Subscriber);
        let limits = (limits.max_message_bytes, limits.outbox_bytes);
        Peer::start(limits, counted, &Rc::default(), move |socket, _| SubscriberSession::new(socket, local, entrance))
    }

    /// A worker that has read its greeting.
    pub(super) async fn worker(&self) -> Peer {
        let (local, limits) = (self.local.clone(), &self.settings().worker);
        let counted = Counted::new(local.registry.metrics.clone(), Kind::Worker);
        let (limits, gate) = ((limits.max_message_bytes, limits.outbox_bytes), Rc::<Gate>::default());
        let before = gate.clone();
        let mut peer = Peer::start(limits, counted, &before, move |socket, ctx: &mut Context<WorkerSession>| {
            let me = Arc::new(Worker {
                id: socket.id.to_string(),
                reattach_token: "token".to_owned(),
                socket: socket.id,
                address: String::new(),
                connected_at: 0,
                details: RwLock::default(),
                in_flight: AtomicUsize::new(0),
                unread: Unread::new(limits.1),
                session: ctx.address().recipient(),
            });
            let store = local.registry.store().cloned().expect("the system runs");
            WorkerSession::new(socket, local, me, store, gate)
        });
        assert_eq!(peer.next().await["type"], "workerregistered");
        peer
    }
}

impl Peer {
    fn start<A>(limits: (usize, usize), counted: Counted, gate: &Rc<Gate>, session: impl FnOnce(Socket, &mut Context<A>) -> A) -> Self
    where
        A: Actor<Context = Context<A>> + StreamHandler<Chunk> + Handler<Shut>,
    {
        let (chunks, mut incoming) = mpsc::unbounded_channel();
        let taken = Rc::<Cell<usize>>::default();
        let count = taken.clone();
        let incoming = gate.before(stream::poll_fn(move |cx| incoming.poll_recv(cx)).inspect(move |_| count.set(count.get() + 1)));
        let outbox = super::start(incoming, None, limits, counted, session);
        Self { chunks, taken, body: Body::new(outbox.clone(), None), outbox, bytes: Vec::new() }
    }

    /// Sends a message.
    pub(super) fn send(&self, message: &Value) {
        self.frame(Opcode::Text, message.to_string().as_bytes());
    }

    /// Sends a frame; its payload is masked with zeros.
    pub(super) fn frame(&self, opcode: Opcode, payload: &[u8]) {
        let mut frame = vec![0x80 | opcode as u8];
        match payload.len() {
            len @ ..126 => frame.push(0x80 | u8::try_from(len).unwrap()),
            len @ ..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(len).unwrap().to_be_bytes());
            }
            len => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(len as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[0; 4]);
        frame.extend_from_slice(payload);
        // Refused by a session that has ended, which the test will see.
        let _ = self.chunks.send(Chunk(frame.into()));
    }

    /// How many of the messages that were sent were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken.get()
    }

    /// What waits for it.
    pub(super) fn outbox(&self) -> &OutboxRef {
        &self.outbox
    }

    /// The next frame: its first byte and its payload.
    pub(super) async fn next_frame(&mut self) -> (u8, Bytes) {
        loop {
            if let Some(frame) = split(&mut self.bytes) {
                return frame;
            }
            let piece = tokio::time::timeout(DEADLINE, self.body.next()).await.expect("nothing comes").expect("the connection has ended");
            self.bytes.extend_from_slice(&piece.unwrap_or_default());
        }
    }

    /// The next message.
    pub(super) async fn next(&mut self) -> Value {
        let (_, payload) = self.next_frame().await;
        serde_json::from_slice(&payload).unwrap()
    }

    /// The next call of a function of this worker: its id.
    pub(super) async fn called(&mut self) -> Value {
        let message = self.next().await;
        assert_eq!(message["type"], "invokefunction", "{message}");
        message["invocation_id"].clone()
    }

    /// Answers a call.
    pub(super) fn answer(&self, id: &Value, result: &Value) {
        self.send(&json!({"type": "invocationresult", "invocation_id": id, "result": result}));
    }

    /// Calls a function without reading.
    pub(super) fn call(&self, id: &str, function: &str, data: &Value) {
        self.send(&json!({"type": "invokefunction", "invocation_id": id, "function_id": function, "data": data}));
    }

    /// Waits until what this worker has sent was handled.
    pub(super) async fn settle(&mut self) {
        self.send(&json!({"type": "ping"}));
        assert_eq!(self.next().await["type"], "pong");
    }
}

fn split(bytes: &mut Vec<u8>) -> Option<(u8, Bytes)> {
    let (header, length) = match *bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)).unwrap()),
        length => (2, usize::from(length)),
    };
    if bytes.len() < header + length {
        return None;
    }
    let frame: Vec<u8> = bytes.drain(..header + length).collect();
    Some((frame[0], Bytes::from(frame).slice(header..)))
}

/// Waits until something is so.
pub(super) async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let waits = async {
        while !is() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, waits).await.is_ok(), "waited in vain for {what}");
}
