//! Frames to a client: encoded once, shared by all who get them.

#[cfg(test)]
mod tests;

use std::io;

use bytes::{Bytes, BytesMut};

use super::{MAX_CONTROL_BYTES, Opcode, may_travel};

/// The longest header a server sends: no masking key.
const MAX_SERVER_HEADER_BYTES: usize = 10;
/// The header of a payload of 126 bytes to 64 KiB.
const USUAL_HEADER_BYTES: usize = 4;
/// Messages up to here leave in one frame: the Rust SDK up to 0.24 refuses frames over 16 MiB.
const MAX_SINGLE_FRAME_BYTES: usize = 15 << 20;
/// Longer messages leave in fragments of this size.
const FRAGMENT_BYTES: usize = 8 << 20;

/// Appends the header of an unfragmented server frame to `buf`; the payload of `len` bytes is to follow.
pub fn header(buf: &mut BytesMut, opcode: Opcode, len: usize) {
    let (header, skip) = server_header(opcode, true, len);
    buf.extend_from_slice(&header[skip..]);
}

/// The header at the right end of an array, and where it begins.
fn server_header(opcode: Opcode, fin: bool, len: usize) -> ([u8; MAX_SERVER_HEADER_BYTES], usize) {
    let first = opcode as u8 | if fin { 0x80 } else { 0 };
    let [.., a, b] = (len as u64).to_be_bytes();
    let mut header = [0; MAX_SERVER_HEADER_BYTES];
    let skip = if len <= 125 {
        header[8..].copy_from_slice(&[first, b]);
        8
    } else if len <= usize::from(u16::MAX) {
        header[6..].copy_from_slice(&[first, 126, a, b]);
        6
    } else {
        header[..2].copy_from_slice(&[first, 127]);
        header[2..].copy_from_slice(&(len as u64).to_be_bytes());
        0
    };
    (header, skip)
}

/// A message ready for any number of sockets.
#[derive(Debug, Clone)]
pub struct Encoded {
    frames: Bytes,
    payload: Bytes,
}

impl Encoded {
    /// What goes to the socket: headers and payload, one frame or several.
    pub fn frames(&self) -> Bytes {
        self.frames.clone()
    }

    /// The payload alone, in one piece. Shares memory with the frame, unless that had to be fragmented.
    pub fn payload(&self) -> Bytes {
        self.payload.clone()
    }
}

/// Builds a message whose length is not known before it is written: the header goes in front afterwards, and the
/// payload does not move. JSON may be written straight in, as the builder is [`io::Write`] (and never fails).
pub struct FrameBuilder {
    opcode: Opcode,
    /// Room for the longest header, then the payload.
    buf: Vec<u8>,
}

impl FrameBuilder {
    /// A text message of about `capacity` bytes. The caller sees to it that the payload is UTF-8.
    pub fn text(capacity: usize) -> Self {
        Self::new(Opcode::Text, capacity)
    }

    /// A binary message of about `capacity` bytes.
    pub fn binary(capacity: usize) -> Self {
        Self::new(Opcode::Binary, capacity)
    }

    fn new(opcode: Opcode, capacity: usize) -> Self {
        let mut buf = Vec::with_capacity(MAX_SERVER_HEADER_BYTES + capacity);
        buf.extend_from_slice(&[0; MAX_SERVER_HEADER_BYTES]);
        Self { opcode, buf }
    }

    /// Appends to the payload.
    pub fn put(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// The buffer behind the payload, to append to.
    pub(crate) fn payload_mut(&mut self) -> &mut Vec<u8> {
        &mut self.buf
    }

    /// The payload's length so far, in bytes.
    pub fn payload_len(&self) -> usize {
        self.buf.len() - MAX_SERVER_HEADER_BYTES
    }

    /// Writes the header. A payload over 15 MiB is copied once more, into fragments of at most 8 MiB.
    pub fn finish(mut self) -> Encoded {
        let len = self.payload_len();
        let (header, skip) = server_header(self.opcode, true, len);
        self.buf[skip..MAX_SERVER_HEADER_BYTES].copy_from_slice(&header[skip..]);
        // A frame may be kept for long (ring, outboxes, accounted by length): do not keep a bad guess with it.
        if self.buf.capacity() - self.buf.len() > self.buf.len() / 4 {
            self.buf.shrink_to_fit();
        }
        let buf = Bytes::from(self.buf);
        let payload = buf.slice(MAX_SERVER_HEADER_BYTES..);
        let frames = if len > MAX_SINGLE_FRAME_BYTES { fragments(self.opcode, &payload) } else { buf.slice(skip..) };
        Encoded { frames, payload }
    }
}

impl io::Write for FrameBuilder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Text messages back to back in one buffer, for a socket that gets all of them.
///
/// They share one allocation and one place in the queue of the socket. For messages that are well below 15 MiB: none is fragmented.
#[derive(Default)]
pub struct Burst {
    buf: Vec<u8>,
}

impl Burst {
    /// Room for about `bytes`, headers included.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buf: Vec::with_capacity(bytes) }
    }

    /// Appends a message; `put` appends its payload, which must be UTF-8.
    pub fn text(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        let start = self.buf.len();
        let payload = start + USUAL_HEADER_BYTES;
        self.buf.resize(payload, 0);
        put(&mut self.buf);
        let (header, skip) = server_header(Opcode::Text, true, self.buf.len() - payload);
        let header = &header[skip..];
        if header.len() == USUAL_HEADER_BYTES {
            self.buf[start..payload].copy_from_slice(header);
        } else {
            // Moves the payload.
            self.buf.splice(start..payload, header.iter().copied());
        }
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// All of them; the burst is empty then.
    pub fn take(&mut self) -> Bytes {
        std::mem::take(&mut self.buf).into()
    }
}

/// A first frame and continuations (RFC 6455 5.4), back to back.
fn fragments(opcode: Opcode, payload: &[u8]) -> Bytes {
    let count = payload.len().div_ceil(FRAGMENT_BYTES);
    let mut frames = Vec::with_capacity(payload.len() + count * MAX_SERVER_HEADER_BYTES);
    for (i, piece) in payload.chunks(FRAGMENT_BYTES).enumerate() {
        let opcode = if i == 0 { opcode } else { Opcode::Continuation };
        let (header, skip) = server_header(opcode, i + 1 == count, piece.len());
        frames.extend_from_slice(&header[skip..]);
        frames.extend_from_slice(piece);
    }
    frames.into()
}

/// A text message. The caller sees to it that `payload` is UTF-8.
pub fn encode_text(payload: &[u8]) -> Bytes {
    encode(FrameBuilder::text(payload.len()), payload)
}

/// A binary message.
pub fn encode_binary(payload: &[u8]) -> Bytes {
    encode(FrameBuilder::binary(payload.len()), payload)
}

fn encode(mut frame: FrameBuilder, payload: &[u8]) -> Bytes {
    frame.put(payload);
    frame.finish().frames
}

/// A close. The reason is cut to 123 bytes, at a character. A code that must not travel, such as 1005 for "none",
/// gives a close without code and reason (RFC 6455 7.4.1).
pub fn encode_close(code: u16, reason: &str) -> Bytes {
    if !may_travel(code) {
        return encode_control(Opcode::Close, &[]);
    }
    let mut end = reason.len().min(MAX_CONTROL_BYTES - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    let mut payload = Vec::with_capacity(2 + end);
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    encode_control(Opcode::Close, &payload)
}

/// A ping. Only the first 125 bytes are sent.
pub fn encode_ping(payload: &[u8]) -> Bytes {
    encode_control(Opcode::Ping, payload)
}

/// A pong, to carry the payload of the ping it answers. Only the first 125 bytes are sent.
pub fn encode_pong(payload: &[u8]) -> Bytes {
    encode_control(Opcode::Pong, payload)
}

fn encode_control(opcode: Opcode, payload: &[u8]) -> Bytes {
    let payload = &payload[..payload.len().min(MAX_CONTROL_BYTES)];
    let (header, skip) = server_header(opcode, true, payload.len());
    [&header[skip..], payload].concat().into()
}
