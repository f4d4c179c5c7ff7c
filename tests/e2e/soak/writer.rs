//! A worker that writes, reads what it has written, calls others, watches a stream, and is gone now and then.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use super::steward::serve_watcher;
use super::{FLOODED, GROUPS, STREAMS, Shared, WRITERS, count, flooded, group};
use crate::server::Server;
use crate::worker::{Worker, key, write};

/// How often a writer writes.
const TICK: Duration = Duration::from_millis(250);
/// Groups that it then writes to.
const AT_ONCE: usize = 4;
/// Bytes in an item, and in one of so many.
const PADDING: (usize, usize) = (100, 6_000);
const LARGE: u64 = 6;
/// Bytes in the item of a flooded group, each time, and how often it is written: clients that do not read must have more to read than the kernel
/// keeps for them.
const FLOOD: usize = 60_000;
const FLOOD_TICK: Duration = Duration::from_millis(50);

/// One item in every group, and the number of its last write.
pub(super) async fn run(server: Arc<Server>, shared: Arc<Shared>, me: usize) {
    let mut writer = Writer { worker: connect(&server, &shared, me).await, me, shared, written: [0; STREAMS * GROUPS] };
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !writer.shared.ends() {
        tick.tick().await;
        let groups = writer.choose();
        let calls: Vec<_> = groups.iter().map(|at| (*at, writer.call(*at))).collect();
        let crash = writer.shared.crash.compare_exchange(me + 1, 0, Ordering::Relaxed, Ordering::Relaxed);
        if crash.is_ok() {
            count(&writer.shared.counts.crashes);
            let Writer { worker, .. } = writer;
            let sent: Vec<_> = calls.iter().map(|(_, call)| worker.reply_text(&call.to_string())).collect();
            // Some of it is on its way, and nobody will hear what became of it.
            tokio::task::yield_now().await;
            drop(sent);
            worker.disconnect().await;
            writer.worker = connect(&server, &writer.shared, me).await;
            writer.find_out(&groups).await;
            continue;
        }
        writer.write(calls).await;
        writer.read(groups[0]).await;
        writer.call_another().await;
    }
}

/// Writes to the flooded groups, as long as the load lasts.
pub(super) async fn flood(server: Arc<Server>, shared: Arc<Shared>) {
    let worker = Worker::open(&server).await;
    let mut tick = interval(FLOOD_TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for n in 1.. {
        tick.tick().await;
        if shared.ends() {
            return;
        }
        let (stream, group) = flooded(n);
        let data = json!({"id": "flood", "n": n.div_ceil(FLOODED), "padding": "x".repeat(FLOOD)});
        worker.set(stream, group, "flood", data).await;
        count(&shared.counts.writes);
    }
}

async fn connect(server: &Server, shared: &Arc<Shared>, me: usize) -> Worker {
    let worker = Worker::open(server).await;
    worker.serve(&echo(me), Clone::clone);
    let watched = format!("soak::watched{me}");
    serve_watcher(&worker, &watched, shared);
    let (stream, group) = group(me * 5);
    worker.trigger(&watched, "stream", &watched, json!({"stream_name": stream, "group_id": group}));
    worker.settle().await;
    worker
}

fn echo(writer: usize) -> String {
    format!("soak::echo{writer}")
}

struct Writer {
    worker: Worker,
    me: usize,
    shared: Arc<Shared>,
    written: [u64; STREAMS * GROUPS],
}

impl Writer {
    fn item(&self) -> String {
        format!("w{}", self.me)
    }

    /// Some groups, half of them from those that are written to most.
    fn choose(&self) -> Vec<usize> {
        let mut groups = BTreeSet::new();
        while groups.len() < AT_ONCE {
            let most = groups.len() < AT_ONCE / 2;
            groups.insert(rand::random_range(0..if most { STREAMS } else { STREAMS * GROUPS }));
        }
        groups.into_iter().collect()
    }

    /// The next write of the item in a group.
    fn call(&self, at: usize) -> Value {
        let n = self.written[at] + 1;
        let (stream, group) = group(at);
        let padding = "x".repeat(if n.is_multiple_of(LARGE) { PADDING.1 } else { PADDING.0 });
        let data = json!({"id": self.item(), "n": n, "padding": padding});
        match n % 7 {
            3 => json!({"function_id": "stream::delete", "data": key(&stream, &group, &self.item())}),
            5 => {
                let mut input = key(&stream, &group, &self.item());
                input["ops"] = json!([{"type": "increment", "path": "n", "by": 1}]);
                json!({"function_id": "stream::update", "data": input})
            }
            _ => json!({"function_id": "stream::set", "data": write(&stream, &group, &self.item(), data)}),
        }
    }

    /// Writes, each group once, all at a time.
    async fn write(&mut self, calls: Vec<(usize, Value)>) {
        let replies = join_all(calls.iter().map(|(_, call)| self.worker.reply(call))).await;
        for ((at, call), reply) in calls.into_iter().zip(replies) {
            count(&self.shared.counts.writes);
            self.written[at] += 1;
            if reply.get("error").is_some() {
                self.shared.fault(format!("{} failed: {reply}", call["function_id"]));
            }
        }
    }

    /// Reads what was written last, in one of two ways.
    async fn read(&self, at: usize) {
        let (stream, group) = group(at);
        let n = self.written[at];
        let found = if n.is_multiple_of(2) {
            self.stored(at).await
        } else {
            let items = self.worker.result("stream::list", crate::worker::group(&stream, &group)).await;
            items.as_array().unwrap().iter().find(|item| item["id"] == self.item()).map(|item| item["n"].as_u64().unwrap())
        };
        let expected = (n % 7 != 3).then_some(n);
        if found != expected {
            self.shared.fault(format!("writer {} reads {found:?} of {stream} {group} after it wrote {expected:?}", self.me));
        }
    }

    async fn stored(&self, at: usize) -> Option<u64> {
        let (stream, group) = group(at);
        let item = self.worker.call("stream::get", key(&stream, &group, &self.item())).await.unwrap();
        item.filter(|item| !item.is_null()).map(|item| item["n"].as_u64().unwrap())
    }

    /// Finds out which of the writes that nobody has answered were carried out.
    async fn find_out(&mut self, groups: &[usize]) {
        for at in groups {
            let n = self.written[*at];
            let before = (n > 0 && n % 7 != 3).then_some(n);
            let after = ((n + 1) % 7 != 3).then_some(n + 1);
            match self.stored(*at).await {
                found if found == before => {}
                found if found == after => self.written[*at] += 1,
                found => self.shared.fault(format!("{found:?} is stored where there was {before:?} before a crash")),
            }
        }
    }

    /// Calls a function of another writer, which may be gone.
    async fn call_another(&self) {
        let other = echo((self.me + rand::random_range(1..WRITERS)) % WRITERS);
        match self.worker.call(&other, json!(self.me)).await {
            Ok(Some(answer)) if answer == self.me => {}
            Err(error) if error["code"] == "invocation_stopped" || error["code"] == "function_not_found" => {}
            other => self.shared.fault(format!("an echo answers {other:?}")),
        }
        let (stream, group) = group(rand::random_range(0..STREAMS * GROUPS));
        let event = json!({"stream_name": stream, "group_id": group, "type": "event", "data": self.me});
        if self.worker.result("stream::send", event).await != Value::Null {
            self.shared.fault("stream::send answers something".to_owned());
        }
    }
}
