//! Names of streams, groups and items: any text, and no two of them meet.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::subject::Subject;
use crate::names::names;
use crate::subscriber::Subscriber;
use crate::worker::{group, key, write};

/// Pairs of which some are one and the same when something is put between the two, or nothing, or when they are normalised.
const ALIKE: [(&str, &str); 18] = [
    ("a:b", "c"),
    ("a", "b:c"),
    ("a/b", "c"),
    ("a", "b/c"),
    ("a\0b", "c"),
    ("a", "b\0c"),
    ("a,b", "c"),
    ("a", "b,c"),
    ("ab", "c"),
    ("a", "bc"),
    ("{a}", "c"),
    ("{a", "}c"),
    ("", "abc"),
    ("abc", ""),
    ("é", "c"),
    ("e\u{301}", "c"),
    ("É", "c"),
    (" é", "c"),
];

pub(super) async fn names_of_any_kind_are_kept_apart(subject: &Subject) {
    let worker = subject.worker().await;
    let mut names = names();
    for name in &names {
        for (n, group) in names.iter().enumerate() {
            worker.void("stream::set", write(name, group, name, json!([name, n])));
        }
        worker.void("stream::set", write("items", "g", name, json!(name)));
    }
    assert_eq!(worker.result("stream::list", group("items", "g")).await, json!(names));
    let reads = names.iter().map(|name| {
        let lists = names.iter().map(|of| worker.result("stream::list", group(name, of)));
        let gets = names.iter().map(|of| worker.result("stream::get", key(name, of, name)));
        async { (join_all(lists).await, join_all(gets).await) }
    });
    for (name, (lists, gets)) in names.iter().zip(join_all(reads).await) {
        let expected: Vec<Value> = (0..names.len()).map(|n| json!([name, n])).collect();
        assert_eq!(gets, expected, "{name:?}");
        assert_eq!(lists, expected.into_iter().map(|value| json!([value])).collect::<Vec<_>>(), "{name:?}");
    }
    for name in &names {
        for group in &names {
            worker.void("stream::delete", key(name, group, name));
        }
        worker.void("stream::delete", key("items", "g", name));
    }
    for name in names.drain(..) {
        assert_eq!(worker.result("stream::list_groups", json!({"stream_name": name})).await, json!([]), "{name:?}");
    }
    assert_eq!(worker.result("stream::list_all", json!({})).await, json!({"stream": [], "count": 0}));
}

pub(super) async fn names_that_read_alike_when_joined_are_kept_apart(subject: &Subject) {
    let worker = subject.worker().await;
    for (n, (one, other)) in ALIKE.iter().enumerate() {
        for [stream, group, item] in [[one, other, "i"], ["s", one, other], [one, "g", other]] {
            assert_eq!(worker.set(stream, group, item, json!(n)).await["old_value"], Value::Null, "{stream:?} {group:?} {item:?}");
        }
    }
    for (n, (one, other)) in ALIKE.iter().enumerate() {
        for [stream, group, item] in [[one, other, "i"], ["s", one, other], [one, "g", other]] {
            assert_eq!(worker.result("stream::get", key(stream, group, item)).await, n, "{stream:?} {group:?} {item:?}");
            assert_eq!(worker.result("stream::delete", key(stream, group, item)).await, json!({"old_value": n}));
        }
    }
    assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 0);
}

pub(super) async fn longest_and_empty_names_are_names(subject: &Subject) {
    let worker = subject.worker().await;
    let names = [String::new(), "n".repeat(512), "😀".repeat(128)];
    for stream in &names {
        for group in &names {
            for item in &names {
                assert_eq!(worker.set(stream, group, item, json!([stream, group, item])).await["old_value"], Value::Null);
            }
        }
    }
    for stream in &names {
        assert_eq!(worker.result("stream::list_groups", json!({"stream_name": stream})).await, json!(names));
        for name in &names {
            let items: Vec<_> = names.iter().map(|item| json!([stream, name, item])).collect();
            assert_eq!(worker.result("stream::list", group(stream, name)).await, json!(items));
        }
    }
    let streams: Vec<_> = names.iter().map(|name| json!({"id": name, "groups": names})).collect();
    assert_eq!(worker.result("stream::list_all", json!({})).await, json!({"stream": streams, "count": 3}));
}

pub(super) async fn changes_reach_those_who_watch_that_very_name(subject: &Subject) {
    let worker = subject.worker().await;
    let names = names();
    let own = names.iter().map(|name| (&**name, &**name));
    let pairs: Vec<(&str, &str)> = own.chain(ALIKE).collect();
    let mut subscriber = Subscriber::open(subject.watcher(), "/").await;
    for (n, (stream, group)) in pairs.iter().enumerate() {
        subscriber.join(&n.to_string(), stream, group).await;
        assert_eq!(subscriber.sync().await, json!([]));
    }
    for (n, (stream, group)) in pairs.iter().enumerate() {
        worker.set(stream, group, group, json!(n)).await;
        let frame = subscriber.next_frame().await;
        assert_eq!((&frame["streamName"], &frame["groupId"], &frame["id"]), (&json!(stream), &json!(group), &json!(group)));
        assert_eq!(frame["event"], json!({"type": "create", "data": n}));
    }
    assert!(subscriber.under_way().await.is_empty());
}
