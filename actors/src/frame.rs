//! WebSocket frames, the server's side of RFC 6455, without I/O.
//!
//! Reading: bytes off the socket go into [`FrameReader::push`], whole messages come out of [`FrameReader::next`].
//! The reader exists because the codec of actix-http looks at the length only after it has buffered the frame,
//! leaves fragments to the caller and does not check text. Here a header is judged before a byte of its payload is
//! kept, and three rules keep the memory of a socket in hand:
//!
//! - a chunk is drained as it is read: payload is copied out (and unmasked) into the message under assembly, a split
//!   header waits in 14 bytes, and the chunk is let go, so that a quiet socket pins no read buffer;
//! - the buffer of a message grows with what has arrived, doubling, never with what was announced;
//! - fragments leave nothing behind but their bytes, so a million empty ones cost nothing.
//!
//! A reader drained after each push therefore holds at most `max_message_bytes` and one control frame (125 bytes).
//!
//! Writing: a frame is encoded once and shared by every socket that gets it. [`FrameBuilder`] leaves room for the
//! header, takes a payload of unknown length, and writes the header in front of it when the length is known.
//!
//! Extensions are never negotiated (reserved bits are an error), and the server never masks (RFC 6455 5.1).

mod read;
mod write;

pub use read::{CloseFrame, FrameError, FrameReader, Limits, Message};
pub use write::{Burst, Encoded, FrameBuilder, encode_binary, encode_close, encode_ping, encode_pong, encode_text, header};

/// The longest payload of Close, Ping and Pong (RFC 6455 5.5).
const MAX_CONTROL_BYTES: usize = 125;

/// The kind of a frame (RFC 6455 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of the message under way.
    Continuation = 0x0,
    /// UTF-8 text, or its first fragment.
    Text = 0x1,
    /// Bytes, or their first fragment.
    Binary = 0x2,
    /// The end of one direction.
    Close = 0x8,
    /// A request for a Pong.
    Ping = 0x9,
    /// The answer to a Ping.
    Pong = 0xA,
}

impl Opcode {
    fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// Whether a close code may stand in a frame: RFC 6455 7.4.1 and 7.4.2, and 1012 to 1014 of its IANA registry.
fn may_travel(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}
