//! TLS between server and Redis, by a certificate of the test's own.

use std::ffi::OsString;
use std::net::TcpListener;

use serde_json::{Value, json};

use super::with;
use crate::certificates::certificates;
use crate::redis_server::RedisServer;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::Worker;

const PASSWORD: &str = "hunter2secret";

fn adapter(port: u16) -> Value {
    let adapter = json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"connect_timeout_ms": 2_000}});
    with(adapter, &json!({"redis_url": format!("rediss://default:{PASSWORD}@localhost:{port}")}))
}

#[tokio::test]
async fn rediss_is_tls_and_believes_only_an_authority_that_the_machine_believes() {
    let certificates = certificates();
    let file = |name: &str| certificates.path().join(name).into_os_string();
    let path = |name: &str| file(name).into_string().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let args = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        &path("crt"),
        "--tls-key-file",
        &path("key"),
        "--tls-ca-cert-file",
        &path("ca.crt"),
        "--tls-auth-clients",
        "no",
    ];
    let redis = RedisServer::start(&args);
    redis.cli(&["CONFIG", "SET", "requirepass", PASSWORD]);

    let believing: [(&str, OsString); 2] = [("SSL_CERT_FILE", file("ca.crt")), ("RUST_LOG", "trace".into())];
    let server = Server::node_in(&adapter(port), &believing).unwrap_or_else(|log| panic!("{log}"));
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    let (mut subscriber, state) = Subscriber::of(&server, "s", "g").await;
    assert_eq!(state, json!([{"id": "i"}]));
    worker.set("s", "g", "i", json!({"id": "i", "n": 1})).await;
    assert_eq!(subscriber.next_frame().await["event"]["data"]["n"], 1);
    assert!(!server.log().contains(PASSWORD));

    let Err(log) = Server::node_in(&adapter(port), &[]) else { panic!("an unknown authority was believed") };
    assert!(log.to_lowercase().contains("certificate") && !log.contains(PASSWORD), "{log}");
}
