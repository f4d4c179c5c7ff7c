//! What the console shows first: how the server is, and numbers of which it draws rates.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde_json::{Value, json};
use weir_actors::clock;
use weir_actors::error::CloseCode;
use weir_actors::metrics::calls::{ENGINE, Ending};
use weir_actors::metrics::peer::Peer;
use weir_actors::metrics::snapshot::{Connections, Snapshot};

use super::{System, Trouble, shown};
use crate::admin::process;

/// Why clients are closed that would have stayed.
const EVICTIONS: [CloseCode; 6] =
    [CloseCode::Unresponsive, CloseCode::TooSlow, CloseCode::Expired, CloseCode::Disconnected, CloseCode::Internal, CloseCode::Protocol];
/// What changes items, and what tells of something.
const WRITES: [&str; 4] = ["stream::set", "stream::update", "stream::delete", "stream::send"];

pub(super) async fn overview(system: Data<System>) -> Result<HttpResponse, Trouble> {
    let streams = shown(&system)?;
    let shown = system.get().ok_or(Trouble::Starting)?;
    let reasons = streams.not_ready();
    let now = streams.snapshot();
    Ok(HttpResponse::Ok().json(json!({
        "version": env!("WEIR_VERSION"), "started_at": shown.started_at, "now": clock::wall(), "store": shown.store,
        "ready": reasons.is_empty(), "reasons": reasons, "workers_at": shown.workers_at, "streams_at": shown.streams_at,
        "gauges": gauges(&now), "totals": totals(&now),
    })))
}

fn gauges(now: &Snapshot) -> Value {
    json!({
        "connections": peer(now, Peer::Subscriber).map_or(0, |connections| connections.open),
        "subscriptions": now.subscriptions,
        "workers": peer(now, Peer::Worker).map_or(0, |connections| connections.open),
        "functions": now.functions,
        "triggers": now.triggers,
        "resident_bytes": process::resident(),
    })
}

fn peer(now: &Snapshot, wanted: Peer) -> Option<&Connections> {
    now.peers.iter().find(|(peer, _)| *peer == wanted).map(|(_, connections)| connections)
}

fn totals(now: &Snapshot) -> Value {
    let all = |pick: &dyn Fn(&str, Ending) -> bool| -> u64 {
        let endings = now.calls.iter().flat_map(|(function, endings)| {
            Ending::ALL.iter().zip(endings).filter(|(ending, _)| pick(function, **ending)).map(|(_, count)| *count)
        });
        endings.sum()
    };
    let evicted = peer(now, Peer::Subscriber).map_or(0, |connections| {
        let codes = EVICTIONS.map(CloseCode::code);
        connections.ended.iter().filter(|(code, _)| code.is_some_and(|code| codes.contains(&code))).map(|(_, count)| *count).sum()
    });
    json!({
        "changes": all(&|function, ending| ending == Ending::Ok && WRITES.contains(&function)),
        "deliveries": now.deliveries, "delivered_bytes": now.delivered_bytes + now.sync_bytes,
        // Without those by which the console itself finds out.
        "invocations": all(&|function, _| function != ENGINE),
        "invocations_failed": all(&|function, ending| function != ENGINE && ending != Ending::Ok),
        "joins": now.joined, "resyncs": now.resyncs_slow + now.resyncs_missed, "evictions": evicted,
        "limits_hit": now.limits.iter().map(|(_, count)| count).sum::<u64>(),
    })
}
