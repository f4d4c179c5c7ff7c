//! Connections that ask for too much or break off, on both ports: the server goes on. What each rule of RFC 6455 asks for is in `rfc6455`.

use crate::bad_input::{Port, on_both_ports};
use crate::raw::{BINARY, Raw, TEXT, frame, header};
use crate::server::Server;

/// Without FIN, the first byte of a fragment.
const TEXT_BEGINS: u8 = 0x01;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

on_both_ports! {
    announced_gibibyte_closes_with_1009_and_takes_no_memory,
    message_over_the_limit_in_fragments_closes_with_1009,
    ten_thousand_fragments_are_read,
    many_messages_in_one_write_are_answered_in_order,
    half_a_frame_then_the_end_harms_nobody,
    half_a_handshake_then_the_end_harms_nobody,
    bytes_that_are_no_http_harm_nobody,
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
