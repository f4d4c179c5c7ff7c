//! What waits for one socket: encoded frames, bounded in bytes, on their way into the connection.
//!
//! A session is a plain actor and the outbox is beside it, emptied by a [`Pump`](super::transport::Pump) or, in a server of somebody else's, as a
//! response [`Body`](super::body::Body): that is polled by actix-web only while the client reads, and a session inside it would freeze with it, timers and stop
//! included (actix-web-actors 4.3 puts it there).

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use actix::{Message, Recipient};
use bytes::Bytes;

use crate::error::CloseCode;
use crate::group::Drained;
use crate::group::roster::Sink;
use crate::ids::SocketId;
use crate::metrics::peer::{Counted, Waiting};
use crate::session::transport::{self, Transport};

/// How many times the limit may wait for a connection that had no turn yet to take any of it.
const AT_ONCE: usize = 8;
/// Pongs that may wait; then the answer to a ping takes the place of the last one, as RFC 6455 lets it (section 5.5.3). Without an end of them,
/// pings of two bytes would be answered by what takes seventy each.
const PONGS: usize = 256;
/// The most of a frame that the connection is given at a time.
const PIECE_BYTES: usize = 64 << 10;

/// What the socket's own end tells its session.
#[derive(Message, Debug, Clone, Copy, PartialEq, Eq)]
#[rtype(result = "()")]
pub enum Shut {
    /// Somebody wants the socket closed.
    Close(CloseCode),
    /// The server stops; the client should come back after so long.
    Restart(Duration),
    /// The connection is gone.
    Gone,
}

/// The outbox of one socket, shared by all who write to it on its thread.
#[derive(Clone)]
pub struct OutboxRef {
    outbox: Rc<RefCell<Outbox>>,
    /// Here once more: where nothing waits, a frame is written without a look at the outbox, which is one cache miss less for each delivery.
    transport: Option<Rc<Transport>>,
}

struct Outbox {
    socket: SocketId,
    frames: VecDeque<Bytes>,
    waiting: Waiting,
    limit_bytes: usize,
    waker: Option<Waker>,
    /// Whether the connection was told that there is something, and had no turn since.
    woken: bool,
    /// Whether a close frame was queued, behind which nothing may go (RFC 6455, section 5.5.1).
    closed: bool,
    ended: bool,
    /// Whether the first frame is the rest of one that the connection has a part of.
    begun: bool,
    /// Where in `frames` the last pong waits, and how many were queued since none did.
    pongs: Option<(usize, usize)>,
    /// Whether something waited when the connection ended.
    unread: bool,
    /// Pieces of frames that the connection has taken.
    taken: u64,
    /// How many these were at the last look at which something waited.
    waited_at: Option<u64>,
    drained: Vec<Recipient<Drained>>,
    /// How often a group has found it full.
    overflows: u32,
    session: Option<Recipient<Shut>>,
    /// Where frames can be written to at once while none waits.
    transport: Option<Rc<Transport>>,
}

impl Default for Outbox {
    fn default() -> Self {
        Self {
            socket: SocketId::NONE,
            frames: VecDeque::new(),
            waiting: Waiting::NONE,
            limit_bytes: 0,
            waker: None,
            woken: false,
            closed: false,
            ended: true,
            begun: false,
            pongs: None,
            unread: false,
            taken: 0,
            waited_at: None,
            drained: Vec::new(),
            overflows: 0,
            session: None,
            transport: None,
        }
    }
}

impl OutboxRef {
    /// An empty outbox that takes frames while less than `limit_bytes` wait in it; eight times that of what comes in one go. Where nothing waits,
    /// what is pushed is written to `transport` at once.
    #[must_use]
    pub fn new(
        socket: SocketId,
        limit_bytes: usize,
        session: Recipient<Shut>,
        transport: Option<Rc<Transport>>,
        counted: &Counted,
    ) -> Self {
        let outbox = Outbox {
            socket,
            waiting: counted.waiting(),
            limit_bytes,
            ended: false,
            session: Some(session),
            transport: transport.clone(),
            ..Outbox::default()
        };
        outbox.settle();
        Self { outbox: Rc::new(RefCell::new(outbox)), transport }
    }

    /// An outbox that has ended, for a session that did not start.
    #[must_use]
    pub fn ended() -> Self {
        Self { outbox: Rc::default(), transport: None }
    }

    /// Queues a frame to go out with others, once the actors of this thread have had their turn; false where the queue is full, and the frame was not
    /// taken.
    pub fn offer(&self, frame: &Bytes) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let room = outbox.has_room();
        if room {
            outbox.push(frame.clone());
        }
        room
    }

    /// Answers a ping, or this one in place of the one before where that many answers wait already.
    pub fn pong(&self, pong: Bytes) {
        let mut outbox = self.outbox.borrow_mut();
        if outbox.ended || outbox.closed {
            return;
        }
        let last = outbox.frames.len();
        match outbox.pongs {
            Some((place, count)) if count >= PONGS && !(outbox.begun && place == 0) => outbox.replace(place, pong),
            waiting => {
                outbox.pongs = Some((last, waiting.map_or(0, |(_, count)| count) + 1));
                outbox.push(pong);
            }
        }
    }

    /// Queues a frame whatever waits already; for the few that a session sends of its own accord.
    pub fn push_always(&self, frame: Bytes) {
        self.outbox.borrow_mut().push(frame);
    }

    /// Queues the close frame, whatever waits already. What is pushed from then on is dropped, by whomever: a group learns a little later than
    /// the socket that a subscription has ended.
    pub fn push_last(&self, close: Bytes) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.push(close);
        outbox.closed = true;
        outbox.settle();
    }

    /// Lets what is queued go out, then ends the connection.
    pub fn end(&self) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.ended = true;
        outbox.settle();
        outbox.wake();
    }

    /// Asks the session to close the socket.
    pub fn close(&self, code: CloseCode) {
        let session = self.outbox.borrow().session.clone();
        if let Some(session) = session {
            session.do_send(Shut::Close(code));
        }
    }

    /// Asks the session to close the socket because the server stops; the client should come back after `pause`.
    pub fn restart(&self, pause: Duration) {
        let session = self.outbox.borrow().session.clone();
        if let Some(session) = session {
            session.do_send(Shut::Restart(pause));
        }
    }

    /// Whether a group waits for it to drain.
    #[must_use]
    pub fn is_lagging(&self) -> bool {
        !self.outbox.borrow().drained.is_empty()
    }

    /// How often a group has found it full.
    #[must_use]
    pub fn overflows(&self) -> u32 {
        self.outbox.borrow().overflows
    }

    /// Tells `group`, which has found it full, once the queue is half empty.
    pub fn when_drained(&self, group: Recipient<Drained>) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.overflows = outbox.overflows.saturating_add(1);
        outbox.drained.push(group);
        outbox.tell_drained();
    }

    /// Drops what is queued, but for the rest of a frame that the peer has a part of.
    pub fn clear(&self) {
        let mut outbox = self.outbox.borrow_mut();
        let begun = usize::from(outbox.begun);
        outbox.frames.truncate(begun);
        outbox.pongs = None;
        let bytes = outbox.frames.iter().map(Bytes::len).sum();
        outbox.waiting.set(bytes);
        outbox.settle();
    }

    /// Whether the connection has taken something since the last call that waited then: a sign that the client reads.
    ///
    /// What it takes at once is none: the kernel has room for megabytes of a client that is frozen.
    pub fn took_what_waited(&self) -> bool {
        let mut outbox = self.outbox.borrow_mut();
        let waits = (!outbox.frames.is_empty()).then_some(outbox.taken);
        std::mem::replace(&mut outbox.waited_at, waits).is_some_and(|taken| taken < outbox.taken)
    }

    /// Whether something waits that the connection has not taken, or did when it ended.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        let outbox = self.outbox.borrow();
        outbox.unread || outbox.waiting.bytes() > 0
    }

    /// Bytes that wait.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.outbox.borrow().waiting.bytes()
    }

    /// Shows the frames that wait.
    pub(super) fn with_frames<R>(&self, look: impl FnOnce(&VecDeque<Bytes>) -> R) -> R {
        let mut outbox = self.outbox.borrow_mut();
        outbox.woken = false;
        look(&outbox.frames)
    }

    /// So many bytes of the frames that wait were written.
    pub(super) fn written(&self, count: usize) {
        let mut outbox = self.outbox.borrow_mut();
        let before = outbox.frames.len();
        outbox.begun = transport::advance(&mut outbox.frames, count);
        let gone = before - outbox.frames.len();
        outbox.pongs = outbox.pongs.and_then(|(place, count)| Some((place.checked_sub(gone)?, count)));
        let bytes = outbox.waiting.bytes() - count;
        outbox.waiting.set(bytes);
        outbox.taken += 1;
        outbox.settle();
        outbox.tell_drained();
    }

    /// Ready once something waits, or the outbox has ended.
    pub(super) fn poll_more(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.frames.is_empty() || outbox.ended {
            return Poll::Ready(());
        }
        outbox.frames.shrink_to(16);
        outbox.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Whether nothing more will come.
    pub(super) fn has_ended(&self) -> bool {
        let outbox = self.outbox.borrow();
        outbox.ended && outbox.frames.is_empty()
    }

    /// The connection is gone: what waits is dropped, and the session told.
    pub(super) fn gone(&self) {
        let mut outbox = self.outbox.borrow_mut();
        outbox.ended = true;
        outbox.unread = outbox.waiting.bytes() > 0;
        outbox.frames.clear();
        outbox.pongs = None;
        outbox.waiting.set(0);
        outbox.settle();
        outbox.transport = None;
        if let Some(session) = outbox.session.take() {
            session.do_send(Shut::Gone);
        }
    }

    /// The next frame, or a piece of one; `None` after the last.
    ///
    /// In pieces: an HTTP server copies what it takes, and what it takes shows that the client still reads.
    pub(super) fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.poll_more(cx).is_pending() {
            return Poll::Pending;
        }
        let piece = self.with_frames(|frames| frames.front().map(|frame| frame.slice(..frame.len().min(PIECE_BYTES))));
        if let Some(piece) = &piece {
            self.written(piece.len());
        }
        Poll::Ready(piece)
    }
}

impl Sink for OutboxRef {
    fn push(&self, frame: &Bytes) -> bool {
        let Some(transport) = self.transport.as_ref().filter(|transport| transport.is_idle()) else { return self.offer(frame) };
        match transport.write_now(frame) {
            Ok(count) if count == frame.len() => {}
            Ok(count) => self.outbox.borrow_mut().push_rest(frame.slice(count..), count > 0),
            // Whoever reads from the connection learns of it, too; this is in case nobody does.
            Err(_) => self.end(),
        }
        true
    }

    fn queue(&self, frame: &Bytes) -> bool {
        self.offer(frame)
    }

    fn push_with(&self, frame: &Bytes) {
        self.outbox.borrow_mut().push(frame.clone());
    }
}

impl Outbox {
    fn has_room(&self) -> bool {
        // One frame may pass the limit, so that a snapshot larger than it can be sent at all. And what is pushed in one go, a commit with many
        // changes of a group for instance, says nothing about how fast the client reads.
        // To a socket that closes there is nothing more to say, and nobody is to wait for it.
        let times = if self.woken { AT_ONCE } else { 1 };
        self.closed || self.waiting.bytes() < self.limit_bytes.saturating_mul(times)
    }

    /// Queues what is left of a frame, of which a part was written or not.
    fn push_rest(&mut self, rest: Bytes, begun: bool) {
        self.push(rest);
        self.begun = begun;
    }

    /// Says whether frames may be written past the queue.
    fn settle(&self) {
        if let Some(transport) = &self.transport {
            transport.set_idle(self.frames.is_empty() && !self.ended && !self.closed);
        }
    }

    fn push(&mut self, frame: Bytes) {
        if !self.ended && !self.closed {
            self.waiting.set(self.waiting.bytes() + frame.len());
            self.frames.push_back(frame);
            self.settle();
            self.wake();
        }
    }

    fn replace(&mut self, place: usize, frame: Bytes) {
        if let Some(before) = self.frames.get_mut(place) {
            let bytes = self.waiting.bytes() - before.len() + frame.len();
            *before = frame;
            self.waiting.set(bytes);
        }
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
            self.woken = true;
        }
    }

    fn tell_drained(&mut self) {
        if self.waiting.bytes() <= self.limit_bytes / 2 {
            for group in self.drained.drain(..) {
                group.do_send(Drained(self.socket));
            }
        }
    }
}
