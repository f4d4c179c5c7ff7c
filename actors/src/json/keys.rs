//! Keys that `serde_json` keeps for itself, and that a peer must not write where we parse into types that we do not know.
//!
//! With its feature `raw_value` (1.0.154) a key `$serde_json::private::RawValue` has its text parsed again as part of a `Value`, with a fresh
//! limit on depth; nested, 52 kB of text overflow a stack of 2 MiB, which ends the process.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

const RESERVED: &str = "$serde_json::private::";

/// Refuses a text with such a key.
///
/// # Errors
/// That it has one; or what is wrong with the text.
pub(super) fn check(text: &str) -> Result<(), serde_json::Error> {
    // Without that name, and without an escape that could hide it, there is nothing to look for; nearly always so.
    if !text.contains("serde_json") && !text.contains("\\u") {
        return Ok(());
    }
    serde_json::from_str(text).map(|Walk| ())
}

struct Walk;

impl<'de> Deserialize<'de> for Walk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Walk)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while let Some(Walk) = seq.next_element()? {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        #[derive(serde::Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        while let Some((Key(key), Walk)) = map.next_entry()? {
            if key.starts_with(RESERVED) {
                return Err(A::Error::custom(format!("the key `{key}` is not taken here")));
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn reserved_keys_are_found_however_they_are_written() {
        for text in [
            r#"{"$serde_json::private::RawValue":"1"}"#,
            r#"[1,{"a":{"$serde_json::private::RawValue":"1"}}]"#,
            r#"{"\u0024serde_json::private::RawValue":"1"}"#,
            r#"{"$\u0073erde_json::priv\u0061te::Number":"1"}"#,
        ] {
            assert!(check(text).is_err(), "{text}");
        }
        for text in ["1", r#"{"serde_json":"$serde_json::private::RawValue"}"#, r#"{"\u0024":[-1,2.5,null,true]}"#] {
            check(text).unwrap();
        }
    }
}
