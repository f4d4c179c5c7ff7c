//! `ExportTraceServiceRequest` as JSON (OTLP 1.7, "JSON Protobuf Encoding"): ids as hexadecimal digits, 64-bit integers as text, enums as numbers.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use weir_actors::metrics::calls::Ending;
use weir_actors::spans::{Context, Span, Work};

/// Values of `Span.SpanKind` and `Status.StatusCode` in `trace.proto`.
const INTERNAL: u8 = 1;
const CLIENT: u8 = 3;
const ERROR: u8 = 2;

/// A request with these spans.
pub(super) fn spans(spans: &[Span]) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "weir".to_owned());
    json!({"resourceSpans": [{
        "resource": {"attributes": [text("service.name", &name), text("service.version", version)]},
        "scopeSpans": [{
            "scope": {"name": "weir", "version": version},
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }]})
    .to_string()
    .into_bytes()
}

fn span(Span { context, parent, links, began, took, work, .. }: &Span) -> Value {
    let began = nanos(*began);
    let (name, kind, attributes, failed) = match work {
        Work::Invocation { function, ending } => {
            let attributes = vec![text("weir.function", function), text("weir.outcome", ending.name())];
            (format!("invoke {function}"), CLIENT, attributes, *ending != Ending::Ok)
        }
        Work::Commit { calls, synced, ok, .. } => {
            let attributes = vec![
                json!({"key": "weir.batch_len", "value": {"intValue": calls.to_string()}}),
                json!({"key": "weir.fsync_seconds", "value": {"doubleValue": synced.as_secs_f64()}}),
            ];
            ("commit".to_owned(), INTERNAL, attributes, !ok)
        }
        _ => ("unknown".to_owned(), INTERNAL, Vec::new(), false),
    };
    let mut span = named(*context);
    span["name"] = json!(name);
    span["kind"] = json!(kind);
    span["startTimeUnixNano"] = json!(began.to_string());
    span["endTimeUnixNano"] = json!((began + took.as_nanos()).to_string());
    span["attributes"] = json!(attributes);
    if let Some(parent) = parent {
        span["parentSpanId"] = json!(format!("{parent:016x}"));
    }
    if !links.is_empty() {
        span["links"] = links.iter().copied().map(named).collect();
    }
    if failed {
        span["status"] = json!({"code": ERROR});
    }
    span
}

fn named(context: Context) -> Value {
    json!({"traceId": format!("{:032x}", context.trace), "spanId": format!("{:016x}", context.span)})
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    #[test]
    fn span_is_encoded_as_collectors_read_it() {
        let context = Context { trace: 0xab, span: 0xc };
        let began = UNIX_EPOCH + Duration::from_nanos(1_700_000_000_000_000_001);
        let work = Work::Invocation { function: "f".into(), ending: Ending::Timeout };
        let one = Span { context, parent: Some(0xd), links: Vec::new(), began, took: Duration::from_nanos(5), work };
        let request: Value = serde_json::from_slice(&spans(&[one])).unwrap();
        let scope = &request["resourceSpans"][0]["scopeSpans"][0];
        assert_eq!(
            scope["spans"][0],
            json!({
                "traceId": "000000000000000000000000000000ab",
                "spanId": "000000000000000c",
                "parentSpanId": "000000000000000d",
                "name": "invoke f",
                "kind": 3,
                "startTimeUnixNano": "1700000000000000001",
                "endTimeUnixNano": "1700000000000000006",
                "attributes": [text("weir.function", "f"), text("weir.outcome", "timeout")],
                "status": {"code": 2},
            })
        );
    }
}
