//! Export of spans by OTLP over HTTP, in JSON, to a collector.
//!
//! Written here: OpenTelemetry's SDK would bring some thirty crates, protobuf and an HTTP client for one request that is a page of code. Hence no
//! TLS: a collector on this machine or in this network passes on what goes further.
//!
//! `encode` is what is sent, `post` the request. A thread of its own sends; what a collector does not take in time is dropped.

mod encode;
mod post;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use weir_actors::spans::{Span, Spans};

use crate::config::AdminConfig;
pub(crate) use post::Endpoint;

/// Spans that may wait to be sent.
const WAITING: usize = 8_192;
/// Spans that are sent together at most, …
const BATCH: usize = 512;
/// … and how long one waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How often it is looked whether the server ends.
const LOOK: Duration = Duration::from_millis(100);
/// How often the log is told that a collector takes nothing.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Where OpenTelemetry has all of its exporters send to.
const VARIABLE: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Where spans are to be sent; `None` where they are not.
///
/// # Errors
/// Where the configuration names no address that can be sent to. The variable may be meant for others too: what is wrong with it is logged.
pub(crate) fn endpoint(config: &AdminConfig) -> anyhow::Result<Option<Endpoint>> {
    if let Some(text) = &config.otlp_endpoint {
        return Endpoint::parse(text.trim()).map(Some).context("`otlp_endpoint` of modules::admin::AdminModule");
    }
    let Some(text) = env::var(VARIABLE).ok().filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    Ok(Endpoint::parse(text.trim()).inspect_err(|error| tracing::warn!(variable = VARIABLE, %error, "no spans are exported")).ok())
}

/// Sends spans until it is dropped, and then what there is.
pub(crate) struct Exporter {
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Sends all spans of a system there.
    ///
    /// # Errors
    /// Where there can be no thread for it.
    pub(crate) fn start(endpoint: Endpoint, spans: &Spans) -> anyhow::Result<Option<Self>> {
        let Some(receiver) = spans.take(WAITING) else { return Ok(None) };
        tracing::info!(%endpoint, "spans are exported");
        let ends = Arc::<AtomicBool>::default();
        let told = ends.clone();
        let thread = std::thread::Builder::new().name("otlp".to_owned()).spawn(move || export(&endpoint, &receiver, &told))?;
        Ok(Some(Self { ends, thread: Some(thread) }))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has told what went wrong.
            drop(thread.join());
        }
    }
}

fn export(endpoint: &Endpoint, spans: &Receiver<Span>, ends: &AtomicBool) {
    let (mut batch, mut due) = (Vec::new(), Instant::now());
    let mut complained: Option<Instant> = None;
    loop {
        match spans.recv_timeout(LOOK) {
            Ok(span) => {
                if batch.is_empty() {
                    due = Instant::now() + DELAY;
                }
                batch.push(span);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => ends.store(true, Ordering::Relaxed),
        }
        let ending = ends.load(Ordering::Relaxed);
        if ending {
            batch.extend(spans.try_iter().take(BATCH));
        }
        if !batch.is_empty() && (ending || batch.len() >= BATCH || Instant::now() >= due) {
            let sent = post::post(endpoint, &encode::spans(&batch));
            if let Err(error) = sent
                && complained.is_none_or(|at| at.elapsed() >= COMPLAINT)
            {
                tracing::warn!(%endpoint, %error, spans = batch.len(), "a collector does not take spans; they are dropped");
                complained = Some(Instant::now());
            }
            batch.clear();
        }
        if ending {
            return;
        }
    }
}
