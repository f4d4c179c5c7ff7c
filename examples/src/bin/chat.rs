//! A chat room: what is said is kept, who types is only told.
//!
//! ```sh
//! cargo run --release -p weir-examples --bin chat     # then open http://127.0.0.1:8080/ in two tabs
//! ```

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use weir_actors::streams::{Error, Streams};
use weir_actors::ws::nodelay;
use weir_examples::{address, announce};

const STREAM: &str = "chat";
/// Messages that a room keeps.
const KEPT: usize = 100;

/// What somebody has said.
#[derive(Serialize, Deserialize)]
struct Message {
    id: String,
    by: String,
    text: String,
}

/// What a page sends.
#[derive(Deserialize)]
struct Said {
    by: String,
    /// Nothing while it is still being typed.
    text: Option<String>,
}

async fn say(streams: web::Data<Streams>, room: web::Path<String>, said: web::Json<Said>) -> Result<HttpResponse, actix_web::Error> {
    let Said { by, text } = said.into_inner();
    let said = match text {
        Some(text) => keep(&streams, &room, by, text).await,
        None => streams.send(STREAM, &room, "typing", &json!({"by": by})).await,
    };
    said.map_err(actix_web::error::ErrorServiceUnavailable)?;
    Ok(HttpResponse::NoContent().finish())
}

async fn keep(streams: &Streams, room: &str, by: String, text: String) -> Result<(), Error> {
    let messages = streams.group::<Message>(STREAM, room);
    let id = uuid::Uuid::new_v4().to_string();
    messages.set(&id, &Message { id: id.clone(), by, text }).await?;
    // In the order in which they came: the oldest first.
    let said = messages.list().await?;
    for old in said.iter().take(said.len().saturating_sub(KEPT)) {
        messages.delete(&old.id).await?;
    }
    Ok(())
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let streams = Streams::builder().start().await?;
    let shared = streams.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(shared.clone()))
            .route("/", web::get().to(async || HttpResponse::Ok().content_type("text/html").body(include_str!("../../pages/chat.html"))))
            .route("/rooms/{room}", web::post().to(say))
            .service(web::scope("/live").configure(shared.routes()))
    });
    let server = server.on_connect(nodelay).disable_signals().bind(address()?)?;
    announce(&server.addrs());
    streams.serve(server.run()).await?;
    Ok(())
}
