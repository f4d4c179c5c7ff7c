//! What a command says that has no result, and its exit code.

use serde_json::json;
use tokio::net::TcpListener;

use super::{at, at_with, ended, program, weir, weir_by};
use crate::certificates::certificates;
use crate::server::Server;
use crate::worker::Worker;

const GET: [&str; 4] = ["get", "s", "g", "i"];

#[tokio::test]
async fn item_that_is_not_there_is_a_failure_that_names_it() {
    let server = Server::start();
    let said = at(&server, &GET).await.refused();
    assert!(said.starts_with("weir: item_not_found: there is no item \"i\"") && said.contains("`weir list s g`"), "{said}");
    assert_eq!(at(&server, &["--json", "get", "s", "g", "i"]).await.json_error().0, "item_not_found");
}

#[tokio::test]
async fn function_that_nobody_serves_is_a_failure_that_says_who_serves_what() {
    let server = Server::start();
    let said = at(&server, &["call", "nope"]).await.refused();
    assert!(said.starts_with("weir: function_not_found: ") && said.contains("`weir call engine::functions::list`"), "{said}");
    assert_eq!(at(&server, &["call", "nope", "--json"]).await.json_error().0, "function_not_found");
}

#[tokio::test]
async fn server_that_is_away_is_a_failure_that_says_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", free.local_addr().unwrap());
    drop(free);
    let said = ended(program(&GET).args(["--url", &url])).await.refused();
    assert!(said.contains(&url) && said.contains("start the server") && said.contains("--url"), "{said}");
    assert_eq!(ended(program(&GET).args(["--json", "--url", &url])).await.json_error().0, "unreachable");
}

#[tokio::test]
async fn wrong_port_is_a_failure_that_says_so() {
    let server = Server::start();
    let workers = format!("ws://{}", server.workers());
    let said = ended(&mut program(&["watch", "s", "g", "--url", &workers])).await.refused();
    assert!(said.contains("HTTP 404: not found; this is the worker port"), "{said}");
    let said = ended(program(&GET).args(["--url", server.workers()])).await.refused();
    assert!(said.contains("write ws://HOST:PORT"), "{said}");
    let streams = format!("ws://{}", server.streams());
    let said = ended(program(&GET).args(["--url", &streams])).await.refused();
    assert!(said.contains("it is the stream port"), "{said}");
}

#[tokio::test]
async fn token_comes_from_the_command_line_or_the_environment_or_the_configuration() {
    let server = Server::try_configured(json!({}), json!({"token": "hunter2"})).unwrap();
    let url = format!("ws://{}", server.workers());
    let set = ["set", "s", "g", "i", "1", "--url", &url];
    let said = weir(&set).await.refused();
    assert!(said.contains("refused us") && said.contains("--token or WEIR_TOKEN"), "{said}");
    let wrong = ended(program(&set).args(["--json", "--token", "wrong"])).await;
    assert_eq!(wrong.json_error().0, "unauthorized");
    ended(program(&set).args(["--token", "hunter2"])).await.printed();
    ended(program(&set).env("WEIR_TOKEN", "hunter2")).await.printed();
    // The command line counts first.
    ended(program(&set).env("WEIR_TOKEN", "hunter2").args(["--token", "wrong"])).await.refused();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("weir.yaml");
    let (host, port) = server.workers().split_once(':').unwrap();
    let port: u16 = port.parse().unwrap();
    std::fs::write(&file, json!({"host": host, "port": port, "token": "hunter2", "modules": []}).to_string()).unwrap();
    assert_eq!(weir_by(&file, &GET).await.printed(), "1\n");
    // A wrong one goes first, and is named.
    let said = ended(program(&GET).arg("--config").arg(&file).env("WEIR_TOKEN", "wrong")).await.refused();
    assert!(said.contains("HTTP 401 with the token of WEIR_TOKEN"), "{said}");
    // It is no secret of another server.
    let other = Server::try_configured(json!({}), json!({"token": "hunter2"})).unwrap();
    let said = ended(program(&GET).arg("--config").arg(&file).args(["--url", &format!("ws://{}", other.workers())])).await.refused();
    assert!(said.contains("HTTP 401 without a token"), "{said}");
}

#[tokio::test]
async fn bad_json_is_a_failure_that_shows_how_a_text_is_written() {
    let server = Server::start();
    let bad = at(&server, &["set", "s", "g", "i", "text"]).await;
    assert!(bad.code == 2 && bad.stderr.contains("this is no JSON") && bad.stderr.contains(r#"'"text"'"#), "{}", bad.stderr);
    let piped = at_with(&server, &["set", "s", "g", "i", "-"], "{").await;
    assert!(piped.code == 2 && piped.stderr.contains("bad_json: this is no JSON"), "{}", piped.stderr);
    for json in
        [at(&server, &["set", "s", "g", "i", "text", "--json"]).await, at_with(&server, &["set", "s", "g", "i", "-", "--json"], "{").await]
    {
        let said: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!((json.code, &said["error"]["code"], json.stderr.as_str()), (2, &json!("bad_json"), ""), "{said}");
    }
    let (code, message) = at(&server, &["update", "s", "g", "i", "{}", "--json"]).await.json_error();
    assert_eq!(code, "deserialization_error", "{message}");
}

#[tokio::test]
async fn command_line_that_is_wrong_is_json_where_that_was_asked_for() {
    for arguments in
        [&["--json", "get", "s"][..], &["watch", "s", "g", "--item", "", "--json"], &["top", "--every", "0", "--json"], &["no", "--json"]]
    {
        let wrong = weir(arguments).await;
        let said: serde_json::Value = serde_json::from_str(&wrong.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", wrong.stdout));
        let message = said["error"]["message"].as_str().unwrap();
        assert!(wrong.code == 2 && said["error"]["code"] == "bad_arguments" && wrong.stderr.is_empty(), "{said}");
        assert!(!message.starts_with("error") && !message.contains('\u{1b}'), "{message}");
    }
    let wrong = weir(&["get", "s"]).await;
    assert!(wrong.code == 2 && wrong.stdout.is_empty() && wrong.stderr.starts_with("error: "), "{}", wrong.stderr);
    assert!(weir(&["--help", "--json"]).await.printed().contains("WEIR_CONFIG"));
}

#[tokio::test]
async fn value_that_no_message_has_room_for_was_not_set() {
    let server = Server::try_configured(json!({"max_value_bytes": 1_024}), json!({"max_message_bytes": 1_024})).unwrap();
    for bytes in [1_024, 4 << 20] {
        let value = format!("\"{}\"", "x".repeat(bytes - 2));
        let said = at_with(&server, &["set", "s", "g", "i", "-"], &value).await.refused();
        assert!(said.contains("`max_message_bytes`") && said.contains("was not carried out"), "{bytes}: {said}");
    }
}

#[tokio::test]
async fn function_that_does_not_answer_is_given_up_after_the_timeout() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    let calls = worker.hold("slow");
    worker.settle().await;
    let said = at(&server, &["call", "slow", "--timeout", "1"]).await.refused();
    assert!(said.contains("slow did not answer within 1 s") && said.contains("--timeout"), "{said}");
    assert!(!calls.is_empty());
}

#[tokio::test]
async fn certificate_is_looked_at() {
    let folder = certificates();
    let tls = json!({"tls": {"cert": folder.path().join("crt"), "key": folder.path().join("key")}});
    let server = Server::configured(json!({}), tls);
    let (_, port) = server.workers().split_once(':').unwrap();
    let url = format!("wss://localhost:{port}");
    let call = ["streams", "--json", "--url", &url];
    let (code, message) = weir(&call).await.json_error();
    assert!(code == "unreachable" && message.contains("certificate") && message.contains("SSL_CERT_FILE"), "{code}: {message}");
    let trusted = ended(program(&call).env("SSL_CERT_FILE", folder.path().join("ca.crt"))).await;
    assert_eq!(trusted.json()["count"], 0);
}

#[tokio::test]
async fn configuration_that_is_wrong_is_a_failure_of_every_command() {
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("weir.yaml");
    std::fs::write(&file, "modules:\n- class: modules::stream::StreamModule\n  config: { prot: 1 }\n").unwrap();
    for command in [&GET[..], &["streams"], &["watch", "s", "g"], &["verify"]] {
        let said = weir_by(&file, command).await.refused();
        assert!(said.contains("modules[0].config.prot: unknown key; did you mean `port`?"), "{command:?}: {said}");
    }
    let command = ["streams", "--json"];
    assert_eq!(weir_by(&file, &command).await.json_error().0, "bad_configuration");
}
