//! Peers that vanish without an end of their connection, and peers that take nothing of what they are sent.

use std::future::pending;

use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::calls::cleared;
use crate::join::{left, no_other_leave, start_with};
use crate::leave_reasons::Process;
use crate::nodes::namespace::Namespace;
use crate::raw::{Raw, TEXT};
use crate::server::{Server, until};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, write};

/// In place of 25 s and 60 s.
fn soon() -> Value {
    json!({"ping_interval_ms": 200, "idle_timeout_ms": 600})
}

/// Nobody is pinged here, so what ends a connection is that nothing is taken.
fn without_pings() -> Value {
    json!({"ping_interval_ms": 3_600_000, "idle_timeout_ms": 7_200_000, "write_deadline_ms": 1_000})
}

/// An address that leads to another one until the sender is used. From then on nothing is forwarded, and both connections stay.
async fn relay(to: &str) -> (String, oneshot::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (listener.local_addr().unwrap().to_string(), to.to_owned());
    let (stop, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut client, &mut server) => return,
            _ = stopped => {}
        }
        pending::<()>().await;
    });
    (address, stop)
}

#[tokio::test]
async fn client_behind_a_relay_that_stops_is_unresponsive() {
    let (server, worker, _, mut leaves) = start_with(soon(), |_| json!(null)).await;
    let (address, stop) = relay(server.streams()).await;
    let mut raw = Raw::open(&address, "/").await;
    raw.frame(TEXT, br#"{"type":"join","data":{"subscriptionId":"1","streamName":"s","groupId":"g"}}"#).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(raw.json().await["event"]["type"], "create");
    stop.send(()).unwrap();
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    no_other_leave(&server, &mut leaves).await;
}

/// As when a machine loses its power or its network: what is sent to it is not even acknowledged.
#[tokio::test]
async fn client_whose_network_is_gone_is_unresponsive() {
    if !Namespace::can_be_had() {
        return;
    }
    let network = Namespace::new();
    // The client comes by the second cable, the worker by the first.
    let server = Server::inside(&network.name, "0.0.0.0", soon());
    let there = |host: String, address: &str| format!("{host}:{}", address.rsplit_once(':').unwrap().1);
    let workers = there(network.host(), server.workers());
    let worker = Worker::over(TcpStream::connect(&workers).await.unwrap(), &format!("ws://{workers}/")).await;
    let mut leaves = worker.record("on_leave");
    worker.trigger("l", "stream:leave", "on_leave", json!({}));
    worker.settle().await;
    let mut raw = Raw::open(&there(network.to_redis(), server.streams()), "/").await;
    raw.frame(TEXT, br#"{"type":"join","data":{"subscriptionId":"1","streamName":"s","groupId":"g"}}"#).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    network.swallow();
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    drop(raw);
}

/// The kernel of a client that is frozen takes megabytes for it, which must not look as if it read.
#[tokio::test(flavor = "multi_thread")]
async fn frozen_client_of_a_group_that_changes_is_unresponsive() {
    let (server, worker, _, mut leaves) = start_with(soon(), |_| json!(null)).await;
    let process = Process::start(&server);
    process.signal("STOP");
    until("leave of the client", async || {
        for n in 0..4 {
            worker.void("stream::set", write("s", "g", "i", json!(n)));
        }
        worker.settle().await;
        !leaves.is_empty()
    })
    .await;
    assert_eq!(leaves.data().await["reason"], "unresponsive");
    drop(process);
    worker.result("stream::delete", crate::worker::key("s", "g", "i")).await;
    no_other_leave(&server, &mut leaves).await;
}

#[tokio::test]
async fn client_that_takes_nothing_is_closed_after_the_write_deadline_without_pings() {
    let (server, worker, _, mut leaves) = start_with(without_pings(), |_| json!(null)).await;
    let (mut reader, _) = Subscriber::of(&server, "s", "g").await;
    let mut raw = Raw::open_narrow(server.streams(), "/").await;
    raw.frame(TEXT, br#"{"type":"join","data":{"subscriptionId":"1","streamName":"s","groupId":"g"}}"#).await;
    assert_eq!(raw.json().await["event"]["type"], "sync");
    let text = "x".repeat(1 << 20);
    for n in 0..12 {
        worker.set("s", "g", "i", json!([n, text])).await;
        assert_eq!(reader.next_event().await["data"][0], n);
    }
    assert_eq!(leaves.data().await, left("1", "unresponsive"));
    // Who reads is not asked how fast.
    worker.set("s", "g", "i", json!(0)).await;
    assert_eq!(reader.next_event().await["data"], 0);
    drop(raw);
}

#[tokio::test]
async fn worker_that_takes_nothing_is_gone_after_the_write_deadline_without_pings() {
    let mut stream = without_pings();
    stream.as_object_mut().unwrap().remove("write_deadline_ms");
    let server = Server::configured(stream, json!({"write_deadline_ms": 1_000}));
    let caller = Worker::open(&server).await;
    let mut raw = Raw::open_narrow(server.workers(), "/").await;
    let id = raw.json().await["worker_id"].as_str().unwrap().to_owned();
    raw.frame(TEXT, br#"{"type":"registerfunction","id":"f"}"#).await;
    raw.frame(TEXT, br#"{"type":"ping"}"#).await;
    assert_eq!(raw.json().await["type"], "pong");
    let text = json!("x".repeat(1 << 20));
    for _ in 0..12 {
        caller.void("f", text.clone());
    }
    cleared(&caller, &id).await;
    assert_eq!(caller.error("f", json!(null)).await.0, "function_not_found");
    drop(raw);
}
