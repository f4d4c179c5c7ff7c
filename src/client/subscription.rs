//! The frames of a group or an item, over the stream port.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::connection::{self, Connection};
use super::{Address, ClientError};

/// How often a silent server is pinged, and how long it may be silent. Its own pings may be as rare as once a day.
const PING: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(45));

/// A connection to the stream port, to the address of a group or an item.
pub(crate) struct Subscription {
    connection: Connection,
    heard: Instant,
}

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The code of the server's close frame, if it sent one.
    pub(crate) code: Option<u16>,
    /// In words.
    pub(crate) reason: String,
}

impl Subscription {
    /// Connects.
    ///
    /// # Errors
    /// Where there is no server, or it does not let us in.
    pub(crate) async fn open(address: &Address) -> Result<Self, ClientError> {
        Ok(Self { connection: connection::open(address).await?, heard: Instant::now() })
    }

    /// The next frame. May be dropped and asked again.
    ///
    /// # Errors
    /// How the connection ended.
    pub(crate) async fn next(&mut self) -> Result<String, Ended> {
        let lost = |reason: String| Ended { code: None, reason };
        loop {
            let Ok(message) = timeout(PING.0, self.connection.next()).await else {
                if self.heard.elapsed() > PING.1 {
                    return Err(lost(format!("nothing was heard for {} s", PING.1.as_secs())));
                }
                self.connection.send(Message::Ping(Default::default())).await.map_err(|error| lost(error.to_string()))?;
                continue;
            };
            self.heard = Instant::now();
            match message {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(close)))) => {
                    let code = u16::from(close.code);
                    return Err(Ended { code: Some(code), reason: format!("{code} {}", close.reason).trim_end().to_owned() });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(lost(error.to_string())),
                None => return Err(lost("it was closed".to_owned())),
            }
        }
    }
}
