//! A client of the worker port that speaks the protocol of the published `iii-sdk`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use futures_util::{SinkExt, StreamExt};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};
use uuid::Uuid;

use crate::server::{Server, within};
use crate::subscriber::Stream;

/// What a handler answers.
pub(crate) enum Answer {
    Value(Value),
    /// Success without a `result`.
    Absent,
    /// The body of an `error`.
    Error(Value),
    /// Nothing for now: the test answers by hand.
    Later,
}

impl From<Value> for Answer {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// A handler that throws.
pub(crate) fn failure(message: &str) -> Answer {
    Answer::Error(json!({"code": "invocation_failed", "message": message}))
}

/// A call that reached a function of this worker.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) data: Value,
    /// The whole frame.
    pub(crate) frame: Value,
}

/// The calls that reached one function, oldest first.
pub(crate) struct Calls(mpsc::UnboundedReceiver<Call>);

impl Calls {
    /// The next call.
    pub(crate) async fn next(&mut self) -> Call {
        within("call of the function", self.0.recv()).await.expect("the worker has ended")
    }

    /// The next call; `None` where the worker's connection ends instead. It waits for as long as none comes.
    pub(crate) async fn next_or_end(&mut self) -> Option<Call> {
        self.0.recv().await
    }

    /// The payload of the next call.
    pub(crate) async fn data(&mut self) -> Value {
        self.next().await.data
    }

    /// The next call, if one waits to be looked at.
    pub(crate) fn try_next(&mut self) -> Option<Call> {
        self.0.try_recv().ok()
    }

    /// Whether no call waits to be looked at.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

type Handler = Box<dyn Fn(&Value) -> Answer + Send>;

#[derive(Default)]
struct Shared {
    /// Calls of this worker that have no result yet.
    waiting: HashMap<String, oneshot::Sender<String>>,
    functions: HashMap<String, (Handler, mpsc::UnboundedSender<Call>)>,
    pongs: VecDeque<oneshot::Sender<()>>,
}

/// One connection.
pub(crate) struct Worker {
    /// What the server calls this connection.
    pub(crate) id: String,
    /// Proof of it.
    pub(crate) token: String,
    shared: Arc<Mutex<Shared>>,
    outgoing: mpsc::UnboundedSender<Message>,
    /// Frames that are neither results, calls of a served function, nor pongs.
    inbox: mpsc::UnboundedReceiver<String>,
    /// Ends with the code of the close frame, if one came.
    task: JoinHandle<Option<u16>>,
}

impl Worker {
    /// Connects.
    pub(crate) async fn open(server: &Server) -> Self {
        Self::at(server, "/").await
    }

    /// Connects to `path`.
    pub(crate) async fn at(server: &Server, path: &str) -> Self {
        let stream = TcpStream::connect(server.workers()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream, &format!("ws://{}{path}", server.workers())).await
    }

    /// Connects to `url` over a connection that is there.
    pub(crate) async fn over(stream: impl Stream + 'static, url: &str) -> Self {
        let request = url.into_client_request().unwrap();
        let config = WebSocketConfig::default().max_frame_size(Some(64 << 20));
        let (socket, _) = within("handshake", client_async_with_config(request, stream, Some(config))).await.unwrap();
        let shared = Arc::<Mutex<Shared>>::default();
        let (outgoing, to_send) = mpsc::unbounded_channel();
        let (received, inbox) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(socket, to_send, shared.clone(), outgoing.clone(), received));
        let mut worker = Self { id: String::new(), token: String::new(), shared, outgoing, inbox, task };
        let first = worker.next().await;
        assert_eq!(first["type"], "workerregistered", "{first}");
        worker.id = first["worker_id"].as_str().unwrap().to_owned();
        worker.token = first["reattach_token"].as_str().unwrap().to_owned();
        worker
    }

    /// Sends any message.
    pub(crate) fn send(&self, message: &Value) {
        self.send_message(Message::text(message.to_string()));
    }

    /// Sends any frame.
    pub(crate) fn send_message(&self, message: Message) {
        self.outgoing.send(message).expect("the socket of the worker has ended");
    }

    /// Sends an `invokefunction` with these keys and a fresh id, unless it has one, at once; the future is the text of its result.
    pub(crate) fn reply_text(&self, call: &str) -> impl Future<Output = String> + use<> {
        let id = Uuid::new_v4().to_string();
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().unwrap().waiting.insert(id.clone(), sender);
        let call = call.trim_start().strip_prefix('{').unwrap();
        self.send_message(Message::text(format!(r#"{{"type":"invokefunction","invocation_id":"{id}",{call}"#)));
        async { within("result of the call", receiver).await.expect("the socket of the worker has ended") }
    }

    /// The same with the result parsed and without its `type` and `invocation_id`.
    pub(crate) async fn reply(&self, call: &Value) -> Value {
        let mut reply: Value = serde_json::from_str(&self.reply_text(&call.to_string()).await).unwrap();
        let fields = reply.as_object_mut().unwrap();
        assert_eq!(fields.shift_remove("type").unwrap(), "invocationresult");
        assert!(fields.shift_remove("invocation_id").is_some());
        reply
    }

    /// Calls a function: its result, `None` where there is no such key, or its error.
    pub(crate) async fn call(&self, function: &str, data: Value) -> Result<Option<Value>, Value> {
        let mut call = json!({"function_id": function});
        call["data"] = data;
        let mut reply = self.reply(&call).await;
        assert_eq!(reply["function_id"], function);
        let fields = reply.as_object_mut().unwrap();
        match fields.shift_remove("error") {
            Some(error) => Err(error),
            None => Ok(fields.shift_remove("result")),
        }
    }

    /// Calls a function; whether it succeeds before the connection ends.
    pub(crate) async fn succeeds(&self, function: &str, data: &Value) -> bool {
        let (id, (sender, receiver)) = (Uuid::new_v4().to_string(), oneshot::channel());
        self.shared.lock().unwrap().waiting.insert(id.clone(), sender);
        let call = json!({"type": "invokefunction", "invocation_id": id, "function_id": function, "data": data});
        if self.outgoing.send(Message::text(call.to_string())).is_err() {
            return false;
        }
        let reply = tokio::select! {
            biased;
            reply = receiver => reply.ok(),
            () = self.outgoing.closed() => None,
        };
        reply.is_some_and(|reply| serde_json::from_str::<Value>(&reply).unwrap().get("error").is_none())
    }

    /// Calls a function that must answer a value.
    pub(crate) async fn result(&self, function: &str, data: Value) -> Value {
        match self.call(function, data).await {
            Ok(Some(value)) => value,
            other => panic!("expected a value of {function}, got {other:?}"),
        }
    }

    /// Calls a function that must fail; the code and the message.
    pub(crate) async fn error(&self, function: &str, data: Value) -> (String, String) {
        match self.call(function, data).await {
            Err(error) => (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned()),
            Ok(value) => panic!("expected an error of {function}, got {value:?}"),
        }
    }

    /// Calls a function without wanting a result.
    pub(crate) fn void(&self, function: &str, data: Value) {
        let mut call = json!({"type": "invokefunction", "function_id": function, "action": {"type": "void"}});
        call["data"] = data;
        self.send(&call);
    }

    /// `stream::set`
    pub(crate) async fn set(&self, stream: &str, group: &str, item: &str, data: Value) -> Value {
        self.result("stream::set", write(stream, group, item, data)).await
    }

    /// Registers a function that answers with `handler`; the calls can be looked at.
    pub(crate) fn serve<A: Into<Answer>>(&self, function: &str, handler: impl Fn(&Value) -> A + Send + 'static) -> Calls {
        let (sender, receiver) = mpsc::unbounded_channel();
        let handler: Handler = Box::new(move |data| handler(data).into());
        self.shared.lock().unwrap().functions.insert(function.to_owned(), (handler, sender));
        self.send(&json!({"type": "registerfunction", "id": function}));
        Calls(receiver)
    }

    /// Registers a function that answers null; the calls can be looked at.
    pub(crate) fn record(&self, function: &str) -> Calls {
        self.serve(function, |_| Value::Null)
    }

    /// Registers a function whose calls the test answers.
    pub(crate) fn hold(&self, function: &str) -> Calls {
        self.serve(function, |_| Answer::Later)
    }

    /// Answers a call of a function that is held.
    pub(crate) fn answer(&self, call: &Call, answer: impl Into<Answer>) {
        if let Some(frame) = result_of(&call.frame, answer.into()) {
            self.send(&frame);
        }
    }

    /// Ends a registration; the connection stays.
    pub(crate) fn unregister(&self, function: &str) {
        self.send(&json!({"type": "unregisterfunction", "id": function}));
    }

    /// Registers a trigger.
    pub(crate) fn trigger(&self, id: &str, trigger_type: &str, function: &str, config: Value) {
        let mut message = json!({"type": "registertrigger", "id": id, "trigger_type": trigger_type, "function_id": function});
        message["config"] = config;
        self.send(&message);
    }

    /// The next frame that is neither a result, a call of a served function, nor a pong.
    pub(crate) async fn next(&mut self) -> Value {
        let text = within("frame for the worker", self.inbox.recv()).await.expect("the socket of the worker has ended");
        serde_json::from_str(&text).unwrap()
    }

    /// Waits until the server has handled what was sent so far, up to the door of the store.
    pub(crate) async fn settle(&self) {
        let (sender, receiver) = oneshot::channel();
        self.shared.lock().unwrap().pongs.push_back(sender);
        self.send(&json!({"type": "ping"}));
        within("pong", receiver).await.expect("the socket of the worker has ended");
    }

    /// Fails if a frame has come that [`next`](Self::next) would return.
    pub(crate) async fn nothing_came(&mut self) {
        self.settle().await;
        if let Ok(text) = self.inbox.try_recv() {
            panic!("unexpected frame: {text}");
        }
    }

    /// Drops the connection without a close frame.
    pub(crate) async fn disconnect(self) {
        self.task.abort();
        // Ended by the abort, and the socket with it.
        drop(self.task.await);
    }

    /// Waits until the server ends the connection; the code of its close frame, if it sent one.
    pub(crate) async fn ended(self) -> Option<u16> {
        within("end of the worker's connection", self.task).await.unwrap()
    }
}

/// Input of `stream::get` and `stream::delete`.
pub(crate) fn key(stream: &str, group: &str, item: &str) -> Value {
    json!({"stream_name": stream, "group_id": group, "item_id": item})
}

/// Input of `stream::set`.
pub(crate) fn write(stream: &str, group: &str, item: &str, data: Value) -> Value {
    let mut input = key(stream, group, item);
    input["data"] = data;
    input
}

/// Input of `stream::list`.
pub(crate) fn group(stream: &str, group: &str) -> Value {
    json!({"stream_name": stream, "group_id": group})
}

fn result_of(call: &Value, answer: Answer) -> Option<Value> {
    let mut frame = json!({"type": "invocationresult", "invocation_id": call["invocation_id"], "function_id": call["function_id"]});
    match answer {
        Answer::Value(value) => frame["result"] = value,
        Answer::Error(error) => frame["error"] = error,
        Answer::Absent => {}
        Answer::Later => return None,
    }
    Some(frame)
}

/// Moves frames until the socket ends; the code of the server's close frame.
async fn run(
    mut socket: WebSocketStream<impl Stream>,
    mut to_send: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Mutex<Shared>>,
    outgoing: mpsc::UnboundedSender<Message>,
    received: mpsc::UnboundedSender<String>,
) -> Option<u16> {
    let mut code = None;
    loop {
        tokio::select! {
            message = to_send.recv() => {
                // The end shows at the reading side.
                drop(socket.send(message?).await);
            }
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if let Some(answer) = shared.lock().unwrap().take(&text, &received) {
                        drop(outgoing.send(Message::text(answer.to_string())));
                    }
                }
                Some(Ok(Message::Close(close))) => code = close.map(|close| close.code.into()),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => break,
            },
        }
    }
    // Whoever waits learns that nothing will come.
    *shared.lock().unwrap() = Shared::default();
    code
}

impl Shared {
    /// Passes a message to whoever waits for it; what is to be sent back.
    fn take(&mut self, text: &str, received: &mpsc::UnboundedSender<String>) -> Option<Value> {
        // Not as a tree: that is only for payloads which a test means to look into.
        let fields: HashMap<String, &RawValue> = serde_json::from_str(text).expect("a message is a JSON object");
        let field = |name: &str| fields.get(name).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok()).unwrap_or_default();
        match &*field("type") {
            "invocationresult" => {
                if let Some(waiting) = self.waiting.remove(&field("invocation_id")) {
                    drop(waiting.send(text.to_owned()));
                    return None;
                }
            }
            "invokefunction" => {
                if let Some((handler, calls)) = self.functions.get(&field("function_id")) {
                    let frame: Value = serde_json::from_str(text).unwrap();
                    let data = frame["data"].clone();
                    let answer = result_of(&frame, handler(&data));
                    drop(calls.send(Call { data, frame }));
                    return answer;
                }
            }
            "pong" => {
                if let Some(waiting) = self.pongs.pop_front() {
                    // Who waited may have given up.
                    let _ = waiting.send(());
                    return None;
                }
            }
            _ => {}
        }
        drop(received.send(text.to_owned()));
        None
    }
}
