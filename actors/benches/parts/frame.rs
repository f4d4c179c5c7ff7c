//! Reading frames: bytes as they come off a socket become messages.

use std::hint::black_box;

use bytes::Bytes;
use weir_actors::frame::{FrameReader, Limits, Message};

use crate::part::Part;
use crate::sample;

/// What is read from a socket at a time.
const CHUNK_BYTES: usize = 64 << 10;
const LARGE_BYTES: usize = 1 << 20;
const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

pub(crate) fn parts() -> Vec<Part> {
    let calls = || (0..64).flat_map(|n| masked(sample::set(&sample::key(n)).as_bytes())).collect::<Vec<u8>>();
    vec![
        Part::new("frame/64 calls in one chunk", "message", 64, move || reading(calls(), 64)),
        Part::new("frame/1 MiB in chunks of 64 KiB", "KiB", LARGE_BYTES >> 10, || reading(masked(&vec![b'x'; LARGE_BYTES]), 1)),
    ]
}

/// Reads `wire`, which are so many messages.
fn reading(wire: Vec<u8>, messages: usize) -> impl FnMut() + 'static {
    let wire = Bytes::from(wire);
    let chunks: Vec<Bytes> = wire.chunks(CHUNK_BYTES).map(|chunk| wire.slice_ref(chunk)).collect();
    let mut reader = FrameReader::new(Limits { max_message_bytes: LARGE_BYTES });
    move || {
        let mut read = 0;
        for chunk in &chunks {
            reader.push(chunk.clone());
            read += drain(&mut reader, |message| drop(black_box(message)));
        }
        assert_eq!(read, messages);
    }
}

/// Takes out all messages; how many they were.
pub(crate) fn drain(reader: &mut FrameReader, mut take: impl FnMut(Message)) -> usize {
    let mut count = 0;
    while let Some(message) = reader.next().unwrap() {
        take(message);
        count += 1;
    }
    count
}

/// A text frame as a client sends it.
pub(crate) fn masked(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match u16::try_from(payload.len()) {
        Ok(length @ ..=125) => frame.push(0x80 | length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
