//! Frames that break RFC 6455, on both ports: the socket is closed with the code that says why, and the server goes on.

use crate::bad_input::{Port, on_both_ports};
use crate::raw::{BINARY, CLOSE, PING, PONG, Raw, TEXT, frame, header};
use crate::server::Server;

/// Without FIN, the first byte of a fragment.
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

on_both_ports! {
    announced_gibibyte_closes_with_1009_and_takes_no_memory,
    message_over_the_limit_in_fragments_closes_with_1009,
    unmasked_frame_closes_with_1002,
    reserved_bit_closes_with_1002,
    reserved_opcode_closes_with_1002,
    length_with_the_top_bit_closes_with_1002,
    length_that_is_not_the_shortest_closes_with_1002,
    long_or_fragmented_ping_closes_with_1002,
    continuation_of_nothing_closes_with_1002,
    message_inside_a_message_closes_with_1002,
    malformed_close_closes_with_1002,
    text_that_is_not_utf8_closes_with_1007,
    character_cut_by_fragments_is_read,
    fragments_with_pings_between_are_read,
    ten_thousand_fragments_are_read,
    bytes_one_at_a_time_are_read,
    many_messages_in_one_write_are_answered_in_order,
    half_a_frame_then_the_end_harms_nobody,
    half_a_handshake_then_the_end_harms_nobody,
    bytes_that_are_no_http_harm_nobody,
    close_is_echoed_and_the_connection_ends,
    ping_is_answered_with_its_payload,
}

/// Sends each of `attacks` on a connection of its own and checks that the server closes it with `code`, ends it, and accepts others.
async fn fatal<T: AsRef<[u8]>>(port: Port, server: &Server, code: u16, attacks: impl IntoIterator<Item = T>) {
    let mut closed = Vec::new();
    for bytes in attacks {
        let bytes = bytes.as_ref();
        let mut raw = port.open(server).await;
        raw.write(bytes).await;
        assert_eq!(raw.closed().await, Some(code), "after {:x?}", &bytes[..bytes.len().min(16)]);
        port.accepts(server).await;
        closed.push(raw);
    }
    // All at once: the server waits two seconds for an answer that a broken peer cannot give.
    for raw in &mut closed {
        raw.ended().await;
    }
}

async fn announced_gibibyte_closes_with_1009_and_takes_no_memory(port: Port) {
    let server = Server::start();
    port.accepts(&server).await;
    let before = server.resident_kib();
    fatal(port, &server, 1009, [TEXT, BINARY, TEXT_BEGINS].map(|first| [header(first, 1 << 30), vec![0; 1000]].concat())).await;
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < 16 * 1024, "{grown} KiB more than before");
}

async fn message_over_the_limit_in_fragments_closes_with_1009(port: Port) {
    let limit = match port {
        Port::Workers => 16 << 20,
        Port::Streams => 1 << 20,
    };
    let server = Server::start();
    fatal(port, &server, 1009, [[frame(TEXT_BEGINS, &vec![b' '; limit]), header(ENDS, 1)].concat()]).await;
}

async fn unmasked_frame_closes_with_1002(port: Port) {
    let server = Server::start();
    let (text, ping): (&[u8], &[u8]) = (&[TEXT, 2, b'{', b'}'], &[PING, 0]);
    fatal(port, &server, 1002, [text, ping]).await;
}

async fn reserved_bit_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [0x40, 0x20, 0x10].map(|bit| frame(TEXT | bit, b"{}"))).await;
}

async fn reserved_opcode_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [0x83, 0x87, 0x8B, 0x8F].map(|first| frame(first, b"{}"))).await;
}

async fn length_with_the_top_bit_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [1 << 63, u64::MAX].map(|length| header(TEXT, length))).await;
}

async fn length_that_is_not_the_shortest_closes_with_1002(port: Port) {
    let server = Server::start();
    let two_of_two_bytes: &[u8] = &[TEXT, 0x80 | 126, 0, 2, 0, 0, 0, 0, b'{', b'}'];
    let two_of_eight_bytes: &[u8] = &[TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, b'{', b'}'];
    fatal(port, &server, 1002, [two_of_two_bytes, two_of_eight_bytes]).await;
}

async fn long_or_fragmented_ping_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [frame(PING, &[b'x'; 126]), frame(PING & 0x0F, b"")]).await;
}

async fn continuation_of_nothing_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [frame(ENDS, b"{}"), frame(CONTINUES, b"")]).await;
}

async fn message_inside_a_message_closes_with_1002(port: Port) {
    let server = Server::start();
    fatal(port, &server, 1002, [[frame(TEXT_BEGINS, b"{"), frame(TEXT, b"{}")].concat()]).await;
}

async fn malformed_close_closes_with_1002(port: Port) {
    let server = Server::start();
    let codes = [0_u16, 999, 1004, 1005, 1006, 1015, 2999, 5000];
    let one_byte = frame(CLOSE, b"x");
    fatal(port, &server, 1002, codes.map(|code| frame(CLOSE, &code.to_be_bytes())).into_iter().chain([one_byte])).await;
}

async fn text_that_is_not_utf8_closes_with_1007(port: Port) {
    let server = Server::start();
    let attacks = [
        frame(TEXT, b"{\"type\":\"\xC3\x28\"}"),
        frame(TEXT, b"\xED\xA0\x80"),
        // Cut in the middle of a character at the end of the message.
        frame(TEXT, b"\xF0\x9F\x98"),
        [frame(TEXT_BEGINS, b"\xF0\x9F"), frame(ENDS, b"x")].concat(),
        frame(CLOSE, b"\x03\xE8\xFF"),
    ];
    fatal(port, &server, 1007, attacks).await;
}

async fn character_cut_by_fragments_is_read(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let (mut question, id) = port.question();
    // An unknown key, to have a character of four bytes somewhere.
    question.splice(1..1, "\"😀\":1,".bytes());
    for cut in 3..6 {
        raw.frame(TEXT_BEGINS, &question[..cut]).await;
        raw.frame(ENDS, &question[cut..]).await;
        port.answered(&mut raw, &id).await;
    }
}

async fn fragments_with_pings_between_are_read(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let (question, id) = port.question();
    raw.frame(TEXT_BEGINS, &question[..5]).await;
    raw.frame(PING, b"one").await;
    raw.frame(CONTINUES, b"").await;
    raw.frame(CONTINUES, &question[5..9]).await;
    raw.frame(PONG, b"unasked").await;
    raw.frame(PING, b"two").await;
    raw.frame(ENDS, &question[9..]).await;
    assert_eq!(raw.next().await, Some((PONG, b"one".to_vec())));
    assert_eq!(raw.next().await, Some((PONG, b"two".to_vec())));
    port.answered(&mut raw, &id).await;
}

async fn ten_thousand_fragments_are_read(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let (question, id) = port.question();
    let mut bytes = frame(TEXT_BEGINS, b"");
    for _ in 0..10_000 {
        bytes.extend(frame(CONTINUES, b" "));
    }
    for byte in &question {
        bytes.extend(frame(CONTINUES, &[*byte]));
    }
    bytes.extend(frame(ENDS, b""));
    raw.write(&bytes).await;
    port.answered(&mut raw, &id).await;
    port.works(&mut raw).await;
}

async fn bytes_one_at_a_time_are_read(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let (question, id) = port.question();
    for byte in frame(TEXT, &question) {
        raw.write(&[byte]).await;
    }
    port.answered(&mut raw, &id).await;
}

async fn many_messages_in_one_write_are_answered_in_order(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let questions: Vec<_> = std::iter::repeat_with(|| port.question()).take(100).collect();
    raw.write(&questions.iter().flat_map(|(question, _)| frame(TEXT, question)).collect::<Vec<_>>()).await;
    let mut ids: Vec<_> = questions.into_iter().map(|(_, id)| id).collect();
    match port {
        Port::Workers => {
            for id in &ids {
                port.answered(&mut raw, id).await;
            }
        }
        // Groups are independent of each other, so only that all are answered is promised.
        Port::Streams => {
            while !ids.is_empty() {
                let answer = raw.json().await;
                ids.retain(|id| answer["groupId"] != **id);
            }
        }
    }
}

async fn half_a_frame_then_the_end_harms_nobody(port: Port) {
    let server = Server::start();
    let (question, _) = port.question();
    let whole = frame(TEXT, &question);
    for length in [1, 2, 5, 6, whole.len() - 1] {
        let mut raw = port.open(&server).await;
        raw.write(&whole[..length]).await;
        raw.end().await;
        port.accepts(&server).await;
    }
    let mut raw = port.open(&server).await;
    raw.frame(TEXT_BEGINS, &question).await;
    raw.end().await;
    port.accepts(&server).await;
}

async fn half_a_handshake_then_the_end_harms_nobody(port: Port) {
    let server = Server::start();
    for head in ["", "G", "GET / HTTP/1.1\r\nUpgrade: websock", "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n"] {
        let mut raw = Raw::connect(port.address(&server)).await;
        raw.write(head.as_bytes()).await;
        raw.end().await;
        port.accepts(&server).await;
    }
}

async fn bytes_that_are_no_http_harm_nobody(port: Port) {
    let server = Server::start();
    for bytes in [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xFC\x03\x03"[..], b"SSH-2.0-x\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", &[0xFF; 3000]] {
        let mut raw = Raw::connect(port.address(&server)).await;
        raw.write(bytes).await;
        port.accepts(&server).await;
    }
}

async fn close_is_echoed_and_the_connection_ends(port: Port) {
    let server = Server::start();
    for code in [1000_u16, 1001, 3000, 4999] {
        let mut raw = port.open(&server).await;
        raw.frame(CLOSE, &[&code.to_be_bytes()[..], b"bye"].concat()).await;
        assert_eq!(raw.closed().await, Some(code));
        raw.ended().await;
    }
    let mut raw = port.open(&server).await;
    raw.frame(CLOSE, b"").await;
    raw.closed().await;
    raw.ended().await;
}

async fn ping_is_answered_with_its_payload(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    for payload in [&b""[..], b"x", &[0xFF; 125]] {
        raw.frame(PING, payload).await;
        assert_eq!(raw.next().await, Some((PONG, payload.to_vec())));
    }
    port.works(&mut raw).await;
}
