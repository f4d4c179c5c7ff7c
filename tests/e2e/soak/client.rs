//! Clients: those that read and check what they are shown, and those that stop reading.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::changes::Seen;
use super::{CLIENTS, FLOODED, GROUPS, STALLED, STREAMS, STRICT, Shared, count, flooded, group};
use crate::raw::{CLOSE, PONG, Raw, TEXT};
use crate::server::Server;
use crate::subscriber::Subscriber;

/// Within what time all of them come, once the load begins.
const RAMP_MS: u64 = 5_000;
/// How long a client stays.
const STAY_MS: std::ops::Range<u64> = 3_000..40_000;
/// How often those that do not read say that they are there.
const SIGN: Duration = Duration::from_secs(4);
/// How long those read in the end.
const LAST: Duration = Duration::from_secs(3);

/// One client after the other, until the load ends.
pub(super) async fn run(server: Arc<Server>, shared: Arc<Shared>, n: usize) {
    tokio::time::sleep(Duration::from_millis(rand::random_range(0..RAMP_MS))).await;
    while !shared.ends() {
        count(&shared.counts.clients);
        let end = Instant::now() + Duration::from_millis(rand::random_range(STAY_MS));
        let client = Client { shared: shared.clone(), seen: HashMap::new(), left: HashSet::new() };
        match n {
            _ if !n.is_multiple_of(STALLED) => client.read(&server, end).await,
            // Of those that do not read, one half answers no pings either.
            _ => client.stall(&server, end, n < CLIENTS / 2).await,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Frame {
    timestamp: u64,
    stream_name: String,
    group_id: String,
    id: Option<String>,
    event: Event,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

struct Client {
    shared: Arc<Shared>,
    seen: HashMap<(String, String), Seen>,
    /// Groups that it has left, of which something may still be under way.
    left: HashSet<(String, String)>,
}

impl Client {
    /// Joins groups, leaves some of them, joins others, and goes.
    async fn read(mut self, server: &Server, end: Instant) {
        let path = if rand::random() { "/".to_owned() } else { path(&random_group()) };
        let mut subscriber = Subscriber::open(server, &path).await;
        if path != "/" && !self.take_next(&mut subscriber, end).await {
            return;
        }
        let mut joined: Vec<(String, (String, String))> = Vec::new();
        while Instant::now() < end && !self.shared.ends() {
            match rand::random_range(0..4) {
                0 if !joined.is_empty() => {
                    let (id, group) = joined.swap_remove(rand::random_range(0..joined.len()));
                    subscriber.leave(&id).await;
                    self.forget(group);
                }
                1 if !joined.is_empty() => {
                    // Under a name that is taken: the old subscription ends, whatever its group.
                    let (id, left) = joined.swap_remove(rand::random_range(0..joined.len()));
                    let group = self.other_group(&joined);
                    subscriber.join(&id, &group.0, &group.1).await;
                    while !self.seen.contains_key(&group) && self.take_next(&mut subscriber, end + LAST).await {}
                    self.forget(left);
                    joined.push((id, group));
                }
                _ if joined.len() < 3 => {
                    let (id, group) = (Uuid::new_v4().to_string(), self.other_group(&joined));
                    subscriber.join(&id, &group.0, &group.1).await;
                    joined.push((id, group));
                }
                _ => {}
            }
            let pause = (Instant::now() + Duration::from_millis(rand::random_range(500..8_000))).min(end);
            while self.take_next(&mut subscriber, pause).await {}
            if subscriber.farewell.is_some() {
                return;
            }
        }
        match rand::random_range(0..3) {
            0 => subscriber.close().await,
            1 => {
                for (id, _) in joined {
                    subscriber.leave(&id).await;
                }
                self.take_all(subscriber.under_way().await);
            }
            _ => {}
        }
    }

    /// Joins a flooded group, and reads nothing. One that answers pings reads in the end.
    async fn stall(mut self, server: &Server, end: Instant, mute: bool) {
        let (stream, group) = flooded(rand::random_range(0..FLOODED));
        let mut raw = Raw::open_narrow(server.streams(), &format!("/stream/{stream}/{group}/")).await;
        let Some((TEXT, sync)) = raw.next().await else {
            return self.shared.fault("no sync for a client that does not read".to_owned());
        };
        self.take(&sync);
        while Instant::now() < end && !self.shared.ends() {
            tokio::time::sleep(SIGN).await;
            if !mute && !raw.try_write(&crate::raw::frame(PONG, b"")).await {
                return;
            }
        }
        let last = Instant::now() + LAST;
        while !mute && let Ok(Some((first, payload))) = timeout_at(last, raw.next()).await {
            match first {
                TEXT => self.take(&payload),
                CLOSE if stream == STRICT => count(&self.shared.counts.evicted),
                _ => {}
            }
        }
    }

    fn forget(&mut self, group: (String, String)) {
        self.seen.remove(&group);
        self.left.insert(group);
    }

    /// A group that it has not joined.
    fn other_group(&self, joined: &[(String, (String, String))]) -> (String, String) {
        loop {
            let group = random_group();
            if !self.seen.contains_key(&group) && joined.iter().all(|(_, other)| *other != group) {
                return group;
            }
        }
    }

    /// Takes the next frame; false where none comes until `end`, or the connection has ended.
    async fn take_next(&mut self, subscriber: &mut Subscriber, end: Instant) -> bool {
        match timeout_at(end, subscriber.next_or_end()).await {
            Ok(Some(text)) => self.take(text.as_bytes()),
            Ok(None) => {
                self.shared.fault(format!("a client that reads was closed: {:?}", subscriber.farewell));
                return false;
            }
            Err(_) => return false,
        }
        true
    }

    fn take_all(&mut self, frames: Vec<Value>) {
        for frame in frames {
            self.check(serde_json::from_value(frame).unwrap());
        }
    }

    fn take(&mut self, text: &[u8]) {
        self.check(serde_json::from_slice(text).unwrap());
    }

    fn check(&mut self, frame: Frame) {
        count(&self.shared.counts.changes);
        let Frame { timestamp, stream_name, group_id, id, event } = frame;
        let group = (stream_name, group_id);
        let checked = match (&*event.kind, &id) {
            ("sync", _) => {
                if self.seen.contains_key(&group) {
                    count(&self.shared.counts.resyncs);
                }
                self.left.remove(&group);
                self.seen.entry(group.clone()).or_default().sync(timestamp, &event.data)
            }
            ("create" | "update" | "delete", Some(id)) => match self.seen.get_mut(&group) {
                Some(seen) => seen.change(timestamp, id, &event.kind, &event.data),
                None if self.left.contains(&group) => Ok(()),
                None => Err(format!("{} before the state", event.kind)),
            },
            ("event", _) => Ok(()),
            (other, _) => Err(format!("{other} was not to be expected")),
        };
        if let Err(wrong) = checked {
            self.shared.fault(format!("a client of {} {}: {wrong}", group.0, group.1));
        }
    }
}

fn random_group() -> (String, String) {
    group(rand::rng().random_range(0..STREAMS * GROUPS))
}

fn path((stream, group): &(String, String)) -> String {
    format!("/stream/{stream}/{group}/")
}
