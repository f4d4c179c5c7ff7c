//! Properties of whole connections.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

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
