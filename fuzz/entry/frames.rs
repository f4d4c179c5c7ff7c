//! The frame reader: the same messages and the same error whatever the chunking, within the limit, and what the server writes is read as it was.
//!
//! The first two bytes say how to cut the rest and how long a message may be.

use bytes::Bytes;
use weir_actors::frame::{self, FrameError, FrameReader, Limits, Message};

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Reads `data` in several chunkings.
pub fn run(data: &[u8]) {
    let &[cut, limit, ref wire @ ..] = data else { return };
    let max_message_bytes = match limit {
        255 => 1 << 20,
        limit => usize::from(limit) * 4,
    };
    let limits = Limits { max_message_bytes };
    let (messages, error) = read(limits, [wire]);
    assert_eq!((&messages, &error), (&read(limits, wire.chunks(1)).0, &read(limits, wire.chunks(1)).1), "byte by byte");
    let chunked = read(limits, wire.chunks(usize::from(cut) + 2));
    assert_eq!((&messages, &error), (&chunked.0, &chunked.1), "in chunks of {}", usize::from(cut) + 2);
    let halves = wire.split_at(usize::from(cut).min(wire.len()));
    let halved = read(limits, [halves.0, halves.1]);
    assert_eq!((&messages, &error), (&halved.0, &halved.1), "cut at {cut}");
    assert_eq!((&messages, &error), (&read_late(limits, wire.chunks(7)).0, &read_late(limits, wire.chunks(7)).1), "read at the end");
    if let Some(error) = &error {
        assert!(matches!(error.close_code(), 1002 | 1007 | 1009), "{error}");
        assert!(!error.code().is_empty() && !error.to_string().is_empty());
    }
    for message in &messages {
        check(message, max_message_bytes);
        let again = read(limits, [&*masked(&encoded(message))]);
        assert_eq!(again, (vec![message.clone()], None), "written and read");
    }
}

/// The messages up to the first error, and the error.
fn read<'a>(limits: Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<FrameError>) {
    let (mut reader, mut messages) = (FrameReader::new(limits), Vec::new());
    for chunk in chunks {
        reader.push(Bytes::copy_from_slice(chunk));
        if let Some(error) = drain(&mut reader, &mut messages) {
            return (messages, Some(error));
        }
    }
    (messages, None)
}

/// The same where all chunks come before the first message is asked for.
fn read_late<'a>(limits: Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Message>, Option<FrameError>) {
    let (mut reader, mut messages) = (FrameReader::new(limits), Vec::new());
    chunks.into_iter().for_each(|chunk| reader.push(Bytes::copy_from_slice(chunk)));
    let error = drain(&mut reader, &mut messages);
    (messages, error)
}

fn drain(reader: &mut FrameReader, messages: &mut Vec<Message>) -> Option<FrameError> {
    loop {
        match reader.next() {
            Ok(Some(message)) => messages.push(message),
            Ok(None) => return None,
            Err(error) => {
                reader.push(Bytes::from_static(&[0x89, 0x80, 0, 0, 0, 0]));
                assert_eq!(reader.next(), Ok(None), "silent after an error");
                return Some(error);
            }
        }
    }
}

fn check(message: &Message, limit: usize) {
    match message {
        Message::Text(text) => assert!(text.len() <= limit && std::str::from_utf8(text).is_ok(), "{text:?}"),
        Message::Binary(bytes) => assert!(bytes.len() <= limit),
        Message::Ping(payload) | Message::Pong(payload) => assert!(payload.len() <= 125),
        Message::Close(None) => {}
        Message::Close(Some(close)) => {
            assert!(close.reason.len() <= 123);
            let travels = matches!(close.code, 1000..=1003 | 1007..=1014 | 3000..=4999);
            assert!(travels, "{}", close.code);
        }
    }
}

/// As the server would send it.
fn encoded(message: &Message) -> Bytes {
    match message {
        Message::Text(text) => frame::encode_text(text),
        Message::Binary(bytes) => frame::encode_binary(bytes),
        Message::Ping(payload) => frame::encode_ping(payload),
        Message::Pong(payload) => frame::encode_pong(payload),
        // Without a code: 1005 may not travel.
        Message::Close(None) => frame::encode_close(1005, ""),
        Message::Close(Some(close)) => frame::encode_close(close.code, &close.reason),
    }
}

/// A server's frame as a client would send it.
fn masked(frame: &[u8]) -> Vec<u8> {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let mut masked = frame[..header].to_vec();
    masked[1] |= 0x80;
    masked.extend(MASK);
    masked.extend(frame[header..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    masked
}
