//! A client of the stream port.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::{Request, Response};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::server::{Server, within};

/// What a WebSocket may go over: TCP, with TLS or without.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// One connection.
pub(crate) struct Subscriber {
    socket: WebSocketStream<Box<dyn Stream>>,
    /// The answer to the handshake.
    pub(crate) response: Response,
    /// `ip:port` of this end.
    pub(crate) address: String,
    /// What the server said when it closed, where [`next_or_end`](Self::next_or_end) came across it.
    pub(crate) farewell: Option<String>,
}

impl Subscriber {
    /// Connects to `path`.
    pub(crate) async fn open(server: &Server, path: &str) -> Self {
        Self::request(server, Self::to(server, path)).await
    }

    /// A request for `path`, to which headers may be added.
    pub(crate) fn to(server: &Server, path: &str) -> Request {
        format!("ws://{}{path}", server.streams()).into_client_request().unwrap()
    }

    /// Connects with `request`.
    pub(crate) async fn request(server: &Server, request: Request) -> Self {
        let stream = TcpStream::connect(server.streams()).await.unwrap();
        let address = stream.local_addr().unwrap().to_string();
        Self::over(stream, address, request).await
    }

    /// Sends `request` over a connection that is there, whose end here is `address`.
    pub(crate) async fn over(stream: impl Stream + 'static, address: String, request: Request) -> Self {
        let stream: Box<dyn Stream> = Box::new(stream);
        let (socket, response) = within("handshake", client_async(request, stream)).await.unwrap();
        Self { socket, response, address, farewell: None }
    }

    /// Connects to the path of a group and takes its `sync`, whose data is returned beside.
    pub(crate) async fn of(server: &Server, stream: &str, group: &str) -> (Self, Value) {
        let mut subscriber = Self::open(server, &format!("/stream/{stream}/{group}/")).await;
        let data = subscriber.sync().await;
        (subscriber, data)
    }

    /// Sends a text message.
    pub(crate) async fn send(&mut self, message: &Value) {
        self.socket.send(Message::text(message.to_string())).await.unwrap();
    }

    /// Sends a binary message.
    pub(crate) async fn send_binary(&mut self, message: &Value) {
        self.socket.send(Message::binary(message.to_string())).await.unwrap();
    }

    /// Asks to join a group under the name `id`.
    pub(crate) async fn join(&mut self, id: &str, stream: &str, group: &str) {
        self.send(&json!({"type": "join", "data": {"subscriptionId": id, "streamName": stream, "groupId": group}})).await;
    }

    /// Asks to join an item under the name `id`.
    pub(crate) async fn join_item(&mut self, id: &str, stream: &str, group: &str, item: &str) {
        self.send(&json!({"type": "join", "data": {"subscriptionId": id, "streamName": stream, "groupId": group, "id": item}})).await;
    }

    /// Ends the subscription `id`.
    pub(crate) async fn leave(&mut self, id: &str) {
        self.send(&json!({"type": "leave", "data": {"subscriptionId": id, "streamName": "any", "groupId": "any"}})).await;
    }

    async fn message(&mut self) -> Message {
        match within("frame for the subscriber", self.socket.next()).await {
            Some(Ok(message)) => message,
            ended => panic!("the socket of the subscriber has ended: {ended:?}"),
        }
    }

    /// The text of the next frame.
    pub(crate) async fn next_text(&mut self) -> String {
        loop {
            match self.message().await {
                Message::Text(text) => return text.to_string(),
                Message::Ping(_) => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// The text of the next frame; `None` where the connection ends instead. It waits for as long as nothing comes.
    pub(crate) async fn next_or_end(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(close))) => self.farewell = close.map(|close| close.to_string()),
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    self.farewell.get_or_insert_with(|| error.to_string());
                    return None;
                }
                None => return None,
            }
        }
    }

    /// The next frame.
    pub(crate) async fn next_frame(&mut self) -> Value {
        serde_json::from_str(&self.next_text().await).unwrap()
    }

    /// The next `count` frames.
    pub(crate) async fn frames(&mut self, count: usize) -> Vec<Value> {
        let mut frames = Vec::with_capacity(count);
        for _ in 0..count {
            frames.push(self.next_frame().await);
        }
        frames
    }

    /// What the next frame tells: `event`.
    pub(crate) async fn next_event(&mut self) -> Value {
        self.next_frame().await["event"].take()
    }

    /// The data of the next frame, which must be a `sync`.
    pub(crate) async fn sync(&mut self) -> Value {
        let mut event = self.next_event().await;
        assert_eq!(event["type"], "sync", "{event}");
        event["data"].take()
    }

    /// The frames that were under way: all that come before the answer to a ping.
    pub(crate) async fn under_way(&mut self) -> Vec<Value> {
        self.socket.send(Message::Ping("settle".into())).await.unwrap();
        let mut frames = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => frames.push(serde_json::from_str(&text).unwrap()),
                Message::Pong(payload) if &payload[..] == b"settle" => return frames,
                Message::Ping(_) => {}
                other => panic!("expected text or a pong, got {other:?}"),
            }
        }
    }

    /// The code with which the server closes; nothing else may come before.
    pub(crate) async fn closed(&mut self) -> u16 {
        self.closed_saying().await.0
    }

    /// The same with the reason.
    pub(crate) async fn closed_saying(&mut self) -> (u16, String) {
        loop {
            match self.message().await {
                Message::Close(Some(frame)) => return (frame.code.into(), frame.reason.to_string()),
                Message::Ping(_) => {}
                other => panic!("expected a close frame, got {other:?}"),
            }
        }
    }

    /// Closes in order and waits until the server has answered.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.unwrap();
        within("end of the connection", async { while self.socket.next().await.is_some() {} }).await;
    }
}

/// The words of `frames`' events, in order.
pub(crate) fn words(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["event"]["type"].as_str().unwrap()).collect()
}

/// The values of `frames`' events, in order.
pub(crate) fn values(frames: &[Value]) -> Vec<Value> {
    frames.iter().map(|frame| frame["event"]["data"].clone()).collect()
}

/// Checks that timestamps are whole milliseconds of this century, each greater than the one before.
pub(crate) fn assert_timestamps_rise(frames: &[Value]) {
    let timestamps: Vec<u64> = frames.iter().map(|frame| frame["timestamp"].as_u64().expect("an integer")).collect();
    assert!(timestamps.is_sorted_by(|a, b| a < b), "{timestamps:?}");
    assert!(timestamps.iter().all(|at| (1_600_000_000_000..1 << 53).contains(at)), "{timestamps:?}");
}
