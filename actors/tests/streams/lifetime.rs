use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use weir_actors::adapter::memory::Memory;
use weir_actors::adapter::{Adapter, AdapterError, Head, Items, Read, Write};
use weir_actors::ids::{GroupKey, ItemKey, Name};
use weir_actors::json::Json;
use weir_actors::settings::Settings;
use weir_actors::streams::{Change, Error, Placement, StartError, Streams, Told, Watch};

use crate::{DEADLINE, soon, start};

#[tokio::test]
async fn systems_in_one_process_do_not_meet() {
    let (one, two) = (start(Settings::default()).await, start(Settings::default()).await);
    one.set("s", "g", "i", &1).await.unwrap();
    assert_eq!(two.get::<u8>("s", "g", "i").await.unwrap(), None);
    one.register_function("f", async |(): ()| Ok(1)).unwrap();
    assert_eq!(two.invoke::<_, u8>("f", &()).await.unwrap_err().code(), Some("function_not_found"));
    soon(one.shutdown()).await;
    two.set("s", "g", "i", &2).await.unwrap();
    soon(two.shutdown()).await;
}

#[tokio::test]
async fn last_handle_ends_what_runs_and_drops_what_is_held() {
    let held = Arc::new(());
    let streams = start(Settings::default()).await;
    let (in_function, in_trigger) = (held.clone(), held.clone());
    streams.register_function("f", move |(): ()| std::future::ready(Ok(Arc::strong_count(&in_function)))).unwrap();
    let handler = move |_: Change<u8>| {
        let held = in_trigger.clone();
        async move {
            drop(held);
            Ok(())
        }
    };
    streams.on_change(Watch::stream("s"), handler).unwrap();
    let mut told = streams.subscribe::<u8>("s", "g");
    assert!(matches!(soon(told.next()).await, Some(Ok(Told::State(_)))));
    let (weak, clone) = (streams.downgrade(), streams.clone());
    drop(streams);
    clone.set("s", "g", "i", &1).await.unwrap();
    drop(clone);
    assert!(weak.upgrade().is_none());
    while soon(told.next()).await.is_some() {}
    let ended = async {
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    };
    soon(ended).await;
}

#[cfg(feature = "rocksdb")]
#[tokio::test]
async fn folder_is_free_when_the_system_has_ended_either_way() {
    use weir_actors::adapter::file::{FileOptions, FileStore};

    let folder = tempfile::tempdir().unwrap();
    let open = || FileStore::open(folder.path(), FileOptions::default());
    let start = async |store| Streams::builder().adapter(store).start().await.unwrap();
    let streams = start(open().unwrap()).await;
    streams.set("s", "g", "i", &1).await.unwrap();
    assert!(open().is_err(), "two stores in one folder");
    soon(streams.shutdown()).await;
    let streams = start(open().unwrap()).await;
    assert_eq!(streams.get("s", "g", "i").await.unwrap(), Some(1));
    drop(streams);
    let freed = async {
        while open().is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(freed).await;
}

#[tokio::test]
async fn calls_after_the_end_say_so() {
    let streams = start(Settings::default()).await;
    let other = streams.clone();
    soon(streams.shutdown()).await;
    soon(other.shutdown()).await;
    assert!(matches!(other.set("s", "g", "i", &1).await, Err(Error::Closed)));
    assert!(matches!(other.invoke::<_, ()>("f", &()).await, Err(Error::Closed)));
    assert!(matches!(other.register_function("f", async |(): ()| Ok(())), Err(Error::Closed)));
    assert!(matches!(other.on_change(Watch::stream("s"), async |_: Change<u8>| Ok(())), Err(Error::Closed)));
    assert!(soon(other.subscribe::<u8>("s", "g").next()).await.is_none());
}

#[tokio::test]
async fn calls_under_way_are_answered_before_the_end() {
    let streams = start(Settings::default()).await;
    let (sender, began) = tokio::sync::oneshot::channel();
    let sender = parking_lot::Mutex::new(Some(sender));
    let (release, released) = tokio::sync::watch::channel(());
    streams
        .register_function("slow", move |(): ()| {
            let _ = sender.lock().take().map(|sender| sender.send(()));
            let mut released = released.clone();
            async move {
                let _ = released.changed().await;
                Ok("done".to_owned())
            }
        })
        .unwrap();
    let (caller, stopper) = (streams.clone(), streams.clone());
    let call = tokio::spawn(async move { caller.invoke::<_, String>("slow", &()).await });
    soon(began).await.unwrap();
    let stop = tokio::spawn(async move { stopper.shutdown().await });
    while streams.not_ready().is_empty() {
        tokio::task::yield_now().await;
    }
    release.send(()).unwrap();
    assert_eq!(soon(call).await.unwrap().unwrap(), "done");
    soon(stop).await.unwrap();
}

#[test]
fn it_runs_in_the_system_that_is_there_and_ends_with_its_handle() {
    let ended = actix_rt::System::new().block_on(async {
        let streams = Streams::builder().placement(Placement::Here).start().await.unwrap();
        streams.set("s", "g", "i", &1).await.unwrap();
        let mut told = streams.subscribe::<u8>("s", "g");
        assert!(matches!(told.next().await, Some(Ok(Told::State(_)))));
        drop(streams);
        tokio::time::timeout(DEADLINE, told.next()).await.unwrap()
    });
    assert!(ended.is_none());
}

#[test]
fn subscription_to_what_has_ended_ends_where_its_thread_goes_on() {
    actix_rt::System::new().block_on(async {
        let streams = Streams::builder().placement(Placement::Here).start().await.unwrap();
        soon(streams.shutdown()).await;
        assert!(soon(streams.subscribe::<u8>("s", "g").next()).await.is_none());
    });
}

#[tokio::test]
async fn never_is_a_time_that_can_be_set() {
    let mut settings = Settings::default();
    settings.worker.invocation_timeout = Duration::MAX;
    let stream = &mut settings.stream;
    for duration in [
        &mut stream.auth_timeout,
        &mut stream.join_timeout,
        &mut stream.leave_grace,
        &mut stream.ping_interval,
        &mut stream.idle_timeout,
        &mut stream.drain,
    ] {
        *duration = Duration::MAX;
    }
    let streams = start(settings).await;
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let set = streams.settings();
    assert_eq!((set.worker.invocation_timeout, set.stream.leave_grace, set.stream.drain), (year, year, year));
    streams.register_function("f", async |(): ()| Ok(1)).unwrap();
    assert_eq!(soon(streams.invoke::<_, u8>("f", &())).await.unwrap(), 1);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn without_a_system_there_is_no_here() {
    let error = Streams::builder().placement(Placement::Here).start().await.unwrap_err();
    assert!(matches!(error, StartError::NoSystem));
}

/// An adapter that panics where an item of that name is written, and can be seen to be there.
struct Fragile(Memory, &'static str, #[expect(dead_code, reason = "held to be dropped")] Arc<()>);

impl Adapter for Fragile {
    fn get(&mut self, key: &ItemKey) -> Result<Option<Json>, AdapterError> {
        self.0.get(key)
    }
    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        self.0.list(group)
    }
    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.0.list_groups(stream)
    }
    fn list_all(&mut self) -> Result<Read<weir_actors::adapter::Streams>, AdapterError> {
        self.0.list_all()
    }
    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        self.0.streams_before(stream)
    }
    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        let breaks = |write: &Write| matches!(write, Write::Put(key, _) if key.item.as_str() == self.1);
        assert!(!writes.iter().any(breaks), "as it is meant to");
        self.0.commit(writes, heads)
    }
    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        self.0.head(group)
    }
    fn floor(&self) -> Head {
        self.0.floor()
    }
    fn epoch(&self) -> u64 {
        self.0.epoch()
    }
}

#[tokio::test]
async fn actor_that_dies_is_told_of_everywhere() {
    let streams = Streams::builder().adapter(Fragile(Memory::new(), "broken", Arc::default())).start().await.unwrap();
    let mut told = streams.subscribe::<u8>("s", "g");
    assert!(matches!(soon(told.next()).await, Some(Ok(Told::State(_)))));
    assert!(matches!(soon(streams.set("s", "g", "broken", &1)).await, Err(Error::Closed)));
    assert_eq!(soon(streams.failed()).await, "store");
    assert!(soon(told.next()).await.is_none());
    assert!(soon(streams.subscribe::<u8>("s", "g").next()).await.is_none());
    assert!(streams.not_ready()[0].starts_with("the actor 'store' has died"), "{:?}", streams.not_ready());
    let input = serde_json::json!({"stream_name": "s", "group_id": "g", "item_id": "i"});
    assert!(matches!(soon(streams.invoke::<_, ()>("stream::get", &input)).await, Err(Error::Closed)));
    soon(streams.shutdown()).await;
}

#[test]
fn it_ends_with_the_system_that_it_runs_in() {
    let held = Arc::new(());
    let adapter = Fragile(Memory::new(), "broken", held.clone());
    let (streams, mut told) = actix_rt::System::new().block_on(async {
        let streams = Streams::builder().placement(Placement::Here).adapter(adapter).start().await.unwrap();
        streams.set("s", "g", "i", &1).await.unwrap();
        let mut told = streams.subscribe::<u8>("s", "g");
        assert!(matches!(soon(told.next()).await, Some(Ok(Told::State(_)))));
        (streams, told)
    });
    assert_eq!(Arc::strong_count(&held), 1, "the adapter is there");
    futures_executor::block_on(async {
        assert!(matches!(streams.set("s", "g", "i", &1).await, Err(Error::Closed)));
        assert!(told.next().await.is_none());
        streams.shutdown().await;
    });
}

#[test]
fn nothing_of_it_is_left_where_its_thread_goes_on() {
    actix_rt::System::new().block_on(async {
        let streams = Streams::builder().placement(Placement::Here).start().await.unwrap();
        streams.register_function("f", async |(): ()| Ok(1)).unwrap();
        assert_eq!(soon(streams.invoke::<_, u8>("f", &())).await.unwrap(), 1);
        let left = Arc::downgrade(&streams.registry().metrics);
        soon(streams.shutdown()).await;
        drop(streams);
        let gone = async {
            while left.strong_count() > 0 {
                tokio::task::yield_now().await;
            }
        };
        soon(gone).await;
    });
}
