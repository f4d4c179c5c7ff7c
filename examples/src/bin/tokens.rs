//! Text that comes token by token, as a language model writes it: each token is appended to an item, and every page that shows the item sees it grow.
//! A page that comes late, or again, has all that was written so far.
//!
//! ```sh
//! cargo run --release -p weir-examples --bin tokens     # then open http://127.0.0.1:8080/ and ask
//! ```

use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use weir_actors::streams::{Error, Ops, Streams};
use weir_actors::ws::nodelay;
use weir_examples::{address, announce};

/// How long the model takes for a token.
const PER_TOKEN: Duration = Duration::from_millis(40);

/// A question and as much of its answer as there is.
#[derive(Serialize, Deserialize)]
struct Answer {
    id: String,
    question: String,
    text: String,
    done: bool,
}

/// What a page asks.
#[derive(Deserialize)]
struct Asked {
    question: String,
}

/// Stands in for a model.
fn tokens(question: &str) -> Vec<String> {
    let answer = format!("You asked: {question} I can only say it back, one word at a time, to everybody who looks.");
    answer.split_inclusive(' ').map(str::to_owned).collect()
}

/// Makes a call again for as long as the store has too much to do: no token is to be missing.
async fn again<T>(call: impl AsyncFn() -> Result<T, Error>) -> Result<T, Error> {
    loop {
        match call().await {
            Err(error) if error.is_overloaded() => tokio::time::sleep(PER_TOKEN).await,
            called => return called,
        }
    }
}

async fn write(streams: Streams, id: String, question: String) -> Result<(), Error> {
    let answers = streams.group::<Answer>("answers", "all");
    let empty = Answer { id: id.clone(), question: question.clone(), text: String::new(), done: false };
    again(async || answers.set(&id, &empty).await).await?;
    for token in tokens(&question) {
        tokio::time::sleep(PER_TOKEN).await;
        again(async || answers.update(&id, Ops::new().append("text", &token)).await).await?;
    }
    again(async || answers.update(&id, Ops::new().set("done", true)).await).await.map(drop)
}

async fn ask(streams: web::Data<Streams>, asked: web::Json<Asked>) -> HttpResponse {
    let id = uuid::Uuid::new_v4().to_string();
    let written = write(streams.get_ref().clone(), id.clone(), asked.into_inner().question);
    actix_web::rt::spawn(async {
        if let Err(error) = written.await {
            eprintln!("an answer is not written to its end: {error}");
        }
    });
    HttpResponse::Accepted().json(json!({"id": id}))
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let streams = Streams::builder().start().await?;
    let shared = streams.clone();
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(shared.clone()))
            .route("/", web::get().to(async || HttpResponse::Ok().content_type("text/html").body(include_str!("../../pages/tokens.html"))))
            .route("/ask", web::post().to(ask))
            .service(web::scope("/live").configure(shared.routes()))
    });
    let server = server.on_connect(nodelay).disable_signals().bind(address()?)?;
    announce(&server.addrs());
    streams.serve(server.run()).await?;
    Ok(())
}
