//! What every binary needs, whatever the SDK version: checks that print what they checked, and a subscriber with deadlines.

use std::{
    collections::HashMap,
    env,
    error::Error as StdError,
    fmt::Debug,
    future::Future,
    process, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest, http::HeaderValue},
};

pub type Outcome = Result<(), Box<dyn StdError + Send + Sync>>;

const WAIT: Duration = Duration::from_secs(15);
const BINARY: Duration = Duration::from_secs(50);

/// Where workers connect.
pub fn workers() -> String {
    required("WEIR_WORKERS")
}

fn required(name: &str) -> String {
    let value = env::var(name).unwrap_or_else(|_| panic!("{name} is not set; see tests/sdk/README.md"));
    value.trim_end_matches('/').to_owned()
}

/// A name of this run only, so that a binary can be run twice against one server.
pub fn unique(name: &str) -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    format!("{name}-{:x}-{:x}", process::id(), since.as_nanos())
}

pub fn check<T: PartialEq + Debug>(what: &str, actual: T, expected: T) {
    assert_eq!(actual, expected, "{what}");
    println!("ok {what}");
}

/// Ends the process when a wait inside the SDK never returns.
pub fn watch() {
    thread::spawn(|| {
        thread::sleep(BINARY);
        eprintln!("FAILED: still running after {BINARY:?}");
        process::exit(1);
    });
}

/// How an invocation failed: the server's code and message.
#[derive(Debug, PartialEq)]
pub struct Failure {
    pub code: String,
    pub message: String,
}

/// What is common to the SDK versions.
pub trait Sdk {
    fn call(&self, function_id: &str, payload: Value) -> impl Future<Output = Result<Value, Failure>>;
    fn void(&self, function_id: &str, payload: Value) -> impl Future<Output = ()>;
}

/// Registrations are never acknowledged, so this asks until the lists have these functions, and triggers that call these.
pub async fn registered(sdk: &impl Sdk, functions: &[&str], triggers: &[&str]) {
    let deadline = Instant::now() + WAIT;
    loop {
        let internal = json!({ "include_internal": true });
        let listed = sdk.call("engine::functions::list", internal.clone()).await.expect("engine::functions::list");
        let bound = sdk.call("engine::triggers::list", internal).await.expect("engine::triggers::list");
        if functions.iter().all(|id| has(&listed["functions"], id))
            && triggers.iter().all(|id| has(&bound["triggers"], id))
        {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not listed: {functions:?} or triggers calling {triggers:?}: {listed} {bound}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn has(rows: &Value, function_id: &str) -> bool {
    rows.as_array().is_some_and(|rows| rows.iter().any(|row| row["function_id"] == function_id))
}

/// A WebSocket subscriber; timestamps must grow within a group (protocol.md C.6).
pub struct Subscriber {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last: HashMap<String, i64>,
}

impl Subscriber {
    pub async fn open(path: &str, headers: &[(&'static str, &'static str)]) -> Self {
        let url = format!("{}{path}", required("WEIR_STREAMS"));
        let mut request = url.into_client_request().expect("a WebSocket address");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        let (socket, _) = connect_async(request).await.expect("an open socket");
        Self { socket, last: HashMap::new() }
    }

    pub async fn join(&mut self, subscription_id: &str, stream: &str, group: &str, item: Option<&str>) {
        let mut data = json!({ "subscriptionId": subscription_id, "streamName": stream, "groupId": group });
        if let Some(item) = item {
            data["id"] = json!(item);
        }
        let message = json!({ "type": "join", "data": data }).to_string();
        self.socket.send(Message::text(message)).await.expect("join");
    }

    /// The next frame as `[event type, item id, data]`.
    pub async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(WAIT, self.socket.next()).await.expect("a frame in time");
            match message.expect("an open socket").expect("a frame") {
                Message::Text(text) => return self.read(&text),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("not a text frame: {other:?}"),
            }
        }
    }

    fn read(&mut self, text: &str) -> Value {
        let frame: Value = serde_json::from_str(text).expect("JSON");
        assert_eq!(frame["type"], "stream", "{text}");
        let timestamp = frame["timestamp"].as_i64().unwrap_or_else(|| panic!("timestamp of {text}"));
        let event = &frame["event"];
        let last = self.last.insert(format!("{} {}", frame["streamName"], frame["groupId"]), timestamp);
        if let Some(last) = last {
            let grows = if event["type"] == "sync" { timestamp >= last } else { timestamp > last };
            assert!(grows, "timestamp after {last}: {text}");
        }
        let data = if event["type"] == "event" { &event["event"] } else { &event["data"] };
        json!([event["type"], frame["id"], data])
    }
}
