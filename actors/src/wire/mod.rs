//! What goes over the wire: JSON in and out, without I/O.

pub mod subscriber;
pub mod worker;

use bytes::BufMut;

/// Appends `text` as a JSON string with its quotes.
pub(crate) fn put_string(out: &mut Vec<u8>, text: &str) {
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
