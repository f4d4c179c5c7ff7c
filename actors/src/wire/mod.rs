//! What goes over the wire: JSON in and out, without I/O.

pub mod call;
pub mod subscriber;
pub mod worker;

use bytes::BufMut;

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
    // Most names need no escapes. Every byte is looked at, without a branch, so that the compiler takes many at a time.
    if !text.bytes().fold(false, |found, byte| found | (byte < 0x20) | (byte == b'"') | (byte == b'\\')) {
        out.reserve(text.len() + 2);
        out.put_u8(b'"');
        out.put_slice(text.as_bytes());
        out.put_u8(b'"');
        return;
    }
    // Writing into memory cannot fail, and a string is always JSON.
    if serde_json::to_writer(&mut *out, text).is_err() {
        debug_assert!(false, "a string is always JSON");
    }
}

/// Appends `"key":"text",`.
pub(crate) fn put_field(out: &mut Vec<u8>, key: &str, text: &str) {
    out.put_u8(b'"');
    out.put_slice(key.as_bytes());
    out.put_slice(b"\":");
    put_string(out, text);
    out.put_u8(b',');
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn put_string_agrees_with_serde_json(text in any::<String>()) {
            let mut out = Vec::new();
            super::put_string(&mut out, &text);
            prop_assert_eq!(out, serde_json::to_vec(&text).unwrap());
        }
    }
}
