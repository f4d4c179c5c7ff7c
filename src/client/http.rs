//! What is asked for over HTTP: the admin listener, and the health of a server.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::dial;
use super::{Address, ClientError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer.
const ANSWER_BYTES: u64 = 16 << 20;
/// How much of an answer that is not understood is repeated.
const SAID_CHARS: usize = 200;

/// What a health check answers.
#[derive(Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Health {
    pub(crate) ready: bool,
    /// What is not ready.
    pub(crate) reasons: Vec<String>,
}

/// Asks the admin listener for `path`.
///
/// # Errors
/// Where nobody answers, or otherwise than a Weir would.
pub(crate) async fn get<T: DeserializeOwned>(address: &Address, path: &str) -> Result<T, ClientError> {
    let (status, body) = fetch(address, path, PATIENCE).await?;
    match (status, serde_json::from_str(&body)) {
        (200, Ok(value)) => Ok(value),
        (401, _) => {
            let reason = format!("it wants a token, and was asked {}", address.shown());
            Err(ClientError::Unauthorized { url: url(address, path), reason, hint: address.hints.refused })
        }
        _ => Err(answered(address, path, status, &body)),
    }
}

/// Asks for `/health/live` or `/health/ready`, within that time.
///
/// # Errors
/// Where nobody answers, or otherwise than a Weir would.
pub(crate) async fn health(address: &Address, path: &str, within: Duration) -> Result<Health, ClientError> {
    let (status, body) = fetch(address, path, within).await?;
    serde_json::from_str(&body).map_err(|_malformed| answered(address, path, status, &body))
}

/// Status and body.
async fn fetch(address: &Address, path: &str, within: Duration) -> Result<(u16, String), ClientError> {
    let asked = async {
        let mut stream = dial(address).await?;
        let token = address.token.as_ref().map(|token| format!("Authorization: Bearer {}\r\n", token.text)).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{token}Connection: close\r\n\r\n", address.authority());
        let unreachable = |error: std::io::Error| late(address, path, error.to_string());
        stream.write_all(request.as_bytes()).await.map_err(unreachable)?;
        let mut answer = Vec::new();
        // Who closes TLS without a word has answered all the same.
        let read = stream.take(ANSWER_BYTES).read_to_end(&mut answer).await;
        if answer.is_empty() {
            read.map_err(unreachable)?;
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = timeout(within, asked)
        .await
        .unwrap_or_else(|_| Err(late(address, path, format!("no answer within {} s", within.as_secs_f64()))))?;
    let parts = answer.strip_prefix("HTTP/1.").and_then(|answer| answer.split_once("\r\n\r\n"));
    let status = parts.and_then(|(head, _)| head.split(' ').nth(1)?.parse().ok());
    match (status, parts) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(ClientError::Protocol { url: url(address, path), reason: "no HTTP came back".to_owned() }),
    }
}

fn late(address: &Address, path: &str, reason: String) -> ClientError {
    ClientError::Unreachable { url: url(address, path), reason, hint: address.hints.away }
}

fn answered(address: &Address, path: &str, status: u16, body: &str) -> ClientError {
    ClientError::Answered { url: url(address, path), status, said: body.chars().take(SAID_CHARS).collect() }
}

fn url(address: &Address, path: &str) -> String {
    let url = address.url.strip_prefix("ws").map_or_else(|| address.url.clone(), |rest| format!("http{rest}"));
    format!("{}{path}", url.trim_end_matches('/'))
}
