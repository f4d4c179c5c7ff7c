//! WebSocket frames (RFC 6455, section 5) as a client writes and reads them, as far as a load needs it: whole messages in one frame.

/// FIN and the opcode of a text frame.
pub(crate) const TEXT: u8 = 0x81;
/// FIN and the opcode of a close frame.
pub(crate) const CLOSE: u8 = 0x88;
/// FIN and the opcode of a ping.
pub(crate) const PING: u8 = 0x89;
/// FIN and the opcode of a pong.
pub(crate) const PONG: u8 = 0x8A;

/// Bytes of the header and of the whole frame that `bytes` begin with; `None` while some of it is missing.
pub(crate) fn bounds(bytes: &[u8]) -> Option<(usize, usize)> {
    extent(bytes).filter(|(_, end)| bytes.len() >= *end)
}

/// The same as soon as the header is there.
pub(crate) fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let [_, second, rest @ ..] = bytes else { return None };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (header, length) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(*rest.first_chunk()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(*rest.first_chunk()?)).ok()?),
        short => (2, usize::from(short)),
    };
    Some((header + mask, header + mask + length))
}

/// Appends a frame as a client sends it: masked, with a mask of zeros, which leaves the payload as it is.
pub(crate) fn masked(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    header(out, first, payload.len(), 0x80);
    out.extend([0; 4]);
    out.extend(payload);
}

/// Appends a frame as a server sends it.
pub(crate) fn plain(out: &mut Vec<u8>, first: u8, payload: &[u8]) {
    header(out, first, payload.len(), 0);
    out.extend(payload);
}

fn header(out: &mut Vec<u8>, first: u8, length: usize, mask: u8) {
    out.push(first);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ ..=125), _) => out.push(mask | length),
        (_, Ok(length)) => {
            out.push(mask | 126);
            out.extend(length.to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_written_has_the_bounds_read() {
        for length in [0, 125, 126, 65_535, 65_536] {
            for write in [masked, plain] {
                let mut out = Vec::new();
                write(&mut out, TEXT, &vec![b'x'; length]);
                assert_eq!(bounds(&out), Some((out.len() - length, out.len())));
                assert_eq!(bounds(&out[..out.len() - 1]), None);
            }
        }
    }
}
