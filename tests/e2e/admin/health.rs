//! What it says of the server's health.

use std::fs::{self, File};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::get;
use crate::raw::Raw;
use crate::server::{BINARY, Server, until};

#[tokio::test]
async fn server_that_runs_is_ready() {
    let server = Server::start();
    for path in ["/health/live", "/health/ready"] {
        let answer = get(server.admin(), path).await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(serde_json::from_str::<Value>(&answer.body).unwrap(), json!({"ready": true, "reasons": []}));
    }
    assert_eq!(get(server.admin(), "/elsewhere").await.status, 404);
    // Some who check ask for the head alone.
    for (port, path) in [server.admin(), server.streams()].into_iter().flat_map(|port| [(port, "/health/live"), (port, "/health/ready")]) {
        let mut raw = Raw::connect(port).await;
        raw.write(format!("HEAD {path} HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        let answer = String::from_utf8(raw.rest().await).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n"), "{port} {path}: {answer}");
    }
}

/// Starts a server with this adapter, which does not get to it, and asks it for its health.
async fn is_alive_and_not_ready(folder: &TempDir, adapter: &Value) {
    let config = json!({"port": 0, "modules": [
        {"class": "modules::stream::StreamModule", "config": {"port": 0, "adapter": adapter}},
        {"class": "modules::admin::AdminModule", "config": {"port": 0}},
    ]});
    let (file, log) = (folder.path().join("config.yaml"), folder.path().join("log"));
    fs::write(&file, config.to_string()).unwrap();
    let mut process = Command::new(BINARY)
        .arg("--config")
        .arg(&file)
        .env("RUST_LOG", "info")
        .stdout(Stdio::null())
        .stderr(File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let mut address = None;
    until("the admin port", async || {
        let text = fs::read_to_string(&log).unwrap();
        address = text.split_once("admin=").and_then(|(_, rest)| rest.split_whitespace().next().map(str::to_owned));
        address.is_some()
    })
    .await;
    let address = address.unwrap();
    let (live, ready, metrics) =
        (get(&address, "/health/live").await, get(&address, "/health/ready").await, get(&address, "/metrics").await);
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!((live.status, ready.status, metrics.status), (200, 503, 200));
    assert!(metrics.body.contains("\nweir_ready 0\n") && metrics.body.contains("\nprocess_start_time_seconds 1"), "{}", metrics.body);
    assert_eq!(serde_json::from_str::<Value>(&ready.body).unwrap(), json!({"ready": false, "reasons": ["the store is starting"]}));
}

#[tokio::test]
async fn server_whose_redis_does_not_answer_is_alive_and_says_why_it_is_not_ready() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("redis://{}", silent.local_addr().unwrap());
    let folder = TempDir::with_prefix("weir-e2e-").unwrap();
    is_alive_and_not_ready(&folder, &json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"redis_url": url}})).await;
}

#[tokio::test]
async fn server_whose_disk_hangs_is_alive_and_says_why_it_is_not_ready() {
    let folder = TempDir::with_prefix("weir-e2e-").unwrap();
    let db = folder.path().join("store/db");
    fs::create_dir_all(&db).unwrap();
    // Reading a pipe that nobody writes to takes for ever.
    assert!(Command::new("mkfifo").arg(db.join("FORMAT")).status().unwrap().success());
    let adapter = json!({"class": "modules::stream::adapters::KvStore", "config": {"file_path": folder.path().join("store")}});
    is_alive_and_not_ready(&folder, &adapter).await;
}
