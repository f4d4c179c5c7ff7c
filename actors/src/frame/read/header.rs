//! The header of a client's frame.

use super::FrameError;
use crate::frame::{MAX_CONTROL_BYTES, Opcode};

/// A client's frame header as it came, checked as far as a header alone can be.
pub(super) struct Header {
    pub(super) opcode: Opcode,
    pub(super) fin: bool,
    pub(super) len: u64,
    pub(super) mask: [u8; 4],
    /// Of the header itself.
    pub(super) bytes: usize,
}

impl Header {
    /// Reads the header `bytes` begin with; `None` if it is cut short. What is there is judged at once.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        let &[first, second, ref rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(FrameError::ReservedBits);
        }
        let opcode = Opcode::from_nibble(first & 0x0F).ok_or(FrameError::UnknownOpcode)?;
        let fin = first & 0x80 != 0;
        if second & 0x80 == 0 {
            return Err(FrameError::Unmasked);
        }
        let short = second & 0x7F;
        if opcode.is_control() {
            if !fin {
                return Err(FrameError::FragmentedControl);
            }
            if usize::from(short) > MAX_CONTROL_BYTES {
                return Err(FrameError::ControlTooLong);
            }
        }
        let (len, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            _ => (u64::from(short), rest),
        };
        let shortest = match short {
            126 => len > 125,
            127 => len > u64::from(u16::MAX) && len >> 63 == 0,
            _ => true,
        };
        if !shortest {
            return Err(FrameError::BadLength);
        }
        let Some((mask, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        Ok(Some(Self { opcode, fin, len, mask: *mask, bytes: bytes.len() - rest.len() }))
    }
}
