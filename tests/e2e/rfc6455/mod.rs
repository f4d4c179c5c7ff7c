//! RFC 6455 as a table, on both ports: what is sent, cut in several ways, and all that comes back.
//!
//! It stands in the place of the [Autobahn test suite](https://github.com/crossbario/autobahn-testsuite), which wants Python 2.7 and a server that
//! echoes. Weir does not echo: that a message has arrived is shown by its answer, `sync` to a `join` on the stream port and the result of a call
//! on the worker port. Each case names the section of the RFC that it checks and the cases of Autobahn that it stands for:
//!
//! | Autobahn | here |
//! |---|---|
//! | 1 framing | `framing`: lengths at each edge of their forms, text and binary |
//! | 2 pings and pongs | `control` |
//! | 3 reserved bits | `framing` |
//! | 4 opcodes | `framing` |
//! | 5 fragmentation | `fragments` |
//! | 6 UTF-8 | `utf8`: 6.22 and 6.23, the non-characters and U+FFFD, among what is valid |
//! | 7 close | `closing` |
//! | 9 limits and performance | `sizes`: that all of it is read; `tests/bench` measures. Sizes beyond a port's limit: `bad_frames` |
//! | 10 fragments that the peer makes by itself | `sizes` |
//! | 12, 13 compression | do not apply: `permessage-deflate` is declined, see `handshake`, and RSV1 is then a reserved bit |
//!
//! There are no groups 8 and 11. Two things do not apply anywhere: that the echo has the same opcode and bytes, as nothing is echoed, and that
//! a peer may be strict or not about what Autobahn calls informational (7.1.6, 7.13), where the table says what Weir does. Of the opening
//! handshake, which Autobahn leaves out, see `handshake`.

mod closing;
mod control;
mod fragments;
mod framing;
mod sizes;
mod utf8;

use std::panic::{AssertUnwindSafe, resume_unwind};

use futures_util::stream;
use futures_util::{FutureExt, StreamExt};
use serde_json::Value;

use crate::bad_input::{Port, on_both_ports};
use crate::raw::{CLOSE, PING, PONG, Raw, TEXT, frame};
use crate::server::Server;

/// The first byte of a fragment.
const TEXT_BEGINS: u8 = 0x01;
const BINARY_BEGINS: u8 = 0x02;
const CONTINUES: u8 = 0x00;
const ENDS: u8 = 0x80;

/// How many connections of one test are open at a time.
const CONNECTIONS: usize = 100;
/// How many bytes are sent one by one before a long case goes on in pieces of [`PIECE_BYTES`].
const SINGLE_BYTES: usize = 600;
/// Autobahn's own choice: no divisor of anything.
const PIECE_BYTES: usize = 997;
/// The question of a case without an opinion on its length, padded to this.
const QUESTION_BYTES: usize = 96;

on_both_ports! {
    framing_and_reserved_values,
    control_frames,
    fragmentation,
    utf8_handling,
    closing_handshake,
    sizes_within_the_limits,
}

async fn framing_and_reserved_values(port: Port) {
    check(port, framing::cases()).await;
}

async fn control_frames(port: Port) {
    check(port, control::cases()).await;
}

async fn fragmentation(port: Port) {
    check(port, fragments::cases()).await;
}

async fn utf8_handling(port: Port) {
    check(port, utf8::cases()).await;
}

async fn closing_handshake(port: Port) {
    check(port, closing::cases()).await;
}

async fn sizes_within_the_limits(port: Port) {
    check(port, sizes::cases(port)).await;
}

/// Makes the bytes of a case of a message that is answered.
type Sent = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// One rule.
struct Case {
    /// The section of the RFC and what it says, or what follows from it.
    rule: String,
    /// The case or group of Autobahn.
    autobahn: &'static str,
    /// What the client sends.
    sent: Sent,
    /// The length of that message.
    question: usize,
    /// All that comes back. Where the last is no close, the connection must work afterwards; where it is, nothing may follow.
    comes: Vec<Comes>,
}

impl Case {
    fn new(
        rule: impl Into<String>,
        autobahn: &'static str,
        sent: impl Fn(&[u8]) -> Vec<u8> + 'static,
        comes: impl Into<Vec<Comes>>,
    ) -> Self {
        Self { rule: rule.into(), autobahn, sent: Box::new(sent), question: QUESTION_BYTES, comes: comes.into() }
    }

    /// A case whose message has this length, which a trailing blank does not change the meaning of.
    fn of(mut self, question: usize) -> Self {
        self.question = question;
        self
    }
}

/// What comes back.
#[derive(Debug, Clone, PartialEq)]
enum Comes {
    /// The answer to the question.
    Answer,
    /// The same, or nothing, since what follows may overtake it.
    MayBeAnswer,
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// A close frame with this code.
    Close(u16),
}

use Comes::{Answer, Close, MayBeAnswer, Pong};

/// How the bytes of a case are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Bytes,
    Halves,
}

impl Cut {
    fn pieces(self, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole => vec![bytes],
            Self::Halves => vec![&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2..]],
            Self::Bytes => {
                let (single, rest) = bytes.split_at(bytes.len().min(SINGLE_BYTES));
                single.chunks(1).chain(rest.chunks(PIECE_BYTES)).collect()
            }
        }
    }
}

/// Sends each case in every cut, on a connection of its own.
async fn check(port: Port, cases: Vec<Case>) {
    let server = Server::start();
    let runs = cases.iter().flat_map(|case| [Cut::Whole, Cut::Bytes, Cut::Halves].map(|cut| (case, cut)));
    stream::iter(runs)
        .for_each_concurrent(CONNECTIONS, async |(case, cut)| {
            if let Err(panic) = AssertUnwindSafe(run(port, &server, case, cut)).catch_unwind().await {
                eprintln!("in RFC 6455 {} (Autobahn {}), sent as {cut:?}", case.rule, case.autobahn);
                resume_unwind(panic);
            }
        })
        .await;
    port.accepts(&server).await;
}

async fn run(port: Port, server: &Server, case: &Case, cut: Cut) {
    let mut raw = port.open(server).await;
    for piece in cut.pieces(&(case.sent)(&question(port, "7", case.question))) {
        // The server may have closed, and be right: what it said is still there to be read.
        if !raw.try_write(piece).await {
            break;
        }
    }
    for expected in &case.comes {
        if *expected == MayBeAnswer {
            if raw.is_next(TEXT).await {
                assert_eq!(next(&mut raw).await, Some(Answer));
            }
        } else {
            assert_eq!(next(&mut raw).await.as_ref(), Some(expected));
        }
    }
    if matches!(case.comes.last(), Some(Close(_))) {
        assert_eq!(raw.next().await, None, "after the close");
    } else {
        raw.frame(TEXT, &question(port, "8", QUESTION_BYTES)).await;
        port.answered(&mut raw, "8é00").await;
    }
}

/// The next frame; `None` where the connection ends.
async fn next(raw: &mut Raw) -> Option<Comes> {
    Some(match raw.next().await? {
        (TEXT, payload) => {
            let answer: Value = serde_json::from_slice(&payload).unwrap();
            let word = answer["groupId"].as_str().or(answer["invocation_id"].as_str());
            assert!(word.is_some_and(|word| word.starts_with('7')), "{answer}");
            Answer
        }
        (PONG, payload) => Pong(payload),
        (CLOSE, payload) => Close(u16::from_be_bytes(*payload.first_chunk().expect("a close without a code"))),
        (first, payload) => panic!("a frame that begins with {first:x}: {payload:x?}"),
    })
}

/// A message of `length` bytes that is answered, with the word that its answer has.
fn question(port: Port, word: &str, length: usize) -> Vec<u8> {
    let text = match port {
        Port::Workers => format!(r#"{{"type":"invokefunction","invocation_id":"{word}é00","function_id":"stream::list_all"}}"#),
        Port::Streams => format!(r#"{{"type":"join","data":{{"subscriptionId":"é00","streamName":"s","groupId":"{word}é00"}}}}"#),
    };
    let mut bytes = text.into_bytes();
    assert!(bytes.len() <= length, "a question has {} bytes", bytes.len());
    bytes.resize(length, b' ');
    bytes
}

/// `question` with another number: of two joins to one group at a time, or with one identifier, only one is answered.
fn nth(question: &[u8], number: u8) -> Vec<u8> {
    String::from_utf8_lossy(question).replace("é00", &format!("é{number:02}")).into_bytes()
}

/// `frames`, one behind the other.
fn all<const N: usize>(frames: [Vec<u8>; N]) -> Vec<u8> {
    frames.into_iter().flatten().collect()
}

/// `message` in frames of `size` bytes, the first of which begins with `first`.
fn in_fragments(first: u8, message: &[u8], size: usize) -> Vec<u8> {
    let last = message.len().div_ceil(size) - 1;
    let pieces = message.chunks(size).enumerate();
    pieces.flat_map(|(index, piece)| frame(if index == 0 { first } else { 0 } | if index == last { ENDS } else { 0 }, piece)).collect()
}

/// Pings, each with its number.
fn pings(count: u8) -> Vec<u8> {
    (0..count).flat_map(|number| frame(PING, &[number])).collect()
}
