use std::sync::Arc;

use futures_util::StreamExt;
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
async fn without_a_system_there_is_no_here() {
    let error = Streams::builder().placement(Placement::Here).start().await.unwrap_err();
    assert!(matches!(error, StartError::NoSystem));
}
