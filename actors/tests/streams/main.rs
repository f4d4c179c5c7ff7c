//! The handle of a host program: a system in this process, without a socket.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod calls;
mod full;
mod functions;
mod lifetime;
#[cfg(feature = "ws")]
mod ports;
mod subscriptions;
mod triggers;

use std::future::Future;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_actors::settings::Settings;
use weir_actors::streams::Streams;

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct Person {
    id: String,
    seen: u32,
}

fn person(id: &str, seen: u32) -> Person {
    Person { id: id.into(), seen }
}

/// What `future` comes to, which must not take long.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("nothing comes of it")
}

async fn until(condition: impl Fn() -> bool) {
    let met = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    soon(met).await;
}

async fn start(settings: Settings) -> Streams {
    Streams::builder().settings(settings).start().await.unwrap()
}
