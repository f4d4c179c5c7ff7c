//! What is written reads back on the other side.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;

use bytes::Buf;
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::frame::{FrameReader, Limits, Message};

const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUATION: u8 = 0x0;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

/// The client's side: FIN, opcode and payload of each frame. Panics on what a client must refuse.
fn client_decode(mut wire: &[u8]) -> Vec<(bool, u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let (first, second) = (wire.get_u8(), wire.get_u8());
        assert_eq!(first & 0x70, 0, "reserved bits");
        assert_eq!(second & 0x80, 0, "a server must not mask");
        let len = match second {
            126 => u64::from(wire.get_u16()),
            127 => wire.get_u64(),
            short => u64::from(short),
        };
        let (payload, rest) = wire.split_at(usize::try_from(len).unwrap());
        frames.push((first & FIN != 0, first & 0x0F, payload.to_vec()));
        wire = rest;
    }
    frames
}

#[test]
fn header_at_each_edge_is_in_its_shortest_form() {
    for (len, expected) in [
        (0, &[0x81, 0][..]),
        (125, &[0x81, 125]),
        (126, &[0x81, 126, 0, 126]),
        (65_535, &[0x81, 126, 0xFF, 0xFF]),
        (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let mut buf = BytesMut::from(&b"before"[..]);
        header(&mut buf, Opcode::Text, len);
        assert_eq!(&buf[6..], expected);
    }
}

#[test]
fn builder_shares_one_buffer_between_frame_and_payload() {
    for len in [0, 125, 126, 65_535, 65_536] {
        let mut builder = FrameBuilder::text(0);
        builder.put(&vec![b'x'; len]);
        assert_eq!(builder.payload_len(), len);
        let encoded = builder.finish();
        let (frames, payload) = (encoded.frames(), encoded.payload());
        assert_eq!(frames, encode_text(&vec![b'x'; len]));
        assert_eq!(frames.as_ptr_range().end, payload.as_ptr_range().end);
        assert_eq!(payload.len(), len);
    }
}

#[test]
fn builder_with_a_bad_guess_keeps_no_spare_room() {
    let mut builder = FrameBuilder::text(100_000);
    builder.put(b"short");
    let frames = builder.finish().frames();
    assert!(Vec::from(frames).capacity() < 100);
}

#[test]
fn builder_takes_json_as_a_writer() {
    let mut builder = FrameBuilder::text(0);
    serde_json::to_writer(&mut builder, &["9C"]).unwrap();
    builder.write_all(b" ").unwrap();
    assert_eq!(client_decode(&builder.finish().frames()), [(true, TEXT, b"[\"9C\"] ".to_vec())]);
}

#[test]
fn message_up_to_15_mib_leaves_in_one_frame() {
    let frames = encode_text(&vec![b'x'; MAX_SINGLE_FRAME_BYTES]);
    assert_eq!(client_decode(&frames).len(), 1);
}

#[test]
fn message_over_15_mib_leaves_in_fragments() {
    let message: Vec<u8> = (0..=u8::MAX).cycle().take(2 * FRAGMENT_BYTES + 1).collect();
    let mut builder = FrameBuilder::binary(message.len());
    builder.put(&message);
    let encoded = builder.finish();
    assert!(encoded.payload() == message, "the payload stays whole");

    let frames = client_decode(&encoded.frames());
    let shape: Vec<_> = frames.iter().map(|(fin, opcode, payload)| (*fin, *opcode, payload.len())).collect();
    assert_eq!(shape, [(false, BINARY, FRAGMENT_BYTES), (false, CONTINUATION, FRAGMENT_BYTES), (true, CONTINUATION, 1)]);
    assert!(frames.into_iter().flat_map(|(_, _, payload)| payload).eq(message));
}

#[test]
fn close_reason_is_cut_at_a_character() {
    let reason = "€".repeat(42); // 126 bytes; 123 bytes are 41 characters
    let frames = client_decode(&encode_close(1011, &reason));
    let payload = [&1011u16.to_be_bytes()[..], "€".repeat(41).as_bytes()].concat();
    assert_eq!(frames, [(true, CLOSE, payload)]);

    let frames = client_decode(&encode_close(1011, &format!("ab{reason}"))); // 123 falls inside a character
    assert_eq!(frames[0].2.len(), 2 + 2 + 120);
}

#[test]
fn close_with_a_code_that_must_not_travel_is_empty() {
    for code in [0, 1005, 1006, 1015] {
        assert_eq!(client_decode(&encode_close(code, "why")), [(true, CLOSE, vec![])]);
    }
}

#[test]
fn ping_and_pong_carry_at_most_125_bytes() {
    assert_eq!(client_decode(&encode_ping(b"?")), [(true, PING, b"?".to_vec())]);
    assert_eq!(client_decode(&encode_pong(&[1; 200])), [(true, PONG, vec![1; 125])]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn encoded_message_decodes_to_its_payload(payload in vec(any::<u8>(), 0..70_000), capacity in 0usize..1000) {
        let mut builder = FrameBuilder::binary(capacity);
        builder.put(&payload);
        let encoded = builder.finish();
        prop_assert!(encoded.payload() == payload);
        prop_assert!(encoded.frames() == encode_binary(&payload));
        prop_assert!(client_decode(&encoded.frames()) == [(true, BINARY, payload)]);
    }

    #[test]
    fn burst_decodes_to_its_messages(payloads in vec("\\PC{0,200}", 0..8), long in 0usize..70_000) {
        let payloads: Vec<String> = payloads.into_iter().chain(["x".repeat(long)]).collect();
        let mut burst = Burst::with_capacity(100);
        for payload in &payloads {
            burst.text(|out| out.extend_from_slice(payload.as_bytes()));
        }
        let expected: Vec<_> = payloads.into_iter().map(|payload| (true, TEXT, payload.into_bytes())).collect();
        prop_assert!(client_decode(&burst.take()) == expected);
        prop_assert!(burst.is_empty());
    }

    #[test]
    fn encoded_close_is_read_by_the_own_reader(code in 3000u16..=4999, reason in "\\PC{0,60}") {
        let frames = client_decode(&encode_close(code, &reason));
        // Masked with zeros, which changes nothing.
        let mut wire = vec![FIN | CLOSE, 0x80 | u8::try_from(frames[0].2.len()).unwrap(), 0, 0, 0, 0];
        wire.extend_from_slice(&frames[0].2);
        let mut reader = FrameReader::new(Limits { max_message_bytes: 0 });
        reader.push(Bytes::from(wire));
        let read = reader.next().unwrap();
        let Some(Message::Close(Some(frame))) = &read else { panic!("{read:?}") };
        prop_assert_eq!(frame.code, code);
        prop_assert!(reason.starts_with(&frame.reason));
        prop_assert!(frame.reason == reason || frame.reason.len() > MAX_CONTROL_BYTES - 2 - 4);
    }
}
