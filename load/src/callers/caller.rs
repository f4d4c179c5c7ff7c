//! One connection that calls, with a fixed number of calls in flight.

use std::collections::VecDeque;

use anyhow::{Context, Result};

use super::Setting;
use crate::calls::{Answer, Call, Calls, NUMBER, Op, To};
use crate::clock;
use crate::connection::Connection;
use crate::payload;
use crate::report::Latencies;

/// Calls that are made over and over, encoded once: that is not what is measured, and would take time from the server.
pub(super) struct Script {
    bytes: Vec<u8>,
    /// Where each ends, and where its number is.
    calls: Vec<(usize, Option<usize>)>,
}

impl Script {
    /// What the connection with this number calls: as many calls as there are items, groups that are its own, or operations in the mix.
    pub(super) fn new(calls: &dyn Calls, setting: &Setting, number: usize) -> Self {
        let Setting { connections, payload_bytes, items, groups, ref mix, .. } = *setting;
        let length = items.max(groups.div_ceil(connections)).max(mix.len());
        Self::written(calls, length, payload_bytes, |n| (mix[n % mix.len()], (n * connections + number) % groups, n % items.max(1)))
    }

    /// Writes so many items of the first group.
    pub(super) fn filling(calls: &dyn Calls, items: usize, payload_bytes: usize) -> Self {
        Self::written(calls, items, payload_bytes, |n| (Op::Set, 0, n))
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    fn written(calls: &dyn Calls, length: usize, payload_bytes: usize, call: impl Fn(usize) -> (Op, usize, usize)) -> Self {
        let mut script = Self { bytes: Vec::new(), calls: Vec::new() };
        for n in 0..length {
            let (op, group, item) = call(n);
            let (group, item, value) = (format!("group-{group}"), format!("item-{item}"), payload::noise(payload_bytes, n as u64));
            let number = calls.call(&mut script.bytes, Call { op, group: &group, item: &item, value: &value });
            script.calls.push((script.bytes.len(), number));
        }
        script
    }
}

/// A call that is in flight, or not.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// When it was or should have been sent; zero while it is free.
    sent: u64,
    order: u64,
}

/// What a connection has seen.
pub(super) struct Tally {
    pub(super) latencies: Latencies,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

impl Tally {
    pub(super) fn new() -> Result<Self> {
        Ok(Self { latencies: Latencies::new()?, duplicated: 0, reordered: 0 })
    }
}

pub(super) struct Caller {
    pub(super) connection: Connection,
    calls: &'static dyn Calls,
    script: Script,
    next: usize,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Those in flight, the oldest first, where answers have no number.
    oldest: VecDeque<usize>,
    order: u64,
    answered: u64,
    out: Vec<u8>,
}

impl Caller {
    pub(super) fn new(connection: Connection, calls: &'static dyn Calls, script: Script, in_flight: usize) -> Self {
        Self {
            connection,
            calls,
            script,
            next: 0,
            slots: vec![Slot::default(); in_flight],
            free: (0..in_flight).collect(),
            oldest: VecDeque::new(),
            order: 0,
            answered: 0,
            out: Vec::new(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Sends as many calls as may be in flight, each with the time that it counts from; `times` is asked for no more than that.
    pub(super) fn send(&mut self, mut times: impl FnMut() -> Option<u64>) -> Result<()> {
        self.out.clear();
        while let Some(slot) = self.free.pop() {
            let Some(time) = times() else {
                self.free.push(slot);
                break;
            };
            let begin = self.next.checked_sub(1).map_or(0, |before| self.script.calls[before].0);
            let (end, number) = self.script.calls[self.next];
            let at = self.out.len();
            self.out.extend_from_slice(&self.script.bytes[begin..end]);
            match number {
                Some(number) => payload::digits(&mut self.out[at + number - begin..][..NUMBER], slot as u64),
                None => self.oldest.push_back(slot),
            }
            self.next = (self.next + 1) % self.script.calls.len();
            self.order += 1;
            // Zero is a free slot.
            self.slots[slot] = Slot { sent: time.max(1), order: self.order };
        }
        if self.out.is_empty() { Ok(()) } else { self.connection.write(&self.out).context("calling") }
    }

    /// Reads once; how many calls were answered.
    pub(super) fn take(&mut self, buffer: &mut Vec<u8>, tally: &mut Tally, measuring: bool) -> Result<u64> {
        let Some(count) = self.connection.read(buffer)? else { return Ok(0) };
        let (now, mut at, mut answers) = (clock::now(), 0, 0);
        while let Some(Answer { end, to }) = self.calls.answer(&buffer[at..count])? {
            at += end;
            let slot = match to {
                To::Numbered(number) => usize::try_from(number)?,
                To::Oldest => self.oldest.pop_front().context("an answer to nothing")?,
                To::Nobody(reply) => {
                    self.connection.write(&reply)?;
                    continue;
                }
            };
            let call = std::mem::take(self.slots.get_mut(slot).context("an answer to what was not called")?);
            if call.sent == 0 {
                tally.duplicated += 1;
                continue;
            }
            tally.reordered += u64::from(call.order < self.answered);
            self.answered = self.answered.max(call.order);
            self.free.push(slot);
            answers += 1;
            if measuring {
                tally.latencies.record(now.saturating_sub(call.sent));
            }
        }
        self.connection.hold(&buffer[at..count]);
        Ok(answers)
    }
}
