//! Frames from a client: headers judged first, fragments joined, text checked.

mod header;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use super::{Opcode, may_travel};
use header::Header;

/// The longest header a client sends: two bytes, a 64-bit length, the masking key.
const MAX_CLIENT_HEADER_BYTES: usize = 14;
/// What the first bytes of a long message reserve; from there the buffer doubles.
const FIRST_RESERVE_BYTES: usize = 4096;

/// The limits of one reader.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest message accepted, its fragments together.
    pub max_message_bytes: usize,
}

/// One whole message from the client; its bytes are its own, not a view of the read buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message, valid UTF-8.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, to be answered by a pong with the same payload.
    Ping(Bytes),
    /// A pong, asked for or not.
    Pong(Bytes),
    /// A close, with what the client gave as its reason.
    Close(Option<CloseFrame>),
}

/// Why a side closes (RFC 6455 5.5.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// A code that may travel (RFC 6455 7.4).
    pub code: u16,
    /// For people; often empty.
    pub reason: String,
}

/// What a client did against the protocol; every case ends the connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The message, fragments together, would exceed the limit.
    #[error("{announced} byte message is over the limit of {limit}; send less or raise it")]
    TooBig {
        /// What has arrived of the message plus what the last header announced, in bytes.
        announced: u64,
        /// `max_message_bytes`.
        limit: usize,
    },
    /// A client frame without a mask (RFC 6455 5.1).
    #[error("frame is not masked")]
    Unmasked,
    /// RSV1 to RSV3 set with no extension negotiated (RFC 6455 5.2).
    #[error("reserved bits are set; no extension was negotiated")]
    ReservedBits,
    /// An opcode the RFC reserves (RFC 6455 5.2).
    #[error("unknown opcode")]
    UnknownOpcode,
    /// A control frame over 125 bytes (RFC 6455 5.5).
    #[error("control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without FIN (RFC 6455 5.5).
    #[error("control frame is fragmented")]
    FragmentedControl,
    /// A continuation with nothing to continue (RFC 6455 5.4).
    #[error("continuation without a message to continue")]
    UnexpectedContinuation,
    /// A new text or binary frame inside a fragmented message (RFC 6455 5.4).
    #[error("new message inside a fragmented one")]
    InterleavedData,
    /// A length not in its shortest form, or with the top bit set (RFC 6455 5.2).
    #[error("payload length is malformed")]
    BadLength,
    /// A close payload of one byte, or with a code that must not travel (RFC 6455 5.5.1, 7.4).
    #[error("close payload is malformed")]
    BadClosePayload,
    /// Text or a close reason that is not UTF-8 (RFC 6455 8.1).
    #[error("text is not valid UTF-8")]
    InvalidUtf8,
}

impl FrameError {
    /// The code to close the connection with (RFC 6455 7.4.1).
    pub fn close_code(&self) -> u16 {
        match self {
            Self::TooBig { .. } => 1009,
            Self::InvalidUtf8 => 1007,
            _ => 1002,
        }
    }

    /// The stable name of the error, for logs and counters.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooBig { .. } => "too_big",
            Self::Unmasked => "unmasked",
            Self::ReservedBits => "reserved_bits",
            Self::UnknownOpcode => "unknown_opcode",
            Self::ControlTooLong => "control_too_long",
            Self::FragmentedControl => "fragmented_control",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::InterleavedData => "interleaved_data",
            Self::BadLength => "bad_length",
            Self::BadClosePayload => "bad_close_payload",
            Self::InvalidUtf8 => "invalid_utf8",
        }
    }
}

/// The frame whose payload is arriving.
struct Frame {
    opcode: Opcode,
    fin: bool,
    remaining: usize,
    /// Turned so that it begins at the next payload byte.
    mask: [u8; 4],
}

/// Turns a client's bytes into messages.
///
/// Push a chunk, then call [`next`](Self::next) until it answers `None`; chunks pushed before that are queued as they are.
/// Frames behind a Close are still read: a session stops there (RFC 6455 1.4), a channel may drain.
pub struct FrameReader {
    limits: Limits,
    /// The rest of the chunk being read. Empty, and no view of anything, once drained.
    input: Bytes,
    queued: VecDeque<Bytes>,
    head: [u8; MAX_CLIENT_HEADER_BYTES],
    head_len: usize,
    frame: Option<Frame>,
    /// Text or Binary while a message is under way.
    kind: Option<Opcode>,
    message: Vec<u8>,
    /// How much of `message` is known to be UTF-8.
    checked: usize,
    control: Vec<u8>,
    poisoned: bool,
}

impl FrameReader {
    /// A reader at the start of a connection, the upgrade request behind it. Allocates nothing.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            input: Bytes::new(),
            queued: VecDeque::new(),
            head: [0; MAX_CLIENT_HEADER_BYTES],
            head_len: 0,
            frame: None,
            kind: None,
            message: Vec::new(),
            checked: 0,
            control: Vec::new(),
            poisoned: false,
        }
    }

    /// Takes bytes off the socket, cut anywhere.
    pub fn push(&mut self, chunk: Bytes) {
        if self.poisoned {
            return;
        }
        if self.input.is_empty() && self.queued.is_empty() {
            self.input = chunk;
        } else {
            self.queued.push_back(chunk);
        }
    }

    /// The next whole message, or `None` if more bytes are needed.
    ///
    /// # Errors
    /// What the client did against RFC 6455. The reader is of no use afterwards: it drops what it holds and
    /// what is pushed, and answers `None`.
    #[expect(clippy::should_implement_trait, reason = "a `?` on each message reads better than an iterator of results")]
    pub fn next(&mut self) -> Result<Option<Message>, FrameError> {
        let read = self.read();
        if read.is_err() {
            *self = Self { poisoned: true, ..Self::new(self.limits) };
        }
        read
    }

    fn read(&mut self) -> Result<Option<Message>, FrameError> {
        while self.refill() {
            let frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.read_header()? {
                    Some(frame) => frame,
                    None => continue,
                },
            };
            if let Some(message) = self.read_payload(frame)? {
                return Ok(Some(message));
            }
        }
        Ok(None)
    }

    /// Whether there is input. Lets go of a drained chunk, which would keep the socket's read buffer alive.
    fn refill(&mut self) -> bool {
        while self.input.is_empty() {
            match self.queued.pop_front() {
                Some(chunk) => self.input = chunk,
                None => {
                    self.input = Bytes::new();
                    return false;
                }
            }
        }
        true
    }

    /// Takes a header off the input, or puts the whole input aside as the beginning of one.
    fn read_header(&mut self) -> Result<Option<Frame>, FrameError> {
        let before = self.head_len;
        let header = if before == 0 {
            Header::parse(&self.input)?
        } else {
            let copied = self.input.len().min(MAX_CLIENT_HEADER_BYTES - before);
            self.head[before..before + copied].copy_from_slice(&self.input[..copied]);
            Header::parse(&self.head[..before + copied])?
        };
        let Some(header) = header else {
            // A header cut short is below 14 bytes, so all of the input fits.
            let after = before + self.input.len();
            self.head[before..after].copy_from_slice(&self.input);
            self.head_len = after;
            self.input.clear();
            return Ok(None);
        };
        self.input.advance(header.bytes - before);
        self.head_len = 0;
        self.accept(&header).map(Some)
    }

    /// Judges a header by what came before it.
    fn accept(&mut self, header: &Header) -> Result<Frame, FrameError> {
        if !header.opcode.is_control() {
            match (header.opcode, self.kind) {
                (Opcode::Continuation, None) => return Err(FrameError::UnexpectedContinuation),
                (Opcode::Continuation, Some(_)) => {}
                (_, Some(_)) => return Err(FrameError::InterleavedData),
                (opcode, None) => self.kind = Some(opcode),
            }
            let limit = self.limits.max_message_bytes;
            let announced = header.len + self.message.len() as u64;
            if announced > limit as u64 {
                return Err(FrameError::TooBig { announced, limit });
            }
        }
        // Exact: the length is within `limit`, a usize.
        let remaining = usize::try_from(header.len).unwrap_or(usize::MAX);
        Ok(Frame { opcode: header.opcode, fin: header.fin, remaining, mask: header.mask })
    }

    /// Takes what the input has of the frame's payload; the message, if that was the last of it.
    fn read_payload(&mut self, mut frame: Frame) -> Result<Option<Message>, FrameError> {
        let is_control = frame.opcode.is_control();
        let len = frame.remaining.min(self.input.len());
        let target = if is_control { &mut self.control } else { &mut self.message };
        let most = if frame.fin { target.len() + frame.remaining } else { self.limits.max_message_bytes };
        reserve(target, len, most);
        let start = target.len();
        target.extend_from_slice(&self.input[..len]);
        unmask(&mut target[start..], frame.mask);
        self.input.advance(len);
        frame.remaining -= len;
        frame.mask.rotate_left(len % 4);

        if self.kind == Some(Opcode::Text) && !is_control {
            self.check_text()?;
        }
        if frame.remaining > 0 {
            self.frame = Some(frame);
            return Ok(None);
        }
        if is_control {
            let payload = std::mem::take(&mut self.control);
            return control_message(frame.opcode, payload).map(Some);
        }
        if !frame.fin {
            return Ok(None);
        }
        self.finish_message()
    }

    /// Checks what came in since the last check, so that bad text fails where it stands. A code point cut by a
    /// fragment or a chunk waits, unless its first bytes already rule it out.
    fn check_text(&mut self) -> Result<(), FrameError> {
        match std::str::from_utf8(&self.message[self.checked..]) {
            Ok(_) => self.checked = self.message.len(),
            Err(e) if e.error_len().is_none() => self.checked += e.valid_up_to(),
            Err(_) => return Err(FrameError::InvalidUtf8),
        }
        Ok(())
    }

    fn finish_message(&mut self) -> Result<Option<Message>, FrameError> {
        let kind = self.kind.take();
        let checked = std::mem::take(&mut self.checked);
        // Exact after a single frame; after fragments this gives back what doubling reserved too much.
        let payload = Bytes::from(std::mem::take(&mut self.message).into_boxed_slice());
        if kind != Some(Opcode::Text) {
            return Ok(Some(Message::Binary(payload)));
        }
        if checked != payload.len() {
            return Err(FrameError::InvalidUtf8);
        }
        Ok(Some(Message::Text(payload)))
    }
}

/// Makes room for `len` more bytes where at most `most` in total will come: by doubling, not by what is announced.
fn reserve(target: &mut Vec<u8>, len: usize, most: usize) {
    let needed = target.len() + len;
    if needed > target.capacity() {
        let doubled = (2 * target.capacity()).max(FIRST_RESERVE_BYTES);
        target.reserve_exact(doubled.min(most).max(needed) - target.len());
    }
}

/// Undoes the masking (RFC 6455 5.3) of bytes that begin at the first byte of `mask`, eight at a time.
fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let key = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ key).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

fn control_message(opcode: Opcode, payload: Vec<u8>) -> Result<Message, FrameError> {
    match opcode {
        Opcode::Ping => Ok(Message::Ping(payload.into())),
        Opcode::Pong => Ok(Message::Pong(payload.into())),
        _ => close_frame(&payload).map(Message::Close),
    }
}

fn close_frame(payload: &[u8]) -> Result<Option<CloseFrame>, FrameError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Err(FrameError::BadClosePayload);
    };
    let code = u16::from_be_bytes(*code);
    if !may_travel(code) {
        return Err(FrameError::BadClosePayload);
    }
    match std::str::from_utf8(reason) {
        Ok(reason) => Ok(Some(CloseFrame { code, reason: reason.to_owned() })),
        Err(_) => Err(FrameError::InvalidUtf8),
    }
}
