//! What a reader holds of what has not come yet, and of what was read.

use super::*;

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
