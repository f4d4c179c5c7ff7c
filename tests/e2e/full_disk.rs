//! A server whose disk is full: calls that write are told why, nobody sees what was not stored, and reads go on.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group, key, write};

/// A tmpfs of 256 MiB; dropping it unmounts it.
struct Mount(TempDir);

impl Mount {
    /// `None`, and a word on standard error, where this user may not mount: the test then checks nothing.
    fn new() -> Option<Self> {
        let folder = TempDir::with_prefix("weir-mount-").unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256m", "tmpfs"]).arg(folder.path()).output().unwrap();
        if mounted.status.success() {
            return Some(Self(folder));
        }
        let reason = String::from_utf8_lossy(&mounted.stderr).into_owned();
        let id = Command::new("id").arg("-u").output().unwrap();
        assert_ne!(id.stdout, b"0\n", "root cannot mount: {reason}");
        eprintln!("left out, since only root may mount: {reason}");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what a failed test still holds open goes with it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn full_disk_fails_writes_with_a_reason_shows_none_of_them_and_passes_by() {
    let Some(mount) = Mount::new() else { return };
    let (store, ballast) = (mount.path().join("store"), mount.path().join("ballast"));
    let server = Server::on(&store, &json!({"min_free_bytes": 64 << 20}), &[]).unwrap();
    let worker = Worker::open(&server).await;
    let mut triggered = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s"}));
    worker.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    worker.set("s", "g", "before", json!({"id": "before"})).await;
    assert_eq!(subscriber.next_frame().await["id"], "before");
    assert_eq!(triggered.data().await["id"], "before");

    File::create(&ballast).unwrap().write_all(&vec![1; 180 << 20]).unwrap();
    let refusals = [
        ("stream::set", write("s", "g", "new", json!({"id": "new"})), "STREAM_SET_ERROR"),
        ("stream::update", json!({"stream_name": "s", "group_id": "g", "item_id": "before", "ops": []}), "STREAM_UPDATE_ERROR"),
    ];
    for (function, input, expected) in refusals {
        let (code, message) = worker.error(function, input).await;
        assert_eq!(code, expected);
        assert!(message.contains(&*store.to_string_lossy()) && message.contains("free some space"), "{message}");
    }
    assert_eq!(worker.result("stream::list", group("s", "g")).await, json!([{"id": "before"}]));
    assert_eq!(worker.call("stream::get", key("s", "g", "new")).await, Ok(None));
    server.logged("the store does not commit").await;

    fs::remove_file(&ballast).unwrap();
    // Although nobody writes: a balancer sends nobody here meanwhile.
    server.logged("the store commits again").await;
    worker.result("stream::set", write("s", "g", "after", json!({"id": "after"}))).await;
    // The next change that both see is that one.
    let change = subscriber.next_frame().await;
    assert_eq!((&change["id"], &change["event"]["type"]), (&json!("after"), &json!("create")));
    assert_eq!(triggered.data().await["id"], "after");
}
