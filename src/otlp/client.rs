//! The HTTP client that spans are sent by: it keeps why it failed, of which the exporter says "network error" and no more.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use parking_lot::Mutex;

/// How long a request may take unless a variable says otherwise, as the exporter's own client has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Why the last request failed, until it is asked for.
pub(super) type Reason = Arc<Mutex<Option<String>>>;

/// See the [module](self).
#[derive(Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    reason: Reason,
}

impl Client {
    /// A client whose requests take no longer than the variables say, and where it leaves why one failed.
    ///
    /// # Errors
    /// Where there are no certificates to believe, say.
    pub(super) fn new(environment: impl Fn(&str) -> Option<String>) -> reqwest::Result<(Self, Reason)> {
        let millis = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"].into_iter().find_map(environment);
        let timeout = millis.and_then(|millis| millis.trim().parse().ok()).map_or(TIMEOUT, Duration::from_millis);
        let (http, reason) = (reqwest::Client::builder().timeout(timeout).build()?, Reason::default());
        Ok((Self { http, reason: reason.clone() }, reason))
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.http.send_bytes(request).await;
        if let Err(error) = &sent {
            *self.reason.lock() = Some(causes(&**error));
        }
        sent
    }
}

/// An error with all that has led to it.
fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Some repeat what they were caused by.
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}
