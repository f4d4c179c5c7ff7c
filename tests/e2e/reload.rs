//! SIGHUP: what of the configuration is taken while the server runs, what is said of the rest, and files that cannot be taken.

use std::fs;

use serde_json::json;

use crate::certificates::certificates;
use crate::handshake::{upgrade, upgrade_with};
use crate::server::{Server, until};
use crate::subscriber::Subscriber;
use crate::tls::connect;
use crate::worker::Worker;

const READ: &str = "SIGHUP: the configuration has been read again";

/// Has the server read its files, and waits until it has.
async fn reload(server: &Server, last: &str) {
    let before = server.log().matches(last).count();
    server.signal("HUP");
    until("end of the reload", async || server.log().matches(last).count() > before).await;
}

async fn answers(address: &str, headers: &str) -> String {
    upgrade_with(address, "/", headers).await.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn token_and_origins_are_taken_for_new_connections() {
    let server = Server::configured(json!({"allowed_origins": ["https://old.example"]}), json!({"token": "old-secret"}));
    let worker = Worker::at(&server, "/?token=old-secret").await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    server.reconfigure(|config| {
        config["modules"][0]["config"]["allowed_origins"] = json!(["https://new.example"]);
        config["modules"][1]["config"]["token"] = json!("new-secret");
    });
    assert_eq!(answers(server.workers(), "Authorization: Bearer new-secret\r\n").await, "401", "nothing is read before the signal");
    reload(&server, READ).await;
    for (secret, status) in [("old-secret", "401"), ("new-secret", "101")] {
        assert_eq!(answers(server.workers(), &format!("Authorization: Bearer {secret}\r\n")).await, status, "{secret}");
    }
    for (origin, status) in [("https://old.example", "403"), ("https://new.example", "101")] {
        assert_eq!(answers(server.streams(), &format!("Origin: {origin}\r\n")).await, status, "{origin}");
    }
    // Who is there stays.
    worker.set("s", "g", "i", json!(1)).await;
    assert_eq!(subscriber.next_event().await["data"], 1);
    let log = server.log();
    for key in ["allowed_origins", "token"] {
        assert!(log.lines().any(|line| line.contains("changed, for new connections") && line.contains(key)), "{key}: {log}");
    }
    assert!(!log.contains("secret"), "the token is in the log");

    server.reconfigure(|config| {
        config["modules"][0]["config"].as_object_mut().unwrap().remove("allowed_origins");
        config["modules"][1]["config"].as_object_mut().unwrap().remove("token");
    });
    reload(&server, READ).await;
    assert_eq!(answers(server.streams(), "Origin: https://new.example\r\n").await, "403");
    assert!(upgrade(server.workers(), "/").await.starts_with("HTTP/1.1 101 "));
}

#[tokio::test]
async fn other_keys_are_named_and_need_a_restart_each_time() {
    let server = Server::with(json!({"max_subscriptions": 1, "overflow_by_stream": {"a": "close"}}));
    server.reconfigure(|config| {
        let stream = &mut config["modules"][0]["config"];
        stream["max_subscriptions"] = json!(2);
        stream["overflow_by_stream"] = json!({"a": "resync"});
        stream["adapter"] = json!({"class": "modules::stream::adapters::KvStore", "config": {"file_path": "./elsewhere"}});
        config["modules"][1]["config"]["max_functions"] = json!(7);
    });
    for round in 1..=2 {
        reload(&server, READ).await;
        let log = server.log();
        for key in ["max_subscriptions", "overflow_by_stream", "adapter", "max_functions"] {
            let said = log.lines().filter(|line| line.contains("it needs a restart") && line.contains(&format!("\"{key}\""))).count();
            assert_eq!(said, round, "{key}: {log}");
        }
        assert_eq!(log.matches("it needs a restart").count(), 4 * round, "{log}");
    }
    let mut subscriber = Subscriber::open(&server, "/").await;
    subscriber.join("1", "s", "g").await;
    subscriber.sync().await;
    subscriber.join("2", "s", "g").await;
    assert_eq!(subscriber.next_event().await["data"]["code"], "too_many_subscriptions");
}

#[tokio::test]
async fn file_that_cannot_be_taken_leaves_everything_as_it_was() {
    let folder = certificates();
    let tls = json!({"tls": {"cert": folder.path().join("crt"), "key": folder.path().join("key")}});
    let mut worker = tls.clone();
    worker["token"] = json!("old-secret");
    let server = Server::configured(tls, worker);
    let refused = "everything stays as it was";
    for (text, reason) in [("token: [", "YAML"), ("modules: [{ class: modules::stream::StreamModule, config: { prot: 1 } }]", "prot")] {
        let mut kept = json!(null);
        server.reconfigure(|config| kept = config.take());
        server.rewrite(text);
        reload(&server, refused).await;
        let log = server.log();
        let said = log.lines().rfind(|line| line.contains(refused)).unwrap();
        assert!(said.contains("ERROR") && said.contains(reason), "{said}");
        server.rewrite(&kept.to_string());
    }
    // A token that is fine beside a key that is not.
    server.reconfigure(|config| config["modules"][1]["config"]["token"] = json!("new-secret"));
    let key = fs::read(folder.path().join("key")).unwrap();
    fs::write(folder.path().join("key"), "no key").unwrap();
    reload(&server, refused).await;
    assert!(server.log().contains("holds no PRIVATE KEY"));
    let url = |token: &str| format!("wss://{}/?token={token}", server.workers());
    let stream = connect(server.workers(), folder.path(), &[]).await.expect("the old certificate is shown");
    Worker::over(stream, &url("old-secret")).await;
    // And with the key that fits.
    fs::write(folder.path().join("key"), key).unwrap();
    reload(&server, READ).await;
    Worker::over(connect(server.workers(), folder.path(), &[]).await.unwrap(), &url("new-secret")).await;
}

#[tokio::test]
async fn paths_of_certificates_are_taken_and_tls_that_comes_needs_a_restart() {
    let (folder, other) = (certificates(), certificates());
    let tls = |folder: &std::path::Path| json!({"cert": folder.join("crt"), "key": folder.join("key")});
    let server = Server::configured(json!({"tls": tls(folder.path())}), json!({}));
    connect(server.streams(), folder.path(), &[]).await.unwrap();
    server.reconfigure(|config| {
        config["modules"][0]["config"]["tls"] = tls(other.path());
        config["modules"][1]["config"]["tls"] = tls(other.path());
    });
    reload(&server, READ).await;
    connect(server.streams(), other.path(), &[]).await.unwrap();
    assert!(connect(server.streams(), folder.path(), &[]).await.is_err(), "the old certificate is still shown");
    let log = server.log();
    assert!(
        log.lines().any(|line| line.contains("it needs a restart") && line.contains("\"worker\"") && line.contains("\"tls\"")),
        "{log}"
    );
    Worker::open(&server).await;
}
