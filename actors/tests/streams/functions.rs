use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use weir_actors::settings::Settings;
use weir_actors::streams::{HandlerError, Registration, Streams};

use crate::{Person, person, soon, start};

#[tokio::test]
async fn function_is_called_with_its_types_and_ends_when_it_is_ended() {
    let streams = start(Settings::default()).await;
    let add = streams.register_function("math::add", async |(left, right): (i64, i64)| Ok(left + right)).unwrap();
    assert_eq!(soon(streams.invoke::<_, i64>("math::add", &(2, 3))).await.unwrap(), 5);
    let error = soon(streams.invoke::<_, i64>("math::add", "x")).await.unwrap_err();
    assert_eq!(error.code(), Some("deserialization_error"));
    let error = soon(streams.invoke::<_, String>("math::add", &(2, 3))).await.unwrap_err();
    assert!(error.to_string().starts_with("the result does not have the shape"), "{error}");
    let listed: Value = streams.invoke("engine::workers::list", &json!({})).await.unwrap();
    assert_eq!((&listed["workers"][0]["name"], &listed["workers"][0]["functions"]), (&json!("host"), &json!(["math::add"])));
    add.end();
    assert_eq!(soon(streams.invoke::<_, i64>("math::add", &(2, 3))).await.unwrap_err().code(), Some("function_not_found"));
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn names_of_weirs_own_are_refused() {
    let streams = start(Settings::default()).await;
    for id in ["stream::set", "engine::log::info", "stream::disconnect"] {
        let error = streams.register_function(id, async |(): ()| Ok(())).unwrap_err();
        assert_eq!(error.code(), Some("registration_refused"), "{error}");
    }
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn panic_and_failure_are_answers_and_leave_nothing_under_way() {
    let mut settings = Settings::default();
    settings.worker.max_invocations = 1;
    let streams = start(settings).await;
    streams.register_function("panics", async |(): ()| -> Result<(), HandlerError> { panic!("as it is meant to") }).unwrap();
    streams.register_function("fails", async |(): ()| Err::<(), _>(HandlerError::new("teapot", "short and stout"))).unwrap();
    for (function, code) in [("panics", "invocation_failed"), ("fails", "teapot")].repeat(3) {
        assert_eq!(soon(streams.invoke::<_, ()>(function, &())).await.unwrap_err().code(), Some(code));
    }
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn call_that_takes_too_long_is_answered_and_leaves_nothing_under_way() {
    let mut settings = Settings::default();
    settings.worker.invocation_timeout = Duration::from_millis(300);
    settings.worker.max_invocations = 1;
    let streams = start(settings).await;
    streams.register_function("hangs", async |(): ()| -> Result<(), HandlerError> { std::future::pending().await }).unwrap();
    for _ in 0..2 {
        assert_eq!(soon(streams.invoke::<_, ()>("hangs", &())).await.unwrap_err().code(), Some("invocation_timeout"));
    }
    let (one, two) = tokio::join!(streams.invoke::<_, ()>("hangs", &()), streams.invoke::<_, ()>("hangs", &()));
    let codes = [one.unwrap_err(), two.unwrap_err()].map(|error| error.code().map(str::to_owned));
    assert_eq!(codes, [Some("invocation_timeout".to_owned()), Some("overloaded".to_owned())]);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn stream_is_served_in_place_of_the_store() {
    let streams = start(Settings::default()).await;
    let sets = Arc::<AtomicUsize>::default();
    let counted = sets.clone();
    let set = move |_input: Value| {
        counted.fetch_add(1, Ordering::Relaxed);
        async { Ok(json!({"old_value": null, "new_value": {"id": "alice", "seen": 9}})) }
    };
    streams.register_function("stream::set(people)", set).unwrap();
    streams.register_function("stream::get(people)", async |_input: Value| Ok(None::<Person>)).unwrap();
    let people = streams.group::<Person>("people", "all");
    assert_eq!(soon(people.set("alice", &person("alice", 1))).await.unwrap(), None);
    assert_eq!(soon(people.get("alice")).await.unwrap(), None);
    assert_eq!(sets.load(Ordering::Relaxed), 1);
    assert_eq!(soon(streams.set("others", "all", "alice", &person("alice", 1))).await.unwrap(), None);
    assert_eq!(sets.load(Ordering::Relaxed), 1);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn function_that_serves_a_stream_reads_it_and_sends_events_to_it() {
    let streams = start(Settings::default()).await;
    let weak = streams.downgrade();
    let set = move |_input: Value| {
        let streams = weak.upgrade().unwrap();
        async move {
            let old: Option<u32> = streams.get("people", "all", "alice").await?;
            let groups = streams.list_groups("people").await?;
            let all = streams.list_all().await?;
            streams.send("people", "all", "setting", &(groups.len(), all.len())).await?;
            streams.invoke::<_, Vec<u32>>("stream::list", &json!({"stream_name": "people", "group_id": "all"})).await?;
            Ok(json!({"old_value": old, "new_value": 7}))
        }
    };
    streams.register_function("stream::set(people)", set).unwrap();
    // It would fail after `join_timeout`.
    assert_eq!(soon(streams.set("people", "all", "alice", &7)).await.unwrap(), None);
    soon(streams.shutdown()).await;
}

#[test]
fn handles_work_without_a_runtime_of_their_own() {
    // futures-executor has neither timers nor tasks: whatever waits, waits in the threads of the system.
    let streams = futures_executor::block_on(Streams::builder().start()).unwrap();
    streams.register_function("twice", async |n: u32| Ok(n * 2)).unwrap();
    let twice = futures_executor::block_on(async {
        streams.set("s", "g", "i", &1).await.unwrap();
        streams.invoke::<_, u32>("twice", &21).await.unwrap()
    });
    assert_eq!(twice, 42);
    futures_executor::block_on(streams.shutdown());
}

#[tokio::test]
async fn registration_that_was_replaced_ends_nothing() {
    let streams = start(Settings::default()).await;
    let one = streams.register_function("f", async |(): ()| Ok(1)).unwrap();
    let two = streams.register_function("f", async |(): ()| Ok(2)).unwrap();
    one.end();
    assert_eq!(soon(streams.invoke::<_, u8>("f", &())).await.unwrap(), 2);
    two.end();
    assert_eq!(soon(streams.invoke::<_, u8>("f", &())).await.unwrap_err().code(), Some("function_not_found"));
    soon(streams.shutdown()).await;
}

/// Ends what it holds when it is dropped.
struct Ends(Option<Registration>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.take().unwrap().end();
    }
}

#[test]
fn what_a_function_holds_may_end_another_when_it_is_dropped() {
    // On a thread of its own: where it waits for itself, it waits for ever.
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let streams = futures_executor::block_on(Streams::builder().start()).unwrap();
        let register = |id: &str, holds: Ends| {
            let function = move |(): ()| {
                let _ = &holds;
                std::future::ready(Ok(1))
            };
            streams.register_function(id, function).unwrap()
        };
        let other = |id: &str| Ends(Some(streams.register_function(id, async |(): ()| Ok(1)).unwrap()));
        drop(register("replaced", other("a")));
        streams.register_function("replaced", async |(): ()| Ok(2)).unwrap();
        register("ended", other("b")).end();
        for id in ["a", "b"] {
            let error = futures_executor::block_on(streams.invoke::<_, u8>(id, &())).unwrap_err();
            assert_eq!(error.code(), Some("function_not_found"));
        }
        done.send(()).unwrap();
    });
    ended.recv_timeout(crate::DEADLINE).unwrap();
}
