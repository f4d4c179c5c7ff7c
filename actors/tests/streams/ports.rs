//! The sockets in an application that goes on serving when the system stops.

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use weir_actors::settings::Settings;
use weir_actors::streams::Streams;

use crate::{soon, start};

fn serve(streams: &Streams) -> (SocketAddr, ServerHandle) {
    let streams = streams.clone();
    let app = move || {
        App::new()
            .service(web::scope("/live").configure(streams.routes()))
            .service(web::scope("/workers").configure(streams.worker_routes()))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (address, handle)
}

/// Asks for a WebSocket; the connection, and the head of the answer.
async fn connect(address: SocketAddr, path: &str) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(stream.read_u8()).await.unwrap());
    }
    (stream, String::from_utf8(head).unwrap().to_lowercase())
}

/// The next frame: its opcode and payload.
async fn frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let opcode = soon(stream.read_u8()).await.unwrap() & 0x0f;
    let length = match soon(stream.read_u8()).await.unwrap() {
        126 => soon(stream.read_u16()).await.unwrap(),
        length => length.into(),
    };
    let mut payload = vec![0; length.into()];
    soon(stream.read_exact(&mut payload)).await.unwrap();
    (opcode, payload)
}

fn is_refused(head: &str) -> bool {
    head.starts_with("http/1.1 503 ") && head.contains("\r\nretry-after: ")
}

#[actix_rt::test]
async fn clients_are_refused_from_the_first_moment_of_the_end_and_workers_from_the_last() {
    let mut settings = Settings::default();
    settings.stream.auth_function = Some("auth".into());
    let streams = start(settings).await;
    let (release, released) = watch::channel(());
    let (began, mut asked) = watch::channel(());
    let auth = move |_: Value| {
        began.send_replace(());
        let mut released = released.clone();
        async move {
            let _ = released.changed().await;
            Ok(json!({"context": null}))
        }
    };
    streams.register_function("auth", auth).unwrap();
    let (address, handle) = serve(&streams);
    // It is being asked who this is when the end begins.
    let early = actix_rt::spawn(async move {
        let (mut stream, head) = connect(address, "/live/stream/s/g/").await;
        (head, frame(&mut stream).await)
    });
    soon(asked.changed()).await.unwrap();
    let stopper = streams.clone();
    let stop = actix_rt::spawn(async move { stopper.shutdown().await });
    while streams.not_ready().is_empty() {
        tokio::task::yield_now().await;
    }
    let (_, late) = connect(address, "/live/stream/s/g/").await;
    assert!(is_refused(&late), "{late}");
    let (_worker, head) = connect(address, "/workers").await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    release.send(()).unwrap();
    let (head, (opcode, payload)) = early.await.unwrap();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert_eq!((opcode, payload.get(..2)), (8, Some(&1012_u16.to_be_bytes()[..])), "nothing but the close");
    soon(stop).await.unwrap();
    for path in ["/live/stream/s/g/", "/live/", "/workers", "/workers/otel"] {
        let (_, head) = connect(address, path).await;
        assert!(is_refused(&head), "{path}: {head}");
    }
    handle.stop(false).await;
}

#[actix_rt::test]
async fn server_and_streams_end_in_order_when_one_is_told_to() {
    let streams = start(Settings::default()).await;
    let live = streams.clone();
    let server = HttpServer::new(move || App::new().configure(live.routes())).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let (server, served) = (server.run(), streams.clone());
    let serving = actix_rt::spawn(async move { served.serve(server).await });
    let (mut client, _) = connect(address, "/stream/s/g/").await;
    // The state.
    frame(&mut client).await;
    // A page that keeps its connection, as browsers do.
    let mut idle = TcpStream::connect(address).await.unwrap();
    idle.write_all(format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    soon(idle.read_u8()).await.unwrap();
    streams.shutdown().await;
    let (opcode, payload) = frame(&mut client).await;
    assert_eq!((opcode, payload.get(..2)), (8, Some(&1012_u16.to_be_bytes()[..])));
    soon(serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
