//! Starts without a Redis, or with one that refuses.

use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::with;
use crate::redis_server::RedisServer;
use crate::server::{BINARY, DEADLINE, Server};
use crate::worker::Worker;

const PASSWORD: &str = "hunter2secret";

/// Starts a server that must end by itself: how it did, and how long that took.
fn ends(url: &str, keys: &Value) -> (Output, Duration) {
    let folder = TempDir::with_prefix("weir-e2e-").unwrap();
    let mut adapter = json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"redis_url": url}});
    adapter = with(adapter, keys);
    let stream = json!({"host": "127.0.0.1", "port": 0, "adapter": adapter});
    let config = json!({"host": "127.0.0.1", "port": 0, "modules": [{"class": "modules::stream::StreamModule", "config": stream},
        {"class": "modules::admin::AdminModule", "config": {"enabled": false}}]});
    let file = folder.path().join("config.yaml");
    fs::write(&file, config.to_string()).unwrap();
    let begun = Instant::now();
    let limit = DEADLINE.as_secs().to_string();
    let mut command = Command::new("timeout");
    let output = command.arg(limit).arg(BINARY).arg("--config").arg(&file).env("RUST_LOG", "trace").current_dir(folder.path()).output();
    (output.unwrap(), begun.elapsed())
}

/// What the server wrote, which must end in an error and be without a password.
fn failure(output: &Output) -> String {
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(!text.contains(PASSWORD), "a password is in the output: {text}");
    text.lines().last().unwrap().to_owned()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn server_waits_for_redis_and_then_serves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let adapter = json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"redis_url": format!("redis://127.0.0.1:{port}")}});
    let starting = tokio::task::spawn_blocking(move || Server::node(&adapter));
    // Somebody else is there first, so that the server has tried when Redis comes.
    drop(listener.accept().unwrap());
    drop(listener);
    let redis = RedisServer::start_at("127.0.0.1", port, &[]).expect("the port that was free just now");
    let server = starting.await.unwrap();
    assert!(server.log().contains("waiting for redis"), "{}", server.log());
    assert!(server.log().contains(&format!("127.0.0.1:{port}")), "{}", server.log());
    Worker::open(&server).await.set("s", "g", "i", json!(1)).await;
    assert_eq!(redis.cli(&["HGET", "stream:s:g", "i"]), "1");
}

#[test]
fn start_without_redis_ends_with_its_address_and_what_to_do() {
    let port = free_port();
    let (output, took) = ends(&format!("redis://user:{PASSWORD}@127.0.0.1:{port}/3"), &json!({"connect_timeout_ms": 500}));
    let error = failure(&output);
    assert!(error.contains(&format!("127.0.0.1:{port}")) && error.contains("start it, or correct `redis_url`"), "{error}");
    assert!((Duration::from_millis(500)..Duration::from_secs(3)).contains(&took), "{took:?}");
}

#[test]
fn wrong_password_ends_the_start_at_once() {
    let redis = RedisServer::start(&[]);
    assert_eq!(redis.cli(&["CONFIG", "SET", "requirepass", "another"]), "OK");
    for credentials in [format!(":{PASSWORD}@"), format!("user:{PASSWORD}@"), String::new()] {
        let (output, took) = ends(&format!("redis://{credentials}127.0.0.1:{}", redis.port()), &json!({"connect_timeout_ms": 8_000}));
        let error = failure(&output);
        let says = ["WRONGPASS", "NOAUTH", "password", "authenticat"].iter().any(|word| error.contains(word));
        assert!(says && error.contains(&format!("127.0.0.1:{}", redis.port())), "{error}");
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

#[test]
fn url_that_is_none_ends_the_start_without_its_password() {
    for url in [format!("http://user:{PASSWORD}@127.0.0.1"), format!("redis:/user:{PASSWORD}@host"), format!("user:{PASSWORD}@host:6379")] {
        let (output, _) = ends(&url, &json!({}));
        let error = failure(&output);
        assert!(error.contains("redis_url") && error.contains("redis://host:port"), "{error}");
    }
}
