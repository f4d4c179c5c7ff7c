//! A store without room: what is refused, and how the system finds out that it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use weir_actors::adapter::memory::Memory;
use weir_actors::adapter::{Adapter, AdapterError, Head, Items, Read, Write};
use weir_actors::ids::{GroupKey, ItemKey, Name};
use weir_actors::json::Json;
use weir_actors::metrics::limit::Limit;
use weir_actors::streams::Streams;

use crate::{soon, until};

/// What a disk says, and what it was asked.
#[derive(Default)]
struct Disk {
    /// Whether it takes nothing.
    broken: AtomicBool,
    /// Whether it has no room for values.
    full: AtomicBool,
    probes: AtomicUsize,
}

impl Disk {
    fn takes(&self, flag: &AtomicBool) -> Result<(), AdapterError> {
        if !flag.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(AdapterError::Full { path: "the disk".into(), detail: "no space".into() })
    }
}

/// Items in memory as far as the disk takes them.
struct Small(Memory, Arc<Disk>);

impl Adapter for Small {
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
        self.1.takes(&self.1.broken)?;
        self.0.commit(writes, heads)
    }

    fn admit(&mut self) -> Result<(), AdapterError> {
        let reserve = |_| AdapterError::Reserve { path: "the disk".into(), detail: "next to nothing is free".into() };
        self.1.takes(&self.1.full).map_err(reserve)
    }

    fn probe(&mut self) -> Result<(), AdapterError> {
        self.1.probes.fetch_add(1, Ordering::SeqCst);
        self.1.takes(&self.1.broken)?;
        self.1.takes(&self.1.full)
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

async fn start() -> (Streams, Arc<Disk>) {
    let disk = Arc::<Disk>::default();
    (Streams::builder().adapter(Small(Memory::new(), disk.clone())).start().await.unwrap(), disk)
}

#[tokio::test]
async fn system_is_ready_again_when_there_is_room_although_nobody_writes() {
    let (streams, disk) = start().await;
    disk.broken.store(true, Ordering::SeqCst);
    streams.set("s", "g", "i", &1).await.unwrap_err();
    assert_eq!(streams.not_ready(), ["the store does not commit; its log says why"]);
    until(|| disk.probes.load(Ordering::SeqCst) > 0).await;
    assert_eq!(streams.get::<u8>("s", "g", "i").await.unwrap(), None);
    assert!(!streams.not_ready().is_empty());
    disk.broken.store(false, Ordering::SeqCst);
    until(|| streams.not_ready().is_empty()).await;
    let probes = disk.probes.load(Ordering::SeqCst);
    streams.set("s", "g", "i", &1).await.unwrap();
    assert_eq!(disk.probes.load(Ordering::SeqCst), probes);
    soon(streams.shutdown()).await;
}

#[tokio::test]
async fn value_without_room_is_refused_alone_and_the_system_is_not_ready_until_there_is_some() {
    let (streams, disk) = start().await;
    streams.set("s", "g", "old", &1).await.unwrap();
    disk.full.store(true, Ordering::SeqCst);
    // They are sent when they are made, and so come together.
    let (refused, got, sent, deleted, other) = tokio::join!(
        streams.set("s", "g", "new", &2),
        streams.get::<u8>("s", "g", "old"),
        streams.send("s", "g", "told", &3),
        streams.delete("s", "g", "old"),
        streams.set("other", "g", "new", &4),
    );
    assert!(refused.unwrap_err().to_string().contains("no room"));
    assert_eq!(other.unwrap_err().code(), Some("STREAM_SET_ERROR"));
    assert_eq!(got.unwrap(), Some(1));
    sent.unwrap();
    assert_eq!(deleted.unwrap().unwrap().as_bytes(), b"1");
    assert_eq!(streams.list_all().await.unwrap(), []);
    let limits = streams.snapshot().limits;
    assert!(limits.into_iter().all(|(limit, count)| count == if limit == Limit::Room { 2 } else { 0 }));
    // What takes no room does not show that there is some.
    assert!(!streams.not_ready().is_empty());
    streams.send("s", "g", "told", &5).await.unwrap();
    assert!(!streams.not_ready().is_empty());
    disk.full.store(false, Ordering::SeqCst);
    streams.set("s", "g", "new", &6).await.unwrap();
    assert!(streams.not_ready().is_empty());
    soon(streams.shutdown()).await;
}
