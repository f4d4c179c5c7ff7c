//! `${VAR:default}` inside values.
//!
//! The engine that Weir replaces expands the raw text of the file; we expand values after the YAML is parsed, so that neither a
//! comment nor the content of a variable can change what the file means. YAML alone would not read every reference, though: in
//! `{ port: ${PORT:3112} }` the braces are its own. So references are masked before parsing: each of their ASCII characters
//! moves to a private plane where YAML sees nothing but text, of the same length (lines and columns of its errors stay right).
//! A second range marks a reference that touches a quote: the parser does not tell `"${PORT}"` from `${PORT}`, and only the
//! latter may become a number.

/// Where ASCII characters of a reference go in a plain value.
const PLAIN: u32 = 0x10_0000;
/// The same, where the reference stands against a quote.
const QUOTED: u32 = 0x10_0100;

/// A value with its references resolved.
#[derive(Debug, PartialEq)]
pub(super) struct Expanded {
    pub(super) scalar: Scalar,
    /// The first variable that was set and used. One that is empty is used where no default is written beside it.
    pub(super) variable: Option<String>,
}

/// A value that is neither a list nor a mapping.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// `${name}` or `${name:default}`.
struct Reference<'a> {
    name: &'a str,
    default: Option<&'a str>,
    bytes: usize,
}

/// The reference that `text` begins with. A name is not empty; the first `}` ends it, so references do not nest.
fn reference(text: &str) -> Option<Reference<'_>> {
    let inner = text.strip_prefix("${")?;
    if inner.starts_with([':', '}']) {
        return None;
    }
    let (inner, _) = inner.split_once('}')?;
    let (name, default) = match inner.split_once(':') {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    Some(Reference { name, default, bytes: inner.len() + "${}".len() })
}

/// Masks every reference of a YAML text; `None` if the text holds a character of the mask already.
pub(super) fn mask(text: &str) -> Option<String> {
    if text.chars().any(|c| unmasked(c).is_some()) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (mut rest, last_brace) = (line, line.rfind('}').unwrap_or(0));
        while let Some(at) = rest.find("${").filter(|at| line.len() - rest.len() + at < last_brace) {
            let (before, tail) = rest.split_at(at);
            out.push_str(before);
            // Not a reference: the `$` is taken alone, since another may begin right behind it.
            let bytes = reference(tail).map_or(1, |found| found.bytes);
            let (this, after) = tail.split_at(bytes);
            let base = if before.ends_with(['"', '\'']) || after.starts_with(['"', '\'']) { QUOTED } else { PLAIN };
            if bytes == 1 {
                out.push_str(this);
            } else {
                out.extend(this.chars().map(|c| masked(c, base)));
            }
            rest = after;
        }
        out.push_str(rest);
    }
    Some(out)
}

fn masked(c: char, base: u32) -> char {
    if c.is_ascii() { char::from_u32(base + u32::from(c)).unwrap_or(c) } else { c }
}

/// The character behind the mask and whether it stood against a quote.
fn unmasked(c: char) -> Option<(char, bool)> {
    let code = u32::from(c);
    let quoted = code >= QUOTED;
    let ascii = code.checked_sub(if quoted { QUOTED } else { PLAIN })?;
    u8::try_from(ascii).ok().filter(u8::is_ascii).map(|byte| (char::from(byte), quoted))
}

/// The text as it is in the file.
pub(super) fn unmask(text: &str) -> String {
    text.chars().map(|c| unmasked(c).map_or(c, |(ascii, _)| ascii)).collect()
}

/// Resolves the references of a parsed value: once, so that a `${` inside a variable stays as it is.
///
/// # Errors
/// The name of the first variable that is not set and has no default.
pub(super) fn expand(text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Expanded, String> {
    let is = |wanted: char| move |c: char| unmasked(c).is_some_and(|(ascii, _)| ascii == wanted);
    let (mut out, mut rest, mut variable, mut plain) = (String::with_capacity(text.len()), text, None, None);
    while let Some((before, tail)) = rest.find(is('$')).map(|at| rest.split_at(at)) {
        out.push_str(before);
        let end = tail.char_indices().find(|&(_, c)| is('}')(c)).map_or(tail.len(), |(at, c)| at + c.len_utf8());
        let (this, after) = tail.split_at(end);
        let quoted = this.chars().any(|c| unmasked(c).is_some_and(|(_, quoted)| quoted));
        plain = Some(plain.unwrap_or(true) && !quoted);
        let this = unmask(this);
        match reference(&this) {
            Some(found) => match (env(found.name), found.default) {
                // As a shell's `${VAR:-default}`.
                (None, Some(default)) => out.push_str(default),
                (Some(value), Some(default)) if value.is_empty() => out.push_str(default),
                (Some(value), _) => {
                    out.push_str(&value);
                    variable.get_or_insert_with(|| found.name.to_owned());
                }
                (None, None) => return Err(found.name.to_owned()),
            },
            None => out.push_str(&this),
        }
        rest = after;
    }
    out.push_str(rest);
    // Without a reference the parser has typed it already.
    let scalar = if plain == Some(true) { typed(out.trim()) } else { Scalar::Text(out) };
    Ok(Expanded { scalar, variable })
}

/// The type that YAML gives to a plain text, by the rules of yaml-rust2 0.11 (`Yaml::from_str`), which reads the rest of the file.
fn typed(text: &str) -> Scalar {
    let radix = |prefix, radix| text.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    match text {
        "" | "~" | "null" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    if let Some(int) = text.parse().ok().or_else(|| radix("0x", 16)).or_else(|| radix("0o", 8)) {
        return Scalar::Int(int);
    }
    match text.parse() {
        Ok(float) if text.bytes().any(|byte| byte.is_ascii_digit()) => Scalar::Float(float),
        _ => Scalar::Text(text.to_owned()),
    }
}
