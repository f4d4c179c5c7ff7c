//! Spans that continue the traces of workers, received as a collector does.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::server::{Server, on_redis, until};
use crate::worker::{Worker, key};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector: what was sent to it.
struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<VecDeque<Value>>>,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, spans) = (listener.local_addr().unwrap(), Arc::<Mutex<VecDeque<Value>>>::default());
        let taken = spans.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let (mut length, mut first) = (0, String::new());
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    if first.is_empty() {
                        first.clone_from(&line);
                    }
                    if let Some(bytes) = line.to_lowercase().strip_prefix("content-length: ") {
                        length = bytes.trim().parse().unwrap();
                    }
                    if line == "\r\n" {
                        break;
                    }
                }
                assert_eq!(first, "POST /v1/traces HTTP/1.1\r\n");
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                let request: Value = serde_json::from_slice(&body).unwrap();
                let resource = &request["resourceSpans"][0];
                assert_eq!(resource["resource"]["attributes"][0], json!({"key": "service.name", "value": {"stringValue": "weir"}}));
                let spans = resource["scopeSpans"][0]["spans"].as_array().unwrap().clone();
                taken.lock().unwrap().extend(spans);
            }
        });
        Self { address, spans }
    }

    async fn next(&self) -> Value {
        let mut next = None;
        until("span", async || {
            next = self.spans.lock().unwrap().pop_front();
            next.is_some()
        })
        .await;
        next.unwrap()
    }

    fn server(&self) -> Server {
        Server::administered(json!({}), json!({"otlp_endpoint": format!("http://{}", self.address)}))
    }
}

fn traceparent(flags: &str) -> String {
    format!("00-{TRACE}-{PARENT}-{flags}")
}

fn attribute<'v>(span: &'v Value, key: &str) -> &'v Value {
    let attributes = span["attributes"].as_array().unwrap();
    &attributes.iter().find(|attribute| attribute["key"] == key).unwrap()["value"]
}

#[tokio::test]
async fn call_of_a_worker_is_a_span_whose_context_is_passed_on() {
    let collector = Collector::start();
    let server = collector.server();
    let (worker, caller) = (Worker::open(&server).await, Worker::open(&server).await);
    let mut calls = worker.serve("f", |data| match data.as_bool() {
        Some(_) => crate::worker::Answer::Value(json!(1)),
        None => crate::worker::failure("no"),
    });
    worker.settle().await;
    for (data, outcome) in [(json!(true), "ok"), (json!(1), "error")] {
        caller.reply(&json!({"function_id": "f", "data": data, "traceparent": traceparent("01")})).await;
        let passed_on = calls.next().await.frame["traceparent"].as_str().unwrap().to_owned();
        let span = collector.next().await;
        assert_eq!(
            (&span["traceId"], &span["parentSpanId"], &span["name"], &span["kind"]),
            (&json!(TRACE), &json!(PARENT), &json!("invoke f"), &json!(3))
        );
        assert_eq!(passed_on, format!("00-{TRACE}-{}-01", span["spanId"].as_str().unwrap()));
        assert_eq!(attribute(&span, "weir.outcome")["stringValue"], outcome);
        assert_eq!(span["status"] == json!({"code": 2}), outcome == "error");
        let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"));
    }
    // Not sampled where it began, or no trace at all: nothing is made of it, and it is passed on as it came.
    for context in [traceparent("00"), "nonsense".to_owned()] {
        caller.reply(&json!({"function_id": "f", "data": true, "traceparent": context})).await;
        assert_eq!(calls.next().await.frame["traceparent"], context);
    }
    caller.reply(&json!({"function_id": "f", "data": true})).await;
    assert!(calls.next().await.frame.get("traceparent").is_none());
    // What is left is sent before the server ends.
    caller.reply(&json!({"function_id": "f", "data": true, "traceparent": traceparent("01")})).await;
    drop((worker, caller));
    server.terminate();
    assert_eq!(collector.next().await["traceId"], TRACE);
    assert!(collector.spans.lock().unwrap().is_empty());
}

#[tokio::test]
async fn commit_is_a_span_of_the_call_that_it_was_made_for() {
    if on_redis() {
        // Redis commits.
        return;
    }
    let collector = Collector::start();
    let server = collector.server();
    let caller = Worker::open(&server).await;
    let mut set = key("s", "g", "i");
    set["data"] = json!(1);
    caller.reply(&json!({"function_id": "stream::set", "data": set})).await;
    caller.reply(&json!({"function_id": "stream::set", "data": set, "traceparent": traceparent("01")})).await;
    let span = collector.next().await;
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"], &span["name"], &span["kind"]),
        (&json!(TRACE), &json!(PARENT), &json!("commit"), &json!(1))
    );
    assert_eq!(attribute(&span, "weir.batch_len")["intValue"], "1");
    assert!(attribute(&span, "weir.fsync_seconds")["doubleValue"].as_f64().unwrap() > 0.0);
    assert!(collector.spans.lock().unwrap().is_empty());
}

#[tokio::test]
async fn collector_that_is_not_there_costs_a_line_of_the_log() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::administered(json!({}), json!({"otlp_endpoint": format!("http://{gone}/")}));
    let caller = Worker::open(&server).await;
    let mut set = key("s", "g", "i");
    set["data"] = json!(1);
    let call = json!({"function_id": "stream::set", "data": set, "traceparent": traceparent("01")});
    caller.reply(&call).await;
    if !on_redis() {
        server.logged("a collector does not take spans").await;
    }
    caller.reply(&call).await;
    let log = Server::try_administered(json!({}), json!({"otlp_endpoint": "https://collector"})).err().expect("it has started");
    assert!(log.contains("otlp_endpoint") && log.contains("TLS"), "{log}");
}
