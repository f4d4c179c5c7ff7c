//! What the admin listener answers.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connection::dial;
use super::{Address, ClientError};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer.
const ANSWER_BYTES: u64 = 16 << 20;

/// Asks for `path`.
///
/// # Errors
/// Where nobody answers, or otherwise than a Weir would.
pub(crate) async fn get<T: DeserializeOwned>(address: &Address, path: &str) -> Result<T, ClientError> {
    let asked = async {
        let mut stream = dial(address).await?;
        let token = address.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{token}Connection: close\r\n\r\n", address.authority());
        let lost = |error: std::io::Error| ClientError::Lost { reason: error.to_string() };
        stream.write_all(request.as_bytes()).await.map_err(lost)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES).read_to_end(&mut answer).await.map_err(lost)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let url = || format!("{}{path}", address.url.replacen("ws", "http", 1).trim_end_matches('/'));
    let answer = timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
        Err(ClientError::Unreachable { url: url(), reason: format!("no answer within {} s", PATIENCE.as_secs()), hint: address.hints.0 })
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    match (status, serde_json::from_str(body)) {
        (200, Ok(value)) => Ok(value),
        (401, _) => Err(ClientError::Unauthorized { url: url(), reason: "it wants a token".to_owned(), hint: address.hints.1 }),
        _ => Err(ClientError::Answered { url: url(), status, said: body.chars().take(200).collect() }),
    }
}
