//! Who may connect at all: the token of the worker port, and the pages that browsers come from.

use serde_json::json;

use crate::handshake::upgrade_with;
use crate::raw::Raw;
use crate::server::Server;
use crate::subscriber::Subscriber;
use crate::worker::Worker;

const SECRET: &str = "hunter2+secret";

/// A server whose worker port asks for the secret, which logs all it can.
fn guarded() -> Server {
    Server::configured(json!({}), json!({"token": SECRET}))
}

#[tokio::test]
async fn worker_that_shows_the_token_gets_in() {
    let server = guarded();
    let worker = Worker::at(&server, "/?token=hunter2%2Bsecret").await;
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    Worker::at(&server, "/base?x=1&token=hunter2+secret&y").await;
    for (path, headers) in [
        ("/", format!("Authorization: Bearer {SECRET}\r\n")),
        ("/otel", format!("Authorization: bearer {SECRET}\r\n")),
        ("/?token=wrong", format!("Authorization: Bearer  {SECRET} \r\n")),
        ("/otel?token=hunter2%2bsecret", String::new()),
        ("/?token=hunter2+secret", "Authorization: Basic eDp5\r\n".to_owned()),
    ] {
        let head = upgrade_with(server.workers(), path, &headers).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{path} {headers}: {head}");
    }
    assert!(!server.log().contains("hunter2"), "the token is in the log");
}

#[tokio::test]
async fn worker_without_the_token_is_answered_401_with_what_to_do() {
    let server = guarded();
    for path in [
        "/",
        "/otel",
        "/base/otel",
        "/ws/channels/x?key=y",
        "/stream/a/b/",
        "/any",
        "/?token=",
        "/?token=hunter2secret",
        "/?Token=hunter2+secret",
    ] {
        for headers in ["", "Authorization: Bearer\r\n", "Authorization: Bearer hunter3+secret\r\n", "Authorization: hunter2+secret\r\n"] {
            let head = upgrade_with(server.workers(), path, headers).await;
            assert!(head.starts_with("HTTP/1.1 401 "), "{path} {headers}: {head}");
            assert!(head.to_ascii_lowercase().contains("www-authenticate: bearer"), "{head}");
        }
    }
    let mut raw = Raw::connect(server.workers()).await;
    raw.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let answer = String::from_utf8(raw.rest().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("append ?token=TOKEN to the URL"), "{answer}");
    server.logged("it does not show the `token` of the worker port").await;
    assert!(!server.log().contains("hunter2"), "what was shown is in the log");
    // The other port has nothing to do with it.
    Subscriber::of(&server, "s", "g").await;
}

#[tokio::test]
async fn open_worker_port_is_warned_about_unless_it_asks_for_a_token() {
    let open = Server::configured(json!({}), json!({"host": "0.0.0.0"}));
    open.logged("set `token` beside its `host`").await;
    let guarded = Server::configured(json!({}), json!({"host": "0.0.0.0", "token": SECRET}));
    guarded.logged("listening").await;
    // A worker that has connected: what is logged at the start is there.
    Worker::at(&guarded, "/?token=hunter2%2Bsecret").await;
    assert!(!guarded.log().contains("open beyond this machine"), "{}", guarded.log());
}

#[tokio::test]
async fn page_of_another_origin_is_answered_403() {
    let server = Server::start();
    let address = server.streams();
    for origin in ["http://evil.com", "http://127.0.0.1", "http://127.0.0.1:1", "null", "\u{e4}"] {
        for path in ["/", "/stream/s/g/"] {
            let head = upgrade_with(address, path, &format!("Origin: {origin}\r\n")).await;
            assert!(head.starts_with("HTTP/1.1 403 "), "{origin}: {head}");
        }
    }
    server.logged("`allowed_origins` does not have the page's").await;
    for origin in [format!("http://{address}"), format!("https://{address}")] {
        let mut request = Subscriber::to(&server, "/stream/s/g/");
        request.headers_mut().insert("origin", origin.parse().unwrap());
        Subscriber::request(&server, request).await.sync().await;
    }
    // Not a thing of pages.
    let head = upgrade_with(server.workers(), "/", "Origin: http://evil.com\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
}

#[tokio::test]
async fn allowed_origins_are_let_in_and_no_others() {
    let server = Server::with(json!({"allowed_origins": ["https://app.example.com", "https://*.example.org"]}));
    let same = format!("http://{}", server.streams());
    for (origin, status) in [
        ("https://app.example.com", "101"),
        ("https://a.b.example.org", "101"),
        ("https://example.org", "403"),
        ("http://app.example.com", "403"),
        (&same, "403"),
        ("null", "403"),
    ] {
        let head = upgrade_with(server.streams(), "/", &format!("Origin: {origin}\r\n")).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {head}");
    }
    Subscriber::of(&server, "s", "g").await;
    let server = Server::with(json!({"allowed_origins": "*"}));
    for origin in ["https://any.where", "null"] {
        let head = upgrade_with(server.streams(), "/", &format!("Origin: {origin}\r\n")).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{origin}: {head}");
    }
}
