//! The rules of RFC 6455 one by one, then properties over whole connections.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use proptest::collection::vec;
use proptest::prelude::*;

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
fn announced_payload_that_never_comes_is_not_allocated() {
    let mut reader = reader(16 << 20);
    reader.push(client_header(FIN | BINARY, 16 << 20, MASK).into());
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(held(&reader), 0);
    reader.push(Bytes::from_static(b"x"));
    assert_eq!(reader.next().unwrap(), None);
    assert_eq!(held(&reader), FIRST_RESERVE_BYTES);
}

#[test]
fn buffer_of_a_long_frame_grows_by_doubling_to_its_exact_size() {
    const LEN: usize = 5_000_000;
    let wire = Bytes::from(client_frame(FIN | BINARY, &[1; LEN]));
    let mut reader = reader(LEN);
    let mut capacities = vec![0];
    let mut message = None;
    for chunk in wire.chunks(1000) {
        reader.push(Bytes::copy_from_slice(chunk));
        message = reader.next().unwrap();
        if message.is_none() && capacities.last() != Some(&reader.message.capacity()) {
            capacities.push(reader.message.capacity());
        }
    }
    assert!(capacities.len() <= 13, "{capacities:?}");
    assert_eq!(capacities.last(), Some(&LEN));
    assert_eq!(message, Some(Message::Binary(vec![1; LEN].into())));
}

#[test]
fn message_of_fragments_keeps_no_spare_room() {
    let wire = [client_frame(TEXT, b"Hel"), client_frame(FIN, b"lo")].concat();
    let Some(Message::Text(payload)) = read(&wire).unwrap().pop() else { panic!("no text") };
    // A Bytes with one owner gives back the very vector it was made of.
    assert_eq!(Vec::from(payload).capacity(), 5);
}

#[test]
fn chunk_is_let_go_once_drained() {
    let chunk = Bytes::from([client_frame(FIN | TEXT, b"kept"), client_frame(FIN | PING, b"kept too")].concat());
    let mut reader = reader(100);
    reader.push(chunk.slice(..chunk.len() - 1));
    let message = reader.next().unwrap();
    assert_eq!(message, Some(text("kept")));
    assert_eq!(reader.next().unwrap(), None);
    assert!(chunk.is_unique(), "a message or the reader still refers to the chunk");
}

#[test]
fn chunks_pushed_before_a_drain_are_read_in_order() {
    let wire = [client_frame(FIN | TEXT, b"one"), client_frame(FIN | TEXT, b"two")].concat();
    let mut reader = reader(100);
    for byte in wire {
        reader.push(vec![byte].into());
        reader.push(Bytes::new());
    }
    assert_eq!(drain(&mut reader).unwrap(), [text("one"), text("two")]);
}

// Failing the connection: RFC 6455 7.1.7.

#[test]
fn reader_after_an_error_is_silent_and_does_not_grow() {
    let mut reader = reader(100);
    reader.push(client_frame(TEXT, b"begun").into());
    reader.push(client_frame(FIN | 0x3, b"").into());
    reader.push(client_frame(FIN | PING, b"queued").into());
    assert_eq!(reader.next(), Err(FrameError::UnknownOpcode));
    for _ in 0..3 {
        reader.push(client_frame(FIN | PING, b"later").into());
        assert_eq!(held(&reader), 0);
        assert_eq!(reader.next(), Ok(None));
    }
}

#[test]
fn error_maps_to_its_close_code_and_name() {
    let too_big = FrameError::TooBig { announced: 2, limit: 1 };
    assert_eq!((too_big.close_code(), too_big.code()), (1009, "too_big"));
    assert_eq!((FrameError::InvalidUtf8.close_code(), FrameError::InvalidUtf8.code()), (1007, "invalid_utf8"));
    assert_eq!((FrameError::Unmasked.close_code(), FrameError::Unmasked.code()), (1002, "unmasked"));
}

// Properties.

/// A message with the places to cut it into fragments and the control messages to put between them.
#[derive(Debug, Clone)]
struct Sent {
    message: Message,
    cuts: Vec<prop::sample::Index>,
    between: Vec<Message>,
    mask: [u8; 4],
}

fn any_control() -> impl Strategy<Value = Message> {
    let payload = vec(any::<u8>(), 0..=125).prop_map(Bytes::from);
    let codes = prop_oneof![1000u16..=1003, 1007u16..=1014, 3000u16..=4999];
    prop_oneof![
        payload.clone().prop_map(Message::Ping),
        payload.prop_map(Message::Pong),
        Just(Message::Close(None)),
        (codes, "\\PC{0,30}").prop_map(|(code, reason)| close(code, &reason)),
    ]
}

fn any_sent() -> impl Strategy<Value = Sent> {
    let message = prop_oneof![
        "\\PC{0,60}".prop_map(|payload| text(&payload)),
        vec(any::<u8>(), 0..300).prop_map(|payload| Message::Binary(payload.into())),
        (65_000usize..66_000).prop_map(|len| Message::Binary(vec![0xA5; len].into())),
        any_control(),
    ];
    (message, vec(any::<prop::sample::Index>(), 0..5), vec(any_control(), 0..5), any::<[u8; 4]>())
        .prop_map(|(message, cuts, between, mask)| Sent { message, cuts, between, mask })
}

fn control_wire(message: &Message, mask: [u8; 4]) -> Vec<u8> {
    match message {
        Message::Ping(payload) => client_frame_masked(FIN | PING, payload, mask),
        Message::Pong(payload) => client_frame_masked(FIN | PONG, payload, mask),
        Message::Close(None) => client_frame_masked(FIN | CLOSE, &[], mask),
        Message::Close(Some(CloseFrame { code, reason })) => {
            let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
            client_frame_masked(FIN | CLOSE, &payload, mask)
        }
        Message::Text(_) | Message::Binary(_) => panic!("not a control message"),
    }
}

/// The wire form of `sent`, and the messages in the order a reader must give them.
fn wire_of(sent: &[Sent]) -> (Vec<u8>, Vec<Message>) {
    let (mut wire, mut expected) = (Vec::new(), Vec::new());
    for Sent { message, cuts, between, mask } in sent {
        let (mut opcode, payload) = match message {
            Message::Text(payload) => (TEXT, payload),
            Message::Binary(payload) => (BINARY, payload),
            control => {
                wire.extend(control_wire(control, *mask));
                expected.push(control.clone());
                continue;
            }
        };
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
        cuts.sort_unstable();
        let mut start = 0;
        for (i, cut) in cuts.into_iter().enumerate() {
            wire.extend(client_frame_masked(opcode, &payload[start..cut], *mask));
            (opcode, start) = (CONTINUATION, cut);
            if let Some(control) = between.get(i) {
                wire.extend(control_wire(control, *mask));
                expected.push(control.clone());
            }
        }
        wire.extend(client_frame_masked(FIN | opcode, &payload[start..], *mask));
        expected.push(message.clone());
    }
    (wire, expected)
}

/// Pushes `wire` in chunks of the given lengths over and over, draining after each; the messages before any error.
/// Fails if the reader ever holds more than its limit and one control frame.
fn read_in_chunks(wire: &[u8], lens: &[usize], limit: usize) -> Result<(Vec<Message>, bool), TestCaseError> {
    let (mut reader, mut messages) = (reader(limit), Vec::new());
    let (mut rest, mut lens) = (wire, lens.iter().cycle());
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(rest.len().min(*lens.next().unwrap()));
        rest = tail;
        reader.push(Bytes::copy_from_slice(chunk));
        match drain(&mut reader) {
            Ok(read) => messages.extend(read),
            Err(_) => return Ok((messages, false)),
        }
        prop_assert!(held(&reader) <= limit + MAX_CONTROL_BYTES, "holds {}", held(&reader));
    }
    Ok((messages, true))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn messages_cut_and_interleaved_anyhow_read_back_the_same(
        sent in vec(any_sent(), 0..8),
        lens in prop_oneof![vec(1usize..8, 1..5), vec(1usize..5000, 1..20)],
    ) {
        let (wire, expected) = wire_of(&sent);
        let (messages, intact) = read_in_chunks(&wire, &lens, 70_000)?;
        prop_assert!(intact);
        prop_assert!(messages == expected);
    }

    #[test]
    fn random_bytes_never_panic_nor_exceed_the_bound(
        wire in vec(any::<u8>(), 0..2000),
        lens in vec(1usize..100, 1..5),
    ) {
        read_in_chunks(&wire, &lens, 500)?;
    }

    /// Random bytes seldom get past a header; damaged connections do.
    #[test]
    fn damaged_messages_never_panic_nor_exceed_the_bound(
        sent in vec(any_sent(), 1..6),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        lens in vec(1usize..3000, 1..5),
        limit in 0usize..70_000,
    ) {
        let (mut wire, _) = wire_of(&sent);
        for (at, byte) in damage {
            let at = at.index(wire.len());
            wire[at] = byte;
        }
        read_in_chunks(&wire, &lens, limit)?;
    }
}
