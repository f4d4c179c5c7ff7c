//! Calling functions over the worker port.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::connection::{self, Connection};
use super::{Address, ClientError, http};
use crate::json::present;

/// How long the greeting may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without one, it is asked whether this is the stream port, where there is none to come.
const DOUBT: Duration = Duration::from_secs(1);
/// How long a server that takes no more may take to say why.
const REASON: Duration = Duration::from_secs(1);
/// There is one call at a time, so one id does.
const ID: &str = "1";

/// A connection to the worker port.
pub(crate) struct Worker {
    connection: Connection,
    url: String,
    /// How long the last message was.
    sent_bytes: usize,
}

/// A message of the server, as far as it matters here.
#[derive(Deserialize)]
struct Envelope<'m> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    invocation_id: Option<String>,
    /// Null is a result; that there is none is something else.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'m RawValue>,
    #[serde(default)]
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Worker {
    /// Connects and waits for the greeting.
    ///
    /// # Errors
    /// Where there is no server, it wants another token, or it is none for workers.
    pub(crate) async fn open(address: &Address) -> Result<Self, ClientError> {
        let mut worker = Self { connection: connection::open(address).await?, url: address.url.clone(), sent_bytes: 0 };
        let first = match timeout(DOUBT, worker.next()).await {
            Ok(first) => first?,
            // Only the stream port, and that of operators, answers this.
            Err(_) if http::health(address, "/health/live", PATIENCE).await.is_ok() => {
                let reason =
                    "it is the stream port, for clients; workers have a port of their own (49134 where nothing else is configured)";
                return Err(worker.odd(reason));
            }
            Err(_) => timeout(PATIENCE, worker.next()).await.map_err(|_late| worker.odd("it does not greet a worker"))??,
        };
        match serde_json::from_str::<Envelope<'_>>(&first) {
            Ok(Envelope { kind, .. }) if kind == "workerregistered" => Ok(worker),
            _ => Err(worker.odd("it greets a worker otherwise")),
        }
    }

    /// Calls a function; its result, `None` where it has none.
    ///
    /// # Errors
    /// What the server or the function answers, that there was no answer in time, or that the connection ended.
    pub(crate) async fn call(&mut self, function: &str, data: &str, patience: Duration) -> Result<Option<String>, ClientError> {
        let name = serde_json::to_string(function).map_err(|error| self.odd(&error.to_string()))?;
        let call = format!(r#"{{"type":"invokefunction","invocation_id":"{ID}","function_id":{name},"data":{data}}}"#);
        self.sent_bytes = call.len();
        let answered = async {
            match self.connection.send(Message::text(call)).await {
                Ok(()) => self.answer().await,
                // It has perhaps said why before it hung up.
                Err(error) => match timeout(REASON, self.answer()).await {
                    Ok(Err(why @ ClientError::TooLong { .. })) => Err(why),
                    _ => Err(ClientError::Lost { reason: error.to_string() }),
                },
            }
        };
        timeout(patience, answered)
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { function: function.to_owned(), seconds: patience.as_secs() }))
    }

    async fn answer(&mut self) -> Result<Option<String>, ClientError> {
        loop {
            let text = self.next().await?;
            let message: Envelope<'_> = serde_json::from_str(&text).map_err(|error| self.odd(&error.to_string()))?;
            if message.kind == "invocationresult" && message.invocation_id.as_deref() == Some(ID) {
                return match message.error {
                    Some(Failure { code, message }) => Err(ClientError::Failed { code, message }),
                    None => Ok(message.result.map(|raw| raw.get().to_owned())),
                };
            }
        }
    }

    /// Says goodbye. A server would notice without.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.connection.close(None)).await;
    }

    async fn next(&mut self) -> Result<String, ClientError> {
        loop {
            match self.connection.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.as_str().to_owned()),
                Some(Ok(Message::Close(Some(close)))) if close.code == CloseCode::Size => {
                    return Err(ClientError::TooLong { bytes: self.sent_bytes });
                }
                Some(Ok(Message::Close(Some(close)))) => return Err(ClientError::Lost { reason: close.to_string() }),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Lost { reason: error.to_string() }),
                None => return Err(ClientError::Lost { reason: "closed".to_owned() }),
            }
        }
    }

    fn odd(&self, reason: &str) -> ClientError {
        ClientError::Protocol { url: self.url.clone(), reason: reason.to_owned() }
    }
}
