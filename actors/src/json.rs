//! Values as raw JSON: checked once, then carried as text and never rebuilt as a tree.

mod keys;
pub(crate) mod scan;

use std::borrow::Cow;

use arcstr::ArcStr;
use serde_json::Value;
use serde_json::value::RawValue;

/// How deep arrays and objects of one value may be nested.
///
/// The bound is `serde_json`'s own (128), so that whatever is stored can be parsed again, by us and by published Rust workers.
pub const MAX_DEPTH: usize = 120;

/// One JSON value as text, valid by construction and shared by reference count.
///
/// One allocation and one word: a set hands its value to the item, to its answer and to its change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Json(ArcStr);

impl Json {
    /// The value `null`.
    pub const NULL: Self = Self(arcstr::literal!("null"));

    /// The value `true`.
    #[cfg(feature = "redis")]
    pub(crate) const TRUE: Self = Self(arcstr::literal!("true"));

    /// Copies a value out of the message it was parsed from, so that a stored value does not keep that message in memory.
    #[must_use]
    pub fn copy(raw: &RawValue) -> Self {
        Self(raw.get().into())
    }

    /// Copies text that [`Scan::value`](scan::Scan::value) has walked over.
    pub(crate) fn scanned(text: &str) -> Self {
        Self(text.into())
    }

    /// The text of a parsed value.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        Self(value.to_string().into())
    }

    /// Serialises `value`; `None` where its type cannot be JSON (a map with keys that are no strings).
    pub fn of<T: serde::Serialize + ?Sized>(value: &T) -> Option<Self> {
        Self::write(value).ok()
    }

    /// Serialises `value`.
    ///
    /// # Errors
    /// Where its type cannot be JSON: a map with keys that are no strings, or one that says so itself.
    pub fn write<T: serde::Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_string(value).map(|text| Self(text.into()))
    }

    /// Copies text that the caller has just assembled from checked parts.
    pub(crate) fn assembled(text: impl AsRef<[u8]>) -> Self {
        let text = text.as_ref();
        debug_assert!(serde_json::from_slice::<&RawValue>(text).is_ok(), "not JSON: {text:?}");
        // It is UTF-8, and there is no other way to text without a check.
        std::str::from_utf8(text).map_or(Self::NULL, |text| Self(text.into()))
    }

    /// Checks text that comes from outside, from where an adapter keeps it for instance; `None` where it is not one JSON value.
    pub fn read(text: impl AsRef<[u8]>) -> Option<Self> {
        let text = std::str::from_utf8(text.as_ref()).ok()?;
        serde_json::from_str::<&RawValue>(text).ok().map(Self::copy)
    }

    /// The text, without surrounding white space.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text, for another message that it becomes part of.
    #[cfg(feature = "redis")]
    pub(crate) fn as_raw(&self) -> &RawValue {
        // Valid by construction; checked once more because there is no other way to a `&RawValue`.
        serde_json::from_str(&self.0).unwrap_or(RawValue::NULL)
    }

    /// Whether the value is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0 == "null"
    }

    /// The value as a tree, or `None` where it is nested deeper than [`MAX_DEPTH`] or holds a lone surrogate.
    ///
    /// Not by `serde_json` into a `Value`: with the feature `raw_value` (1.0.154) a key `$serde_json::private::RawValue` has its text
    /// parsed again with a fresh limit on depth, which lets a peer overflow the stack.
    #[must_use]
    pub fn to_value(&self) -> Option<Value> {
        crate::ops::read_value(&self.0).ok()
    }

    /// Parses the value as a `T`.
    ///
    /// # Errors
    /// Where the value does not have the shape of `T`, or a key that `serde_json` keeps for itself, see [`to_value`](Self::to_value).
    pub fn parse<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        parse(&self.0)
    }
}

/// A value is itself wherever it is part of another.
impl serde::Serialize for Json {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Valid by construction; checked once more because there is no other way to a `&RawValue`.
        serde_json::from_str::<&RawValue>(&self.0).map_err(serde::ser::Error::custom)?.serialize(serializer)
    }
}

/// Any value, as it is.
impl<'de> serde::Deserialize<'de> for Json {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self::copy(&raw))
    }
}

/// Parses text that a peer wrote as a `T`, which may be or hold a [`Value`].
///
/// # Errors
/// Where it does not have the shape of `T`, or a key that `serde_json` keeps for itself.
pub(crate) fn parse<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    keys::check(text)?;
    serde_json::from_str(text)
}

/// Parses a JSON object as a `T`; a struct by itself would also read an array by position.
///
/// # Errors
/// Where the text is no object, or does not have the shape of `T`.
pub(crate) fn object<'a, T: serde::Deserialize<'a>>(text: &'a [u8]) -> Result<T, serde_json::Error> {
    if text.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Err(serde::de::Error::custom("expected an object"));
    }
    // Checked once as a whole: `from_slice` checks every string, and every raw value that it is in, by itself.
    serde_json::from_str(std::str::from_utf8(text).map_err(serde::de::Error::custom)?)
}

/// Whether the arrays and objects of a JSON text are nested deeper than [`MAX_DEPTH`].
#[must_use]
pub fn is_too_deep(text: &[u8]) -> bool {
    // There are rarely as many brackets as there may be levels, and counting them, strings included, takes an eighth of the time.
    let opening = |piece: &[u8]| usize::from(piece.iter().map(|byte| u8::from(matches!(byte, b'[' | b'{'))).sum::<u8>());
    // Pieces whose count fits into a byte: the compiler then counts many bytes at a time.
    let opening: usize = text.chunks(255).map(opening).sum();
    opening > MAX_DEPTH && depth(text) > MAX_DEPTH
}

/// How deep the arrays and objects of a JSON text are nested; 0 for a scalar.
///
/// Needed beside `serde_json`, whose raw values are checked without a bound on depth.
#[must_use]
pub fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0usize, false, false);
    for &byte in text {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// A JSON text on one line, for formats that end at a line break: what a worker sends is kept as it was written, indented perhaps.
///
/// Within strings there are no line breaks, only `\n`; so each is between two tokens, where a space means the same.
#[must_use]
pub fn on_one_line(text: String) -> String {
    if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], " ") } else { text }
}

/// Appends `text` as a JSON string with its quotes.
pub fn push_string(out: &mut impl Extend<u8>, text: &str) {
    // Writing into memory cannot fail, and a string is always JSON; the fallback keeps the output well formed all the same.
    out.extend(serde_json::to_vec(text).unwrap_or_else(|_| b"\"\"".to_vec()));
}

/// Keeps `null` apart from an absent key: absent is `None`, `null` is `Some(null)`.
///
/// For `#[serde(default, borrow, deserialize_with = "present")]`; `Option<&RawValue>` alone reads `null` as `None`.
pub(crate) fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    serde::Deserialize::deserialize(from).map(Some)
}

/// Borrows a string that has no escapes; an `Option<Cow<str>>` by itself always copies (serde 1.0). `null` counts as absent.
///
/// For `#[serde(default, borrow, deserialize_with = "text")]`.
pub(crate) fn text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Cow<'de, str>>, D::Error> {
    #[derive(serde::Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    Ok(<Option<Text<'de>> as serde::Deserialize>::deserialize(from)?.map(|Text(text)| text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_is_borrowed_unless_it_has_escapes() {
        #[derive(serde::Deserialize)]
        struct Names<'a>(#[serde(borrow, deserialize_with = "text")] Option<Cow<'a, str>>);
        let read = |text| serde_json::from_str::<Names<'_>>(text).unwrap().0;
        assert!(matches!(read("\"é\""), Some(Cow::Borrowed("é"))));
        assert!(matches!(read("\"\\n\""), Some(Cow::Owned(text)) if text == "\n"));
        assert!(read("null").is_none());
    }

    #[test]
    fn too_deep_is_what_is_nested_deeper_than_the_limit() {
        let nested = |levels| ["[".repeat(levels), "]".repeat(levels)].concat();
        assert!(!is_too_deep(nested(MAX_DEPTH).as_bytes()));
        assert!(is_too_deep(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(!is_too_deep(format!("[{},\"{}\"]", "[],".repeat(MAX_DEPTH), "[".repeat(MAX_DEPTH)).as_bytes()));
    }

    #[test]
    fn depth_ignores_brackets_in_strings() {
        assert_eq!(depth(br#""[[[""#), 0);
        assert_eq!(depth(br#"{"a\"[":[1,[2]],"b":{}}"#), 3);
        assert_eq!(depth(b"12"), 0);
    }

    #[test]
    fn strings_are_escaped_as_json() {
        let mut out = Vec::new();
        push_string(&mut out, "a\"b\n😀");
        assert_eq!(out, r#""a\"b\n😀""#.as_bytes());
    }
}
