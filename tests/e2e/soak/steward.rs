//! The worker that stays: it lets clients in, counts who joins and who leaves, and watches a stream from beginning to end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{Shared, count};
use crate::server::Server;
use crate::soak::changes::Seen;
use crate::worker::Worker;

/// The stream that it watches.
const WATCHED: &str = "s0";

pub(super) struct Steward {
    accounts: Arc<Mutex<Accounts>>,
    _worker: Worker,
}

#[derive(Default)]
struct Accounts {
    /// Joins without a leave, by subscription; less than none where a leave was one too many.
    open: HashMap<String, i64>,
    joined: u64,
    left: u64,
    reasons: BTreeMap<String, u64>,
}

impl Accounts {
    fn add(&mut self, subscription: &Value, by: i64) {
        let id = subscription["subscription_id"].as_str().unwrap_or_default().to_owned();
        let open = self.open.entry(id.clone()).or_default();
        *open += by;
        if *open == 0 {
            self.open.remove(&id);
        }
    }
}

impl Steward {
    pub(super) async fn start(server: &Server, shared: &Arc<Shared>) -> Self {
        let worker = Worker::open(server).await;
        let accounts = Arc::<Mutex<Accounts>>::default();
        worker.serve("soak::auth", |_| json!({"context": {"user": "anybody"}}));
        let joined = accounts.clone();
        worker.serve("soak::joined", move |join| {
            let mut accounts = joined.lock();
            accounts.joined += 1;
            accounts.add(join, 1);
            Value::Null
        });
        let left = accounts.clone();
        worker.serve("soak::left", move |leave| {
            let mut accounts = left.lock();
            accounts.left += 1;
            *accounts.reasons.entry(leave["reason"].as_str().unwrap_or("none").to_owned()).or_default() += 1;
            accounts.add(leave, -1);
            Value::Null
        });
        serve_watcher(&worker, "soak::watched", shared);
        worker.trigger("joined", "stream:join", "soak::joined", json!({}));
        worker.trigger("left", "stream:leave", "soak::left", json!({}));
        worker.trigger("soak::watched", "stream", "soak::watched", json!({"stream_name": WATCHED}));
        worker.settle().await;
        Self { accounts, _worker: worker }
    }

    pub(super) fn nobody_is_left(&self) -> bool {
        self.accounts.lock().open.is_empty()
    }

    /// Joins, leaves, and how many were for which reason.
    pub(super) fn told(&self) -> String {
        let accounts = self.accounts.lock();
        let Accounts { open, joined, left, reasons } = &*accounts;
        format!("{joined} joins, {left} leaves {reasons:?}, {} joined now", open.len())
    }
}

/// Serves the handler of a trigger, which must be told every change in order.
pub(super) fn serve_watcher(worker: &Worker, function: &str, shared: &Arc<Shared>) {
    let shared = shared.clone();
    let groups = Mutex::new(HashMap::<String, Seen>::new());
    worker.serve(function, move |change| {
        let text = |key: &str| change[key].as_str().unwrap_or_default().to_owned();
        let (group, id) = (text("groupId"), text("id"));
        let (timestamp, kind) = (change["timestamp"].as_u64().unwrap_or_default(), change["event"]["type"].as_str().unwrap_or_default());
        let checked = groups.lock().entry(group.clone()).or_default().change(timestamp, &id, kind, &change["event"]["data"]);
        if let Err(wrong) = checked {
            shared.fault(format!("a trigger of {} {group}: {wrong}", text("streamName")));
        }
        count(&shared.counts.triggered);
        Value::Null
    });
}
