//! All numbers at one moment, for whoever shows them.

use super::Metrics;
use super::calls::Endings;
use super::limit::Limit;
use super::peer::Peer;
use crate::counts::Dropped;
use crate::distribution::Distribution;
use crate::error::CLOSE_CODES;
use crate::trigger::reason::Reason;

/// What a system has counted since it was started, and what there is now. Numbers of one snapshot may differ by what happened while it was taken.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// Whether the system can do its work.
    pub ready: bool,
    /// Connections, by who is at their other end.
    pub peers: Vec<(Peer, Connections)>,
    /// Subscriptions that there are.
    pub subscriptions: u64,
    /// Clients, and renewals of what they were granted, to which the auth function said yes.
    pub granted: u64,
    /// Those to which it said no.
    pub unauthorized: u64,
    /// Those of which it said nothing that is understood.
    pub auth_unavailable: u64,
    /// Joins that were let in, since the start.
    pub joined: u64,
    /// Joins that a handler refused.
    pub refused: u64,
    /// Subscriptions that have ended, by why.
    pub left: Vec<(Reason, u64)>,
    /// Changes and events that were written to the socket of a subscriber or queued for it: one for each change and socket.
    pub deliveries: u64,
    /// The bytes of these, with the headers of their frames.
    pub delivered_bytes: u64,
    /// States that were sent: one for each subscription that begins, or begins anew.
    pub syncs: u64,
    /// The bytes of these.
    pub sync_bytes: u64,
    /// Sockets that begin anew because they took less than they were sent.
    pub resyncs_slow: u64,
    /// The same because changes were missed.
    pub resyncs_missed: u64,
    /// What slow clients have cost them, by stream; those beyond a bound together under the empty name.
    pub dropped: Vec<(Box<str>, Dropped)>,
    /// Calls by function and by how they ended.
    pub calls: Vec<(Box<str>, Endings)>,
    /// Functions that workers and the host program serve.
    pub functions: u64,
    /// Triggers that are registered.
    pub triggers: u64,
    /// Calls under way at workers.
    pub in_flight: u64,
    /// How long workers took to answer, in nanoseconds.
    pub invocation_time: Distribution,
    /// Calls that wait for the store.
    pub store_waiting: u64,
    /// Calls that one commit has answered.
    pub batches: Distribution,
    /// How long commits took, in nanoseconds.
    pub commit_time: Distribution,
    /// Commits that failed.
    pub commits_failed: u64,
    /// How long what was written took to be forced onto the disk, in nanoseconds; `None` where nothing is.
    pub sync_time: Option<Distribution>,
    /// Whether Redis is connected; `None` where there is none.
    pub redis_connected: Option<bool>,
    /// Batches of changes that wait for the trigger dispatcher.
    pub news_waiting: u64,
    /// Events that wait for a trigger's turn.
    pub events_waiting: u64,
    /// Events that were dropped because too many waited.
    pub events_dropped: u64,
    /// From a commit until a trigger's handler is called, in nanoseconds.
    pub trigger_lag: Distribution,
    /// Spans that were dropped because nobody took them in time.
    pub spans_dropped: u64,
    /// Limits and how often they were reached.
    pub limits: Vec<(Limit, u64)>,
}

/// Connections of one kind of peer.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Connections {
    /// Those that there are.
    pub open: u64,
    /// Those that there were.
    pub opened: u64,
    /// Those that have ended, by the code they were closed with; `None` where they ended without one.
    pub ended: Vec<(Option<u16>, u64)>,
    /// What has come over them.
    pub received_bytes: u64,
    /// What waits to be sent.
    pub waiting_bytes: u64,
}

impl Metrics {
    /// What is counted here; the registry knows the rest.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let peers = Peer::ALL.iter().map(|peer| (*peer, self.connections(*peer))).collect();
        let left =
            Reason::ALL.iter().zip(self.joins.left.iter().map(super::Counter::get)).map(|(reason, count)| (*reason, count)).collect();
        // Before what was submitted, so that there are never fewer of those.
        let taken = self.committed.taken.get();
        Snapshot {
            peers,
            subscriptions: self.joins.subscriptions.get(),
            granted: self.authorized.granted.get(),
            unauthorized: self.authorized.refused.get(),
            auth_unavailable: self.authorized.unavailable.get(),
            joined: self.joins.admitted.get(),
            refused: self.joins.refused.get(),
            left,
            deliveries: self.fanout.deliveries.get(),
            delivered_bytes: self.fanout.delivered_bytes.get(),
            syncs: self.fanout.syncs.get(),
            sync_bytes: self.fanout.sync_bytes.get(),
            resyncs_slow: self.fanout.resyncs_slow.get(),
            resyncs_missed: self.fanout.resyncs_missed.get(),
            calls: self.endings(),
            invocation_time: self.calls.seconds.distribution(),
            store_waiting: self.submitted.get().saturating_sub(taken),
            batches: self.committed.calls.distribution(),
            commit_time: self.committed.seconds.distribution(),
            commits_failed: self.committed.failed.get(),
            sync_time: self.syncs.get().map(|syncs| syncs.distribution()),
            news_waiting: self.committed.news_waiting.get(),
            events_waiting: self.dispatched.waiting.get(),
            events_dropped: self.dispatched.dropped.get(),
            trigger_lag: self.dispatched.lag.distribution(),
            limits: Limit::ALL.iter().map(|limit| (*limit, self.limits[*limit as usize].get())).collect(),
            ..Snapshot::default()
        }
    }

    fn connections(&self, peer: Peer) -> Connections {
        let counts = self.peer(peer);
        let codes = CLOSE_CODES.iter().map(|(_, code, _)| Some(*code)).chain([None]);
        Connections {
            open: counts.open.get(),
            opened: counts.opened.get(),
            ended: codes.zip(counts.ended.iter().map(super::Counter::get)).collect(),
            received_bytes: counts.received_bytes.get(),
            waiting_bytes: counts.waiting_bytes.get(),
        }
    }
}
