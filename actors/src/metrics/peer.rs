//! Connections, by who is at their other end.

use std::sync::Arc;

use super::limit::Limit;
use super::{Counter, Gauge, Metrics};
use crate::error::{CLOSE_CODES, CloseCode};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A client of the stream port.
    Subscriber,
    /// A worker.
    Worker,
    /// A worker's exporter of telemetry.
    Telemetry,
}

impl Peer {
    /// All of them, in order.
    pub const ALL: [Self; 3] = [Self::Subscriber, Self::Worker, Self::Telemetry];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Worker => "worker",
            Self::Telemetry => "telemetry",
        }
    }
}

/// What is counted of the connections of one kind of peer.
#[derive(Debug, Default)]
pub(crate) struct PeerMetrics {
    pub(crate) open: Gauge,
    pub(crate) opened: Counter,
    pub(crate) received_bytes: Counter,
    /// What waits to be sent.
    pub(crate) waiting_bytes: Gauge,
    /// By [`CloseCode`], and last those that ended without one.
    pub(crate) ended: [Counter; CLOSE_CODES.len() + 1],
}

/// A connection that is counted for as long as this lives.
#[derive(Debug)]
pub struct Counted {
    metrics: Arc<Metrics>,
    peer: Peer,
    /// Why it ends, as far as that is known.
    pub(crate) ended_by: Option<CloseCode>,
}

impl Counted {
    /// One connection more.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, peer: Peer) -> Self {
        let counts = metrics.peer(peer);
        counts.open.add(1);
        counts.opened.add(1);
        Self { metrics, peer, ended_by: None }
    }

    /// So many bytes have come over it.
    pub(crate) fn received(&self, bytes: usize) {
        self.metrics.peer(self.peer).received_bytes.add(bytes as u64);
    }

    /// A share in what waits to be sent.
    pub(crate) fn waiting(&self) -> Waiting {
        Waiting { metrics: Some(self.metrics.clone()), peer: self.peer, bytes: 0 }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let counts = self.metrics.peer(self.peer);
        counts.open.sub(1);
        counts.ended[self.ended_by.map_or(CLOSE_CODES.len(), |code| code as usize)].add(1);
        match (self.ended_by, self.peer) {
            (Some(CloseCode::TooBig), Peer::Subscriber) => self.metrics.limit(Limit::StreamMessage),
            (Some(CloseCode::TooBig), _) => self.metrics.limit(Limit::WorkerMessage),
            (Some(CloseCode::Unresponsive), _) => self.metrics.limit(Limit::Idle),
            _ => {}
        }
    }
}

/// How much waits for one connection.
#[derive(Debug)]
pub(crate) struct Waiting {
    metrics: Option<Arc<Metrics>>,
    peer: Peer,
    bytes: usize,
}

impl Waiting {
    /// Of a connection that there is not.
    pub(crate) const NONE: Self = Self { metrics: None, peer: Peer::Subscriber, bytes: 0 };

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// So much waits now.
    pub(crate) fn set(&mut self, bytes: usize) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        if let Some(metrics) = &self.metrics {
            let waiting = &metrics.peer(self.peer).waiting_bytes;
            match bytes.checked_sub(before) {
                Some(0) => {}
                Some(more) => waiting.add(more as u64),
                None => waiting.sub((before - bytes) as u64),
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.set(0);
    }
}
