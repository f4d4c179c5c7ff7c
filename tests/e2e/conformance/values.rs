//! What comes back of a value, and what was there before it.

use serde_json::{Value, json};

use super::subject::Subject;
use super::text;
use crate::subscriber::Subscriber;
use crate::worker::{group, key, write};

pub(super) async fn written_value_comes_back_with_what_was_there_before(subject: &Subject) {
    let worker = subject.worker().await;
    let i = key("s", "g", "i");
    assert_eq!(worker.call("stream::get", i.clone()).await, Ok(None));
    assert_eq!(worker.result("stream::delete", i.clone()).await, json!({"old_value": null}));
    assert_eq!(worker.set("s", "g", "i", json!({"n": 1})).await, json!({"old_value": null, "new_value": {"n": 1}}));
    assert_eq!(worker.set("s", "g", "i", json!([2])).await, json!({"old_value": {"n": 1}, "new_value": [2]}));
    assert_eq!(worker.set("s", "g", "i", json!([2])).await, json!({"old_value": [2], "new_value": [2]}));
    assert_eq!(worker.result("stream::get", i.clone()).await, json!([2]));
    for (stream, group, item) in [("s", "g", "other"), ("s", "other", "i"), ("other", "g", "i")] {
        assert_eq!(worker.call("stream::get", key(stream, group, item)).await, Ok(None));
        assert_eq!(worker.result("stream::delete", key(stream, group, item)).await, json!({"old_value": null}));
    }
    assert_eq!(subject.other().await.result("stream::get", i.clone()).await, json!([2]), "one worker reads what another wrote");
    assert_eq!(worker.result("stream::delete", i.clone()).await, json!({"old_value": [2]}));
    assert_eq!(worker.result("stream::delete", i.clone()).await, json!({"old_value": null}));
    assert_eq!(worker.call("stream::get", i).await, Ok(None));
    assert_eq!(worker.set("s", "g", "i", json!(3)).await, json!({"old_value": null, "new_value": 3}));
}

/// Sets each value, given as text, and checks everything that then shows it.
async fn come_back(subject: &Subject, values: &[&str]) {
    let worker = subject.worker().await;
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    for (n, value) in values.iter().enumerate() {
        let key = format!(r#""stream_name":"s","group_id":"g","item_id":"{n}""#);
        for old in ["null", value] {
            let result = text::parts(&worker, "stream::set", &format!(r#"{{{key},"data":{value}}}"#)).await;
            subject.assert_kept(result["old_value"].get(), old);
            subject.assert_kept(result["new_value"].get(), value);
            subject.assert_kept(&text::data(&subscriber.next_text().await), value);
        }
        subject.assert_kept(&text::call(&worker, "stream::get", &format!("{{{key}}}")).await.unwrap(), value);
    }
    let listed = text::elements(&worker, "stream::list", r#"{"stream_name":"s","group_id":"g"}"#).await;
    assert_eq!(listed.len(), values.len());
    for (listed, value) in listed.iter().zip(values) {
        subject.assert_kept(listed.get(), value);
    }
    let mut late = Subscriber::open(subject.watcher(), "/stream/s/g/").await;
    subject.assert_kept(&text::data(&late.next_text().await), &format!("[{}]", values.join(",")));
    for (n, value) in values.iter().enumerate() {
        let input = format!(r#"{{"stream_name":"s","group_id":"g","item_id":"{n}"}}"#);
        subject.assert_kept(text::parts(&worker, "stream::delete", &input).await["old_value"].get(), value);
        subject.assert_kept(&text::data(&subscriber.next_text().await), value);
    }
}

pub(super) async fn values_of_every_kind_come_back(subject: &Subject) {
    let values = [
        r#"{"a":[1,{"b":null}]}"#,
        "true",
        "false",
        "0",
        "-1",
        r#""""#,
        r#""x""#,
        r#""😀 \" \\ \n \u0000""#,
        "[]",
        "{}",
        "[null]",
        r#"{"":""}"#,
    ];
    come_back(subject, &values).await;
}

pub(super) async fn numbers_and_keys_come_back_as_they_were_written(subject: &Subject) {
    let values = [
        "0.1",
        "-0",
        "-0.0",
        "1.0",
        "1.10",
        "1E2",
        "5e-324",
        "1.7976931348623157e308",
        "9007199254740993",
        "-9223372036854775808",
        "18446744073709551615",
        "12345678901234567890",
        "123456789012345678901234567890",
        r#"{"z":0.30000000000000004,"a":100,"10":1,"9":2}"#,
        r#"[ 1 , { "a" : 2 } ]"#,
        r#""\u0041\/""#,
        // No double is that large.
        "1e400",
    ];
    come_back(subject, &values[..values.len() - usize::from(!subject.keeps.text)]).await;
}

pub(super) async fn stored_null_is_a_value(subject: &Subject) {
    let worker = subject.worker().await;
    let i = key("s", "g", "i");
    assert_eq!(worker.set("s", "g", "i", Value::Null).await, json!({"old_value": null, "new_value": null}));
    worker.set("s", "g", "j", json!(1)).await;
    assert_eq!(worker.call("stream::get", i.clone()).await, Ok(Some(Value::Null)));
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([null, 1]));
    assert_eq!(worker.set("s", "g", "i", json!(2)).await, json!({"old_value": null, "new_value": 2}));
    assert_eq!(worker.set("s", "g", "i", Value::Null).await, json!({"old_value": 2, "new_value": null}));
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([null, 1]), "it kept its place");
    assert_eq!(worker.result("stream::delete", i.clone()).await, json!({"old_value": null}));
    assert_eq!(worker.call("stream::get", i).await, Ok(None));
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([1]));
}

pub(super) async fn changes_from_and_to_null_are_told(subject: &Subject) {
    let worker = subject.worker().await;
    let mut item = Subscriber::open(subject.watcher(), "/stream/s/g/i").await;
    assert_eq!(item.sync().await, Value::Null);
    for data in [json!(null), json!(1), json!(null)] {
        worker.void("stream::set", write("s", "g", "i", data));
    }
    worker.void("stream::delete", key("s", "g", "i"));
    worker.void("stream::set", write("s", "g", "i", json!("end")));
    let told = [("create", json!(null)), ("update", json!(1)), ("update", json!(null)), ("delete", json!(null)), ("create", json!("end"))];
    let told_without_null = [("create", json!(null)), ("create", json!(1)), ("update", json!(null)), ("create", json!("end"))];
    for (word, data) in if subject.keeps.null { &told[..] } else { &told_without_null[..] } {
        assert_eq!(item.next_event().await, json!({"type": word, "data": data}));
    }
}

pub(super) async fn value_of_a_mebibyte_comes_back_whole(subject: &Subject) {
    let text = format!(r#""{}""#, "x".repeat(1 << 20));
    let numbers = format!("[{}]", (0..150_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    come_back(subject, &[&text, &numbers]).await;
}

pub(super) async fn deepest_value_comes_back(subject: &Subject) {
    let arrays = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let objects = format!("{}1{}", r#"{"a":"#.repeat(119), "}".repeat(119));
    // The snapshot of the group puts them into one more array; a client takes 128 levels.
    come_back(subject, &[&arrays, &objects]).await;
}
