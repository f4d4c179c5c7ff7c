//! Each example as its head line starts it: the page is there, and what the page does comes to what it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

const DEADLINE: Duration = Duration::from_secs(20);

/// A running example.
struct Example {
    process: Child,
    address: String,
}

impl Example {
    fn start(binary: &str) -> Self {
        let mut process = Command::new(binary).env("PORT", "0").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("open http://").and_then(|rest| rest.strip_suffix('/')).expect("no address").to_owned();
        Self { process, address }
    }

    async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let (address, length) = (&self.address, body.len());
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {length}");
        stream.write_all(format!("{head}\r\nConnection: close\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon(stream.read_to_string(&mut answer)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 2"), "{answer}");
        answer
    }

    async fn watch(&self, path: &str) -> Client {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        Client(client_async(format!("ws://{}{path}", self.address), stream).await.unwrap().0)
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    /// The next event: its type, the item, and what it carries.
    async fn next(&mut self) -> (String, Value, Value) {
        loop {
            if let Message::Text(text) = soon(self.0.next()).await.expect("the connection has ended").unwrap() {
                let mut envelope: Value = serde_json::from_str(&text).unwrap();
                let event = &mut envelope["event"];
                let (kind, key) = (event["type"].as_str().unwrap().to_owned(), if event["type"] == "event" { "event" } else { "data" });
                let data = event[key].take();
                return (kind, envelope["id"].take(), data);
            }
        }
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("nothing comes of it")
}

#[tokio::test]
async fn presence_shows_who_has_the_page_open() {
    let example = Example::start(env!("CARGO_BIN_EXE_presence"));
    assert!(example.ask("GET", "/", None).await.contains("Who is here?"));
    let mut alice = example.watch("/live/stream/presence/lobby/?name=alice").await;
    let (kind, _, data) = alice.next().await;
    // Her join handler has run before her state is read.
    assert_eq!((&*kind, &data[0]["name"]), ("sync", &json!("alice")));
    let bob = example.watch("/live/stream/presence/lobby/?name=bob").await;
    let (kind, id, data) = alice.next().await;
    assert_eq!((&*kind, &data["name"]), ("create", &json!("bob")));
    drop(bob);
    let (kind, gone, _) = alice.next().await;
    assert_eq!((&*kind, gone), ("delete", id));
}

#[tokio::test]
async fn chat_keeps_what_is_said_and_tells_who_types() {
    let example = Example::start(env!("CARGO_BIN_EXE_chat"));
    assert!(example.ask("GET", "/", None).await.contains("<title>Chat</title>"));
    let mut client = example.watch("/live/stream/chat/a%20room/").await;
    assert_eq!(client.next().await, ("sync".into(), Value::Null, json!([])));
    example.ask("POST", "/rooms/a%20room", Some(json!({"by": "bob"}))).await;
    assert_eq!(client.next().await, ("event".into(), Value::Null, json!({"type": "typing", "data": {"by": "bob"}})));
    for n in 0..=100 {
        example.ask("POST", "/rooms/a%20room", Some(json!({"by": "bob", "text": format!("{n}")}))).await;
        let (kind, id, data) = client.next().await;
        assert_eq!((&*kind, &data), ("create", &json!({"id": id, "by": "bob", "text": n.to_string()})));
    }
    let (kind, _, data) = client.next().await;
    assert_eq!((&*kind, &data["text"]), ("delete", &json!("0")), "the oldest of 101");
    let mut late = example.watch("/live/stream/chat/a%20room/").await;
    assert_eq!(late.next().await.2.as_array().unwrap().len(), 100);
}

#[tokio::test]
async fn dashboard_is_fed_in_the_background() {
    let example = Example::start(env!("CARGO_BIN_EXE_dashboard"));
    assert!(example.ask("GET", "/", None).await.contains("This machine, now"));
    let mut client = example.watch("/live/stream/machine/now/").await;
    let mut updated = std::collections::BTreeSet::new();
    while updated.len() < 3 {
        let (kind, _, data) = client.next().await;
        if kind == "update" {
            assert!(data["value"].as_f64().unwrap() >= 0.0 && data["of"].as_f64().unwrap() > 0.0, "{data}");
            updated.insert(data["id"].as_str().unwrap().to_owned());
        }
    }
    assert!(updated.contains("memory") && updated.contains("load"), "{updated:?}");
}

#[tokio::test]
async fn text_comes_token_by_token_and_late_pages_have_all_of_it() {
    let example = Example::start(env!("CARGO_BIN_EXE_tokens"));
    assert!(example.ask("GET", "/", None).await.contains("<title>Ask</title>"));
    let mut client = example.watch("/live/stream/answers/all/").await;
    client.next().await;
    example.ask("POST", "/ask", Some(json!({"question": "Who are you?"}))).await;
    let (mut text, mut steps) = (String::new(), 0);
    loop {
        let (_, _, answer) = client.next().await;
        let now = answer["text"].as_str().unwrap();
        assert!(now.starts_with(&text), "{now}");
        (text, steps) = (now.to_owned(), steps + 1);
        if answer["done"] == true {
            break;
        }
    }
    assert!(text.starts_with("You asked: Who are you? ") && steps > 10, "{steps}: {text}");
    let (kind, _, state) = example.watch("/live/stream/answers/all/").await.next().await;
    assert_eq!((&*kind, &state[0]["text"]), ("sync", &json!(text)));
}

#[tokio::test]
async fn example_that_is_told_to_stop_closes_its_clients_in_order() {
    let example = Example::start(env!("CARGO_BIN_EXE_dashboard"));
    let mut client = example.watch("/live/stream/machine/now/").await;
    client.next().await;
    // As a browser that keeps its connection.
    let mut idle = TcpStream::connect(&example.address).await.unwrap();
    idle.write_all(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", example.address).as_bytes()).await.unwrap();
    soon(idle.read_u8()).await.unwrap();
    let signalled = Command::new("kill").args(["-TERM", &example.process.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let code = loop {
        if let Message::Close(close) = soon(client.0.next()).await.expect("no close frame").unwrap() {
            break u16::from(close.unwrap().code);
        }
    };
    assert_eq!(code, 1012);
    drop(client);
    let ended = tokio::task::spawn_blocking(move || {
        let mut example = example;
        example.process.wait()
    });
    let status = soon(ended).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
