//! From a path to a parsed file: size, encoding, what YAML we do not take, then the `config` crate.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::panic;
use std::path::Path;

use ::config::{FileFormat, Format, Value, ValueKind};

use super::error::ConfigError;
use super::expand;

/// A configuration has a few hundred lines; more than this is another file.
pub(super) const MAX_FILE_BYTES: usize = 1024 * 1024;

/// How far a line may be indented, counted up to its first text. The YAML parser (yaml-rust2 0.11) recurses once per level, and
/// would overflow the stack; a level of block YAML takes a column. Brackets and braces it bounds itself, at 255.
const MAX_INDENT: usize = 128;

/// How many colons may stand apart from their key. Inside brackets each `: ` without a key is a level of its own.
const MAX_LONE_COLONS: usize = 256;

/// An anchor is told from another by this many characters; comparing no more keeps the search linear.
const ANCHOR_CHARS: usize = 64;

/// A parsed file: references are still masked (see `expand`).
#[derive(Debug)]
pub(super) enum Node {
    /// Nothing, a text, a number or a truth value.
    Scalar(expand::Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping. Sorted, so that of two errors the same one is reported each time.
    Mapping(BTreeMap<String, Node>),
}

/// Reads and parses the file: a mapping, or the bare list of modules. Beside it its text.
///
/// # Errors
/// [`ConfigError::Unreadable`], [`ConfigError::TooLarge`] or [`ConfigError::Yaml`].
pub(super) fn parse(path: &Path) -> Result<(Node, String), ConfigError> {
    let mut text = read(path)?;
    // Windows editors begin a file with a byte order mark.
    if text.starts_with(BYTE_ORDER_MARK) {
        text = text.trim_start_matches(BYTE_ORDER_MARK).to_owned();
    }
    match parse_text(&text) {
        Ok(root) => Ok((root, text)),
        Err(reason) => Err(ConfigError::Yaml { path: path.to_owned(), reason: expand::unmask(&reason) }),
    }
}

const BYTE_ORDER_MARK: char = '\u{feff}';

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |cause| ConfigError::Unreadable { path: path.to_owned(), cause };
    let mut text = Vec::new();
    // Bounded while reading: the length of a pipe or a device is not known before.
    File::open(path).and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut text)).map_err(unreadable)?;
    if text.len() > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge { path: path.to_owned(), limit_bytes: MAX_FILE_BYTES });
    }
    String::from_utf8(text).map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}

/// # Errors
/// What is wrong with the text.
pub(super) fn parse_text(text: &str) -> Result<Node, String> {
    let masked = expand::mask(text).ok_or("it holds characters from U+100000 to U+10017F; remove them")?;
    refuse_depth(&masked)?;
    refuse_aliases(&masked)?;
    match yaml(&masked) {
        Ok(value) => Ok(value),
        // The `config` crate takes nothing but a mapping, so the bare list is read as the `modules` of one.
        Err(Failure::Root) => match yaml(&as_modules(&masked)) {
            Ok(Node::Mapping(mut root)) => match root.remove("modules") {
                Some(list @ (Node::List(_) | Node::Scalar(expand::Scalar::Null))) => Ok(list),
                _ => Err(NOT_A_ROOT.to_owned()),
            },
            _ => Err(NOT_A_ROOT.to_owned()),
        },
        Err(Failure::Text(reason)) => Err(reason),
    }
}

const NOT_A_ROOT: &str = "it is neither a mapping with `port`, `host` and `modules` nor a list of modules";

enum Failure {
    /// It is YAML, but not a mapping.
    Root,
    /// It is not YAML.
    Text(String),
}

/// [`FileFormat::parse`] is called directly: through `Config::builder` the crate would read top-level keys as paths, so that
/// `a[999999999]: 1` makes a list of that length.
fn yaml(text: &str) -> Result<Node, Failure> {
    // The parser behind (yaml-rust2 0.11) asserts what it believes of its own events; a bad file must not end the process.
    let parsed = panic::catch_unwind(|| FileFormat::Yaml.parse(None, text));
    match parsed {
        Ok(Ok(root)) => Ok(node(ValueKind::Table(root))),
        Ok(Err(error)) if error.is::<Box<::config::ConfigError>>() => Err(Failure::Root),
        Ok(Err(error)) => Err(Failure::Text(reason(&error.to_string()))),
        Err(_) => Err(Failure::Text("the YAML parser failed on it; simplify its syntax".to_owned())),
    }
}

fn node(kind: ValueKind) -> Node {
    use expand::Scalar;
    let children = |list: Vec<Value>| list.into_iter().map(|value| node(value.kind)).collect();
    Node::Scalar(match kind {
        ValueKind::Nil => Scalar::Null,
        ValueKind::Boolean(value) => Scalar::Bool(value),
        ValueKind::I64(value) => Scalar::Int(value),
        ValueKind::Float(value) => Scalar::Float(value),
        ValueKind::String(value) => Scalar::Text(value),
        ValueKind::Array(list) => return Node::List(children(list)),
        ValueKind::Table(table) => {
            let pairs = table.into_iter().map(|(key, value)| (expand::unmask(&key), node(value.kind)));
            return Node::Mapping(pairs.collect());
        }
        // Never made from YAML, where an integer beyond 64 bits becomes a float.
        other @ (ValueKind::U64(_) | ValueKind::I128(_) | ValueKind::U128(_)) => Scalar::Text(other.to_string()),
    })
}

/// The parser's words, without what they quote of the file beyond the name of a key.
fn reason(error: &str) -> String {
    if let Some((key, place)) = error.split_once(": duplicated key in mapping") {
        let key = key.strip_prefix("String(").and_then(|key| key.strip_suffix(')')).unwrap_or("a key");
        return format!("{key} is there twice in one mapping{place}");
    }
    if error.starts_with("Cannot parse ") {
        return "a key is not a text; put a value that begins with a brace in quotes".to_owned();
    }
    error.to_owned()
}

/// Makes a text with a list at its root the value of `modules`, one column to the right so that any list can stand there.
fn as_modules(text: &str) -> String {
    let mut lines = text.lines().peekable();
    let mut body = String::with_capacity(text.len() + text.len() / 16);
    // A `---` cannot stand inside a mapping; there is one at most, since the text was read as one document.
    if let Some(start) = text.lines().position(|line| line == "---" || line.starts_with("--- ")) {
        let first = lines.nth(start).unwrap_or_default();
        body.push_str(first.trim_start_matches("---"));
    }
    for line in lines.filter(|line| *line != "...") {
        body.push_str("\n ");
        body.push_str(line);
    }
    format!("modules: {body}\n")
}

fn refuse_depth(text: &str) -> Result<(), String> {
    let mut lone_colons = 0;
    for (number, line) in text.lines().enumerate() {
        // `- - ? a` opens three levels on one line; a tag or an anchor may stand between them.
        let opens = |word: &str| matches!(word.trim_end(), "" | "-" | "?" | ":") || word.starts_with(['!', '&']);
        let words = line.split_inclusive([' ', '\t']);
        let indent: usize = words.take_while(|word| opens(word)).map(str::len).sum();
        if indent > MAX_INDENT {
            let line = number + 1;
            return Err(format!("line {line} is indented by more than {MAX_INDENT} columns"));
        }
        lone_colons += line.match_indices(':').filter(|(at, _)| is_lone(line, *at)).count();
        if lone_colons > MAX_LONE_COLONS {
            return Err(format!("more than {MAX_LONE_COLONS} colons stand apart from their key; write `key: value`"));
        }
    }
    Ok(())
}

/// Whether the colon at `at` has no key before it, as far as can be told without reading the YAML.
fn is_lone(line: &str, at: usize) -> bool {
    let (before, after) = line.split_at(at);
    match before.chars().next_back() {
        None | Some(' ' | '\t' | ',' | '[' | ']' | '{' | '}') => true,
        // Not the one in `modules::stream`.
        Some(':') => !after.chars().nth(1).is_some_and(char::is_alphanumeric),
        Some(_) => false,
    }
}

/// Refuses `*name` where there is a `&name`. The parser copies an anchor's value for each alias, so that a few lines of them fill
/// the memory. One without the other is no alias (`0 */5 * * *`), or the parser reports it.
fn refuse_aliases(text: &str) -> Result<(), String> {
    let is_name = |c: &char| !c.is_whitespace() && !matches!(c, ',' | '[' | ']' | '{' | '}');
    let name = |at: usize| text[at + 1..].chars().take_while(is_name).take(ANCHOR_CHARS).collect::<String>();
    let anchors: HashSet<String> = text.match_indices('&').map(|(at, _)| name(at)).filter(|name| !name.is_empty()).collect();
    match text.match_indices('*').map(|(at, _)| name(at)).find(|alias| anchors.contains(alias)) {
        Some(alias) => Err(format!("anchors and aliases are not read; write out what *{alias} stands for")),
        None => Ok(()),
    }
}
