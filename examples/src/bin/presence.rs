//! Presence in an application that is there already: who has this page open?
//!
//! ```sh
//! cargo run --release -p weir-examples --bin presence     # then open http://127.0.0.1:8080/?name=alice in a few tabs
//! ```

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_actors::settings::Settings;
use weir_actors::streams::{Answer, Join, Leave, Streams, Watch};
use weir_actors::ws::nodelay;
use weir_examples::{address, announce};

/// An item of the group: somebody who looks at the page.
#[derive(Serialize, Deserialize)]
struct Visitor {
    id: String,
    name: String,
}

/// What the auth function says of a client, and join and leave handlers get.
#[derive(Deserialize)]
struct Context {
    visitor: String,
    name: String,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    settings.stream.auth_function = Some("app::auth".into());
    let streams = Streams::builder().settings(settings).start().await?;

    // Who connects? An application has a session for that; here it is the name in the address.
    let auth = async |request: Value| {
        let name = request["query_params"]["name"][0].as_str().unwrap_or("somebody").to_owned();
        Ok(json!({"context": {"visitor": uuid::Uuid::new_v4().to_string(), "name": name}}))
    };
    streams.register_function("app::auth", auth)?;
    let weak = streams.downgrade();
    let joined = move |join: Join| {
        let streams = weak.upgrade();
        async move {
            let (Some(streams), Some(context)) = (streams, join.context) else { return Ok(Answer::Refuse) };
            let Context { visitor, name } = context.parse()?;
            streams.group("presence", &join.group).set(&visitor, &Visitor { id: visitor.clone(), name }).await?;
            Ok(Answer::Admit)
        }
    };
    streams.on_join(Watch::stream("presence"), joined)?;
    let weak = streams.downgrade();
    let left = move |leave: Leave| {
        let streams = weak.upgrade();
        async move {
            let (Some(streams), Some(context)) = (streams, leave.context) else { return Ok(()) };
            streams.delete("presence", &leave.group, &context.parse::<Context>()?.visitor).await?;
            Ok(())
        }
    };
    streams.on_leave(Watch::stream("presence"), left)?;

    let live = streams.clone();
    let server = HttpServer::new(move || {
        App::new()
            .route(
                "/",
                web::get().to(async || HttpResponse::Ok().content_type("text/html").body(include_str!("../../pages/presence.html"))),
            )
            .service(web::scope("/live").configure(live.routes()))
    });
    let server = server.on_connect(nodelay).disable_signals().bind(address()?)?;
    announce(&server.addrs());
    streams.serve(server.run()).await?;
    Ok(())
}
