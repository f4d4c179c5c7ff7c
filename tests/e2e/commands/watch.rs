//! `weir watch`.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, ChildStdout};

use super::{ended, program};
use crate::server::{Server, within};
use crate::worker::{Worker, key};

/// A watcher that runs.
struct Watch {
    child: Child,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: Lines<BufReader<ChildStderr>>,
}

impl Watch {
    fn start(streams: &str, arguments: &[&str]) -> Self {
        let url = format!("ws://{streams}");
        let mut child = program(&["watch", "s", "g", "--url", &url]).args(arguments).stdin(Stdio::null()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdout: BufReader::new(stdout).lines(), stderr: BufReader::new(stderr).lines() }
    }

    /// The next line, without its time.
    async fn line(&mut self) -> String {
        let line = next(&mut self.stdout).await;
        if line.starts_with(' ') {
            return line.trim_start().to_owned();
        }
        let (time, rest) = line.split_at_checked("12:34:56.789Z".len()).unwrap();
        let digits: Vec<_> = time.split(|c: char| !c.is_ascii_digit()).map(str::len).collect();
        assert_eq!(digits, [2, 2, 2, 3, 0], "{line}");
        rest.trim_start().to_owned()
    }

    async fn json(&mut self) -> Value {
        serde_json::from_str(&next(&mut self.stdout).await).unwrap()
    }

    async fn code(mut self) -> i32 {
        within("end of the watcher", self.child.wait()).await.unwrap().code().unwrap()
    }

    async fn interrupt(self) -> i32 {
        let id = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
        self.code().await
    }
}

async fn next<R: AsyncRead + Unpin>(lines: &mut Lines<BufReader<R>>) -> String {
    within("line of the watcher", lines.next_line()).await.unwrap().expect("the watcher has ended")
}

/// An address that stays while what is behind it changes.
async fn relay(to: Arc<Mutex<Option<String>>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.lock().unwrap().clone();
            tokio::spawn(async move {
                let Some(to) = to else { return };
                if let Ok(mut server) = TcpStream::connect(to).await {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    address
}

#[tokio::test]
async fn watcher_shows_the_state_and_each_change_and_ends_with_a_signal() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "a", json!({"id": "a"})).await;
    worker.set("s", "g", "b", json!("b")).await;
    let mut watch = Watch::start(server.streams(), &[]);
    assert_eq!([watch.line().await, watch.line().await, watch.line().await], ["sync    2 items", r#"{"id": "a"}"#, r#""b""#]);
    worker.set("s", "g", "a", json!({"id": "a", "n": [1, 2]})).await;
    assert_eq!(watch.line().await, r#"update  a  {"id": "a", "n": [1, 2]}"#);
    worker.set("s", "g", "c\u{1b}[2J", json!(1)).await;
    assert_eq!(watch.line().await, r"create  c\u001b[2J  1");
    worker.result("stream::delete", key("s", "g", "b")).await;
    assert_eq!(watch.line().await, r#"delete  b  "b""#);
    worker.result("stream::send", json!({"stream_name": "s", "group_id": "g", "type": "typing", "data": {"who": 1}})).await;
    assert_eq!(watch.line().await, r#"event   typing  {"who": 1}"#);
    assert_eq!(watch.interrupt().await, 0);
}

#[tokio::test]
async fn watcher_ends_after_so_many_changes_with_a_line_of_json_each() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let mut watch = Watch::start(server.streams(), &["--json", "--count", "2", "--item", "i"]);
    let sync = watch.json().await;
    assert_eq!((&sync["id"], &sync["event"]), (&json!("i"), &json!({"type": "sync", "data": null})));
    worker.set("s", "g", "other", json!(0)).await;
    // A text as a worker writes it, which has a line end of its own.
    worker
        .reply_text(
            "{\"function_id\":\"stream::set\",\"data\":{\"stream_name\":\"s\",\"group_id\":\"g\",\"item_id\":\"i\",\"data\":[\n1]}}",
        )
        .await;
    worker.set("s", "g", "i", json!(2)).await;
    let (first, second) = (watch.json().await, watch.json().await);
    assert_eq!((&first["event"], &second["event"]), (&json!({"type": "create", "data": [1]}), &json!({"type": "update", "data": 2})));
    assert_eq!(watch.code().await, 0);
}

#[tokio::test]
async fn watcher_says_that_the_server_is_away_and_comes_back_when_it_is() {
    let store = TempDir::new().unwrap();
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let behind = Arc::new(Mutex::new(Some(server.streams().to_owned())));
    Worker::open(&server).await.set("s", "g", "i", json!(1)).await;
    let mut watch = Watch::start(&relay(behind.clone()).await, &[]);
    assert_eq!([watch.line().await, watch.line().await], ["sync    1 item", "1"]);
    *behind.lock().unwrap() = None;
    server.kill();
    let lost = next(&mut watch.stderr).await;
    assert!(lost.starts_with("lost  ") && lost.contains("; again in ") && lost.ends_with(" s"), "{lost}");
    // Not even a handshake is answered now, and it goes on trying.
    let lost = next(&mut watch.stderr).await;
    assert!(lost.starts_with("lost  "), "{lost}");
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    *behind.lock().unwrap() = Some(server.streams().to_owned());
    assert_eq!([watch.line().await, watch.line().await], ["sync    1 item", "1"]);
    Worker::open(&server).await.set("s", "g", "i", json!(2)).await;
    assert_eq!(watch.line().await, "update  i  2");
    assert_eq!(watch.interrupt().await, 0);
}

#[tokio::test]
async fn watcher_comes_back_when_a_server_that_stops_wants_it() {
    let server = Server::start();
    let mut watch = Watch::start(server.streams(), &[]);
    assert_eq!(watch.line().await, "sync    0 items");
    server.terminate();
    let lost = next(&mut watch.stderr).await;
    let (asked, pause) = lost.strip_prefix("lost  1012 the server stops; come back in ").unwrap().split_once(" ms; again in ").unwrap();
    let asked: f64 = asked.parse().unwrap();
    assert_eq!(pause, format!("{:.1} s", asked / 1_000.0), "{lost}");
}

#[tokio::test]
async fn watcher_shows_its_token_and_ends_where_it_is_refused() {
    let server = Server::with(json!({"auth_function": "my::auth"}));
    let worker = Worker::open(&server).await;
    let _calls = worker.serve("my::auth", |input| match input["headers"]["authorization"].as_str() {
        Some("Bearer good") => json!({"context": {"id": 1}}),
        _ => json!({"unauthorized": true}),
    });
    worker.settle().await;
    let url = format!("ws://{}", server.streams());
    let watch = ["watch", "s", "g", "--count", "0", "--url", &url];
    let said = ended(&mut program(&watch)).await.refused();
    assert!(said.contains("4401") && said.contains("--token"), "{said}");
    let (code, _) = ended(program(&watch).args(["--json", "--token", "bad"])).await.json_error();
    assert_eq!(code, "unauthorized");
    let let_in = ended(program(&watch).args(["--json", "--token", "good"])).await.json();
    assert_eq!(let_in["event"], json!({"type": "sync", "data": []}));
}

#[tokio::test]
async fn watcher_ends_where_a_join_handler_or_a_limit_refuses() {
    let server = Server::with(json!({"max_name_bytes": 4}));
    let worker = Worker::open(&server).await;
    let _calls = worker.serve("on_join", |_| json!({"unauthorized": true}));
    worker.trigger("j", "stream:join", "on_join", json!({"stream_name": "s"}));
    worker.settle().await;
    let url = format!("ws://{}", server.streams());
    let said = ended(&mut program(&["watch", "s", "g", "--url", &url])).await.refused();
    assert!(said.contains("a stream:join handler does not let us in"), "{said}");
    let said = ended(&mut program(&["watch", "t", "longer", "--url", &url])).await.refused();
    assert!(said.contains("HTTP 414"), "{said}");
}
