//! JSON texts made shorter or easier to read. Only what stands between the tokens changes: a number keeps its digits, however many, and an object
//! the order of its keys.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The text on one line, without white space between tokens.
pub(crate) fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    tokens(text).for_each(|token| push(&mut out, token));
    out
}

/// The text with a space behind commas and colons, and whatever does not fit into `width` columns broken into lines.
pub(crate) fn pretty(text: &str, width: usize) -> String {
    let tokens: Vec<_> = tokens(text).collect();
    let (mut out, mut open) = (String::with_capacity(text.len() * 2), Vec::new());
    let mut line_begin = 0;
    let mut at = 0;
    while let Some(&token) = tokens.get(at) {
        match token {
            "{" | "[" => {
                let room = width.saturating_sub(out.len() - line_begin);
                if let Some((line, next)) = on_one_line(&tokens, at, room) {
                    out.push_str(&line);
                    at = next;
                    continue;
                }
                open.push(());
                out.push_str(token);
                line_begin = new_line(&mut out, open.len());
            }
            "}" | "]" => {
                open.pop();
                line_begin = new_line(&mut out, open.len());
                out.push_str(token);
            }
            "," => {
                out.push(',');
                line_begin = new_line(&mut out, open.len());
            }
            ":" => out.push_str(": "),
            token => push(&mut out, token),
        }
        at += 1;
    }
    out
}

/// A text of a peer as a terminal may be shown it: what could steer it is written out, so that a name or a value cannot.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    push(&mut out, text);
    Cow::Owned(out)
}

/// Whether a terminal might do something else than show it: control characters, and those that turn the direction of writing.
fn steers(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Inside a JSON string `\u009b` is the same as the character.
fn push(out: &mut String, token: &str) {
    for c in token.chars() {
        if steers(c) {
            // All of them are below U+10000.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

fn new_line(out: &mut String, depth: usize) -> usize {
    out.push('\n');
    let begin = out.len();
    out.extend(std::iter::repeat_n("  ", depth));
    begin
}

/// The value that begins at `at`, if it is no longer than `room`, and where it ends.
fn on_one_line(tokens: &[&str], at: usize, room: usize) -> Option<(String, usize)> {
    let (mut out, mut depth) = (String::new(), 0usize);
    for (index, &token) in tokens.iter().enumerate().skip(at) {
        match token {
            "{" | "[" => depth += 1,
            "}" | "]" => depth -= 1,
            _ => {}
        }
        push(&mut out, token);
        if out.len() > room {
            return None;
        }
        if depth == 0 {
            return Some((out, index + 1));
        }
        if matches!(token, "," | ":") {
            out.push(' ');
        }
    }
    None
}

/// Brackets, commas, colons, strings and words of a valid JSON text.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        let first = rest.chars().next()?;
        let end = match first {
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '"' => {
                let mut escaped = false;
                let closing = |(_, byte): &(usize, u8)| {
                    let closes = *byte == b'"' && !escaped;
                    escaped = *byte == b'\\' && !escaped;
                    closes
                };
                rest.bytes().enumerate().skip(1).find(closing).map_or(rest.len(), |(at, _)| at + 1)
            }
            _ => rest.find(['{', '}', '[', ']', ',', ':', ' ', '\t', '\n', '\r']).unwrap_or(rest.len()),
        };
        let (token, behind) = rest.split_at(end);
        rest = behind;
        Some(token)
    })
}

/// Keeps `null` apart from an absent key, for `#[serde(default, borrow, deserialize_with = "present")]`: absent is `None`, `null` is `Some(null)`.
///
/// # Errors
/// Where it is no JSON.
pub(crate) fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = " { \"a\" : [ 1.0 , 123456789012345678901234567890 ,\n{} ], \"b\\\"}\":\"x , y\", \"a\":null } ";

    #[test]
    fn compact_changes_nothing_but_white_space() {
        assert_eq!(compact(TEXT), r#"{"a":[1.0,123456789012345678901234567890,{}],"b\"}":"x , y","a":null}"#);
        assert_eq!(compact("\n\"a\\\\\"\n"), r#""a\\""#);
    }

    #[test]
    fn pretty_breaks_what_is_too_long() {
        assert_eq!(pretty(TEXT, 200), r#"{"a": [1.0, 123456789012345678901234567890, {}], "b\"}": "x , y", "a": null}"#);
        let broken =
            "{\n  \"a\": [\n    1.0,\n    123456789012345678901234567890,\n    {}\n  ],\n  \"b\\\"}\": \"x , y\",\n  \"a\": null\n}";
        assert_eq!(pretty(TEXT, 20), broken);
        assert_eq!(compact(broken), compact(TEXT));
    }

    #[test]
    fn what_steers_a_terminal_is_written_out() {
        let text = "\"a\u{9b}31m\u{202e}\"";
        assert_eq!(compact(text), r#""a\u009b31m\u202e""#);
        assert_eq!(serde_json::from_str::<String>(&compact(text)).unwrap(), "a\u{9b}31m\u{202e}");
        assert_eq!(visible("a\u{1b}[2J"), r"a\u001b[2J");
        assert_eq!(visible("é 漢"), "é 漢");
    }
}
