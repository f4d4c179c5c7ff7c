//! The admin port: who may ask, what it says of the server's health, and metrics that move by exactly what was done.

mod console;
mod counts;
mod gate;
mod health;
mod limits;
mod redis;
pub(crate) mod scrape;

use crate::raw::Raw;

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks for a path, with these headers beside `Connection`, each with its end of line.
async fn ask(address: &str, path: &str, headers: &str) -> Answer {
    let mut raw = Raw::connect(address).await;
    raw.write(format!("GET {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n").as_bytes()).await;
    let answer = String::from_utf8(raw.rest().await).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// The same as people and Prometheus ask.
async fn get(address: &str, path: &str) -> Answer {
    ask(address, path, &format!("Host: {address}\r\n")).await
}
