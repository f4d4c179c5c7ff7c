//! What `list`, `list_groups` and `list_all` answer, and in which order.

use serde_json::{Value, json};

use super::subject::Subject;
use crate::worker::{group, key, write};

/// In the order of their bytes; by UTF-16 units, which JavaScript sorts by, the last two would change places.
const SORTED: [&str; 9] = ["", "1", "10", "2", "B", "a", "é", "\u{ff21}", "😀"];

pub(super) async fn list_is_in_the_order_in_which_items_came(subject: &Subject) {
    let worker = subject.worker().await;
    let list = async || worker.result("stream::list", group("s", "g")).await;
    assert_eq!(list().await, json!([]));
    for item in ["c", "10", "a", "9", "b"] {
        worker.set("s", "g", item, json!({"id": item})).await;
    }
    worker.set("s", "g", "10", json!({"id": "10", "n": 1})).await;
    let mut update = key("s", "g", "c");
    update["ops"] = json!([{"type": "set", "path": "n", "value": 2}]);
    worker.result("stream::update", update).await;
    assert_eq!(list().await, json!([{"id": "c", "n": 2}, {"id": "10", "n": 1}, {"id": "a"}, {"id": "9"}, {"id": "b"}]));
    for item in ["c", "9"] {
        worker.result("stream::delete", key("s", "g", item)).await;
    }
    worker.result("stream::delete", key("s", "g", "none")).await;
    assert_eq!(list().await, json!([{"id": "10", "n": 1}, {"id": "a"}, {"id": "b"}]));
    worker.set("s", "g", "c", json!({"id": "c"})).await;
    assert_eq!(list().await, json!([{"id": "10", "n": 1}, {"id": "a"}, {"id": "b"}, {"id": "c"}]), "what comes back goes to the end");
}

pub(super) async fn groups_and_streams_are_listed_in_the_order_of_their_bytes(subject: &Subject) {
    let worker = subject.worker().await;
    // Neither as they are listed nor the other way round.
    let mixed = SORTED.iter().cycle().skip(4).step_by(2).take(SORTED.len());
    for stream in mixed.clone() {
        for group in mixed.clone() {
            worker.void("stream::set", write(stream, group, "i", json!(1)));
        }
    }
    for stream in SORTED {
        assert_eq!(worker.result("stream::list_groups", json!({"stream_name": stream})).await, json!(SORTED), "{stream:?}");
    }
    let streams: Vec<Value> = SORTED.iter().map(|stream| json!({"id": stream, "groups": SORTED})).collect();
    for input in [json!({}), json!(null)] {
        assert_eq!(worker.result("stream::list_all", input).await, json!({"stream": streams, "count": SORTED.len()}));
    }
}

pub(super) async fn groups_and_streams_without_items_are_not_listed(subject: &Subject) {
    let worker = subject.worker().await;
    let groups = async |stream: &str| worker.result("stream::list_groups", json!({"stream_name": stream})).await;
    let all = async || worker.result("stream::list_all", json!({})).await;
    assert_eq!((groups("s").await, all().await), (json!([]), json!({"stream": [], "count": 0})));
    for (stream, group, item) in [("s", "g", "i"), ("s", "g", "j"), ("s", "h", "i"), ("t", "g", "i")] {
        worker.set(stream, group, item, Value::Null).await;
    }
    // Neither is an item.
    worker.result("stream::delete", key("none", "g", "i")).await;
    worker.result("stream::send", json!({"stream_name": "sent", "group_id": "g", "type": "t", "data": 1})).await;
    let full = json!({"stream": [{"id": "s", "groups": ["g", "h"]}, {"id": "t", "groups": ["g"]}], "count": 2});
    assert_eq!(all().await, full);
    worker.result("stream::delete", key("s", "g", "i")).await;
    assert_eq!(all().await, full, "an item is left");
    worker.result("stream::delete", key("s", "g", "j")).await;
    worker.result("stream::delete", key("t", "g", "i")).await;
    assert_eq!((groups("s").await, groups("t").await), (json!(["h"]), json!([])));
    assert_eq!(all().await, json!({"stream": [{"id": "s", "groups": ["h"]}], "count": 1}));
    worker.set("t", "g", "i", json!(1)).await;
    assert_eq!(all().await, json!({"stream": [{"id": "s", "groups": ["h"]}, {"id": "t", "groups": ["g"]}], "count": 2}));
}

pub(super) async fn large_group_is_listed_whole(subject: &Subject) {
    const ITEMS: usize = 3_000;
    let worker = subject.worker().await;
    for n in 0..ITEMS {
        worker.void("stream::set", write("s", "g", &format!("{:x}", n * 7_919 % 100_003), json!(n)));
        if n % 500 == 0 {
            worker.result("stream::get", key("s", "g", "0")).await;
        }
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!((0..ITEMS).collect::<Vec<_>>()));
    assert_eq!(subject.other().await.result("stream::list", group("s", "g")).await.as_array().unwrap().len(), ITEMS);
}
