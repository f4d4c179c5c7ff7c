//! Names, values and messages as a worker sends them.

use serde_json::json;
use weir_actors::ids::ItemKey;
use weir_actors::json::Json;

/// Bytes of a value, as in the figures of the README.
const VALUE_BYTES: usize = 128;
/// Items of a group.
const GROUP_ITEMS: usize = 16;

/// An item among many groups.
pub(crate) fn key(n: usize) -> ItemKey {
    ItemKey::new("presence", &format!("room-{}", n / GROUP_ITEMS), &format!("user-{n}"))
}

/// An item of one and the same group.
pub(crate) fn key_in_group(n: usize) -> ItemKey {
    ItemKey { item: key(n).item, ..key(0) }
}

/// The value of an item.
pub(crate) fn value(key: &ItemKey) -> Json {
    let with = |text: &str| Json::from_value(&json!({"id": key.item.as_str(), "count": 1, "text": text}));
    with(&"x".repeat(VALUE_BYTES - with("").as_bytes().len()))
}

/// A call of `function` for an item, with a further member such as `,"data":1`.
fn call(function: &str, key: &ItemKey, member: &str) -> String {
    let (id, stream, group, item) = ("b3e07ac6-1c9d-4b8f-a5ff-6f2c0b1d9e57", key.group.stream(), key.group.group(), &key.item);
    format!(
        r#"{{"type":"invokefunction","invocation_id":"{id}","function_id":"{function}","data":{{"stream_name":"{stream}","group_id":"{group}","item_id":"{item}"{member}}}}}"#
    )
}

/// A call that stores the value of an item.
pub(crate) fn set(key: &ItemKey) -> String {
    let value = value(key);
    call("stream::set", key, &format!(r#","data":{}"#, std::str::from_utf8(value.as_bytes()).unwrap()))
}

/// A call that reads an item.
pub(crate) fn get(key: &ItemKey) -> String {
    call("stream::get", key, "")
}

/// A call that counts up in an item and writes another member.
pub(crate) fn update(key: &ItemKey) -> String {
    let ops = r#","ops":[{"type":"increment","path":"count","by":1},{"type":"set","path":"name","value":"bob"}]"#;
    call("stream::update", key, ops)
}
