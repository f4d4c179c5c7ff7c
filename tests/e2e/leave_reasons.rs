//! Why a subscription ended: the `reason` that `stream:leave` handlers are told, of clients that are processes of their own, too.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::join::{left, no_other_leave, start, start_with};
use crate::raw::{Raw, TEXT};
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::Calls;

/// A client that is a process: it joins the group of these tests by its path and reads.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(server: &Server) -> Self {
        let (host, port) = server.streams().split_once(':').unwrap();
        let request = "GET /stream/s/g/ HTTP/1.1\\r\\nHost: x\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\
                       Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\n\\r\\n";
        let script = format!("exec 3<>/dev/tcp/{host}/{port}; printf '{request}' >&3; exec cat <&3");
        let mut process = Command::new("bash").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(process.stdout.as_mut().unwrap());
        let mut line = Vec::new();
        // The `sync` of an empty group has no end of line; what comes before it has.
        while line != b"\r\n" {
            line.clear();
            assert!(output.read_until(b'\n', &mut line).unwrap() > 0, "the connection has ended");
        }
        line.clear();
        output.read_until(b']', &mut line).unwrap();
        assert!(String::from_utf8_lossy(&line).contains("sync"));
        Self(process)
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([&format!("-{name}"), &self.0.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The next join and the next leave are of one subscription; the reason of the latter.
async fn reason(joins: &mut Calls, leaves: &mut Calls) -> Value {
    let (joined, mut left) = (joins.data().await, leaves.data().await);
    let reason = left.as_object_mut().unwrap().remove("reason").unwrap();
    assert_eq!(joined, left);
    reason
}

async fn raw(server: &Server, id: &str) -> Raw {
    let mut raw = Raw::open(server.streams(), "/").await;
    let join = json!({"type": "join", "data": {"subscriptionId": id, "streamName": "s", "groupId": "g"}});
    raw.frame(TEXT, join.to_string().as_bytes()).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    raw
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_client_is_lost() {
    let (server, _worker, mut joins, mut leaves) = start(|_| json!(null)).await;
    let process = Process::start(&server);
    process.signal("KILL");
    assert_eq!(reason(&mut joins, &mut leaves).await, "lost");
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_client_is_unresponsive_and_leaves_once_even_if_killed_then() {
    let (server, _worker, mut joins, mut leaves) =
        start_with(json!({"ping_interval_ms": 100, "idle_timeout_ms": 500}), |_| json!(null)).await;
    // `cat` answers no pings; that of a client that does is found in the same way.
    let process = Process::start(&server);
    process.signal("STOP");
    assert_eq!(reason(&mut joins, &mut leaves).await, "unresponsive");
    process.signal("KILL");
    drop(process);
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn client_that_does_not_read_is_unresponsive() {
    let (server, worker, _, mut leaves) = start_with(json!({"ping_interval_ms": 100, "idle_timeout_ms": 800}), |_| json!(null)).await;
    let raw = raw(&server, "1").await;
    let text = "x".repeat(1 << 20);
    for n in 0..12 {
        worker.set("s", "g", "i", json!([n, text])).await;
    }
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    drop(raw);
    worker.result("stream::delete", json!({"stream_name": "s", "group_id": "g", "item_id": "i"})).await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn client_that_does_not_read_is_unresponsive_even_where_the_kernel_takes_what_it_is_sent() {
    let (server, worker, _, mut leaves) = start_with(json!({"ping_interval_ms": 100, "idle_timeout_ms": 800}), |_| json!(null)).await;
    let raw = raw(&server, "1").await;
    let mut n = 0;
    // Several at a time, of which all but the last have others behind them.
    while leaves.is_empty() {
        for _ in 0..10 {
            n += 1;
            worker.void("stream::set", crate::worker::write("s", "g", "i", json!(n)));
        }
        worker.set("s", "g", "i", json!("a result, for the pace")).await;
        assert!(n < 100_000, "it counts as alive after {n} changes that it has not read");
    }
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    drop(raw);
    worker.result("stream::delete", json!({"stream_name": "s", "group_id": "g", "item_id": "i"})).await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn leave_then_loss_at_once_is_one_leave_for_the_first_reason() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    for n in 0..20 {
        let id = n.to_string();
        let mut raw = raw(&server, &id).await;
        let leave = json!({"type": "leave", "data": {"subscriptionId": id}});
        raw.frame(TEXT, leave.to_string().as_bytes()).await;
        raw.end().await;
        assert_eq!(leaves.data().await, left(&id, "left"));
    }
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn replaced_then_closed_has_one_leave_for_each_join() {
    let (server, _worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut subscriber = Subscriber::open(&server, "/").await;
    for _ in 0..3 {
        subscriber.join("1", "s", "g").await;
        subscriber.sync().await;
    }
    subscriber.close().await;
    for reason in ["replaced", "replaced", "closed"] {
        assert_eq!(leaves.data().await, left("1", reason));
    }
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn leave_after_the_join_handler_has_the_reason_of_the_end() {
    let (server, worker, _, mut leaves) = start(|_| json!(null)).await;
    let mut joins = worker.hold("on_join");
    worker.settle().await;
    for (id, reason) in [("1", "lost"), ("2", "evicted"), ("3", "left")] {
        let mut raw = Raw::open(server.streams(), "/").await;
        let join = json!({"type": "join", "data": {"subscriptionId": id, "streamName": "s", "groupId": "g"}});
        raw.frame(TEXT, join.to_string().as_bytes()).await;
        let call = joins.next().await;
        match reason {
            "lost" => drop(raw),
            "evicted" => {
                raw.frame(0xFF, b"").await;
                assert_eq!(raw.closed().await, Some(1002));
            }
            _ => {
                let leave = json!({"type": "leave", "data": {"subscriptionId": id}});
                raw.frame(TEXT, leave.to_string().as_bytes()).await;
                raw.frame(crate::raw::PING, b"").await;
                assert_eq!(raw.next().await.map(|(first, _)| first), Some(crate::raw::PONG));
                worker.answer(&call, json!(null));
                assert_eq!(leaves.data().await, left(id, reason));
                continue;
            }
        }
        // Whether the server has noticed by now or not.
        worker.answer(&call, json!(null));
        assert_eq!(leaves.data().await, left(id, reason));
    }
}
