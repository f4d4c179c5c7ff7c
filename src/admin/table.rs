//! The one table of metrics: what Prometheus is shown goes by it, and so does the table in the README.

use weir_actors::metrics::calls::Ending;
use weir_actors::metrics::snapshot::{Connections, Snapshot};

use super::process;
use super::text::Samples;

/// A metric.
pub(super) struct Metric {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// What sets its samples apart, in words for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "the README has it"))]
    pub(super) labels: &'static str,
    pub(super) help: &'static str,
    pub(super) read: fn(&Snapshot, &mut Samples<'_>),
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

type Read = fn(&Snapshot, &mut Samples<'_>);

const fn counter(name: &'static str, labels: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help, read }
}

const fn gauge(name: &'static str, labels: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help, read }
}

const fn histogram(name: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Histogram, labels: "", help, read }
}

const PEER: &str = "`peer`: `subscriber`, `worker`, `telemetry`";
const STREAM: &str = "`stream`: the first 1,000 that had any, others as \"\"";

/// All of them, in the order in which they are shown.
pub(super) const METRICS: &[Metric] = &[
    gauge("weir_build_info", "`version`", "1.", |_, out| out.with(&[("version", env!("WEIR_VERSION"))], 1)),
    gauge("process_start_time_seconds", "", "When the process was started, in seconds since 1970.", |_, out| {
        process::start_seconds(out);
    }),
    counter("process_cpu_seconds_total", "", "Time that the process has spent on processors.", |_, out| process::cpu_seconds(out)),
    gauge("process_resident_memory_bytes", "", "Memory of the process, by the operating system's account.", |_, out| {
        process::resident_bytes(out);
    }),
    gauge("process_open_fds", "", "Files and sockets that the process has open.", |_, out| process::open_files(out)),
    gauge("process_max_fds", "", "How many it may have open.", |_, out| process::most_files(out)),
    gauge("weir_ready", "", "Whether the server can do its work, as /health/ready has it.", |now, out| out.one(u8::from(now.ready))),
    gauge("weir_connections", PEER, "Connections that there are.", |now, out| peers(now, out, |peer| peer.open)),
    counter("weir_connections_opened_total", PEER, "Connections that there were.", |now, out| peers(now, out, |peer| peer.opened)),
    counter(
        "weir_connections_ended_total",
        "`peer`; `code`: the close code, or `none`",
        "Connections that have ended, by the code with which the server closed them or answered a close.",
        |now, out| {
            for (peer, connections) in &now.peers {
                for (code, count) in &connections.ended {
                    let code = code.map_or_else(|| "none".to_owned(), |code| code.to_string());
                    out.with(&[("peer", peer.name()), ("code", &code)], count);
                }
            }
        },
    ),
    counter("weir_received_bytes_total", PEER, "Bytes that have come over connections.", |now, out| {
        peers(now, out, |peer| peer.received_bytes);
    }),
    gauge("weir_outbox_bytes", PEER, "Bytes that wait to be sent.", |now, out| peers(now, out, |peer| peer.waiting_bytes)),
    gauge("weir_subscriptions", "", "Subscriptions that there are.", |now, out| out.one(now.subscriptions)),
    counter(
        "weir_authorizations_total",
        "`outcome`: `granted`, `refused`, `unavailable`",
        "What the auth function has said of clients that connect or renew what they were granted; `unavailable` where it said nothing.",
        |now, out| {
            out.with(&[("outcome", "granted")], now.granted);
            out.with(&[("outcome", "refused")], now.unauthorized);
            out.with(&[("outcome", "unavailable")], now.auth_unavailable);
        },
    ),
    counter(
        "weir_joins_total",
        "`outcome`: `admitted`, `refused`",
        "Joins that were let in, and those that a handler refused, or that came while too many leaves waited.",
        |now, out| {
            out.with(&[("outcome", "admitted")], now.joined);
            out.with(&[("outcome", "refused")], now.refused);
        },
    ),
    counter("weir_leaves_total", "`reason`, as leave handlers get it", "Subscriptions that have ended.", |now, out| {
        for (reason, count) in &now.left {
            out.with(&[("reason", reason.word())], count);
        }
    }),
    counter(
        "weir_deliveries_total",
        "",
        "Changes and events for subscribers: one for each and each socket that it was written to, or queued for.",
        |now, out| out.one(now.deliveries),
    ),
    counter("weir_delivered_bytes_total", "", "The bytes of deliveries, with the headers of their frames.", |now, out| {
        out.one(now.delivered_bytes);
    }),
    counter("weir_syncs_total", "", "States for subscribers: one for each subscription that begins, or begins anew.", |now, out| {
        out.one(now.syncs);
    }),
    counter("weir_sync_bytes_total", "", "The bytes of these states.", |now, out| out.one(now.sync_bytes)),
    counter(
        "weir_resyncs_total",
        "`reason`: `slow`, `missed`",
        "Sockets that begin anew in a group, because they took less than they were sent or because the group has missed changes.",
        |now, out| {
            out.with(&[("reason", "slow")], now.resyncs_slow);
            out.with(&[("reason", "missed")], now.resyncs_missed);
        },
    ),
    counter("weir_overflows_total", STREAM, "How often the queue of a client was full.", |now, out| {
        for (stream, dropped) in &now.dropped {
            out.with(&[("stream", stream)], dropped.overflows);
        }
    }),
    counter(
        "weir_dropped_deliveries_total",
        STREAM,
        "Changes that clients were not told one by one because their queue was full.",
        |now, out| {
            for (stream, dropped) in &now.dropped {
                out.with(&[("stream", stream)], dropped.changes);
            }
        },
    ),
    counter("weir_evictions_total", STREAM, "Clients that were closed because their queue was full.", |now, out| {
        for (stream, dropped) in &now.dropped {
            out.with(&[("stream", stream)], dropped.closed);
        }
    }),
    counter(
        "weir_invocations_total",
        "`function`: Weir's own, the first 200 that workers register, `other`; `outcome`: `ok`, `error`, `invalid`, `not_found`, `overloaded`, `timeout`, `stopped`",
        "Calls of functions that have ended. With several nodes, at the one that has carried them out.",
        |now, out| {
            for (function, endings) in &now.calls {
                for (ending, count) in Ending::ALL.iter().zip(endings) {
                    out.with(&[("function", function), ("outcome", ending.name())], count);
                }
            }
        },
    ),
    gauge("weir_functions", "", "Functions that workers and the host program serve.", |now, out| out.one(now.functions)),
    gauge("weir_triggers", "", "Triggers that are registered.", |now, out| out.one(now.triggers)),
    gauge("weir_invocations_in_flight", "", "Calls under way at workers.", |now, out| out.one(now.in_flight)),
    histogram("weir_invocation_seconds", "How long workers took to answer calls.", |now, out| out.seconds(&now.invocation_time)),
    gauge("weir_store_calls_waiting", "", "Calls that wait for the store.", |now, out| out.one(now.store_waiting)),
    histogram("weir_commit_calls", "Calls that one commit has answered. Not with Redis.", |now, out| out.counts(&now.batches)),
    histogram("weir_commit_seconds", "How long commits took. Not with Redis.", |now, out| out.seconds(&now.commit_time)),
    counter(
        "weir_commit_failures_total",
        "",
        "Commits that failed, with nothing of them stored, or that had to leave out values for which there is no room.",
        |now, out| out.one(now.commits_failed),
    ),
    histogram(
        "weir_fsync_seconds",
        "How long it took to force what was written onto the disk, with `fsync: always` together with the write. File store only.",
        |now, out| {
            if let Some(time) = &now.sync_time {
                out.seconds(time);
            }
        },
    ),
    gauge("weir_redis_connected", "", "Whether all nodes of Redis are connected. Redis only.", |now, out| {
        if let Some(connected) = now.redis_connected {
            out.one(u8::from(connected));
        }
    }),
    gauge("weir_trigger_batches_waiting", "", "Batches of changes that wait for the trigger dispatcher.", |now, out| {
        out.one(now.news_waiting)
    }),
    gauge("weir_trigger_events_waiting", "", "Events that wait until their trigger's handler can be called.", |now, out| {
        out.one(now.events_waiting);
    }),
    counter(
        "weir_trigger_events_dropped_total",
        "",
        "Events whose handler was not called: too many waited for their trigger, it ended, or nobody served the function.",
        |now, out| {
            out.one(now.events_dropped);
        },
    ),
    histogram("weir_trigger_lag_seconds", "From a commit, or a join or leave, until a trigger's handler is called.", |now, out| {
        out.seconds(&now.trigger_lag);
    }),
    counter("weir_spans_dropped_total", "", "Spans that were dropped because the collector took none, or not in time.", |now, out| {
        out.one(now.spans_dropped);
    }),
    counter("weir_limits_reached_total", "`limit`: `stream.` or `worker.` and its key", "How often a limit was reached.", |now, out| {
        for (limit, count) in &now.limits {
            out.with(&[("limit", limit.key())], count);
        }
    }),
];

fn peers(now: &Snapshot, out: &mut Samples<'_>, of: fn(&Connections) -> u64) {
    for (peer, connections) in &now.peers {
        out.with(&[("peer", peer.name())], of(connections));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::collections::HashSet;
    use std::fmt::Write;

    use super::*;

    #[test]
    fn names_and_units_follow_the_conventions() {
        let mut seen = HashSet::new();
        for Metric { name, kind, .. } in METRICS {
            assert!(seen.insert(name), "{name} is there twice");
            assert!(
                (name.starts_with("weir_") || name.starts_with("process_"))
                    && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{name}"
            );
            assert_eq!(name.ends_with("_total"), matches!(kind, Kind::Counter), "{name}");
            assert!(!["_ms", "_us", "_millis", "_kib", "_count", "_sum", "_bucket"].iter().any(|unit| name.ends_with(unit)), "{name}");
        }
    }

    /// `WEIR_BLESS=1` writes it.
    #[test]
    fn table_in_the_readme_is_the_codes() {
        let mut table = "| metric | type | labels | what |\n|---|---|---|---|\n".to_owned();
        for Metric { name, kind, labels, help, .. } in METRICS {
            writeln!(table, "| `{name}` | {} | {labels} | {help} |", kind.name()).unwrap();
        }
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once("<!-- metrics -->\n").unwrap();
        let (shown, after) = rest.split_once("<!-- /metrics -->").unwrap();
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&path, format!("{before}<!-- metrics -->\n{table}<!-- /metrics -->{after}")).unwrap();
        } else {
            assert_eq!(shown, table, "README.md is behind the code; run with WEIR_BLESS=1");
        }
    }
}
