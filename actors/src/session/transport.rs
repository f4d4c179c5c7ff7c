//! The connection below a session, taken over from the HTTP server after the handshake.
//!
//! A response body would be polled by actix-http's dispatcher: a task per delivery, a copy of each frame, and two buffers of 8 KiB (3.20) for as
//! long as the connection lasts. Here a group writes a frame straight into the socket of a subscriber for which nothing waits; only what the kernel does
//! not take is queued in its outbox, and [`Pump`] writes that when there is room again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::Stream;
use rustix::io::Errno;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::outbox::OutboxRef;
use super::{Chunk, Permit};

/// What is read at a time, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 64 << 10;
/// Frames that one write takes.
const SLICES: usize = 64;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// A connection that bytes go over both ways.
pub trait Duplex: AsyncRead + AsyncWrite {}
impl<T: AsyncRead + AsyncWrite> Duplex for T {}

/// A connection, shared by those of one thread that read from it and write to it.
pub struct Transport {
    /// Whether nothing waits to be written, so that what is to be sent may be written at once.
    idle: Cell<bool>,
    kind: Kind,
}

enum Kind {
    Tcp(RefCell<TcpStream>),
    /// Something above TCP, TLS for instance.
    Other(RefCell<Pin<Box<dyn Duplex>>>),
}

impl Transport {
    /// A TCP connection.
    #[must_use]
    pub fn tcp(stream: TcpStream) -> Self {
        Self { idle: Cell::new(false), kind: Kind::Tcp(RefCell::new(stream)) }
    }

    /// Any other.
    pub fn other(stream: impl Duplex + 'static) -> Self {
        Self { idle: Cell::new(false), kind: Kind::Other(RefCell::new(Box::pin(stream))) }
    }

    /// Whether a frame may be [written now](Self::write_now).
    pub(super) fn is_idle(&self) -> bool {
        self.idle.get()
    }

    /// Says that something waits, or that nothing does.
    pub(super) fn set_idle(&self, idle: bool) {
        self.idle.set(idle && matches!(self.kind, Kind::Tcp(_)));
    }

    /// Writes what the kernel takes now: how many bytes.
    ///
    /// Past tokio, which would look up first whether it has heard that the socket is writable; here that is the rule.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        let Kind::Tcp(stream) = &self.kind else { return Ok(0) };
        match rustix::net::send(&*stream.borrow(), bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            result => Ok(result?),
        }
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &self.kind {
            Kind::Tcp(stream) => Pin::new(&mut *stream.borrow_mut()).poll_read(cx, buffer),
            Kind::Other(stream) => stream.borrow_mut().as_mut().poll_read(cx, buffer),
        }
    }

    /// Writes some of the frames; how many bytes.
    fn poll_write(&self, cx: &mut Context<'_>, frames: &VecDeque<Bytes>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slice, frame) in slices.iter_mut().zip(frames) {
            *slice = IoSlice::new(frame);
        }
        let slices = &slices[..frames.len().min(SLICES)];
        match &self.kind {
            Kind::Tcp(stream) => Pin::new(&mut *stream.borrow_mut()).poll_write_vectored(cx, slices),
            Kind::Other(stream) => stream.borrow_mut().as_mut().poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.kind {
            // A socket has no buffer of its own here.
            Kind::Tcp(_) => Poll::Ready(Ok(())),
            Kind::Other(stream) => stream.borrow_mut().as_mut().poll_flush(cx),
        }
    }

    fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.kind {
            Kind::Tcp(stream) => Pin::new(&mut *stream.borrow_mut()).poll_shutdown(cx),
            Kind::Other(stream) => stream.borrow_mut().as_mut().poll_shutdown(cx),
        }
    }
}

/// What comes over a connection, until the peer closes its side or the connection breaks.
pub struct Incoming {
    transport: Rc<Transport>,
    /// What came with the handshake.
    first: Option<Bytes>,
}

impl Incoming {
    /// What comes, after `first`.
    #[must_use]
    pub fn new(transport: Rc<Transport>, first: Option<Bytes>) -> Self {
        Self { transport, first }
    }
}

impl Stream for Incoming {
    type Item = Chunk;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Chunk>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Chunk(first)));
        }
        READ.with_borrow_mut(|bytes| {
            let mut buffer = ReadBuf::new(bytes);
            let read = ready!(self.transport.poll_read(cx, &mut buffer));
            let came = buffer.filled();
            Poll::Ready((read.is_ok() && !came.is_empty()).then(|| Chunk(Bytes::copy_from_slice(came))))
        })
    }
}

/// Writes what waits in an outbox, until the outbox has ended and is empty, or the connection breaks.
pub struct Pump {
    transport: Rc<Transport>,
    outbox: OutboxRef,
    /// What was written may wait in the transport.
    unflushed: bool,
    _permit: Option<Permit>,
}

impl Pump {
    /// Empties `outbox`; it holds on to `permit` as long as the connection lasts.
    #[must_use]
    pub fn new(transport: Rc<Transport>, outbox: OutboxRef, permit: Option<Permit>) -> Self {
        Self { transport, outbox, unflushed: false, _permit: permit }
    }

    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let written = self.outbox.with_frames(|frames| (!frames.is_empty()).then(|| self.transport.poll_write(cx, frames)));
            match written {
                None => break,
                Some(written) => match ready!(written)? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    count => {
                        self.outbox.written(count);
                        self.unflushed = true;
                    }
                },
            }
        }
        if self.unflushed {
            ready!(self.transport.poll_flush(cx))?;
            self.unflushed = false;
        }
        ready!(self.outbox.poll_more(cx));
        Poll::Ready(Ok(()))
    }
}

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let pump = &mut *self;
        loop {
            match ready!(pump.poll_empty(cx)) {
                Ok(()) if pump.outbox.has_ended() => return pump.transport.poll_shutdown(cx).map(drop),
                Ok(()) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.outbox.gone();
    }
}

/// Takes `count` bytes off the front of `frames`; whether the first one is now the rest of one.
pub(super) fn advance(frames: &mut VecDeque<Bytes>, mut count: usize) -> bool {
    while let Some(first) = frames.front_mut() {
        if count < first.len() {
            first.advance(count);
            return count > 0;
        }
        count -= first.len();
        frames.pop_front();
    }
    false
}
