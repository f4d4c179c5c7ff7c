//! The way in and the way out: HTTP before the upgrade, the limit of connections, and silent peers.

use std::time::Duration;

use serde_json::json;

use crate::raw::{CLOSE, PING, Raw, TEXT};
use crate::server::{Server, until};
use crate::subscriber::Subscriber;

/// How long a client of a herd may have to wait for its turn.
const HERD: Duration = Duration::from_secs(60);

/// What every handshake needs but for the version.
const HEADERS: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// First byte of a text frame with RSV1, which marks it as compressed.
const COMPRESSED: u8 = TEXT | 0x40;

/// Sends a WebSocket handshake; the head of the response.
pub(crate) async fn upgrade(address: &str, path: &str) -> String {
    upgrade_with(address, path, "").await
}

/// The same with headers more, each with its end of line.
pub(crate) async fn upgrade_with(address: &str, path: &str, headers: &str) -> String {
    request(address, "GET", path, &format!("{HEADERS}{VERSION}{headers}")).await
}

/// Sends any request; the head of the response.
async fn request(address: &str, method: &str, path: &str, headers: &str) -> String {
    let mut raw = Raw::connect(address).await;
    raw.write(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await;
    raw.head().await
}

#[tokio::test]
async fn connection_over_the_limit_is_answered_503() {
    let server = Server::with(json!({"max_connections": 2}));
    let first = Subscriber::open(&server, "/").await;
    let _second = Subscriber::open(&server, "/").await;
    let head = upgrade(server.streams(), "/").await;
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    first.close().await;
    until("room for a connection", async || upgrade(server.streams(), "/").await.starts_with("HTTP/1.1 101 ")).await;
}

#[tokio::test]
async fn connection_over_the_limit_of_its_address_is_answered_429() {
    let server = Server::with(json!({"max_connections_per_address": 2}));
    let first = Subscriber::open(&server, "/").await;
    let _second = Subscriber::open(&server, "/").await;
    let head = upgrade(server.streams(), "/").await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    let mut elsewhere = Raw::connect_from("127.0.0.2", server.streams()).await;
    elsewhere.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{HEADERS}{VERSION}\r\n").as_bytes()).await;
    assert!(elsewhere.head().await.starts_with("HTTP/1.1 101 "));
    first.close().await;
    until("room for a connection", async || upgrade(server.streams(), "/").await.starts_with("HTTP/1.1 101 ")).await;
}

/// Everybody comes back at once after a restart, and all are served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_clients_at_once_are_all_served() {
    const CLIENTS: usize = 5_000;
    let server = Server::with(json!({}));
    let worker = crate::worker::Worker::open(&server).await;
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    let clients = (0..CLIENTS).map(|_| {
        let address = server.streams().to_owned();
        tokio::spawn(async move {
            let mut raw = Raw::connect(&address).await;
            raw.write(format!("GET /stream/s/g/ HTTP/1.1\r\nHost: x\r\n{HEADERS}{VERSION}\r\n").as_bytes()).await;
            assert!(raw.head_within(HERD).await.starts_with("HTTP/1.1 101 "));
            raw
        })
    });
    let mut joined = Vec::new();
    for client in futures_util::future::join_all(clients).await {
        joined.push(client.unwrap());
    }
    for client in &mut joined {
        assert_eq!(client.json().await["event"]["data"], json!([{"id": "i"}]));
    }
    worker.set("s", "g", "i", json!({"id": "i", "n": 1})).await;
    for client in &mut joined {
        assert_eq!(client.json().await["event"]["data"]["n"], 1);
    }
}

#[tokio::test]
async fn silent_client_is_pinged_and_then_closed() {
    let server = Server::with(json!({"ping_interval_ms": 100, "idle_timeout_ms": 500}));
    let mut raw = Raw::open(server.streams(), "/").await;
    assert_eq!(raw.next().await, Some((PING, Vec::new())));
    // Answers nothing from now on.
    let code = loop {
        match raw.next().await {
            Some((PING, _)) => {}
            Some((CLOSE, payload)) => break u16::from_be_bytes(*payload.first_chunk().unwrap()),
            other => panic!("expected a ping or a close, got {other:?}"),
        }
    };
    assert_eq!(code, 4408);
    raw.ended().await;
}

#[tokio::test]
async fn unknown_path_is_answered_404() {
    let server = Server::start();
    for path in ["/stream", "/stream/", "/stream/a", "/stream/a/b/c/d", "/streams/a/b/", "/other", "//", "/stream/%FF/b/", "/ws/channels/x"]
    {
        let head = upgrade(server.streams(), path).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
    for path in ["/stream/a/b/", "/ws/channels/x?key=y&dir=read"] {
        let head = upgrade(server.workers(), path).await;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
    }
}

#[tokio::test]
async fn plain_request_is_answered_426() {
    let server = Server::start();
    for address in [server.workers(), server.streams()] {
        let head = request(address, "GET", "/", "").await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nupgrade: websocket"), "{head}");
    }
    let head = request(server.streams(), "GET", "/stream/s/g/", "Connection: keep-alive\r\n").await;
    assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
}

#[tokio::test]
async fn other_websocket_version_is_answered_426_with_ours() {
    let server = Server::start();
    let headers = format!("{HEADERS}Sec-WebSocket-Version: 12\r\n");
    for address in [server.workers(), server.streams()] {
        let head = request(address, "GET", "/", &headers).await;
        assert!(head.starts_with("HTTP/1.1 426 "), "{head}");
        assert!(head.to_ascii_lowercase().contains("\r\nsec-websocket-version: 13"), "{head}");
    }
}

#[tokio::test]
async fn handshake_that_is_no_get_or_has_no_key_is_refused() {
    let server = Server::start();
    let headers = format!("Connection: Upgrade\r\nUpgrade: websocket\r\n{VERSION}");
    for address in [server.workers(), server.streams()] {
        let head = request(address, "POST", "/", &headers).await;
        assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
        let head = request(address, "GET", "/", &headers).await;
        assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    }
}

#[tokio::test]
async fn extensions_that_are_offered_are_declined_and_not_read() {
    let server = Server::start();
    // As Chrome, Firefox and older Safaris offer it, and something that nobody knows.
    for offer in [
        "permessage-deflate; client_max_window_bits",
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=15, permessage-deflate",
        "x-webkit-deflate-frame",
        "any; thing=\"quoted\"",
    ] {
        for address in [server.workers(), server.streams()] {
            let mut raw = Raw::connect(address).await;
            let headers = format!("{HEADERS}{VERSION}Sec-WebSocket-Extensions: {offer}\r\n");
            raw.write(format!("GET / HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await;
            let head = raw.head().await;
            assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
            assert!(!head.to_ascii_lowercase().contains("sec-websocket-extensions"), "{head}");
            // "{}" as a client would send it that goes by its offer alone.
            raw.frame(COMPRESSED, &[0xAA, 0xAE, 0x05, 0x00]).await;
            let code = loop {
                match raw.next().await {
                    Some((CLOSE, payload)) => break u16::from_be_bytes(*payload.first_chunk().unwrap()),
                    // The greeting of the worker port.
                    Some((TEXT, _)) => {}
                    other => panic!("expected a close, got {other:?}"),
                }
            };
            assert_eq!(code, 1002, "{offer}");
        }
    }
}
