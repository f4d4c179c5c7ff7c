//! `stream::update`: on every backend what the operations do to a value in memory. What that is, the tests of `weir_actors::ops` hold.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use weir_actors::json::Json;
use weir_actors::store::output;

use super::subject::Subject;
use super::text;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, key, write};

/// Not reached here.
const LIMIT: usize = 16 << 20;

/// One item, and what it must hold.
struct Item<'a> {
    subject: &'a Subject,
    worker: &'a Worker,
    name: &'a str,
    /// The text that was answered last; `None` where there is no item.
    held: Option<Box<RawValue>>,
}

impl Item<'_> {
    fn input(&self, more: &str) -> String {
        format!(r#"{{"stream_name":"s","group_id":"g","item_id":"{}"{more}}}"#, self.name)
    }

    async fn set(&mut self, value: &Value) {
        let mut result = text::parts(self.worker, "stream::set", &self.input(&format!(r#","data":{value}"#))).await;
        self.subject.assert_kept(result["old_value"].get(), self.held.as_ref().map_or("null", |held| held.get()));
        self.held = result.remove("new_value");
    }

    async fn delete(&mut self) {
        let result = text::parts(self.worker, "stream::delete", &self.input("")).await;
        self.subject.assert_kept(result["old_value"].get(), self.held.as_ref().map_or("null", |held| held.get()));
        self.held = None;
    }

    /// Updates the item and compares with the pure function; the codes of the operations that failed.
    async fn update(&mut self, ops: &Value) -> Vec<String> {
        let raw: Box<RawValue> = serde_json::from_str(&ops.to_string()).unwrap();
        let seen = self.held.as_ref().filter(|held| self.subject.keeps.null || held.get() != "null");
        let old = seen.map(|held| Json::copy(held));
        let (new, errors) = output::updated(old.as_ref(), &weir_actors::ops::parse(&raw).unwrap(), LIMIT).unwrap();
        let mut result = text::parts(self.worker, "stream::update", &self.input(&format!(r#","ops":{ops}"#))).await;
        let owned = |json: &Json| String::from_utf8(json.as_bytes().to_vec()).unwrap();
        self.subject.assert_kept(result["old_value"].get(), old.as_ref().map_or("null", |_| seen.unwrap().get()));
        self.subject.assert_kept(result["new_value"].get(), &owned(&new));
        let failed = result.get("errors").map(|errors| errors.get().to_owned());
        assert_eq!(failed, errors.as_ref().map(owned), "{ops} on {old:?}");
        self.held = result.remove("new_value");
        let got = text::call(self.worker, "stream::get", &self.input("")).await;
        self.subject.assert_kept(&got.unwrap(), self.held.as_ref().unwrap().get());
        let failed: Vec<Value> = failed.map_or_else(Vec::new, |failed| serde_json::from_str(&failed).unwrap());
        failed.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }
}

pub(super) async fn every_operation_does_what_it_does_to_a_value_in_memory(subject: &Subject) {
    let worker = subject.worker().await;
    let values =
        [json!(5), json!("s"), json!([1]), json!({"n": 1, "s": "t", "l": [1], "o": {"p": {}}, "null": null}), json!(0.5), json!(true)];
    let paths = [
        None,
        Some(json!(null)),
        Some(json!("")),
        Some(json!([])),
        Some(json!("n")),
        Some(json!("s")),
        Some(json!(["l"])),
        Some(json!("null")),
        Some(json!({"0": "o"})),
        Some(json!("new.key")),
        Some(json!(["o", "p", "q"])),
        Some(json!(["n", "m"])),
        Some(json!("__proto__")),
        Some(json!(["o", ""])),
        Some(json!("x".repeat(257))),
        Some(json!(vec!["a"; 33])),
    ];
    let bodies = [
        json!({"type": "set", "value": {"k": [1]}}),
        json!({"type": "set", "value": null}),
        json!({"type": "merge", "value": {"n": 2, "k": {}}}),
        json!({"type": "merge", "value": [1]}),
        json!({"type": "increment", "by": 2}),
        json!({"type": "increment", "by": 0.25}),
        json!({"type": "decrement", "by": 3}),
        json!({"type": "append", "value": "x"}),
        json!({"type": "append", "value": {"k": 1}}),
        json!({"type": "remove"}),
    ];
    let mut codes = BTreeSet::new();
    for body in &bodies {
        for path in &paths {
            let mut op = body.clone();
            if let Some(path) = path {
                op["path"] = path.clone();
            }
            let mut item = Item { subject, worker: &worker, name: "i", held: None };
            codes.extend(item.update(&json!([op])).await);
            for value in &values {
                item.set(value).await;
                codes.extend(item.update(&json!([op, op])).await);
            }
            item.delete().await;
        }
    }
    for code in
        ["set.target_not_object", "increment.not_number", "append.type_mismatch", "merge.path.too_deep", "remove.path.proto_polluted"]
    {
        assert!(codes.contains(code), "{codes:?}");
    }
}

fn value(random: &mut StdRng, levels: usize) -> Value {
    let names = ["a", "b", "c", ""];
    match random.random_range(0..if levels == 0 { 8 } else { 10 }) {
        0 => Value::Null,
        1 => random.random::<bool>().into(),
        2 => random.random::<i64>().into(),
        3 => random.random::<u64>().into(),
        4 => random.random_range(-1e3..1e3).into(),
        5 => [1e300, 5e-324, 0.1, -0.0, 1e21, 1e-7].choose(random).copied().unwrap().into(),
        6 => random.random_range(-9..10).into(),
        7 => ["", "a", "\"\u{0}😀"].choose(random).copied().unwrap().into(),
        8 => (0..random.random_range(0..4)).map(|_| value(random, levels - 1)).collect(),
        _ => Value::Object(
            (0..random.random_range(0..4)).map(|_| (names.choose(random).unwrap().to_string(), value(random, levels - 1))).collect(),
        ),
    }
}

fn op(random: &mut StdRng) -> Value {
    let word = ["set", "merge", "increment", "decrement", "append", "remove"].choose(random).unwrap();
    let mut op = json!({"type": word});
    let mut name = || *["a", "a", "b", "b", "c", "c", "", "__proto__"].choose(random).unwrap();
    let (one, other) = (name(), name());
    op["path"] = match random.random_range(0..6) {
        0 => Value::Null,
        1 | 2 => json!(one),
        3 => json!([one]),
        4 => json!([one, other]),
        _ => json!({"0": one}),
    };
    let by = if random.random_bool(0.8) { json!(random.random_range(-5..6)) } else { value(random, 0) };
    op["by"] = if by.is_number() { by } else { json!(1) };
    op["value"] = value(random, 3);
    op
}

pub(super) async fn random_operations_do_what_they_do_to_a_value_in_memory(subject: &Subject) {
    let worker = subject.worker().await;
    let mut random = StdRng::seed_from_u64(5);
    let mut items: Vec<_> = ["i", "j", "k"].map(|name| Item { subject, worker: &worker, name, held: None }).into();
    for _ in 0..400 {
        let item = &mut items[random.random_range(0..3)];
        match random.random_range(0..10) {
            0 => item.set(&value(&mut random, 3)).await,
            1 => item.delete().await,
            _ => {
                let ops: Vec<Value> = (0..random.random_range(0..5)).map(|_| op(&mut random)).collect();
                item.update(&json!(ops)).await;
            }
        }
    }
}

pub(super) async fn update_of_null_is_an_update_of_null(subject: &Subject) {
    let worker = subject.worker().await;
    worker.set("s", "g", "i", Value::Null).await;
    let mut update = key("s", "g", "i");
    update["ops"] = json!([{"type": "increment", "by": 1}]);
    let result = worker.result("stream::update", update).await;
    if subject.keeps.null {
        assert_eq!((&result["new_value"], &result["errors"][0]["code"]), (&Value::Null, &json!("increment.not_number")));
    } else {
        assert_eq!(result, json!({"old_value": null, "new_value": 1}));
    }
}

pub(super) async fn updates_of_two_workers_are_all_counted(subject: &Subject) {
    let (one, other) = (subject.worker().await, subject.other().await);
    let (mut subscriber, _) = Subscriber::of(subject.watcher(), "s", "g").await;
    let mut update = write("s", "g", "i", Value::Null);
    update["ops"] = json!([{"type": "increment", "path": "n", "by": 1}]);
    let calls = (0..100).flat_map(|_| [&one, &other]).map(|worker| worker.result("stream::update", update.clone()));
    let mut counted: Vec<u64> = join_all(calls).await.iter().map(|result| result["new_value"]["n"].as_u64().unwrap()).collect();
    counted.sort_unstable();
    assert_eq!(counted, (1..=200).collect::<Vec<_>>(), "each call saw a number of its own");
    for n in 1..=200 {
        assert_eq!(subscriber.next_event().await["data"], json!({"n": n}));
    }
    assert_eq!(other.result("stream::get", key("s", "g", "i")).await, json!({"n": 200}));
}
