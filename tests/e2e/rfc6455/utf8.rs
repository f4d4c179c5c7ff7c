//! Text: sections 5.6 and 8.1, with the tables of Markus Kuhn that Autobahn's group 6 is made of.

use super::{Answer, BINARY_BEGINS, CONTINUES, Case, Close, ENDS, TEXT_BEGINS, all, in_fragments, nth};
use crate::raw::{BINARY, TEXT, frame};

/// What is UTF-8.
const VALID: &[(&str, &[u8])] = &[
    ("6.2, 6.5: two, three and four bytes", "κόσμε Hello-µ@ßöäüàá 🦀".as_bytes()),
    ("6.7: the first of each length", b"\0 \xC2\x80 \xE0\xA0\x80 \xF0\x90\x80\x80"),
    ("6.9: the last of each length", b"\x7F \xDF\xBF \xEF\xBF\xBF \xF4\x8F\xBF\xBF"),
    ("6.11: the neighbours of the surrogates", b"\xED\x9F\xBF \xEE\x80\x80"),
    ("6.22: non-characters are characters", b"\xEF\xBF\xBE \xEF\xBF\xBF \xF0\x9F\xBF\xBE \xF4\x8F\xBF\xBE \xEF\xB7\x90"),
    ("6.23: the replacement character", b"\xEF\xBF\xBD"),
    ("a byte order mark", b"\xEF\xBB\xBF"),
];

/// What is not, up to the byte that shows it.
const INVALID: &[(&str, &[u8])] = &[
    ("6.3.1: a character broken in the middle of a text", b"\xCE\xBA\xE1\xBD\xB9\xCF\x83\xCE\xBC\xCE\xB5\xED\xA0"),
    ("6.8: five bytes", b"\xF8"),
    ("6.8: six bytes", b"\xFC"),
    ("6.10: beyond U+10FFFF", b"\xF4\x90"),
    ("6.10: far beyond U+10FFFF", b"\xF7"),
    ("6.12: a continuation byte alone, the first", b"\x80"),
    ("6.12: a continuation byte alone, the last", b"\xBF"),
    ("6.12: one too many", b"\xC2\x80\x80"),
    ("6.13: a lonely first byte of two", b"\xC2 "),
    ("6.13: a lonely first byte of three", b"\xE0 "),
    ("6.13: a lonely first byte of four", b"\xF0 "),
    ("6.14: two of three bytes, then another", b"\xE2\x82\xC2"),
    ("6.15: three of four bytes, then another", b"\xF0\x9F\xA6 "),
    ("6.16: a byte that never stands in UTF-8, FE", b"\xFE"),
    ("6.16: a byte that never stands in UTF-8, FF", b"\xFF"),
    ("6.17: a slash in two bytes", b"\xC0"),
    ("6.17: a slash in three bytes", b"\xE0\x80"),
    ("6.17: a slash in four bytes", b"\xF0\x80"),
    ("6.18: the last in two bytes that needs one", b"\xC1"),
    ("6.18: the last in three bytes that needs two", b"\xE0\x9F"),
    ("6.18: the last in four bytes that needs three", b"\xF0\x8F"),
    ("6.19: NUL in two bytes", b"\xC0\x80"),
    ("6.20: the first surrogate", b"\xED\xA0"),
    ("6.20: the last surrogate", b"\xED\xBF"),
    ("6.21: a pair of surrogates", b"\xED\xA0\x80\xED\xB0\x80"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case::new("5.6: binary data need not be text", "6", |_| frame(BINARY, b"\xFF\xFE\xC0\x80"), []),
        Case::new("5.6: nor do fragments of it", "6", |_| all([frame(BINARY_BEGINS, b"\xFF"), frame(ENDS, b"\xFF")]), []),
        Case::new(
            "8.1: a message after text of all kinds is read",
            "6.2",
            |q| all([frame(TEXT, "κόσμε".as_bytes()), frame(TEXT, q)]),
            [Answer],
        ),
        // Every cut of the question, one of which is in the middle of its é.
        Case::new(
            "5.6: a character may be cut by fragments anywhere",
            "6.2.3, 6.2.4, 6.6",
            |q| {
                let cuts = (1..q.len()).step_by(4).chain(35..45).zip(0..);
                cuts.flat_map(|(cut, number)| {
                    let q = nth(q, number);
                    all([frame(TEXT_BEGINS, &q[..cut]), frame(ENDS, &q[cut..])])
                })
                .collect()
            },
            vec![Answer; 24 + 10],
        ),
        Case::new("8.1: a text that ends within a character closes", "6.6", |_| frame(TEXT, b"\xF0\x9F\xA6"), [Close(1007)]),
        Case::new(
            "8.1: also at the end of a fragment",
            "6.6",
            |_| all([frame(TEXT_BEGINS, b"\xF0\x9F"), frame(ENDS, b"\xA6")]),
            [Close(1007)],
        ),
        Case::new("8.1: also before an empty one", "6.6", |_| all([frame(TEXT_BEGINS, b"\xE2\x82"), frame(ENDS, b"")]), [Close(1007)]),
        Case::new(
            "8.1: a character broken by a fragment closes before the message ends",
            "6.4.1",
            |_| all([frame(TEXT_BEGINS, b"\xCE\xBA\xF4"), frame(CONTINUES, b"\x90")]),
            [Close(1007)],
        ),
    ];
    for (name, text) in VALID {
        // It is no message of ours, so that nothing comes; but neither does the connection end.
        cases.push(Case::new(format!("8.1: {name}"), "6", |_| frame(TEXT, text), []));
        cases.push(Case::new(format!("8.1: {name}, byte by byte"), "6", |_| in_fragments(TEXT_BEGINS, text, 1), []));
    }
    for (name, text) in INVALID {
        cases.push(Case::new(format!("8.1: {name}"), "6", |_| frame(TEXT, text), [Close(1007)]));
        cases.push(Case::new(format!("8.1: {name}, inside a text"), "6", |q| frame(TEXT, &[q, text, b" "].concat()), [Close(1007)]));
        // Autobahn takes a close at the end of the message, too; ours comes where the text is bad, whatever was announced.
        let cut = |q: &[u8]| {
            let whole = frame(TEXT, &[q, text, &[b' '; 400]].concat());
            whole[..whole.len() - 400].to_vec()
        };
        cases.push(Case::new(format!("8.1: {name}, in a frame that does not end"), "6.4", cut, [Close(1007)]));
        cases.push(Case::new(format!("8.1: {name}, byte by byte"), "6.4", |_| in_fragments(TEXT_BEGINS, text, 1), [Close(1007)]));
    }
    cases
}
