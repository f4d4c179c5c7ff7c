//! Export of spans by OTLP over HTTP to a collector, by OpenTelemetry's own exporter: retries, TLS, compression and the variables it reads
//! (`OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`, `…_PROTOCOL`, `…_COMPRESSION`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`) are its own.
//!
//! `endpoint` is where spans go, `client` what they are sent by, `data` what they are made of. A thread of its own sends them; what a collector does not take in time is dropped
//! and counted.

mod client;
mod data;
mod endpoint;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use weir_actors::spans::{Span, Spans};

use crate::config::AdminConfig;
use client::{Client, Reason};
pub(crate) use endpoint::{Endpoint, Source};

/// Spans that may wait to be sent.
const WAITING: usize = 8_192;
/// Spans that are sent together at most, …
const BATCH: usize = 512;
/// … and how long one waits for others.
const DELAY: Duration = Duration::from_secs(1);
/// How often it is looked whether the server ends, …
const LOOK: Duration = Duration::from_millis(100);
/// … and how long the last ones may take then.
const LAST: Duration = Duration::from_secs(3);
/// How often the log is told that a collector takes nothing.
const COMPLAINT: Duration = Duration::from_secs(60);

/// A collector that can be sent to.
pub(crate) struct Collector {
    endpoint: Endpoint,
    exporter: SpanExporter,
    /// Why it was not reached.
    reason: Reason,
}

/// Looks at the configuration as [`collector`] does, without asking anybody.
///
/// # Errors
/// As there.
pub(crate) fn check(config: &AdminConfig) -> anyhow::Result<()> {
    match Endpoint::of(config) {
        Some((source @ Source::Configuration, Err(error))) => Err(error).context(source.to_string()),
        _ => Ok(()),
    }
}

/// How spans are written. The exporter's own default would be JSON, everybody's is protobuf.
fn protocol(environment: impl Fn(&str) -> Option<String>) -> Protocol {
    let named = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"].into_iter().find_map(environment);
    if named.is_some_and(|name| name.trim() == "http/json") { Protocol::HttpJson } else { Protocol::HttpBinary }
}

/// Where spans are to be sent; `None` where they are not.
///
/// # Errors
/// Where the configuration names what cannot be sent to. A variable may be meant for others too: what is wrong with it is logged.
pub(crate) fn collector(config: &AdminConfig) -> anyhow::Result<Option<Collector>> {
    let Some((source, endpoint)) = Endpoint::of(config) else { return Ok(None) };
    match (source, endpoint.and_then(Collector::at)) {
        (_, Ok(collector)) => Ok(Some(collector)),
        (Source::Configuration, Err(error)) => Err(error).context(source.to_string()),
        (Source::Variable(variable), Err(error)) => {
            tracing::warn!(variable, error = format!("{error:#}"), "no spans are exported");
            Ok(None)
        }
    }
}

impl Collector {
    fn at(endpoint: Endpoint) -> anyhow::Result<Self> {
        // The HTTP client has none of its own; another may have been installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let environment = |name: &str| std::env::var(name).ok();
        let (client, reason) = Client::new(environment)?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_endpoint(endpoint.to_string());
        let mut exporter = exporter.with_protocol(protocol(environment)).build()?;
        let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
        let mut resource = Resource::builder().with_attribute(version);
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("weir");
        }
        exporter.set_resource(&resource.build());
        Ok(Self { endpoint, exporter, reason })
    }

    /// Sends these spans of `all`; `complained` is when the log was last told that it takes none.
    async fn send(&self, spans: Vec<Span>, all: &Spans, complained: &mut Option<Instant>) {
        let (count, scope) = (spans.len(), data::scope());
        let spans = spans.into_iter().map(|span| data::span(span, scope.clone())).collect();
        let Err(error) = self.exporter.export(spans).await else { return };
        all.lost(count as u64);
        if complained.is_none_or(|at| at.elapsed() >= COMPLAINT) {
            let (endpoint, error) = (&self.endpoint, self.reason.lock().take().unwrap_or_else(|| error.to_string()));
            tracing::warn!(%endpoint, error, spans = count, "a collector does not take spans; they are dropped");
            *complained = Some(Instant::now());
        }
    }
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
    pub(crate) fn start(collector: Collector, spans: &Arc<Spans>) -> anyhow::Result<Option<Self>> {
        let Some(receiver) = spans.take(WAITING) else { return Ok(None) };
        tracing::info!(endpoint = %collector.endpoint, "spans are exported");
        let ends = Arc::<AtomicBool>::default();
        let (all, told) = (spans.clone(), ends.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let export = move || export(&runtime, &collector, (&receiver, &all), &told);
        let thread = std::thread::Builder::new().name("otlp".to_owned()).spawn(export)?;
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

fn export(runtime: &tokio::runtime::Runtime, collector: &Collector, (spans, all): (&Receiver<Span>, &Spans), ends: &AtomicBool) {
    let (mut batch, mut due) = (Vec::new(), Instant::now());
    let mut complained = None;
    let ending = async || {
        while !ends.load(Ordering::Relaxed) {
            tokio::time::sleep(LOOK).await;
        }
    };
    while !ends.load(Ordering::Relaxed) {
        match spans.recv_timeout(LOOK) {
            Ok(span) => {
                if batch.is_empty() {
                    due = Instant::now() + DELAY;
                }
                batch.push(span);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if batch.len() >= BATCH || (!batch.is_empty() && Instant::now() >= due) {
            let sent = collector.send(std::mem::take(&mut batch), all, &mut complained);
            // What it has not taken when the server ends has its last time then.
            runtime.block_on(async {
                let last = async {
                    ending().await;
                    tokio::time::sleep(LAST).await;
                };
                tokio::select! { () = sent => {}, () = last => {} }
            });
        }
    }
    batch.extend(spans.try_iter().take(WAITING));
    if !batch.is_empty() {
        let sent = async { tokio::time::timeout(LAST, collector.send(batch, all, &mut complained)).await };
        // The log has been told of a collector that takes nothing.
        drop(runtime.block_on(sent));
    }
}
