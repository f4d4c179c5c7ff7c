//! TLS on both ports, and SIGHUP, which has the certificate read again and nothing ended.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::certificates::certificates;
use crate::raw::Raw;
use crate::server::{Server, within};
use crate::subscriber::Subscriber;
use crate::worker::Worker;

/// The keys of a port.
fn files(folder: &Path) -> Value {
    json!({"tls": {"cert": folder.join("crt"), "key": folder.join("key")}})
}

/// A server with TLS on both ports, by the files of `folder`.
fn server(folder: &Path) -> Server {
    Server::configured(files(folder), files(folder))
}

/// A TLS connection that believes the authority of `folder` alone and offers these protocols.
pub(crate) async fn connect(address: &str, folder: &Path, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.crt")).unwrap()).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    within("TLS handshake", TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream)).await
}

async fn subscriber(server: &Server, folder: &Path) -> Subscriber {
    let stream = connect(server.streams(), folder, &[]).await.unwrap();
    let request = Subscriber::to(server, "/stream/s/g/");
    let mut subscriber = Subscriber::over(stream, String::new(), request).await;
    subscriber.sync().await;
    subscriber
}

async fn worker(server: &Server, folder: &Path) -> Worker {
    let stream = connect(server.workers(), folder, &["http/1.1"]).await.unwrap();
    Worker::over(stream, &format!("wss://{}/", server.workers())).await
}

#[tokio::test]
async fn worker_and_subscriber_meet_over_tls() {
    let folder = certificates();
    let server = server(folder.path());
    let worker = worker(&server, folder.path()).await;
    let mut subscriber = subscriber(&server, folder.path()).await;
    // Several records of TLS.
    let long = "x".repeat(200_000);
    worker.set("s", "g", "i", json!({"id": "i", "long": long})).await;
    assert_eq!(subscriber.next_event().await["data"]["long"], long);
    subscriber.close().await;
    server.terminate();
}

#[tokio::test]
async fn http_1_1_is_the_only_protocol() {
    let folder = certificates();
    let server = server(folder.path());
    for address in [server.workers(), server.streams()] {
        let stream = connect(address, folder.path(), &["h2", "http/1.1"]).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(connect(address, folder.path(), &["h2"]).await.is_err());
    }
    let mut stream = connect(server.streams(), folder.path(), &[]).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    within("answer", stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn client_without_tls_is_not_served() {
    let folder = certificates();
    let server = server(folder.path());
    for address in [server.workers(), server.streams()] {
        let mut raw = Raw::connect(address).await;
        raw.write(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
        let rest = raw.rest().await;
        assert!(!rest.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&rest));
    }
    subscriber(&server, folder.path()).await;
}

#[tokio::test]
async fn sighup_shows_new_connections_the_new_certificate_and_keeps_old_ones() {
    let (folder, other) = (certificates(), certificates());
    let server = server(folder.path());
    let worker = worker(&server, folder.path()).await;
    let mut subscriber = subscriber(&server, folder.path()).await;

    let first = TempDir::new().unwrap();
    fs::copy(folder.path().join("ca.crt"), first.path().join("ca.crt")).unwrap();
    for file in ["ca.crt", "crt", "key"] {
        fs::copy(other.path().join(file), folder.path().join(file)).unwrap();
    }
    connect(server.streams(), first.path(), &[]).await.expect("nothing is read before the signal");
    server.signal("HUP");
    server.logged("SIGHUP: the configuration has been read again").await;
    for address in [server.workers(), server.streams()] {
        assert!(connect(address, first.path(), &[]).await.is_err(), "the old certificate is still shown");
        connect(address, folder.path(), &[]).await.unwrap();
    }
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    assert_eq!(subscriber.next_event().await["type"], "create");

    fs::write(folder.path().join("key"), "no key").unwrap();
    server.signal("HUP");
    server.logged("everything stays as it was").await;
    assert!(server.log().contains("holds no PRIVATE KEY"), "{}", server.log());
    connect(server.streams(), folder.path(), &[]).await.unwrap();
    worker.set("s", "g", "i", json!({"id": "i", "n": 1})).await;
    assert_eq!(subscriber.next_event().await["type"], "update");
}

#[tokio::test]
async fn sighup_without_tls_ends_nothing() {
    let server = Server::start();
    let worker = Worker::open(&server).await;
    for _ in 0..3 {
        server.signal("HUP");
    }
    server.logged("SIGHUP: the configuration has been read again").await;
    worker.set("s", "g", "i", json!({"id": "i"})).await;
    server.terminate();
}

#[tokio::test]
async fn chain_of_certificates_is_shown_whole() {
    let folder = certificates();
    let chain = ["crt", "ca.crt"].map(|file| fs::read_to_string(folder.path().join(file)).unwrap()).concat();
    fs::write(folder.path().join("crt"), chain).unwrap();
    let server = server(folder.path());
    let stream = connect(server.streams(), folder.path(), &[]).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap().len(), 2);
}

#[tokio::test]
async fn files_that_cannot_be_used_stop_the_start_with_the_reason() {
    let (folder, other) = (certificates(), certificates());
    let at = |name: &str| folder.path().join(name);
    fs::write(at("broken"), "-----BEGIN CERTIFICATE-----\nMIIB\n").unwrap();
    fs::write(at("no-cert"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    for (cert, key, reason) in [
        (at("nowhere"), at("key"), "`tls.cert`: cannot read "),
        (at("crt"), at("nowhere"), "`tls.key`: cannot read "),
        (at("crt"), at(""), "`tls.key`: cannot read "),
        (at("broken"), at("key"), "`tls.cert`: cannot read "),
        (at("key"), at("key"), "holds no CERTIFICATE"),
        (at("crt"), at("crt"), "holds no PRIVATE KEY"),
        (at("no-cert"), at("key"), "do not fit"),
        (at("crt"), other.path().join("key"), "do not fit"),
    ] {
        let tls = json!({"tls": {"cert": cert, "key": key}});
        let Err(log) = Server::try_configured(tls.clone(), json!({})) else { panic!("{tls}") };
        assert!(log.contains("the stream port (`tls` of the stream module)") && log.contains(reason), "{tls}: {log}");
        let Err(log) = Server::try_configured(json!({}), tls.clone()) else { panic!("{tls}") };
        assert!(log.contains("the worker port (`tls` of the worker module)") && log.contains(reason), "{tls}: {log}");
    }
}
