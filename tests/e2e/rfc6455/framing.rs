//! Lengths, masks, reserved bits and opcodes: sections 5.1 to 5.3.

use super::{Answer, Case, Close, Pong, all, nth};
use crate::raw::{BINARY, CLOSE, PING, PONG, TEXT, frame, header};

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("5.6: an empty text is a message, which says nothing here", "1.1.1", |_| frame(TEXT, b""), []),
        Case::new("5.6: empty binary data is a message, which says nothing here", "1.2.1", |_| frame(BINARY, b""), []),
        Case::new("5.1: a frame that is not masked closes", "-", |_| vec![TEXT, 2, b'{', b'}'], [Close(1002)]),
        Case::new("5.1: so does a control frame", "-", |_| vec![PING, 0], [Close(1002)]),
        Case::new("5.3: a mask of zeros is a mask", "-", |q| masked(TEXT, q, [0; 4]), [Answer]),
        Case::new("5.3: any mask is undone", "-", |q| masked(TEXT, q, [0xFF, 0, 0x80, 1]), [Answer]),
        Case::new(
            "5.3: each frame has a mask of its own",
            "-",
            |q| all([masked(TEXT, q, [1; 4]), masked(TEXT, &nth(q, 1), [2; 4])]),
            [Answer, Answer],
        ),
        Case::new("5.2: two bytes for a length below 126 close", "-", |_| vec![TEXT, 0x80 | 126, 0, 125, 0, 0, 0, 0], [Close(1002)]),
        Case::new(
            "5.2: eight bytes for a length below 2^16 close",
            "-",
            |_| vec![TEXT, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0],
            [Close(1002)],
        ),
        Case::new("5.2: a length with its top bit set closes", "-", |_| header(TEXT, 1 << 63), [Close(1002)]),
        Case::new("5.2: so does the greatest length", "-", |_| header(BINARY, u64::MAX), [Close(1002)]),
    ];
    for (length, autobahn) in [(125, "1.1.2"), (126, "1.1.3"), (127, "1.1.4"), (128, "1.1.5"), (65_535, "1.1.6"), (65_536, "1.1.7, 1.1.8")]
    {
        let rule = format!("5.2: a text of {length} bytes is read");
        cases.push(Case::new(rule, autobahn, |q| frame(TEXT, q), [Answer]).of(length));
    }
    for (length, autobahn) in [(125, "1.2.2"), (126, "1.2.3"), (127, "1.2.4"), (128, "1.2.5"), (65_535, "1.2.6"), (65_536, "1.2.7, 1.2.8")]
    {
        let rule = format!("5.2: binary data of {length} bytes is read");
        cases.push(Case::new(rule, autobahn, |q| frame(BINARY, q), [Answer]).of(length));
    }
    for bits in 1..8_u8 {
        for (first, name) in [(TEXT, "text"), (BINARY, "binary"), (PING, "ping"), (PONG, "pong"), (CLOSE, "close")] {
            let rule = format!("5.2: reserved bits {bits:03b} of a {name} frame close, since no extension was agreed on");
            cases.push(Case::new(rule, "3.1 to 3.7", move |_| frame(first | bits << 4, b""), [Close(1002)]));
        }
    }
    for opcode in (0x3..=0x7).chain(0xB..=0xF_u8) {
        let autobahn = if opcode < 8 { "4.1" } else { "4.2" };
        for payload in [&b""[..], b"reserved"] {
            let rule = format!("5.2: opcode {opcode:x} with {} bytes closes, as it is reserved", payload.len());
            cases.push(Case::new(rule, autobahn, move |_| frame(0x80 | opcode, payload), [Close(1002)]));
        }
        let rule = format!("5.2: opcode {opcode:x} closes without its payload");
        cases.push(Case::new(rule, autobahn, move |_| header(0x80 | opcode, 100), [Close(1002)]));
        let rule = format!("5.2: opcode {opcode:x} closes behind a ping that is answered");
        let sent = move |_: &[u8]| all([frame(PING, b"1"), frame(0x80 | opcode, b""), frame(PING, b"2")]);
        cases.push(Case::new(rule, autobahn, sent, [Pong(b"1".to_vec()), Close(1002)]));
    }
    for bits in [1, 2, 4, 7_u8] {
        let rule = format!("5.2: reserved bits {bits:03b} close behind a ping that is answered");
        let sent = move |_: &[u8]| all([frame(PING, b"1"), frame(TEXT | bits << 4, b"x"), frame(PING, b"2")]);
        cases.push(Case::new(rule, "3.2 to 3.4", sent, [Pong(b"1".to_vec()), Close(1002)]));
    }
    cases
}

fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126);
    let mut bytes = vec![first, 0x80 | length];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
