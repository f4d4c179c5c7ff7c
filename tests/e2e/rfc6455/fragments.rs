//! Messages in several frames: section 5.4.

use super::{Answer, BINARY_BEGINS, CONTINUES, Case, Close, ENDS, Pong, TEXT_BEGINS, all, in_fragments, nth};
use crate::raw::{BINARY, PING, PONG, TEXT, frame};

pub(super) fn cases() -> Vec<Case> {
    let pong = |text: &str| Pong(text.as_bytes().to_vec());
    let mut cases = vec![
        Case::new("5.4: a text in two fragments is one message", "5.3 to 5.5", |q| in_fragments(TEXT_BEGINS, q, 50), [Answer]),
        Case::new("5.4: so are binary data", "5.3", |q| in_fragments(BINARY_BEGINS, q, 50), [Answer]),
        Case::new("5.4: so is one in as many fragments as bytes", "5.5", |q| in_fragments(TEXT_BEGINS, q, 1), [Answer]),
        Case::new(
            "5.4: fragments may be empty",
            "6.1.2, 6.1.3",
            |q| all([frame(TEXT_BEGINS, b""), frame(CONTINUES, b""), frame(CONTINUES, q), frame(CONTINUES, b""), frame(ENDS, b"")]),
            [Answer],
        ),
        Case::new("5.4: all of them", "6.1.2", |_| all([frame(TEXT_BEGINS, b""), frame(CONTINUES, b""), frame(ENDS, b"")]), []),
        Case::new(
            "5.4: a ping may stand between fragments and is answered at once",
            "5.6 to 5.8",
            |q| all([frame(TEXT_BEGINS, &q[..9]), frame(PING, b"between"), frame(ENDS, &q[9..])]),
            [pong("between"), Answer],
        ),
        Case::new(
            "5.4: several may, and a pong",
            "5.19, 5.20",
            |q| {
                all([
                    frame(TEXT_BEGINS, &q[..9]),
                    frame(CONTINUES, &q[9..20]),
                    frame(PING, b"one"),
                    frame(CONTINUES, &q[20..21]),
                    frame(PONG, b"unasked"),
                    frame(CONTINUES, b""),
                    frame(PING, b"two"),
                    frame(ENDS, &q[21..]),
                ])
            },
            [pong("one"), pong("two"), Answer],
        ),
        Case::new(
            "5.4: one message after another",
            "5.19",
            |q| all([in_fragments(TEXT_BEGINS, q, 30), in_fragments(BINARY_BEGINS, &nth(q, 1), 40), frame(TEXT, &nth(q, 2))]),
            [Answer, Answer, Answer],
        ),
        Case::new("5.4: a continuation that ends nothing closes", "5.9, 5.10", |q| frame(ENDS, q), [Close(1002)]),
        Case::new("5.4: so does one that continues nothing", "5.12, 5.13", |q| frame(CONTINUES, q), [Close(1002)]),
        Case::new("5.4: with or without a payload", "5.11, 5.14", |_| frame(CONTINUES, b""), [Close(1002)]),
        Case::new(
            "5.4: also where a ping stands before it",
            "5.9 to 5.14",
            |q| all([frame(PING, b"1"), frame(ENDS, q)]),
            [pong("1"), Close(1002)],
        ),
        Case::new(
            "5.4: a message that has ended is not continued",
            "5.15",
            |_| all([frame(TEXT_BEGINS, b" "), frame(ENDS, b" "), frame(CONTINUES, b" "), frame(ENDS, b" ")]),
            [Close(1002)],
        ),
        Case::new(
            "5.4: a message in one frame is not continued",
            "5.16, 5.17",
            |_| all([frame(TEXT, b" "), frame(ENDS, b" ")]),
            [Close(1002)],
        ),
    ];
    for (begins, name) in [(TEXT_BEGINS, "text"), (BINARY_BEGINS, "binary")] {
        for (first, inside) in [(TEXT, "text"), (BINARY, "binary"), (TEXT_BEGINS, "fragmented text"), (BINARY_BEGINS, "fragmented binary")]
        {
            let rule = format!("5.4: a {inside} message inside a {name} message closes");
            cases.push(Case::new(rule, "5.18", move |_| all([frame(begins, b" "), frame(first, b" ")]), [Close(1002)]));
        }
    }
    cases
}
