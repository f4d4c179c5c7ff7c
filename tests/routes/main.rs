//! The ports as routes of somebody else's actix-web application, where a response body carries what is sent. The server itself takes its sockets
//! over instead, which is what all other tests go by.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};
use weir_actors::adapter::memory::Memory;
use weir_actors::session::Connections;
use weir_actors::settings::Settings;
use weir_actors::system::System;
use weir_actors::ws::{Port, StreamPort, WorkerPort};

const DEADLINE: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TcpStream>;

async fn connect(address: SocketAddr, path: &str) -> Socket {
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(format!("ws://{address}{path}"), stream).await.unwrap().0
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

#[actix_rt::test]
async fn ports_are_served_under_the_paths_of_another_application() {
    let system = System::start(Settings::default(), Box::new(Memory::new()));
    let registry = system.registry().clone();
    let (clients, workers) = (Arc::<Connections>::default(), Arc::<Connections>::default());
    let server = HttpServer::new(move || {
        let (streams, workers) = (StreamPort::new(&registry, &clients), WorkerPort::new(&registry, &workers));
        App::new()
            .route("/own", web::get().to(async || "somebody else's"))
            .service(web::scope("/worker").configure(|config| workers.configure(config)))
            .configure(|config| streams.configure(config))
    });
    let server = server.workers(2).disable_signals().bind("127.0.0.1:0").unwrap();
    let address = server.addrs()[0];
    let server = server.run();
    let handle = server.handle();
    actix_rt::spawn(server);

    let mut worker = connect(address, "/worker/").await;
    assert_eq!(json(&mut worker).await["type"], "workerregistered");
    let mut client = connect(address, "/stream/s/g/").await;
    assert_eq!(json(&mut client).await["event"], json!({"type": "sync", "data": []}));
    // Longer than what a body is given at a time.
    for n in 0..3 {
        let data = json!({"id": "i", "n": n, "padding": "x".repeat(300_000)});
        let set = json!({"stream_name": "s", "group_id": "g", "item_id": "i", "data": data});
        assert_eq!(call(&mut worker, "stream::set", set).await["new_value"], data);
        assert_eq!(json(&mut client).await["event"]["data"], data);
    }
    client.close(None).await.unwrap();
    while let Some(Ok(_)) = tokio::time::timeout(DEADLINE, client.next()).await.expect("the connection stays") {}
    handle.stop(false).await;
    system.stop();
}
