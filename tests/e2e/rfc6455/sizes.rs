//! Long messages, and many: section 5.4, and 10.4 of what a server may refuse.

use super::{Answer, BINARY_BEGINS, Case, Pong, TEXT_BEGINS, in_fragments, nth, pings};
use crate::bad_input::Port;
use crate::raw::{BINARY, TEXT, frame};

pub(super) fn cases(port: Port) -> Vec<Case> {
    // The longest is as long as the port's limit.
    let (lengths, autobahn): (&[usize], _) = match port {
        Port::Streams => (&[64 << 10, 256 << 10, 1 << 20], ["9.1.1 to 9.1.3", "9.2.1 to 9.2.3"]),
        Port::Workers => (&[64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20], ["9.1", "9.2"]),
    };
    let mut cases = vec![
        Case::new("5.4: a text in fragments of 1300 bytes is read", "10.1.1", |q| in_fragments(TEXT_BEGINS, q, 1300), [Answer]).of(65_536),
        Case::new(
            "5.6: a hundred short texts are answered",
            "9.7",
            |q| (0..100).flat_map(|n| frame(TEXT, &nth(q, n))).collect(),
            vec![Answer; 100],
        ),
        Case::new(
            "5.6: a hundred short messages of binary data are answered",
            "9.8",
            |q| (0..100).flat_map(|n| frame(BINARY, &nth(q, n))).collect(),
            vec![Answer; 100],
        ),
        Case::new(
            "5.5.3: two hundred pings are answered in order",
            "9",
            |_| pings(200),
            (0..200).map(|n| Pong(vec![n])).collect::<Vec<_>>(),
        ),
    ];
    for &length in lengths {
        cases.push(Case::new(format!("5.2: a text of {length} bytes is read"), autobahn[0], |q| frame(TEXT, q), [Answer]).of(length));
        cases
            .push(Case::new(format!("5.2: binary data of {length} bytes is read"), autobahn[1], |q| frame(BINARY, q), [Answer]).of(length));
    }
    for size in [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10] {
        let rule = format!("5.4: a text of 1 MiB in fragments of {size} bytes is read");
        cases.push(Case::new(rule, "9.3, 9.5", move |q| in_fragments(TEXT_BEGINS, q, size), [Answer]).of(1 << 20));
        let rule = format!("5.4: binary data of 1 MiB in fragments of {size} bytes is read");
        cases.push(Case::new(rule, "9.4, 9.6", move |q| in_fragments(BINARY_BEGINS, q, size), [Answer]).of(1 << 20));
    }
    cases
}
