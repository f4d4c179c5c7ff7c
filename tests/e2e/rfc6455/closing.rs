//! The closing handshake and its codes: sections 5.5.1, 7.1 and 7.4.

use super::{Answer, Case, Close, ENDS, MayBeAnswer, Pong, TEXT_BEGINS, all};
use crate::raw::{CLOSE, PING, TEXT, frame};

pub(super) fn cases() -> Vec<Case> {
    let long = |reason: usize| move |_: &[u8]| close(1000, &vec![b'*'; reason]);
    let mut cases = vec![
        Case::new(
            "5.5.1: a close behind a message is answered",
            "7.1.1",
            |q| all([frame(TEXT, q), close(1000, b"")]),
            [MayBeAnswer, Close(1000)],
        ),
        Case::new("5.5.1: of two closes, one is answered", "7.1.2", |_| all([close(1000, b""), close(1000, b"")]), [Close(1000)]),
        Case::new("5.5.1: a ping behind a close is not", "7.1.3", |_| all([close(1000, b""), frame(PING, b"late")]), [Close(1000)]),
        Case::new("5.5.1: nor is a message", "7.1.4", |q| all([close(1000, b""), frame(TEXT, q)]), [Close(1000)]),
        Case::new(
            "5.5.1: a close may stand between fragments",
            "7.1.5",
            |q| all([frame(TEXT_BEGINS, &q[..9]), close(1000, b""), frame(ENDS, &q[9..])]),
            [Close(1000)],
        ),
        Case::new(
            "5.5.1: what is wrong behind a close is not looked at",
            "7.1.3",
            |_| all([close(1001, b""), vec![0xFF; 50]]),
            [Close(1001)],
        ),
        Case::new(
            "5.5.1: a close behind a long message is answered",
            "7.1.6",
            |q| all([frame(TEXT, q), close(1000, b""), frame(PING, b"late")]),
            [MayBeAnswer, Close(1000)],
        )
        .of(256 << 10),
        Case::new(
            "5.5.1: a ping before a close is answered",
            "7",
            |_| all([frame(PING, b"1"), close(1000, b"")]),
            [Pong(b"1".to_vec()), Close(1000)],
        ),
        // 7.4.1: what "no code" is called may not be sent, so that the answer has the code of a normal end.
        Case::new("5.5.1: a close without a code is answered", "7.3.1", |_| frame(CLOSE, b""), [Close(1000)]),
        Case::new("5.5.1: a close frame with a body of one byte is a protocol error", "7.3.2", |_| frame(CLOSE, b"a"), [Close(1002)]),
        Case::new("5.5.1: a code alone will do", "7.3.3", long(0), [Close(1000)]),
        Case::new("5.5.1: a reason may follow", "7.3.4", |_| close(1000, b"Hello World!"), [Close(1000)]),
        Case::new("5.5.1: of up to 123 bytes", "7.3.5", long(123), [Close(1000)]),
        Case::new("5.5: with one more the frame is too long", "7.3.6", long(124), [Close(1002)]),
        Case::new("8.1: a reason that is not UTF-8 closes with 1007", "7.5.1", |_| close(1000, b"\xCE\xBA\xED\xA0\x80"), [Close(1007)]),
        Case::new("8.1: so does one that ends within a character", "7.5.1", |_| close(1000, b"\xE2\x82"), [Close(1007)]),
        Case::new("8.1: a reason may be any text", "7.5.1", |_| close(1000, "κόσμε 🦀".as_bytes()), [Close(1000)]),
        Case::new("5.5.1: a message is answered before the close comes", "7.1.1", |q| frame(TEXT, q), [Answer]),
    ];
    for code in (1000..=1003).chain(1007..=1011).chain([1012, 1013, 1014, 3000, 3999, 4000, 4999]) {
        let rule = format!("7.4: code {code} may travel and is echoed");
        cases.push(Case::new(rule, "7.7", move |_| close(code, b""), [Close(code)]));
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999] {
        let rule = format!("7.4: code {code} may not travel");
        cases.push(Case::new(rule, "7.9", move |_| close(code, b""), [Close(1002)]));
    }
    for code in [5000, 65_535] {
        let rule = format!("7.4.2: code {code} is none");
        cases.push(Case::new(rule, "7.13", move |_| close(code, b""), [Close(1002)]));
    }
    cases
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes()[..], reason].concat())
}
