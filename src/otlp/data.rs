//! Spans as OpenTelemetry's SDK has them.

use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use weir_actors::metrics::calls::Ending;
use weir_actors::spans::{Context, Span, Work};

/// Who has made the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("weir").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// A span with the name, the attributes and the status of its work.
pub(super) fn span(span: Span, scope: InstrumentationScope) -> SpanData {
    let (name, span_kind, attributes, status) = work(span.work);
    let mut links = SpanLinks::default();
    links.links = span.links.into_iter().map(|context| Link::with_context(named(context))).collect();
    SpanData {
        span_context: named(span.context),
        parent_span_id: span.parent.map_or(SpanId::INVALID, SpanId::from),
        // A call is made by a worker, a commit for one.
        parent_span_is_remote: span.parent.is_some(),
        span_kind,
        name: name.into(),
        start_time: span.began,
        end_time: span.began + span.took,
        attributes,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links,
        status,
        instrumentation_scope: scope,
    }
}

fn work(work: Work) -> (String, SpanKind, Vec<KeyValue>, Status) {
    match work {
        Work::Invocation { function, ending } => {
            let status = if ending == Ending::Ok { Status::Unset } else { Status::error(ending.name()) };
            let name = format!("invoke {function}");
            let attributes = vec![KeyValue::new("weir.function", String::from(function)), KeyValue::new("weir.outcome", ending.name())];
            (name, SpanKind::Client, attributes, status)
        }
        Work::Commit { calls, synced, ok, .. } => {
            let attributes = vec![
                KeyValue::new("weir.batch_len", i64::try_from(calls).unwrap_or(i64::MAX)),
                KeyValue::new("weir.fsync_seconds", synced.as_secs_f64()),
            ];
            let status = if ok { Status::Unset } else { Status::error("nothing was stored") };
            ("commit".to_owned(), SpanKind::Internal, attributes, status)
        }
        _ => ("unknown".to_owned(), SpanKind::Internal, Vec::new(), Status::Unset),
    }
}

fn named(context: Context) -> SpanContext {
    let (trace, span) = (TraceId::from(context.trace), SpanId::from(context.span));
    SpanContext::new(trace, span, TraceFlags::SAMPLED, true, TraceState::default())
}
