//! Pings and pongs: sections 5.5, 5.5.2 and 5.5.3.

use super::{Answer, CONTINUES, Case, Close, Comes, Pong, all, pings};
use crate::raw::{CLOSE, PING, PONG, TEXT, frame, header};

pub(super) fn cases() -> Vec<Case> {
    let pongs = |count: u8| -> Vec<Comes> { (0..count).map(|number| Pong(vec![number])).collect() };
    let mut cases = vec![
        Case::new("5.5.2: an empty ping is answered by an empty pong", "2.1", |_| frame(PING, b""), [Pong(Vec::new())]),
        Case::new("5.5.3: a pong has the payload of its ping", "2.2", |_| frame(PING, b"Hello, world!"), [Pong(b"Hello, world!".to_vec())]),
        Case::new(
            "5.5.3: also where that is no text",
            "2.3",
            |_| frame(PING, b"\0\xFF\xFE\xFD\xFC\xFB\0\xFF"),
            [Pong(b"\0\xFF\xFE\xFD\xFC\xFB\0\xFF".to_vec())],
        ),
        Case::new("5.5: a ping may have 125 bytes", "2.4, 2.6", |_| frame(PING, &[0xFE; 125]), [Pong(vec![0xFE; 125])]),
        Case::new("5.5: a ping of 126 bytes closes", "2.5", |_| frame(PING, &[0xFE; 126]), [Close(1002)]),
        Case::new("5.5.3: a pong nobody asked for is no mistake", "2.7", |_| frame(PONG, b""), []),
        Case::new("5.5.3: nor is one with a payload", "2.8", |_| frame(PONG, b"unsolicited"), []),
        Case::new(
            "5.5.3: nor does it answer a ping",
            "2.9",
            |_| all([frame(PONG, b"unsolicited"), frame(PING, b"real")]),
            [Pong(b"real".to_vec())],
        ),
        Case::new("5.5.3: ten pings are answered in order", "2.10, 2.11", |_| pings(10), pongs(10)),
        Case::new(
            "5.5.2: a ping before a message is answered before it",
            "2",
            |q| all([frame(PING, b"1"), frame(TEXT, q)]),
            [Pong(b"1".to_vec()), Answer],
        ),
    ];
    for (first, name) in [(PING, "ping"), (PONG, "pong"), (CLOSE, "close")] {
        let sent = move |_: &[u8]| frame(first & 0x0F, b"");
        cases.push(Case::new(format!("5.5: a {name} without FIN closes"), "5.1, 5.2", sent, [Close(1002)]));
        let sent = move |_: &[u8]| all([frame(first & 0x0F, b"frag"), frame(0x80 | CONTINUES, b"ment")]);
        cases.push(Case::new(format!("5.5: a {name} in two fragments closes"), "5.1, 5.2", sent, [Close(1002)]));
        for length in [126, 65_536] {
            let rule = format!("5.5: a {name} that announces {length} bytes closes before they come");
            cases.push(Case::new(rule, "2.5", move |_| header(first, length), [Close(1002)]));
        }
    }
    cases
}
