//! What the threads of a run share: the publisher, and how far the run has come.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{GROUP, Pace, Span};
use crate::clock;
use crate::connection::Connection;
use crate::dialect::{Content, Dialect};
use crate::payload;
use crate::server::Server;

/// How long nothing may arrive that should before it counts as lost.
const STALL: u64 = 5_000_000_000;

/// A run under way.
pub(crate) struct Course<'a> {
    server: &'a Server,
    subscribers: u64,
    pace: Pace,
    warm_up: u64,
    measured: u64,
    /// Deliveries that are to come of what was published.
    outstanding: AtomicU64,
    delivered: AtomicU64,
    /// The first event that counts.
    first: AtomicU64,
    ended: AtomicBool,
    publisher: Mutex<Publisher<'a>>,
}

struct Publisher<'a> {
    connection: &'a mut Connection,
    payload: &'a mut [u8],
    frames: Vec<u8>,
    /// The next event.
    number: u64,
    /// When the first burst went out, and when the next is due at a fixed rate.
    began: Option<u64>,
    due: u64,
    from: Option<Mark>,
    to: Option<Mark>,
}

/// A moment of the run.
struct Mark {
    at: u64,
    number: u64,
    cpu: Duration,
}

/// The measured part of a run.
pub(crate) struct Measured {
    pub(crate) events: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu: Duration,
}

impl<'a> Course<'a> {
    pub(crate) fn new(
        server: &'a Server,
        connection: &'a mut Connection,
        payload: &'a mut [u8],
        number: u64,
        subscribers: u64,
        pace: Pace,
        span: Span,
    ) -> Result<Self> {
        if subscribers == 0 || pace.burst == 0 {
            bail!("nothing to deliver");
        }
        let publisher = Publisher { connection, payload, frames: Vec::new(), number, began: None, due: 0, from: None, to: None };
        Ok(Self {
            server,
            subscribers,
            pace,
            warm_up: clock::nanos(span.warm_up),
            measured: clock::nanos(span.seconds),
            outstanding: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            first: AtomicU64::new(u64::MAX),
            ended: AtomicBool::new(false),
            publisher: Mutex::new(publisher),
        })
    }

    pub(crate) fn dialect(&self) -> &dyn Dialect {
        self.server.dialect
    }

    pub(crate) fn payload_bytes(&self) -> usize {
        self.publisher().payload.len()
    }

    /// The first event whose latency counts.
    pub(crate) fn first(&self) -> u64 {
        self.first.load(Ordering::Relaxed)
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }

    fn publisher(&self) -> MutexGuard<'_, Publisher<'a>> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes what is due. For how long nothing more is to be done, where that is known.
    pub(crate) fn advance(&self) -> Result<Option<Duration>> {
        let mut publisher = self.publisher();
        let now = clock::now();
        let began = *publisher.began.get_or_insert(now);
        if publisher.from.is_none() && now - began >= self.warm_up {
            publisher.from = Some(self.mark(publisher.number, now)?);
            self.first.store(publisher.number, Ordering::Relaxed);
        } else if publisher.to.is_none() && publisher.from.as_ref().is_some_and(|from| now - from.at >= self.measured) {
            publisher.to = Some(self.mark(publisher.number, now)?);
        }
        if publisher.to.is_some() {
            if self.outstanding.load(Ordering::Acquire) == 0 {
                self.end();
            }
            return Ok(None);
        }
        let Some(rate) = self.pace.rate else {
            self.publish(&mut publisher, [now].into_iter())?;
            return Ok(None);
        };
        let interval = clock::nanos(self.pace.burst as f64 / rate).max(1);
        if publisher.due == 0 {
            publisher.due = now;
        }
        let due = publisher.due;
        let bursts = (now + 1).saturating_sub(due).div_ceil(interval);
        publisher.due += bursts * interval;
        // Each counts from when it should have gone out, however late it is.
        self.publish(&mut publisher, (0..bursts).map(|burst| due + burst * interval))?;
        Ok(Some(Duration::from_nanos(publisher.due.saturating_sub(clock::now()))))
    }

    /// One burst for each time.
    fn publish(&self, publisher: &mut Publisher<'_>, times: impl Iterator<Item = u64>) -> Result<()> {
        publisher.frames.clear();
        let mut events = 0;
        for time in times {
            for _ in 0..self.pace.burst {
                payload::write(publisher.payload, publisher.number, time);
                self.dialect().publish(&mut publisher.frames, GROUP, publisher.payload);
                publisher.number += 1;
                events += 1;
            }
        }
        if events > 0 {
            // Before they can arrive.
            self.outstanding.fetch_add(events * self.subscribers, Ordering::AcqRel);
            publisher.connection.write(&publisher.frames).context("publishing")?;
        }
        Ok(())
    }

    /// So many deliveries have arrived.
    pub(crate) fn arrived(&self, count: u64) -> Result<()> {
        self.delivered.fetch_add(count, Ordering::Relaxed);
        let last = self.outstanding.fetch_sub(count, Ordering::AcqRel) == count;
        if last && (self.pace.rate.is_none() || self.publisher().to.is_some()) {
            self.advance()?;
        }
        Ok(())
    }

    /// Nothing has arrived since this time.
    pub(crate) fn quiet_since(&self, time: u64) -> Result<()> {
        if clock::now().saturating_sub(time) < STALL || self.outstanding.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let mut publisher = self.publisher();
        if publisher.from.is_none() {
            bail!("{} deliveries did not arrive, and none since {} s", self.outstanding.load(Ordering::Acquire), STALL / 1_000_000_000);
        }
        if publisher.to.is_none() {
            publisher.to = Some(self.mark(publisher.number, time)?);
        }
        self.end();
        Ok(())
    }

    fn mark(&self, number: u64, at: u64) -> Result<Mark> {
        Ok(Mark { at, number, cpu: self.server.watched.cpu()? })
    }

    /// Takes what the publisher is answered.
    pub(crate) fn take_answers(&self, buffer: &mut Vec<u8>) -> Result<()> {
        let mut publisher = self.publisher();
        let Some(count) = publisher.connection.read(buffer).context("the publisher's connection")? else { return Ok(()) };
        let mut at = 0;
        while let Some(incoming) = self.dialect().answered(&buffer[at..count])? {
            at += incoming.end;
            if let Content::Ask(answer) = incoming.content {
                publisher.connection.write(&answer)?;
            }
        }
        publisher.connection.hold(&buffer[at..count]);
        Ok(())
    }

    /// Adds the publisher to a poll.
    pub(crate) fn watch_publisher(&self, poll: &crate::poll::Poll, token: usize) -> Result<()> {
        Ok(poll.add(&*self.publisher().connection, token)?)
    }

    /// Events published so far, and what was measured.
    pub(crate) fn finish(self) -> Result<(u64, Measured)> {
        let publisher = self.publisher.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (Some(from), Some(to)) = (publisher.from, publisher.to) else { bail!("the run ended before it was measured") };
        let measured =
            Measured { events: to.number - from.number, seconds: clock::seconds(to.at - from.at), cpu: to.cpu.saturating_sub(from.cpu) };
        Ok((publisher.number, measured))
    }
}
