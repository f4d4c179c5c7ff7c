use serde_json::{Value, json};
use weir_actors::json::Json;
use weir_actors::settings::Settings;
use weir_actors::streams::{Error, Ops, Told};

use crate::{Person, person, soon, start};

#[tokio::test]
async fn items_are_written_read_and_listed_as_what_they_are() {
    let streams = start(Settings::default()).await;
    let room = streams.group::<Person>("presence", "room-1");
    assert_eq!(room.set("bob", &person("bob", 1)).await.unwrap(), None);
    assert_eq!(room.set("alice", &person("alice", 1)).await.unwrap(), None);
    assert_eq!(room.set("bob", &person("bob", 2)).await.unwrap(), Some(person("bob", 1)));
    assert_eq!(streams.get("presence", "room-1", "bob").await.unwrap(), Some(person("bob", 2)));
    assert_eq!(room.get("carol").await.unwrap(), None);
    assert_eq!(room.list().await.unwrap(), [person("bob", 2), person("alice", 1)]);
    assert_eq!(streams.set("chat", "b", "1", "hello").await.unwrap(), None);
    assert_eq!(streams.set("chat", "a", "1", &7).await.unwrap(), None);
    let seven = streams.set("chat", "a", "1", "hello").await.unwrap();
    assert_eq!(seven.map(|seven| seven.parse::<u8>().unwrap()), Some(7));
    assert_eq!(
        streams.list_all().await.unwrap(),
        [("chat".to_owned(), vec!["a".to_owned(), "b".to_owned()]), ("presence".to_owned(), vec!["room-1".to_owned()])]
    );
    assert_eq!(streams.stream::<String>("chat").groups().await.unwrap(), ["a", "b"]);
    assert_eq!(room.delete("bob").await.unwrap(), Some(person("bob", 2)));
    assert_eq!(room.delete("bob").await.unwrap(), None);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn update_changes_an_item_in_one_step_and_tells_what_it_skipped() {
    let streams = start(Settings::default()).await;
    let room = streams.group::<Value>("s", "g");
    let ops = Ops::new().increment("n", 2).set("name", "é").append(["log", "all"], "x").merge("deep", json!({"a": 1}));
    let updated = room.update("i", ops).await.unwrap();
    assert_eq!((updated.old, updated.errors), (None, vec![]));
    assert_eq!(updated.new, json!({"n": 2, "name": "é", "log": {"all": ["x"]}, "deep": {"a": 1}}));
    let updated = room.update("i", Ops::new().decrement("n", 3).increment("name", 1).remove("log")).await.unwrap();
    assert_eq!(updated.new, json!({"n": -1, "name": "é", "deep": {"a": 1}}));
    let codes: Vec<_> = updated.errors.iter().map(|error| (error.op_index, &*error.code)).collect();
    assert_eq!(codes, [(1, "increment.not_number")]);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn calls_of_one_program_are_applied_in_their_order() {
    let streams = start(Settings::default()).await;
    let writes: Vec<_> = (0..1_000_u32).map(|n| streams.set("s", "g", "i", &n)).collect();
    // In whatever order they are waited for.
    let mut olds = Vec::new();
    for write in writes.into_iter().rev() {
        olds.insert(0, soon(write).await.unwrap().map(|old| old.parse::<u32>().unwrap()));
    }
    assert_eq!(olds, (0..1_000_u32).map(|n| n.checked_sub(1)).collect::<Vec<_>>());
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_limit() {
    let mut settings = Settings::default();
    settings.stream.max_value_bytes = 100;
    let streams = start(settings).await;
    for (name, value, limit) in [("x".repeat(513), "1", "max_name_bytes"), ("i".to_owned(), &*"x".repeat(99), "max_value_bytes")] {
        let error = streams.set("s", "g", &name, &Json::write(value).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains(limit), "{error}");
        assert_eq!(error.code(), Some("deserialization_error"));
    }
    let error = streams.set("s", "g", "i", &std::collections::BTreeMap::from([((1, 2), 3)])).await.unwrap_err();
    assert!(matches!(error, Error::Encode { .. }), "{error}");
    streams.set("s", "g", "i", &7).await.unwrap();
    let error = streams.get::<String>("s", "g", "i").await.unwrap_err();
    assert!(matches!(&error, Error::Decode { .. }) && error.to_string().starts_with("item 'i' does not have the shape"), "{error}");
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn value_that_would_be_parsed_without_bound_is_not_parsed() {
    let streams = start(Settings::default()).await;
    // What a worker may send as text, and a program must not trip over when it reads it as any value.
    let text = Json::write(&std::collections::BTreeMap::from([("$serde_json::private::RawValue", "[1]")])).unwrap();
    streams.set("s", "g", "i", &text).await.unwrap();
    let error = streams.get::<Value>("s", "g", "i").await.unwrap_err();
    assert!(error.to_string().contains("is not taken here"), "{error}");
    let mut told = streams.subscribe::<Value>("s", "g");
    assert!(matches!(soon(futures_util::StreamExt::next(&mut told)).await, Some(Ok(Told::State(state))) if state.items.is_empty()));
    let error = soon(futures_util::StreamExt::next(&mut told)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("is not taken here"), "{error}");
    streams.set("s", "g", "i", &text).await.unwrap();
    let error = soon(futures_util::StreamExt::next(&mut told)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("is not taken here"), "{error}");
    soon(streams.shutdown()).await;
}
