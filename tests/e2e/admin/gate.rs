//! Who may ask.

use std::net::TcpListener;

use serde_json::json;

use super::{ask, get};
use crate::server::{Server, until};

const SECRET: &str = "s3cret-of-operators";

#[tokio::test]
async fn token_is_asked_for_on_all_but_health() {
    let server = Server::administered(json!({}), json!({"token": SECRET}));
    let host = format!("Host: {}\r\n", server.admin());
    for (path, headers, status) in [
        ("/metrics", String::new(), 401),
        ("/elsewhere", String::new(), 401),
        ("/health/../metrics", String::new(), 401),
        ("/metrics", "Authorization: Bearer wrong\r\n".to_owned(), 401),
        ("/metrics", format!("Authorization: Basic {SECRET}\r\n"), 401),
        ("/metrics?token=wrong", String::new(), 401),
        ("/metrics", format!("Authorization: Bearer {SECRET}\r\n"), 200),
        (&format!("/metrics?token={SECRET}"), String::new(), 200),
        ("/health/live", String::new(), 200),
        ("/health/ready", String::new(), 200),
    ] {
        let answer = ask(server.admin(), path, &format!("{host}{headers}")).await;
        assert_eq!(answer.status, status, "{path} {headers}: {}", answer.body);
        assert_eq!(answer.head.contains("www-authenticate: bearer"), status == 401, "{}", answer.head);
    }
    assert!(!server.log().contains(SECRET));
}

#[tokio::test]
async fn page_from_elsewhere_learns_nothing() {
    let server = Server::start();
    for path in ["/metrics", "/health/ready", "/elsewhere"] {
        // A name that leads here (DNS rebinding): to the browser it is the page's own origin.
        let rebound = ask(server.admin(), path, "Host: evil.example:9464\r\n").await;
        assert_eq!(rebound.status, 421, "{path}");
        // Another origin: the browser asks what it may read.
        let other = ask(server.admin(), path, &format!("Host: {}\r\nOrigin: https://evil.example\r\n", server.admin())).await;
        assert!(!other.head.contains("access-control-"), "{}", other.head);
        assert!(other.head.contains("cache-control: no-store"), "{}", other.head);
    }
    assert_eq!(ask(server.admin(), "/metrics", "Host: localhost:1234\r\n").await.status, 200);
}

#[tokio::test]
async fn page_from_elsewhere_cannot_keep_connections() {
    let server = Server::start();
    let asks = async |path: &str, site: &str, mode: &str| {
        let headers = format!("Host: {}\r\nSec-Fetch-Site: {site}\r\nSec-Fetch-Mode: {mode}\r\n", server.admin());
        ask(server.admin(), path, &headers).await.status
    };
    for site in ["cross-site", "same-site"] {
        for path in ["/api/live?stream=s&group=g", "/metrics", "/api/overview", "/console/console.js", "/"] {
            assert_eq!(asks(path, site, "no-cors").await, 403, "{path}");
        }
        assert_eq!(asks("/metrics", site, "navigate").await, 403);
        assert_eq!((asks("/", site, "navigate").await, asks("/health/ready", site, "no-cors").await), (200, 200), "a link to the page");
    }
    assert_eq!((asks("/api/overview", "same-origin", "cors").await, asks("/", "none", "navigate").await), (200, 200));
}

#[tokio::test]
async fn beyond_this_machine_it_starts_only_with_a_token() {
    let log = Server::try_administered(json!({}), json!({"host": "0.0.0.0"})).err().expect("it has started");
    assert!(log.contains("needs a `token`") && log.contains("modules::admin::AdminModule"), "{log}");
    let server = Server::administered(json!({}), json!({"host": "0.0.0.0", "token": SECRET}));
    let port = server.admin().rsplit(':').next().unwrap();
    // By whatever name.
    let answer = ask(&format!("127.0.0.1:{port}"), &format!("/metrics?token={SECRET}"), "Host: weir.example\r\n").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn port_in_use_ends_the_start_with_the_key_to_change() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let log = Server::try_administered(json!({}), json!({"port": port})).err().expect("it has started");
    assert!(log.contains("`port` of modules::admin::AdminModule") && log.contains(&format!("127.0.0.1:{port}")), "{log}");
}

#[tokio::test]
async fn token_is_read_again_on_sighup() {
    let server = Server::administered(json!({}), json!({"token": SECRET}));
    let asks = async |token: &str| get(server.admin(), &format!("/metrics?token={token}")).await.status;
    assert_eq!((asks(SECRET).await, asks("other").await), (200, 401));
    server.reconfigure(|config| config["modules"][2]["config"]["token"] = json!("other"));
    server.signal("HUP");
    until("the new token", async || asks("other").await == 200).await;
    assert_eq!(asks(SECRET).await, 401);
}

#[tokio::test]
async fn scraper_that_does_not_read_holds_up_nobody() {
    let server = Server::start();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        let mut raw = crate::raw::Raw::connect(server.admin()).await;
        // Many at once over one connection, none of which is read.
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n\r\n", server.admin());
        raw.try_write(request.repeat(200).as_bytes()).await;
        stalled.push(raw);
    }
    for _ in 0..10 {
        assert_eq!(get(server.admin(), "/metrics").await.status, 200);
    }
    crate::worker::Worker::open(&server).await.set("s", "g", "i", json!(1)).await;
}
