//! Spans that continue the traces of workers, received as a collector does.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::admin::scrape::shows;
use crate::certificates::certificates;
use crate::server::{Server, on_redis, until};
use crate::worker::{Worker, key};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// A collector: what was sent to it.
struct Collector {
    address: SocketAddr,
    requests: Arc<Mutex<VecDeque<Request>>>,
    spans: VecDeque<Value>,
}

/// A request: its first line, its head in lower-case letters, its body.
struct Request {
    first: String,
    head: String,
    body: Vec<u8>,
}

impl Request {
    /// The next one of a connection; `None` at its end.
    fn read(stream: &mut BufReader<TcpStream>) -> Option<Self> {
        let (mut first, mut head) = (String::new(), String::new());
        stream.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
        while !head.ends_with("\r\n\r\n") && head != "\r\n" {
            let mut line = String::new();
            stream.read_line(&mut line).ok().filter(|bytes| *bytes > 0)?;
            head.push_str(&line.to_lowercase());
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.trim().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
        Some(Self { first: first.trim_end().to_owned(), head, body })
    }
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::<Mutex<VecDeque<Request>>>::default());
        let taken = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, taken) = (BufReader::new(stream.unwrap()), taken.clone());
                thread::spawn(move || {
                    while let Some(request) = Request::read(&mut stream) {
                        taken.lock().unwrap().push_back(request);
                        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}").unwrap();
                    }
                });
            }
        });
        Self { address, requests, spans: VecDeque::new() }
    }

    /// The next request.
    async fn request(&self) -> Request {
        let mut next = None;
        until("request", async || {
            next = self.requests.lock().unwrap().pop_front();
            next.is_some()
        })
        .await;
        next.unwrap()
    }

    /// The next span.
    async fn next(&mut self) -> Value {
        if self.spans.is_empty() {
            let request = self.request().await;
            assert_eq!(request.first, "POST /v1/traces HTTP/1.1");
            let request: Value = serde_json::from_slice(&request.body).unwrap();
            let resource = &request["resourceSpans"][0];
            let name = json!({"key": "service.name", "value": {"stringValue": "weir"}});
            assert!(resource["resource"]["attributes"].as_array().unwrap().contains(&name), "{resource}");
            self.spans.extend(resource["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
        }
        self.spans.pop_front().unwrap()
    }

    fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.requests.lock().unwrap().is_empty()
    }

    /// A server that sends its spans there, as JSON.
    fn server(&self) -> Server {
        self.server_in(&[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")])
    }

    fn server_in(&self, environment: &[(&str, &str)]) -> Server {
        let mut variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", self.address).into())];
        variables.extend(environment.iter().map(|(name, value)| (*name, value.into())));
        Server::in_environment(&variables)
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
    let mut collector = Collector::start();
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
        assert_eq!(span["status"]["code"] == 2, outcome == "error", "{span}");
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
    assert!(collector.is_empty());
}

#[tokio::test]
async fn commit_is_a_span_of_the_call_that_it_was_made_for() {
    if on_redis() {
        // Redis commits.
        return;
    }
    let mut collector = Collector::start();
    let server = collector.server();
    let caller = Worker::open(&server).await;
    caller.reply(&set(None)).await;
    caller.reply(&set(Some(traceparent("01")))).await;
    let span = collector.next().await;
    assert_eq!(
        (&span["traceId"], &span["parentSpanId"], &span["name"], &span["kind"]),
        (&json!(TRACE), &json!(PARENT), &json!("commit"), &json!(1))
    );
    assert_eq!(attribute(&span, "weir.batch_len")["intValue"], "1");
    assert!(attribute(&span, "weir.fsync_seconds")["doubleValue"].as_f64().unwrap() > 0.0);
    assert!(collector.is_empty());
}

#[tokio::test]
async fn variables_of_opentelemetry_say_how_spans_are_sent() {
    if on_redis() {
        // Redis commits.
        return;
    }
    let collector = Collector::start();
    let server = collector.server_in(&[
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Basic%20c2VjcmV0"),
        ("OTEL_SERVICE_NAME", "streams of ours"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=somewhere"),
    ]);
    let caller = Worker::open(&server).await;
    caller.reply(&set(Some(traceparent("01")))).await;
    let request = collector.request().await;
    assert!(request.head.contains("content-type: application/x-protobuf\r\n"), "{}", request.head);
    assert!(request.head.contains("authorization: basic c2vjcmv0\r\n"), "{}", request.head);
    let trace: Vec<u8> = (0..TRACE.len()).step_by(2).map(|at| u8::from_str_radix(&TRACE[at..at + 2], 16).unwrap()).collect();
    for part in [&trace[..], b"streams of ours", b"somewhere", b"service.version"] {
        assert!(request.body.windows(part.len()).any(|window| window == part), "{part:?}");
    }
}

#[tokio::test]
async fn collector_that_is_not_there_costs_a_line_of_the_log() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = Server::administered(json!({}), json!({"otlp_endpoint": format!("http://{gone}/")}));
    let caller = Worker::open(&server).await;
    let call = set(Some(traceparent("01")));
    caller.reply(&call).await;
    if !on_redis() {
        server.logged("a collector does not take spans").await;
        shows(&server, &[("weir_spans_dropped_total", 1.0)]).await;
    }
    caller.reply(&call).await;
}

#[tokio::test]
async fn collector_behind_tls_is_believed_by_its_authority() {
    if on_redis() {
        // Redis commits.
        return;
    }
    let folder = certificates();
    let file = |name: &str| folder.path().join(name);
    // It takes no spans, and says so over TLS.
    let stranger = Server::with(json!({"tls": {"cert": file("crt"), "key": file("key")}}));
    let port = stranger.streams().rsplit(':').next().unwrap();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", OsString::from(format!("https://localhost:{port}")));
    for (authority, said) in [("ca.crt", "404"), ("none", "certificate")] {
        let server = Server::in_environment(&[endpoint.clone(), ("SSL_CERT_FILE", file(authority).into())]);
        Worker::open(&server).await.reply(&set(Some(traceparent("01")))).await;
        server.logged("a collector does not take spans").await;
        let log = server.log();
        let line = log.lines().find(|line| line.contains("a collector does not take spans")).unwrap();
        eprintln!("{line}");
        assert!(line.contains(said), "{line}");
    }
}

#[tokio::test]
async fn wrong_endpoint_ends_the_start_if_it_was_configured_and_is_logged_if_it_was_a_variable() {
    let log = Server::try_administered(json!({}), json!({"otlp_endpoint": "https://me:secret@collector"})).err().expect("it has started");
    assert!(log.contains("otlp_endpoint") && log.contains("OTEL_EXPORTER_OTLP_HEADERS") && !log.contains("secret"), "{log}");
    let server = Server::in_environment(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318".into())]);
    server.logged("no spans are exported").await;
}

/// A call that sets an item.
fn set(traceparent: Option<String>) -> Value {
    let mut data = key("s", "g", "i");
    data["data"] = json!(1);
    let mut call = json!({"function_id": "stream::set", "data": data});
    if let Some(traceparent) = traceparent {
        call["traceparent"] = json!(traceparent);
    }
    call
}
