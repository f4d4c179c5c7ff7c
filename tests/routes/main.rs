//! The sockets as routes of a host's own actix-web application, where a response body carries what is sent. The server itself takes its
//! connections over instead, which is what all other tests go by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::DefaultHeaders;
use actix_web::{App, HttpServer, web};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};
use weir_actors::settings::Settings;
use weir_actors::streams::{Answer, Join, Leave, Reason, Streams, Watch};
use weir_actors::ws::nodelay;

const DEADLINE: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr, path: &str) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    let (socket, response) = client_async(format!("ws://{address}{path}"), stream).await.unwrap();
    assert_eq!(response.headers()["x-host"], "somebody else's", "the host's middleware sees the handshake");
    socket
}

async fn next(socket: &mut Socket) -> Message {
    tokio::time::timeout(DEADLINE, socket.next()).await.expect("nothing comes").expect("the connection has ended").unwrap()
}

async fn json(socket: &mut Socket) -> Value {
    loop {
        if let Message::Text(text) = next(socket).await {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn call(worker: &mut Socket, function: &str, data: Value) -> Value {
    let mut call = json!({"type": "invokefunction", "invocation_id": "1", "function_id": function});
    call["data"] = data;
    worker.send(Message::text(call.to_string())).await.unwrap();
    json(worker).await["result"].take()
}

async fn get(address: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

/// A host that has pages of its own, clients at its root and under `/live`, and workers under `/workers`.
fn serve(streams: &Streams) -> (SocketAddr, ServerHandle) {
    let streams = streams.clone();
    let server = HttpServer::new(move || {
        App::new()
            .wrap(DefaultHeaders::new().add(("x-host", "somebody else's")))
            .route("/", web::get().guard(actix_web::guard::Not(actix_web::guard::Header("upgrade", "websocket"))).to(async || "home"))
            .route("/own", web::get().to(async || "own"))
            .service(web::scope("/live").configure(streams.routes()))
            .service(web::scope("/a/{b}/workers").configure(streams.worker_routes()))
            .configure(streams.routes())
    });
    let server = server.on_connect(nodelay).workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);
    (address, handle)
}

#[actix_rt::test]
async fn sockets_are_served_under_any_prefix_beside_the_hosts_own_pages() {
    let streams = Streams::builder().start().await.unwrap();
    let (address, handle) = serve(&streams);
    for (path, page) in [("/", "home"), ("/own", "own"), ("/live/stream/s/g/", "WebSocket"), ("/live/stream/s", "not found")] {
        let answer = get(address, path).await;
        assert!(answer.contains(page), "{path}: {answer}");
    }
    let mut worker = connect(address, "/a/x/workers").await;
    assert_eq!(json(&mut worker).await["type"], "workerregistered");
    let mut clients = Vec::new();
    // The name of the group has a slash, a per cent sign and a letter beyond ASCII.
    for path in ["/stream/s/g%2F%25%C3%A9/", "/live/stream/s/g%2F%25%C3%A9", "/live/stream/s/g%2f%25%c3%a9/"] {
        let mut client = connect(address, path).await;
        assert_eq!(json(&mut client).await["groupId"], "g/%é");
        clients.push(client);
    }
    for path in ["/", "/live", "/live/"] {
        let mut client = connect(address, path).await;
        let join = json!({"type": "join", "data": {"subscriptionId": "1", "streamName": "s", "groupId": "g/%é"}});
        client.send(Message::text(join.to_string())).await.unwrap();
        assert_eq!(json(&mut client).await["event"], json!({"type": "sync", "data": []}));
        clients.push(client);
    }
    // Longer than what a body is given at a time.
    for n in 0..3 {
        let data = json!({"id": "i", "n": n, "padding": "x".repeat(300_000)});
        let set = json!({"stream_name": "s", "group_id": "g/%é", "item_id": "i", "data": data});
        assert_eq!(call(&mut worker, "stream::set", set).await["new_value"], data);
        for client in &mut clients {
            assert_eq!(json(client).await["event"]["data"], data);
        }
    }
    streams.shutdown().await;
    for mut client in clients {
        let Message::Close(Some(close)) = next(&mut client).await else { panic!("no close frame") };
        assert_eq!(close.code, CloseCode::Restart);
    }
    // Without a close frame, after which published workers would not come back.
    while let Some(Ok(message)) = tokio::time::timeout(DEADLINE, worker.next()).await.expect("the connection stays") {
        assert!(!message.is_close());
    }
    handle.stop(false).await;
}

#[actix_rt::test]
async fn host_decides_who_connects_and_who_joins_and_hears_who_leaves() {
    let mut settings = Settings::default();
    settings.stream.auth_function = Some("host::auth".into());
    let streams = Streams::builder().settings(settings).start().await.unwrap();
    let auth = async |request: Value| {
        let name = request["query_params"]["name"][0].as_str().unwrap_or_default().to_owned();
        Ok(if name.is_empty() { json!({"unauthorized": true}) } else { json!({"context": {"name": name}}) })
    };
    streams.register_function("host::auth", auth).unwrap();
    let name = |context: Option<&weir_actors::json::Json>| context.unwrap().parse::<Value>().unwrap()["name"].as_str().unwrap().to_owned();
    let asked = move |join: Join| async move {
        let ours = name(join.context.as_ref()) == join.group;
        Ok(if ours { Answer::Admit } else { Answer::Refuse })
    };
    streams.on_join(Watch::stream("private"), asked).unwrap();
    let (sender, mut left) = mpsc::unbounded_channel();
    let told = move |leave: Leave| {
        let sender = sender.clone();
        async move {
            sender.send((name(leave.context.as_ref()), leave.stream, leave.group, leave.item, leave.reason))?;
            Ok(())
        }
    };
    streams.on_leave(Watch::everything(), told).unwrap();
    let (address, handle) = serve(&streams);

    let mut nobody = connect(address, "/live/stream/private/alice/").await;
    assert_eq!(json(&mut nobody).await["event"]["type"], "unauthorized");
    let mut bob = connect(address, "/live/stream/private/alice/?name=bob").await;
    assert_eq!(json(&mut bob).await["event"]["type"], "unauthorized");
    let mut alice = connect(address, "/live/stream/private/alice/me/?name=alice").await;
    assert_eq!(json(&mut alice).await["event"]["type"], "sync");
    alice.close(None).await.unwrap();
    let who = tokio::time::timeout(DEADLINE, left.recv()).await.unwrap().unwrap();
    assert_eq!(who, ("alice".into(), "private".into(), "alice".into(), Some("me".into()), Reason::Closed));
    streams.shutdown().await;
    assert_eq!(left.recv().await, None);
    handle.stop(false).await;
}
