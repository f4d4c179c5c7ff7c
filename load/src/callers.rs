//! Connections that call and wait for answers, on a few threads with an epoll loop each.

mod caller;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::calls::{Calls, Op};
use crate::clock;
use crate::connection::{BUFFER_BYTES, Connection};
use crate::crowd::Span;
use crate::poll::{Poll, Timer};
use crate::progress::Progress;
use crate::report::Latencies;
use crate::server::Server;

use caller::{Caller, Script, Tally};

const TIMER: usize = usize::MAX;
/// How often a thread looks up that is told nothing.
const LOOK: Duration = Duration::from_millis(100);
/// Calls in flight where a group is only filled.
const FILLING: usize = 256;
/// How long answers may take when no more is called.
const PATIENCE: u64 = 5_000_000_000;

/// How a server is called.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) connections: usize,
    /// Calls in flight, all connections together.
    pub(crate) in_flight: usize,
    /// Bytes of a value.
    pub(crate) payload_bytes: usize,
    /// Items of a connection, at least; it writes to one after the other.
    pub(crate) items: usize,
    /// Groups, all connections together.
    pub(crate) groups: usize,
    /// What is called in turn.
    pub(crate) mix: Vec<Op>,
    /// Calls per second; without, the next one follows as soon as it may be in flight.
    pub(crate) rate: Option<f64>,
}

/// What the measured part of a run has come to.
pub(crate) struct Outcome {
    pub(crate) answers: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu: Duration,
    /// Of the process behind the server, if there is one.
    pub(crate) behind: Duration,
    pub(crate) latencies: Latencies,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

/// What the threads share.
#[derive(Default)]
struct Shared {
    answers: AtomicU64,
    measuring: AtomicBool,
    ended: AtomicBool,
    failed: AtomicBool,
}

/// Calls `server` for the warm-up and the time measured.
pub(crate) fn run(server: &Server, setting: &Setting, span: Span, name: &str) -> Result<Outcome> {
    let calls = server.calls.with_context(|| format!("{} is not called", server.name()))?;
    if setting.mix.contains(&Op::Get) {
        // What is read should be there.
        let written = Setting { mix: vec![Op::Set], ..setting.clone() };
        (0..setting.connections).try_for_each(|number| once(server, calls, Script::new(calls, &written, number)))?;
    }
    let mut callers = (0..setting.connections)
        .map(|number| {
            let mut connection = Connection::open(server.publishers)?;
            calls.introduce(&mut connection)?;
            let script = Script::new(calls, setting, number);
            Ok(Caller::new(connection, calls, script, setting.in_flight.div_ceil(setting.connections)))
        })
        .collect::<Result<Vec<_>>>()?;
    let shared = Shared::default();
    let threads = span.threads.clamp(1, setting.connections.max(1));
    thread::scope(|scope| {
        let shares = callers.chunks_mut(setting.connections.div_ceil(threads));
        let rate = setting.rate.map(|rate| rate / shares.len() as f64);
        let threads: Vec<_> = shares
            .map(|share| {
                let shared = &shared;
                scope.spawn(move || call(share, shared, rate).inspect_err(|_| shared.failed.store(true, Ordering::Relaxed)))
            })
            .collect();
        let measured = measure(server, &shared, span, name);
        // Before anything can go wrong with it.
        shared.ended.store(true, Ordering::Relaxed);
        let mut tallies = Vec::new();
        for thread in threads {
            tallies.push(thread.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))?);
        }
        let mut outcome = measured?;
        if span.warm_up == 0.0 {
            // All that was called, so that others can count the same.
            outcome.answers = shared.answers.load(Ordering::Relaxed);
        }
        for (tally, lost) in tallies {
            outcome.latencies.add(&tally.latencies)?;
            outcome.duplicated += tally.duplicated;
            outcome.reordered += tally.reordered;
            outcome.lost += lost;
        }
        Ok(outcome)
    })
}

/// Writes so many items to the first group, which [`GROUP`](crate::crowd::GROUP) is, once each.
pub(crate) fn fill(server: &Server, items: usize, payload_bytes: usize) -> Result<()> {
    let calls = server.calls.with_context(|| format!("{} is not called", server.name()))?;
    if items == 0 { Ok(()) } else { once(server, calls, Script::filling(calls, items, payload_bytes)) }
}

/// Makes each call of a script once.
fn once(server: &Server, calls: &'static dyn Calls, script: Script) -> Result<()> {
    let mut connection = Connection::open(server.publishers)?;
    calls.introduce(&mut connection)?;
    let mut poll = Poll::new()?;
    poll.add(&connection, 0)?;
    let count = script.len();
    let mut caller = Caller::new(connection, calls, script, FILLING.min(count));
    let (mut buffer, mut tally, mut to_send, mut to_come) = (vec![0; BUFFER_BYTES], Tally::new()?, count as u64, count as u64);
    while to_come > 0 {
        caller.send(|| {
            to_send = to_send.checked_sub(1)?;
            Some(clock::now())
        })?;
        ensure!(poll.wait(Some(Duration::from_nanos(PATIENCE)))?.next().is_some(), "the server does not answer");
        to_come -= caller.take(&mut buffer, &mut tally, false)?;
    }
    Ok(())
}

/// Looks at the clocks before and after.
fn measure(server: &Server, shared: &Shared, span: Span, name: &str) -> Result<Outcome> {
    let progress = Progress::new(name, span.warm_up + span.seconds);
    let began = clock::now();
    let until = |time: f64| {
        while clock::seconds(clock::now() - began) < time && !shared.failed.load(Ordering::Relaxed) {
            let past = clock::seconds(clock::now() - began);
            thread::sleep(LOOK.min(Duration::from_secs_f64((time - past).max(0.0))));
            progress.at(past, format!("{} answers", shared.answers.load(Ordering::Relaxed)));
        }
    };
    let mark = || -> Result<_> { Ok((clock::now(), server.watched.cpu()?, server.behind_cpu()?, shared.answers.load(Ordering::Relaxed))) };
    until(span.warm_up);
    let from = mark()?;
    shared.measuring.store(true, Ordering::Relaxed);
    until(span.warm_up + span.seconds);
    let to = mark()?;
    shared.measuring.store(false, Ordering::Relaxed);
    Ok(Outcome {
        answers: to.3 - from.3,
        seconds: clock::seconds(to.0 - from.0),
        cpu: to.1.saturating_sub(from.1),
        behind: to.2.saturating_sub(from.2),
        latencies: Latencies::new()?,
        lost: 0,
        duplicated: 0,
        reordered: 0,
    })
}

/// One thread's loop; what it has seen, and how many calls were never answered.
fn call(callers: &mut [Caller], shared: &Shared, rate: Option<f64>) -> Result<(Tally, u64)> {
    let mut poll = Poll::new()?;
    let timer = Timer::new()?;
    for (token, caller) in callers.iter().enumerate() {
        poll.add(&caller.connection, token)?;
    }
    poll.add(&timer, TIMER)?;
    let mut due = Due { next: clock::now(), interval: rate.map_or(0, |rate| clock::nanos(1.0 / rate).max(1)) };
    for caller in &mut *callers {
        caller.send(|| due.take())?;
    }
    timer.set(due.delay())?;
    let (mut buffer, mut tally) = (vec![0; BUFFER_BYTES], Tally::new()?);
    let mut quiet = clock::now();
    loop {
        let ended = shared.ended.load(Ordering::Relaxed);
        let measuring = shared.measuring.load(Ordering::Relaxed);
        let mut answers = 0;
        for token in poll.wait(Some(LOOK))? {
            if token == TIMER {
                // Round robin, so that no connection has to wait for another to be full.
                for caller in callers.iter_mut().filter(|_| !ended) {
                    caller.send(|| due.take())?;
                }
                timer.set(due.delay())?;
                continue;
            }
            let caller = &mut callers[token];
            answers += caller.take(&mut buffer, &mut tally, measuring)?;
            if !ended {
                caller.send(|| due.take())?;
            }
        }
        shared.answers.fetch_add(answers, Ordering::Relaxed);
        let now = clock::now();
        if answers > 0 {
            quiet = now;
        }
        let in_flight: usize = callers.iter().map(Caller::in_flight).sum();
        if ended && (in_flight == 0 || now - quiet > PATIENCE) {
            return Ok((tally, in_flight as u64));
        }
    }
}

/// When calls are due.
struct Due {
    next: u64,
    /// Nanoseconds between two; zero where they are due at once.
    interval: u64,
}

impl Due {
    /// The time of a call that is due.
    fn take(&mut self) -> Option<u64> {
        let now = clock::now();
        if self.interval == 0 {
            return Some(now);
        }
        let time = self.next;
        (time <= now).then(|| {
            self.next += self.interval;
            time
        })
    }

    /// How long nothing is due.
    fn delay(&self) -> Duration {
        if self.interval == 0 { Duration::from_secs(3600) } else { Duration::from_nanos(self.next.saturating_sub(clock::now())) }
    }
}
