//! The rules of RFC 6455 one by one; `memory` is what a reader holds, `properties` are of whole connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod memory;
mod properties;

use super::*;
use crate::frame::MAX_CONTROL_BYTES;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CONTINUATION: u8 = 0x0;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xA;
const FIN: u8 = 0x80;

fn reader(max_message_bytes: usize) -> FrameReader {
    FrameReader::new(Limits { max_message_bytes })
}

/// A client's header announcing `len` bytes; `first` is FIN, RSV and opcode.
fn client_header(first: u8, len: u64, mask: [u8; 4]) -> Vec<u8> {
    let mut out = vec![first];
    if let Ok(len) = u8::try_from(len)
        && len <= 125
    {
        out.push(0x80 | len);
    } else if let Ok(len) = u16::try_from(len) {
        out.push(0x80 | 126);
        out.extend(len.to_be_bytes());
    } else {
        out.push(0x80 | 127);
        out.extend(len.to_be_bytes());
    }
    out.extend(mask);
    out
}

fn client_frame_masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut out = client_header(first, payload.len() as u64, mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, key)| byte ^ key));
    out
}

fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    client_frame_masked(first, payload, MASK)
}

fn drain(reader: &mut FrameReader) -> Result<Vec<Message>, FrameError> {
    let mut messages = Vec::new();
    while let Some(message) = reader.next()? {
        messages.push(message);
    }
    Ok(messages)
}

/// What a fresh reader with a limit of 1 MiB makes of `wire` in one chunk.
fn read(wire: &[u8]) -> Result<Vec<Message>, FrameError> {
    let mut reader = reader(1 << 20);
    reader.push(Bytes::copy_from_slice(wire));
    drain(&mut reader)
}

fn read_error(wire: &[u8]) -> FrameError {
    read(wire).expect_err("the reader accepted a bad frame")
}

fn text(payload: &str) -> Message {
    Message::Text(Bytes::copy_from_slice(payload.as_bytes()))
}

fn close(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame { code, reason: reason.to_owned() }))
}

/// The bytes the reader keeps allocated or alive.
fn held(reader: &FrameReader) -> usize {
    let queued: usize = reader.queued.iter().map(Bytes::len).sum();
    reader.message.capacity() + reader.control.capacity() + reader.input.len() + queued
}

// RFC 6455 5.7: the examples.

#[test]
fn text_of_the_rfc_example_reads_hello() {
    let wire = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    assert_eq!(read(&wire).unwrap(), [text("Hello")]);
}

#[test]
fn ping_of_the_rfc_example_reads_hello() {
    let wire = [0x89, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    assert_eq!(read(&wire).unwrap(), [Message::Ping("Hello".into())]);
}

// RFC 6455 5.1: a client masks.

#[test]
fn frame_without_mask_is_refused() {
    assert_eq!(read_error(&[FIN | TEXT, 5]), FrameError::Unmasked);
}

// RFC 6455 5.2: reserved bits, opcodes, lengths.

#[test]
fn reserved_bit_is_refused() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(read_error(&client_frame(FIN | bit | TEXT, b"x")), FrameError::ReservedBits);
    }
}

#[test]
fn reserved_opcode_is_refused() {
    for opcode in (0x3..=0x7).chain(0xB..=0xF) {
        assert_eq!(read_error(&client_frame(FIN | opcode, b"x")), FrameError::UnknownOpcode);
    }
}

#[test]
fn length_not_in_shortest_form_is_refused() {
    let short = [&[FIN | TEXT, 0xFE][..], &125u16.to_be_bytes()].concat();
    assert_eq!(read_error(&short), FrameError::BadLength);
    let long = [&[FIN | TEXT, 0xFF][..], &65_535u64.to_be_bytes()].concat();
    assert_eq!(read_error(&long), FrameError::BadLength);
}

#[test]
fn length_with_top_bit_is_refused() {
    for len in [1 << 63, u64::MAX] {
        let wire = [&[FIN | BINARY, 0xFF][..], &len.to_be_bytes()].concat();
        assert_eq!(read_error(&wire), FrameError::BadLength);
    }
}

#[test]
fn length_at_each_edge_of_its_forms_is_read() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536, 65_537] {
        let payload = vec![7; len];
        assert_eq!(read(&client_frame(FIN | BINARY, &payload)).unwrap(), [Message::Binary(payload.into())]);
    }
}

// RFC 6455 5.3: masking.

#[test]
fn unmask_of_any_length_agrees_with_byte_by_byte() {
    for len in 0..40u8 {
        let masked: Vec<u8> = (0..len).collect();
        let expected: Vec<u8> = masked.iter().zip(MASK.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        let mut bytes = masked;
        unmask(&mut bytes, MASK);
        assert_eq!(bytes, expected);
    }
}

// RFC 6455 5.4: fragments.

#[test]
fn fragments_are_joined() {
    let wire = [client_frame(TEXT, b"Hel"), client_frame(CONTINUATION, b"l"), client_frame(FIN, b"o")].concat();
    assert_eq!(read(&wire).unwrap(), [text("Hello")]);
}

#[test]
fn ping_between_fragments_comes_out_first() {
    let wire = [client_frame(TEXT, b"Hel"), client_frame(FIN | PING, b"?"), client_frame(FIN, b"lo")].concat();
    assert_eq!(read(&wire).unwrap(), [Message::Ping("?".into()), text("Hello")]);
}

#[test]
fn continuation_of_nothing_is_refused() {
    assert_eq!(read_error(&client_frame(FIN, b"x")), FrameError::UnexpectedContinuation);
    let wire = [client_frame(TEXT, b"a"), client_frame(FIN, b"b"), client_frame(FIN, b"c")].concat();
    assert_eq!(read_error(&wire), FrameError::UnexpectedContinuation);
}

#[test]
fn new_message_inside_fragments_is_refused() {
    for opcode in [TEXT, BINARY] {
        let wire = [client_frame(TEXT, b"a"), client_frame(FIN | opcode, b"b")].concat();
        assert_eq!(read_error(&wire), FrameError::InterleavedData);
    }
}

#[test]
fn empty_fragments_leave_nothing_behind() {
    let mut reader = reader(16);
    reader.push(client_frame(BINARY, b"").into());
    assert_eq!(reader.next().unwrap(), None);
    let many = Bytes::from(client_frame(CONTINUATION, b"").repeat(10_000));
    for _ in 0..10 {
        reader.push(many.clone());
        assert_eq!(reader.next().unwrap(), None);
        assert_eq!(held(&reader), 0);
    }
    reader.push(client_frame(FIN, b"end").into());
    assert_eq!(reader.next().unwrap(), Some(Message::Binary("end".into())));
}

// RFC 6455 5.5: control frames.

#[test]
fn control_frame_over_125_bytes_is_refused() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(read_error(&[FIN | opcode, 0x80 | 126]), FrameError::ControlTooLong);
        assert_eq!(read_error(&[FIN | opcode, 0x80 | 127]), FrameError::ControlTooLong);
    }
    let longest = [9; 125];
    let read = read(&client_frame(FIN | PONG, &longest)).unwrap();
    assert_eq!(read, [Message::Pong(Bytes::copy_from_slice(&longest))]);
}

#[test]
fn control_frame_without_fin_is_refused() {
    for opcode in [CLOSE, PING, PONG] {
        assert_eq!(read_error(&client_frame(opcode, b"")), FrameError::FragmentedControl);
    }
}

#[test]
fn control_frame_does_not_count_towards_the_limit() {
    let mut reader = reader(4);
    let wire = [client_frame(BINARY, b"abc"), client_frame(FIN | PING, &[0; 125]), client_frame(FIN, b"d")];
    reader.push(wire.concat().into());
    assert_eq!(drain(&mut reader).unwrap()[1], Message::Binary("abcd".into()));
}

// RFC 6455 5.5.1 and 7.4: closing.

#[test]
fn close_without_payload_has_no_reason() {
    assert_eq!(read(&client_frame(FIN | CLOSE, b"")).unwrap(), [Message::Close(None)]);
}

#[test]
fn close_of_one_byte_is_refused() {
    assert_eq!(read_error(&client_frame(FIN | CLOSE, &[3])), FrameError::BadClosePayload);
}

#[test]
fn close_code_is_accepted_only_if_it_may_travel() {
    for code in [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1014, 3000, 4999] {
        let payload = [&u16::to_be_bytes(code)[..], b"bye"].concat();
        assert_eq!(read(&client_frame(FIN | CLOSE, &payload)).unwrap(), [close(code, "bye")]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
        let wire = client_frame(FIN | CLOSE, &code.to_be_bytes());
        assert_eq!(read_error(&wire), FrameError::BadClosePayload, "{code}");
    }
}

#[test]
fn close_reason_that_is_not_utf8_is_refused() {
    let wire = client_frame(FIN | CLOSE, &[0x03, 0xE8, 0xFF]);
    assert_eq!(read_error(&wire), FrameError::InvalidUtf8);
}

#[test]
fn frames_behind_a_close_are_still_read() {
    let wire = [client_frame(FIN | CLOSE, b""), client_frame(FIN | TEXT, b"late")].concat();
    assert_eq!(read(&wire).unwrap(), [Message::Close(None), text("late")]);
}

// RFC 6455 8.1: UTF-8.

#[test]
fn text_with_a_code_point_split_by_fragments_is_read() {
    let seat = "€ 🦀".as_bytes();
    for cut in 0..=seat.len() {
        let wire = [client_frame(TEXT, &seat[..cut]), client_frame(FIN, &seat[cut..])].concat();
        assert_eq!(read(&wire).unwrap(), [text("€ 🦀")], "cut at {cut}");
    }
}

#[test]
fn text_with_an_invalid_first_fragment_fails_at_once() {
    // A stray continuation byte, overlong forms, a surrogate, beyond U+10FFFF: each as short as it can be judged.
    for bad in [&b"ok\x80"[..], b"\xC0", b"\xE0\x80", b"\xED\xA0", b"\xF4\x90", b"\xFF"] {
        assert_eq!(read_error(&client_frame(TEXT, bad)), FrameError::InvalidUtf8, "{bad:x?}");
    }
}

#[test]
fn text_with_an_invalid_first_chunk_fails_before_the_frame_is_whole() {
    let wire = client_frame(FIN | TEXT, &[b"ok\xFF", &[b'x'; 1000][..]].concat());
    assert_eq!(read_error(&wire[..20]), FrameError::InvalidUtf8);
}

#[test]
fn text_with_a_code_point_broken_across_fragments_is_refused() {
    let wire = [client_frame(TEXT, b"\xE2\x82"), client_frame(CONTINUATION, b"x")].concat();
    assert_eq!(read_error(&wire), FrameError::InvalidUtf8);
}

#[test]
fn text_ending_inside_a_code_point_is_refused() {
    assert_eq!(read_error(&client_frame(FIN | TEXT, b"\xE2\x82")), FrameError::InvalidUtf8);
}

#[test]
fn binary_is_not_held_to_utf8() {
    let read = read(&client_frame(FIN | BINARY, b"\xFF\xFE")).unwrap();
    assert_eq!(read, [Message::Binary(Bytes::from_static(b"\xFF\xFE"))]);
}

// RFC 6455 10.4: limits.

#[test]
fn message_over_the_limit_fails_by_its_header_alone() {
    let mut at_limit = reader(1000);
    at_limit.push(client_frame(FIN | BINARY, &[0; 1000]).into());
    assert!(at_limit.next().unwrap().is_some());

    let mut over = reader(1000);
    over.push(client_header(FIN | BINARY, 1001, MASK).into());
    assert_eq!(over.next(), Err(FrameError::TooBig { announced: 1001, limit: 1000 }));

    let mut far_over = reader(usize::MAX >> 1);
    far_over.push(client_frame(BINARY, b"x").into());
    far_over.push(client_header(FIN, i64::MAX.unsigned_abs(), MASK).into());
    assert_eq!(far_over.next(), Err(FrameError::TooBig { announced: 1 << 63, limit: usize::MAX >> 1 }));
}

#[test]
fn fragments_over_the_limit_together_fail_by_the_last_header() {
    let mut reader = reader(1000);
    reader.push(client_frame(BINARY, &[0; 600]).into());
    assert_eq!(reader.next().unwrap(), None);
    reader.push(client_header(CONTINUATION, 401, MASK).into());
    assert_eq!(reader.next(), Err(FrameError::TooBig { announced: 1001, limit: 1000 }));
}

#[test]
fn error_maps_to_its_close_code_and_name() {
    let too_big = FrameError::TooBig { announced: 2, limit: 1 };
    assert_eq!((too_big.close_code(), too_big.code()), (1009, "too_big"));
    assert_eq!((FrameError::InvalidUtf8.close_code(), FrameError::InvalidUtf8.code()), (1007, "invalid_utf8"));
    assert_eq!((FrameError::Unmasked.close_code(), FrameError::Unmasked.code()), (1002, "unmasked"));
}
