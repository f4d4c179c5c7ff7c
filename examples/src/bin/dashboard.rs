//! A live dashboard: a background task writes what it measures of this machine, and every page that is open shows it.
//!
//! ```sh
//! cargo run --release -p weir-examples --bin dashboard     # then open http://127.0.0.1:8080/
//! ```

use std::time::{Duration, Instant};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde::{Deserialize, Serialize};
use weir_actors::streams::{Error, Streams};
use weir_actors::ws::nodelay;
use weir_examples::{address, announce};

/// One figure on the page.
#[derive(Serialize, Deserialize)]
struct Gauge {
    id: String,
    unit: String,
    value: f64,
    /// What a full bar is.
    of: f64,
}

/// A number of a line of `/proc` that begins with `name`.
fn read(file: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

async fn measure(streams: Streams) -> Result<(), Error> {
    let gauges = streams.group::<Gauge>("machine", "now");
    let mut pace = tokio::time::interval(Duration::from_millis(500));
    let (mut switches, mut at) = (read("/proc/stat", "ctxt ").unwrap_or_default(), Instant::now());
    loop {
        pace.tick().await;
        let (now, seconds) = (read("/proc/stat", "ctxt ").unwrap_or_default(), at.elapsed().as_secs_f64().max(0.001));
        let total = read("/proc/meminfo", "MemTotal:").unwrap_or_default();
        let free = read("/proc/meminfo", "MemAvailable:").unwrap_or_default();
        for (id, unit, value, of) in [
            ("load", "", read("/proc/loadavg", "").unwrap_or_default(), 4.0),
            ("memory", "MiB", (total - free) / 1_024.0, total / 1_024.0),
            ("context switches", "/s", (now - switches) / seconds, 50_000.0),
        ] {
            match gauges.set(id, &Gauge { id: id.into(), unit: unit.into(), value, of }).await {
                // The next figures come soon.
                Err(error) if error.is_overloaded() => {}
                // The end, and nothing to tell.
                Err(Error::Closed) => return Ok(()),
                set => drop(set?),
            }
        }
        (switches, at) = (now, Instant::now());
    }
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let streams = Streams::builder().start().await?;
    let measured = measure(streams.clone());
    actix_web::rt::spawn(async {
        if let Err(error) = measured.await {
            eprintln!("nothing is measured any more: {error}");
        }
    });
    let live = streams.clone();
    let server = HttpServer::new(move || {
        App::new()
            .route(
                "/",
                web::get().to(async || HttpResponse::Ok().content_type("text/html").body(include_str!("../../pages/dashboard.html"))),
            )
            .service(web::scope("/live").configure(live.routes()))
    });
    let server = server.on_connect(nodelay).disable_signals().bind(address()?)?;
    announce(&server.addrs());
    streams.serve(server.run()).await?;
    Ok(())
}
