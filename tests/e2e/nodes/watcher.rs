//! Watchers: what a subscriber or a trigger has seen, from its beginning to the end of every group.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::STREAM;
use super::writer::shared;
use crate::server::{Server, within};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group as list_of};

/// The item that is written last.
pub(super) const END: &str = "end";

/// One frame, or the payload of one call of a trigger.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frame {
    /// As it came.
    pub(super) text: String,
    pub(super) timestamp: u64,
    pub(super) group: String,
    pub(super) item: Option<String>,
    /// `sync`, `create`, …
    pub(super) word: String,
    /// Of an event what it carries.
    pub(super) data: Value,
}

impl Frame {
    fn read(text: String) -> Self {
        let mut frame: Value = serde_json::from_str(&text).unwrap();
        let word = frame["event"]["type"].as_str().unwrap().to_owned();
        let data = if word == "event" { frame["event"]["event"]["data"].take() } else { frame["event"]["data"].take() };
        assert_eq!((&frame["type"], &frame["streamName"]), (&json!("stream"), &json!(STREAM)), "{text}");
        Self {
            timestamp: frame["timestamp"].as_u64().unwrap(),
            group: frame["groupId"].as_str().unwrap().to_owned(),
            item: frame["id"].as_str().map(str::to_owned),
            word,
            data,
            text,
        }
    }

    pub(super) fn is_sync(&self) -> bool {
        self.word == "sync"
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// A subscriber of a group.
    Group(String),
    /// A subscriber of the first shared item of a group and of its end.
    Items(String),
    /// A `stream` trigger.
    Trigger,
}

#[derive(Default)]
struct Seen {
    texts: Vec<String>,
    ends: usize,
}

/// Somebody who watches.
pub(super) struct Watcher {
    pub(super) scope: Scope,
    /// The number of its server.
    pub(super) node: usize,
    /// How many groups it sees the end of.
    groups: usize,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl Watcher {
    /// A subscriber of a group, which has its `sync` when this returns.
    pub(super) async fn group(server: &Server, node: usize, group: &str) -> Self {
        let mut subscriber = Subscriber::open(server, &format!("/stream/{STREAM}/{group}/")).await;
        let sync = subscriber.next_text().await;
        Self::of(Scope::Group(group.to_owned()), node, subscriber, vec![sync])
    }

    /// The same, but not waited for.
    pub(super) async fn late(server: &Server, node: usize, group: &str) -> Self {
        let subscriber = Subscriber::open(server, &format!("/stream/{STREAM}/{group}/")).await;
        Self::of(Scope::Group(group.to_owned()), node, subscriber, Vec::new())
    }

    /// A subscriber of two items.
    pub(super) async fn items(server: &Server, node: usize, group: &str) -> Self {
        let mut subscriber = Subscriber::open(server, "/").await;
        let mut syncs = Vec::new();
        for item in [shared(0), END.to_owned()] {
            subscriber.join_item(&item, STREAM, group, &item).await;
            syncs.push(subscriber.next_text().await);
        }
        Self::of(Scope::Items(group.to_owned()), node, subscriber, syncs)
    }

    fn of(scope: Scope, node: usize, mut subscriber: Subscriber, texts: Vec<String>) -> Self {
        let seen = Arc::new(Mutex::new(Seen { texts, ends: 0 }));
        let (name, record) = (format!("{scope:?} of node {node}"), seen.clone());
        let task = tokio::spawn(async move {
            while let Some(text) = subscriber.next_or_end().await {
                take(&record, text);
            }
            panic!("{name} was disconnected");
        });
        Self { scope, node, groups: 1, seen, task }
    }

    /// A worker with a trigger, which sees every change of these many groups that is made after this returns.
    pub(super) async fn trigger(server: &Server, node: usize, groups: usize) -> Self {
        let worker = Worker::open(server).await;
        let mut calls = worker.record("seen");
        worker.trigger("watcher", "stream", "seen", json!({"stream_name": STREAM}));
        // Answered when the stream is watched, and not before.
        worker.result("stream::list", list_of(STREAM, "g0")).await;
        let seen = Arc::<Mutex<Seen>>::default();
        let record = seen.clone();
        let task = tokio::spawn(async move {
            while let Some(call) = calls.next_or_end().await {
                take(&record, call.data.to_string());
            }
            panic!("the worker of {worker}'s trigger was disconnected", worker = worker.id);
        });
        Self { scope: Scope::Trigger, node, groups, seen, task }
    }

    /// What it is, for people.
    pub(super) fn name(&self) -> String {
        format!("{:?} of node {}", self.scope, self.node)
    }

    /// How much it has seen.
    pub(super) fn len(&self) -> usize {
        self.seen.lock().unwrap().texts.len()
    }

    /// All that it has seen.
    pub(super) fn frames(&self) -> Vec<Frame> {
        self.seen.lock().unwrap().texts.iter().cloned().map(Frame::read).collect()
    }

    /// Whether it has seen the end of its groups.
    pub(super) fn is_done(&self) -> bool {
        assert!(!self.task.is_finished(), "{} is gone; it has seen {} frames", self.name(), self.len());
        self.seen.lock().unwrap().ends == self.groups
    }

    /// Waits until it has seen more than so much.
    pub(super) async fn more_than(&self, count: usize) {
        within(&format!("frame {count} for {}", self.name()), async {
            while self.len() <= count {
                tokio::time::sleep(crate::server::POLL).await;
            }
        })
        .await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn take(seen: &Mutex<Seen>, text: String) {
    let mut seen = seen.lock().unwrap();
    seen.ends += usize::from(text.contains(&format!(r#""id":"{END}""#)) && !text.contains(r#""type":"sync""#));
    seen.texts.push(text);
}
