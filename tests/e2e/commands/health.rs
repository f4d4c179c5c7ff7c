//! `weir health`.

use std::net::TcpListener;
use std::thread;

use serde_json::json;
use tempfile::TempDir;

use super::weir;
use crate::redis_server::RedisServer;
use crate::server::{Server, until};

/// An address for `--url`.
fn http(port: &str) -> String {
    format!("http://{port}")
}

#[tokio::test]
async fn server_that_is_ready_says_so_at_both_of_its_ports() {
    let server = Server::start();
    for port in [server.streams(), server.admin()] {
        let ended = weir(&["health", "--url", &http(port)]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "ready\n"));
    }
    let ended = weir(&["health", "--live", "--json", "--url", &http(server.streams())]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "{\"ready\":true,\"reasons\":[]}\n"));
}

#[tokio::test]
async fn server_that_is_not_ready_says_why_and_is_alive() {
    let mut redis = RedisServer::start(&[]);
    let server = Server::node(&redis.adapter());
    let url = http(server.streams());
    redis.kill();
    until("a server that is not ready", async || weir(&["health", "--url", &url]).await.code == 1).await;
    let ended = weir(&["health", "--url", &url]).await;
    assert!(ended.stdout.starts_with("not ready: ") && ended.stdout.contains("redis"), "{}", ended.stdout);
    assert_eq!(weir(&["health", "--live", "--url", &url]).await.code, 0);
}

#[tokio::test]
async fn port_of_the_configuration_is_asked_and_where_nobody_is_it_fails() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = TempDir::new().unwrap();
    let config = json!({"modules": [{"class": "modules::stream::StreamModule", "config": {"host": "0.0.0.0", "port": gone.port()}}]});
    let file = folder.path().join("weir.yaml");
    std::fs::write(&file, config.to_string()).unwrap();
    let ended = weir(&["--config", file.to_str().unwrap(), "health"]).await;
    assert!(ended.code == 1 && ended.stderr.contains(&format!("127.0.0.1:{}", gone.port())), "{}", ended.stderr);
}

#[tokio::test]
async fn port_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = http(&silent.local_addr().unwrap().to_string());
    // It ends with the process; the connections stay open until then.
    thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let ended = weir(&["health", "--timeout", "1", "--url", &url]).await;
    assert!(ended.code == 1 && ended.stderr.contains("no answer within 1 s"), "{}", ended.stderr);
}
