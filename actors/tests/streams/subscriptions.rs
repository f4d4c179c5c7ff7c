use futures_util::StreamExt;
use serde_json::{Value, json};
use weir_actors::settings::Settings;
use weir_actors::streams::{Error, Event, Placement, Streams, Subscription, Told};

use crate::{Person, person, soon, start};

async fn next<T: serde::de::DeserializeOwned>(subscription: &mut Subscription<T>) -> Told<T> {
    soon(subscription.next()).await.expect("it has ended").unwrap()
}

async fn event<T: serde::de::DeserializeOwned>(subscription: &mut Subscription<T>) -> (Option<String>, Event<T>) {
    match next(subscription).await {
        Told::Change(change) => (change.item, change.event),
        Told::State(_) => panic!("a state"),
    }
}

#[tokio::test]
async fn subscription_begins_with_the_state_and_tells_every_change() {
    let streams = start(Settings::default()).await;
    let room = streams.group::<Person>("presence", "room-1");
    room.set("alice", &person("alice", 1)).await.unwrap();
    let mut told = room.subscribe();
    let Told::State(state) = next(&mut told).await else { panic!("no state") };
    assert_eq!(state.items, [("alice".to_owned(), person("alice", 1))]);
    room.set("alice", &person("alice", 2)).await.unwrap();
    room.set("bob", &person("bob", 1)).await.unwrap();
    room.delete("alice").await.unwrap();
    room.send("typing", &json!({"who": "bob"})).await.unwrap();
    assert_eq!(event(&mut told).await, (Some("alice".into()), Event::Update(person("alice", 2))));
    assert_eq!(event(&mut told).await, (Some("bob".into()), Event::Create(person("bob", 1))));
    assert_eq!(event(&mut told).await, (Some("alice".into()), Event::Delete(person("alice", 2))));
    let (None, Event::Custom { name, data }) = event(&mut told).await else { panic!("no event") };
    assert_eq!((&*name, data.parse::<Value>().unwrap()), ("typing", json!({"who": "bob"})));
    soon(streams.shutdown()).await;
    assert!(soon(told.next()).await.is_none());
}

#[tokio::test]
async fn slow_reader_gets_the_state_anew_and_ends_with_what_is() {
    let mut settings = Settings::default();
    settings.stream.outbox_bytes = 10_000;
    let streams = start(settings).await;
    let mut told = streams.subscribe::<u32>("s", "g");
    assert!(matches!(next(&mut told).await, Told::State(state) if state.items.is_empty()));
    for n in 1..=1_000_u32 {
        streams.set("s", "g", "i", &n).await.unwrap();
    }
    let (mut last, mut states) = (0, 0);
    while last < 1_000 {
        match next(&mut told).await {
            Told::State(state) => {
                states += 1;
                last = state.items[0].1;
            }
            Told::Change(change) => {
                let (Event::Create(n) | Event::Update(n)) = change.event else { panic!("{change:?}") };
                assert_eq!(n, last + 1, "a gap");
                last = n;
            }
        }
    }
    assert_eq!(states, 1);
    streams.set("s", "g", "i", &1_001_u32).await.unwrap();
    assert_eq!(event(&mut told).await.1, Event::Update(1_001));
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn value_of_another_type_is_an_error_and_not_the_end() {
    let streams = start(Settings::default()).await;
    let mut told = streams.subscribe::<u32>("s", "g");
    next(&mut told).await;
    streams.set("s", "g", "i", "text").await.unwrap();
    streams.set("s", "g", "j", &5_u32).await.unwrap();
    let error = soon(told.next()).await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Decode { what, .. } if what == "item 'i' of group 'g' in stream 's'"), "{error}");
    assert_eq!(event(&mut told).await, (Some("j".into()), Event::Create(5)));
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn items_of_another_type_are_named_and_hide_no_others() {
    let streams = start(Settings::default()).await;
    streams.set("s", "g", "a", &1_u32).await.unwrap();
    streams.set("s", "g", "b", "text").await.unwrap();
    streams.set("s", "g", "c", &[1]).await.unwrap();
    streams.set("s", "g", "d", &4_u32).await.unwrap();
    let mut told = streams.subscribe::<u32>("s", "g");
    let Told::State(state) = next(&mut told).await else { panic!("no state") };
    assert_eq!(state.items, [("a".to_owned(), 1), ("d".to_owned(), 4)]);
    for item in ["item 'b'", "item 'c'"] {
        let error = soon(told.next()).await.unwrap().unwrap_err();
        assert!(matches!(&error, Error::Decode { what, .. } if what == item), "{error}");
    }
    streams.set("s", "g", "b", &2_u32).await.unwrap();
    assert_eq!(event(&mut told).await, (Some("b".into()), Event::Update(2)));
    let error = soon(streams.list::<u32>("s", "g")).await.unwrap_err();
    assert!(error.to_string().starts_with("item 2, from 0, of group 'g' in stream 's' does not have the shape"), "{error}");
    assert_eq!(soon(streams.list::<weir_actors::json::Json>("s", "g")).await.unwrap().len(), 4);
    soon(streams.shutdown()).await;
}

#[test]
fn events_right_after_the_subscription_are_told_in_order() {
    // On one thread, so that nothing of the subscription has run before the calls.
    actix_rt::System::new().block_on(async {
        let streams = Streams::builder().placement(Placement::Here).start().await.unwrap();
        let mut told = streams.subscribe::<Value>("s", "g");
        let sent: Vec<_> = (0..100).map(|n| streams.send("s", "g", "counted", &n)).collect();
        assert!(matches!(next(&mut told).await, Told::State(_)));
        for n in 0..100 {
            let (None, Event::Custom { data, .. }) = event(&mut told).await else { panic!("no event") };
            assert_eq!(data.parse::<u32>().unwrap(), n);
        }
        for sent in sent {
            soon(sent).await.unwrap();
        }
        soon(streams.shutdown()).await;
    });
}

#[tokio::test]
async fn subscriptions_while_others_write_have_no_gap() {
    let streams = start(Settings::default()).await;
    let writer = {
        let streams = streams.clone();
        tokio::spawn(async move {
            for n in 1..=5_000_u32 {
                streams.set("s", "g", "i", &n).await.unwrap();
            }
        })
    };
    let readers = (0..20).map(|_| {
        let mut told = streams.subscribe::<u32>("s", "g");
        tokio::spawn(async move {
            let mut last = None;
            loop {
                match next(&mut told).await {
                    Told::State(state) => last = Some(state.items.first().map_or(0, |(_, n)| *n)),
                    Told::Change(change) => {
                        let (Event::Create(n) | Event::Update(n)) = change.event else { panic!("{change:?}") };
                        assert_eq!(Some(n), last.map(|last| last + 1));
                        last = Some(n);
                    }
                }
                if last == Some(5_000) {
                    return;
                }
            }
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    writer.await.unwrap();
    soon(streams.shutdown()).await;
}
