//! Messages that are well-formed frames and nonsense inside, on both ports: they are dropped, and the socket goes on.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::raw::{BINARY, Raw, TEXT};
use crate::server::Server;
use crate::worker::{Worker, key};

/// How deep hostile JSON is nested here: a parser that recurses needs more stack than a thread has.
const DEEP: usize = 100_000;

/// One of the two ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Port {
    Workers,
    Streams,
}

impl Port {
    /// `ip:port`.
    pub(crate) fn address(self, server: &Server) -> &str {
        match self {
            Self::Workers => server.workers(),
            Self::Streams => server.streams(),
        }
    }

    /// A connection from which the greeting has been read.
    pub(crate) async fn open(self, server: &Server) -> Raw {
        let mut raw = Raw::open(self.address(server), "/").await;
        if self == Self::Workers {
            assert_eq!(raw.json().await["type"], "workerregistered");
        }
        raw
    }

    /// A message that is answered, and a word that only its answer has.
    pub(crate) fn question(self) -> (Vec<u8>, String) {
        let id = Uuid::new_v4().to_string();
        let message = match self {
            Self::Workers => json!({"type": "invokefunction", "invocation_id": id, "function_id": "stream::get",
                                    "data": key("s", "g", "i")}),
            Self::Streams => json!({"type": "join", "data": {"subscriptionId": id, "streamName": "s", "groupId": id}}),
        };
        (message.to_string().into_bytes(), id)
    }

    /// Checks that `raw` works: the next frame answers the next message, so that nothing was answered in between.
    pub(crate) async fn works(self, raw: &mut Raw) {
        let (message, id) = self.question();
        raw.frame(TEXT, &message).await;
        self.answered(raw, &id).await;
    }

    /// Checks that the next frame is the answer to the question with that word.
    pub(crate) async fn answered(self, raw: &mut Raw, id: &str) {
        let answer = raw.json().await;
        match self {
            Self::Workers => assert_eq!(answer["invocation_id"], id, "{answer}"),
            Self::Streams => {
                assert_eq!((answer["groupId"].as_str(), answer["event"]["type"].as_str()), (Some(id), Some("sync")), "{answer}")
            }
        }
    }

    /// Checks that a new connection works.
    pub(crate) async fn accepts(self, server: &Server) {
        let mut raw = self.open(server).await;
        self.works(&mut raw).await;
    }
}

/// One test per port for each function named.
macro_rules! on_both_ports {
    ($($name:ident),+ $(,)?) => {
        mod worker_port {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bad_input::Port::Workers).await;
            })+
        }
        mod stream_port {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::bad_input::Port::Streams).await;
            })+
        }
    };
}
pub(crate) use on_both_ports;

on_both_ports! {
    text_that_is_not_json_is_ignored,
    json_that_is_no_object_is_ignored,
    array_in_place_of_an_object_is_ignored,
    values_of_the_wrong_type_are_ignored,
    missing_keys_are_ignored,
    unknown_type_is_ignored,
    empty_and_blank_messages_are_ignored,
    binary_noise_is_ignored,
    deep_nesting_is_ignored,
    deep_nesting_beside_a_message_is_survived,
    escapes_that_are_no_text_are_ignored,
    message_in_a_binary_frame_is_read,
}

/// Sends each of `messages` and checks after each that it left no trace.
async fn ignored<T: AsRef<[u8]>>(port: Port, messages: impl IntoIterator<Item = T>) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    for message in messages {
        raw.frame(TEXT, message.as_ref()).await;
        port.works(&mut raw).await;
    }
}

async fn text_that_is_not_json_is_ignored(port: Port) {
    ignored(port, ["hello", "{", "}", "{\"type\":", "{\"type\":\"ping\"", "{'type':'ping'}", "nul", "{\"type\":\"ping\"} x", "\u{feff}{}"])
        .await;
}

async fn json_that_is_no_object_is_ignored(port: Port) {
    ignored(port, ["null", "true", "17", "-1e400", "\"ping\"", "[]", "[{\"type\":\"ping\"}]", "[[]]"]).await;
}

async fn array_in_place_of_an_object_is_ignored(port: Port) {
    let messages: &[&str] = match port {
        // Positions in place of keys: what a derived parser would take for the fields in order.
        Port::Workers => &[r#"["ping"]"#, r#"["registerfunction","f"]"#, r#"["invokefunction",null,"1","stream::list_all",{}]"#],
        Port::Streams => &[r#"["join",["a","s","g",null]]"#, r#"{"type":"join","data":["a","s","g",null]}"#],
    };
    ignored(port, messages).await;
}

async fn values_of_the_wrong_type_are_ignored(port: Port) {
    let messages: Vec<Value> = match port {
        Port::Workers => vec![
            json!({"type": 1}),
            json!({"type": null}),
            json!({"type": ["ping"]}),
            json!({"type": "invokefunction", "function_id": 7, "invocation_id": "1"}),
            json!({"type": "invokefunction", "function_id": "stream::list_all", "invocation_id": {}}),
            json!({"type": "invokefunction", "function_id": "stream::list_all", "invocation_id": "1", "action": "void"}),
            json!({"type": "invokefunction", "function_id": "stream::list_all", "invocation_id": "1", "action": {"type": 1}}),
            json!({"type": "invokefunction", "function_id": "stream::list_all", "invocation_id": "1", "namespace": []}),
            json!({"type": "invocationresult", "invocation_id": 5, "function_id": "f"}),
            json!({"type": "registerfunction", "id": []}),
            json!({"type": "unregisterfunction", "id": true}),
            json!({"type": "registertrigger", "id": {}, "trigger_type": 1, "function_id": null}),
            json!({"type": "reattach", "previous_worker_id": 1, "reattach_token": {}}),
        ],
        Port::Streams => vec![
            json!({"type": 1, "data": {"subscriptionId": "a", "streamName": "s", "groupId": "g"}}),
            json!({"type": "join", "data": []}),
            json!({"type": "join", "data": "s"}),
            json!({"type": "join", "data": null}),
            json!({"type": "join", "data": {"subscriptionId": 1, "streamName": "s", "groupId": "g"}}),
            json!({"type": "join", "data": {"subscriptionId": "a", "streamName": {}, "groupId": "g"}}),
            json!({"type": "join", "data": {"subscriptionId": "a", "streamName": "s", "groupId": null}}),
            json!({"type": "join", "data": {"subscriptionId": "a", "streamName": "s", "groupId": "g", "id": 7}}),
            json!({"type": "leave", "data": {"subscriptionId": ["a"]}}),
        ],
    };
    ignored(port, messages.iter().map(Value::to_string)).await;
}

async fn missing_keys_are_ignored(port: Port) {
    let messages: Vec<Value> = match port {
        Port::Workers => vec![
            json!({}),
            json!({"data": {}}),
            json!({"type": "invokefunction"}),
            json!({"type": "invokefunction", "invocation_id": "1"}),
            json!({"type": "invocationresult"}),
            json!({"type": "invocationresult", "invocation_id": "00000000-0000-0000-0000-000000000000"}),
            json!({"type": "registerfunction"}),
            json!({"type": "registerfunction", "id": ""}),
            json!({"type": "registertriggertype"}),
            json!({"type": "registerservice"}),
            json!({"type": "unregisterfunction"}),
            json!({"type": "unregistertrigger"}),
            json!({"type": "unregistertriggertype"}),
            json!({"type": "triggerregistrationresult"}),
            json!({"type": "reattach"}),
        ],
        Port::Streams => vec![
            json!({}),
            json!({"type": "join"}),
            json!({"type": "join", "data": {}}),
            json!({"type": "join", "data": {"subscriptionId": "a", "streamName": "s"}}),
            json!({"type": "join", "data": {"subscriptionId": "a", "groupId": "g"}}),
            json!({"type": "join", "data": {"streamName": "s", "groupId": "g"}}),
            json!({"type": "join", "subscriptionId": "a", "streamName": "s", "groupId": "g"}),
            json!({"type": "leave"}),
            json!({"type": "leave", "data": {}}),
            json!({"data": {"subscriptionId": "a", "streamName": "s", "groupId": "g"}}),
        ],
    };
    ignored(port, messages.iter().map(Value::to_string)).await;
}

async fn unknown_type_is_ignored(port: Port) {
    let data = json!({"subscriptionId": "a", "streamName": "s", "groupId": "g"});
    let types = ["", "dance", "Join", "JOIN", "invoke_function", "InvokeFunction", "workerregistered", "observe", "\u{0}"];
    ignored(port, types.map(|kind| json!({"type": kind, "id": "x", "data": data}).to_string())).await;
}

async fn empty_and_blank_messages_are_ignored(port: Port) {
    ignored(port, ["", " ", "\n", " \t\r\n "]).await;
    let server = Server::start();
    let mut raw = port.open(&server).await;
    for message in ["", "  "] {
        raw.frame(BINARY, message.as_bytes()).await;
        port.works(&mut raw).await;
    }
}

async fn binary_noise_is_ignored(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for length in [1, 3, 125, 126, 4096, 70_000] {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        })
        .take(length)
        .collect();
        raw.frame(BINARY, &noise).await;
        port.works(&mut raw).await;
    }
}

/// `DEEP` levels of arrays and of objects, closed or cut off in the middle.
fn deep() -> [String; 4] {
    let (arrays, objects) = ("[".repeat(DEEP), "{\"a\":".repeat(DEEP));
    [format!("{arrays}{}", "]".repeat(DEEP)), format!("{objects}0{}", "}".repeat(DEEP)), arrays, objects]
}

async fn deep_nesting_is_ignored(port: Port) {
    let keys: &[&str] = match port {
        Port::Workers => &["type", "id", "action", "data", "unknown"],
        Port::Streams => &["type", "data", "unknown"],
    };
    let wrapped = deep().into_iter().flat_map(|deep| keys.iter().map(move |key| format!("{{\"{key}\":{deep}}}")).collect::<Vec<_>>());
    ignored(port, deep().into_iter().chain(wrapped)).await;
}

async fn deep_nesting_beside_a_message_is_survived(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let deep = &deep()[0];
    let messages: &[&str] = match port {
        Port::Workers => &[
            r#""type":"registerfunction","id":"f","metadata":"#,
            r#""type":"registerfunction","id":"g","request_format":"#,
            r#""type":"registertriggertype","id":"t","description":"x","unknown":"#,
            r#""type":"registertrigger","id":"a","trigger_type":"t","function_id":"f","config":"#,
            r#""type":"invokefunction","function_id":"stream::set","action":{"type":"void"},"data":"#,
            r#""type":"invokefunction","function_id":"stream::list_all","action":{"type":"void"},"data":"#,
            r#""type":"invokefunction","function_id":"engine::workers::register","action":{"type":"void"},"data":"#,
            r#""type":"invocationresult","invocation_id":"00000000-0000-0000-0000-000000000000","error":"#,
        ],
        Port::Streams => &[r#""type":"leave","data":{"subscriptionId":"a"},"unknown":"#],
    };
    for message in messages {
        raw.frame(TEXT, format!("{{{message}{deep}}}").as_bytes()).await;
    }
    // A provider is told of a binding whose configuration is only its own business; nobody else is told anything.
    let (question, id) = port.question();
    raw.frame(TEXT, &question).await;
    loop {
        match raw.next().await {
            Some((TEXT, answer)) if String::from_utf8_lossy(&answer).contains(&id) => break,
            Some((TEXT, told)) => assert!(String::from_utf8_lossy(&told).contains(r#""type":"registertrigger""#)),
            other => panic!("expected an answer, got {other:?}"),
        }
    }
    let worker = Worker::open(&server).await;
    worker.result("engine::functions::list", json!({})).await;
    worker.result("engine::registered-triggers::list", json!({})).await;
}

async fn escapes_that_are_no_text_are_ignored(port: Port) {
    // Half of a surrogate pair, which no Rust string can hold.
    let messages = match port {
        Port::Workers => [r#"{"type":"\ud800"}"#, r#"{"type":"registerfunction","id":"\udc00"}"#, r#"{"type":"ping\u00"}"#],
        Port::Streams => [
            r#"{"type":"\ud800","data":{"subscriptionId":"a","streamName":"s","groupId":"g"}}"#,
            r#"{"type":"join","data":{"subscriptionId":"a","streamName":"\udc00","groupId":"g"}}"#,
            r#"{"type":"join","data":{"subscriptionId":"a","streamName":"\x","groupId":"g"}}"#,
        ],
    };
    ignored(port, messages).await;
}

async fn message_in_a_binary_frame_is_read(port: Port) {
    let server = Server::start();
    let mut raw = port.open(&server).await;
    let (question, id) = port.question();
    raw.frame(BINARY, &question).await;
    port.answered(&mut raw, &id).await;
}

/// `serde_json` with `raw_value` parses the text under this key again, with a fresh limit on depth.
fn raw_value_key() -> Value {
    let mut text = String::from("null");
    for _ in 0..12 {
        text = json!({"$serde_json::private::RawValue": text}).to_string();
        text = format!("{}{text}{}", "[".repeat(100), "]".repeat(100));
    }
    let nested = json!({"$serde_json::private::RawValue": text});
    json!([nested, {"$serde_json::private::RawValue": "[".repeat(DEEP)}, {"$serde_json::private::Number": "x"}])
}

#[tokio::test]
async fn private_key_of_the_json_parser_is_a_key_like_any_other() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for data in raw_value_key().as_array().unwrap() {
        let set = json!({"function_id": "stream::set", "data": {"stream_name": "s", "group_id": "g", "item_id": "i", "data": data}});
        // As text: this client's parser has the same weakness.
        let reply = worker.reply_text(&set.to_string()).await;
        assert!(reply.contains(&format!("\"new_value\":{data}")), "{}", &reply[..200]);
        let ops = json!([{"type": "set", "path": "a", "value": 1}, {"type": "merge", "value": data}]);
        let update = json!({"function_id": "stream::update", "data": {"stream_name": "s", "group_id": "g", "item_id": "i", "ops": ops}});
        let reply = worker.reply_text(&update.to_string()).await;
        let (name, value) = data.as_object().unwrap().iter().next().unwrap();
        assert!(reply.contains(&format!("\"new_value\":{{\"{name}\":{value},\"a\":1}}")), "{}", &reply[reply.len() - 200..]);
    }
}

#[tokio::test]
async fn private_key_of_the_json_parser_in_a_registration_is_survived() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for data in raw_value_key().as_array().unwrap() {
        worker.send(&json!({"type": "registerfunction", "id": "f", "metadata": data, "request_format": data}));
        worker.send(&json!({"type": "registertrigger", "id": "j", "trigger_type": "stream:join", "function_id": "f", "config": data}));
        worker.reply_text(&json!({"function_id": "engine::workers::register", "data": data}).to_string()).await;
        for list in ["engine::functions::list", "engine::registered-triggers::list", "engine::workers::list"] {
            worker.reply_text(&json!({"function_id": list, "data": data}).to_string()).await;
        }
    }
}
