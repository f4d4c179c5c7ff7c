use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;
use weir_actors::settings::Settings;
use weir_actors::streams::{Change, Event, HandlerError, Watch};

use crate::{Person, person, soon, start, until};

#[tokio::test]
async fn changes_are_handled_in_order_and_one_at_a_time() {
    let streams = start(Settings::default()).await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let at_once = Arc::<AtomicUsize>::default();
    streams.set("s", "g", "i", &0_u32).await.unwrap();
    let running = at_once.clone();
    let registration = streams
        .on_change(Watch::stream("s").group("g"), move |change: Change<u32>| {
            let (sender, running) = (sender.clone(), running.clone());
            async move {
                assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two at a time");
                tokio::task::yield_now().await;
                running.fetch_sub(1, Ordering::SeqCst);
                sender.send(change.event).unwrap();
                Ok(())
            }
        })
        .unwrap();
    for n in 1..=500_u32 {
        streams.set("s", "g", "i", &n).await.unwrap();
        streams.set("s", "another", "i", &n).await.unwrap();
        streams.set("another", "g", "i", &n).await.unwrap();
    }
    for n in 1..=500_u32 {
        assert_eq!(soon(handled.recv()).await, Some(Event::Update(n)));
    }
    registration.end();
    streams.set("s", "g", "i", &501_u32).await.unwrap();
    // The handler is dropped with what it holds, and with nothing in its channel.
    assert_eq!(soon(handled.recv()).await, None);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn handler_that_fails_or_panics_is_called_again() {
    let streams = start(Settings::default()).await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let handler = move |change: Change<Person>| {
        let sender = sender.clone();
        async move {
            let Event::Create(person) = change.event else { return Err(HandlerError::new("no", "no")) };
            sender.send(person.seen).unwrap();
            match person.seen {
                1 => Err(HandlerError::new("one", "is refused")),
                2 => panic!("as it is meant to"),
                _ => Ok(()),
            }
        }
    };
    streams.on_change(Watch::stream("s"), handler).unwrap();
    for seen in 1..=3 {
        let id = seen.to_string();
        streams.set("s", "g", &id, &person(&id, seen)).await.unwrap();
        assert_eq!(soon(handled.recv()).await, Some(seen));
    }
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn all_streams_at_once_cannot_be_watched_for_changes() {
    let streams = start(Settings::default()).await;
    let error = streams.on_change(Watch::everything(), async |_: Change<u32>| Ok(())).unwrap_err();
    assert_eq!(error.code(), Some("trigger_registration_failed"));
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn empty_name_is_a_name() {
    let streams = start(Settings::default()).await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let told = move |change: Change<u32>| {
        let sender = sender.clone();
        async move {
            sender.send((change.group, change.event))?;
            Ok(())
        }
    };
    streams.on_change(Watch::stream("s").group(""), told.clone()).unwrap();
    streams.on_change(Watch::stream("").group("g").item(""), told).unwrap();
    for (stream, group, item, n) in [("s", "g", "i", 1), ("s", "", "i", 2), ("", "g", "i", 3), ("", "g", "", 4)] {
        streams.set(stream, group, item, &n).await.unwrap();
    }
    let mut told = [soon(handled.recv()).await.unwrap(), soon(handled.recv()).await.unwrap()];
    // They are of two triggers, and so in no order.
    told.sort_by_key(|(group, _)| group.len());
    assert_eq!(told, [("".to_owned(), Event::Create(2)), ("g".to_owned(), Event::Create(4))]);
    soon(streams.shutdown()).await;
    assert_eq!(handled.recv().await, None);
}

#[tokio::test]
async fn handler_that_writes_is_not_waited_for_by_its_own_write() {
    let streams = start(Settings::default()).await;
    let weak = streams.downgrade();
    let mirror = move |change: Change<u32>| {
        let weak = weak.clone();
        async move {
            let Event::Create(n) = change.event else { return Ok(()) };
            let streams = weak.upgrade().ok_or_else(|| HandlerError::new("gone", "the system has stopped"))?;
            streams.set("mirror", &change.group, change.item.as_deref().unwrap_or_default(), &n).await?;
            Ok(())
        }
    };
    streams.on_change(Watch::stream("s"), mirror).unwrap();
    let mut told = streams.subscribe::<u32>("mirror", "g");
    streams.set("s", "g", "i", &7_u32).await.unwrap();
    loop {
        let told = soon(futures_util::StreamExt::next(&mut told)).await.unwrap().unwrap();
        match told {
            weir_actors::streams::Told::State(state) if state.items.is_empty() => {}
            weir_actors::streams::Told::State(state) => break assert_eq!(state.items, [("i".to_owned(), 7)]),
            weir_actors::streams::Told::Change(change) => break assert_eq!(change.event, Event::Create(7)),
        }
    }
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn events_that_wait_for_a_trigger_that_ends_are_dropped_and_counted() {
    let streams = start(Settings::default()).await;
    let (sender, mut handled) = mpsc::unbounded_channel();
    let hangs = move |_: Change<u32>| {
        sender.send(()).unwrap();
        std::future::pending::<Result<(), HandlerError>>()
    };
    let registration = streams.on_change(Watch::stream("s"), hangs).unwrap();
    for n in 0..10_u32 {
        streams.set("s", "g", "i", &n).await.unwrap();
    }
    soon(handled.recv()).await.unwrap();
    until(|| streams.snapshot().events_waiting == 9).await;
    registration.end();
    until(|| streams.snapshot().events_dropped == 9).await;
    assert_eq!(streams.snapshot().events_waiting, 0);
}
