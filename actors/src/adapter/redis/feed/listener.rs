//! The task that listens.

mod hearing;
mod looks;
mod places;
mod streams;

use std::collections::{HashMap, HashSet, VecDeque};
use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

use super::super::error::{self, Trouble};
use super::super::script::{Constants, Stand};
use super::super::{Line, keys, sweep};
use super::Ask;
use super::ears::{Ears, Place};
use super::queue::Queue;
use super::track::{Base, Track};
use crate::adapter::AdapterError;
use crate::change::Position;
use crate::ids::{GroupKey, Name};
use crate::store::ledger::Recorded;
use streams::Stream;

/// Looks into logs that are under way at most.
const LOOKS: usize = 256;
/// Changes that one look brings at most.
const LOOK: usize = 256;
/// How soon what failed, or found no room, is tried again.
const RETRY: Duration = Duration::from_millis(20);
/// How often the connections are looked after.
const TICK: Duration = Duration::from_millis(1_000);

type Waiter = oneshot::Sender<Result<Position, AdapterError>>;

/// What is known of a group that is listened to.
struct Group {
    key: GroupKey,
    track: Track,
    /// Whether it was asked for itself.
    wanted: bool,
    /// Whether a watch of it has succeeded.
    kept: bool,
    /// Whether its stream was.
    by_stream: bool,
    /// The reading of the index, or the birth after it, that it was found by last.
    named: u64,
    /// Where its channel is subscribed to, and whether that is confirmed.
    place: Option<(Place, bool)>,
    waiters: Vec<Waiter>,
    /// Tells this watch from another one of the same group.
    ticket: u64,
    /// A look is under way, or waits for its turn.
    looking: bool,
    /// It is to be looked at again after that one.
    again: bool,
}

/// What a look has found.
struct Found {
    now: Stand,
    log: Vec<Recorded>,
}

/// What becomes of what was sent.
enum Outcome {
    Answered { channel: Bytes, ticket: u64, place: Place, result: Result<(), Trouble> },
    Looked { channel: Bytes, ticket: u64, found: Result<Found, AdapterError> },
    Renewed { channel: Bytes, ticket: u64, now: Result<Stand, AdapterError> },
    Births { stream: Name, ticket: u64, place: Place, result: Result<(), Trouble> },
    Members { stream: Name, reading: u64, groups: Result<Vec<Name>, AdapterError> },
    Pinged { place: Place, alive: bool },
    Left,
}

type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) struct Listener {
    constants: Constants,
    line: Line,
    ears: Ears,
    asked: mpsc::UnboundedReceiver<Ask>,
    queue: Queue,
    /// By channel.
    groups: HashMap<Bytes, Group>,
    streams: HashMap<Name, Stream>,
    work: FuturesUnordered<Work>,
    tickets: u64,
    looks: usize,
    /// Looks that wait for their turn.
    due: VecDeque<(Bytes, u64)>,
    /// Groups that are tried again soon: not subscribed, or not looked at.
    later: HashSet<Bytes>,
    /// Groups that are tried again at the next tick, because Redis does not let us listen.
    refused: HashSet<Bytes>,
    /// Groups whose next change found no room in the queue.
    behind: HashSet<Bytes>,
    /// How often the index was read.
    readings: u64,
    /// Changes that a trigger or a subscriber will never see.
    missed: u64,
    sweep_every: Duration,
    swept: Option<Instant>,
    /// When groups that nothing was ever in were looked at.
    kept_unborn: Instant,
    /// Requests to begin and to leave that are not confirmed yet, by channel: on which connection, how many, since when.
    unconfirmed: HashMap<Bytes, (Place, u32, Instant)>,
}

impl Listener {
    pub(super) fn new(
        constants: Constants,
        line: Line,
        ears: Ears,
        asked: mpsc::UnboundedReceiver<Ask>,
        queue: Queue,
        sweep_every: Duration,
    ) -> Self {
        Self {
            constants,
            line,
            ears,
            asked,
            queue,
            groups: HashMap::new(),
            streams: HashMap::new(),
            work: FuturesUnordered::new(),
            tickets: 0,
            looks: 0,
            due: VecDeque::new(),
            later: HashSet::new(),
            refused: HashSet::new(),
            behind: HashSet::new(),
            missed: 0,
            sweep_every,
            swept: None,
            kept_unborn: Instant::now(),
            readings: 0,
            unconfirmed: HashMap::new(),
        }
    }

    /// Runs until nobody asks or nobody reads any more.
    pub(super) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        let mut retry = tokio::time::interval(RETRY);
        for timer in [&mut tick, &mut retry] {
            timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let (mut flushes, mut suspicions) = (0, 0);
        loop {
            let retries = !self.later.is_empty() || self.streams.values().any(Stream::is_unsettled);
            tokio::select! {
                ask = self.asked.recv() => match ask {
                    Some(ask) => self.ask(ask),
                    None => return,
                },
                sound = self.ears.sound() => self.hear(sound),
                Some(outcome) = self.work.next(), if !self.work.is_empty() => self.take(outcome),
                changed = self.line.seen.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let before = (flushes, suspicions);
                    {
                        let seen = self.line.seen.borrow_and_update();
                        (flushes, suspicions) = (seen.flushes, seen.suspicions);
                    }
                    if suspicions != before.1 {
                        self.ears.places().iter().for_each(|place| self.lost(place));
                    }
                    self.moved(flushes != before.0);
                }
                _ = retry.tick(), if retries => self.retry(),
                () = self.queue.room(), if !self.behind.is_empty() => {
                    for channel in std::mem::take(&mut self.behind) {
                        self.look(&channel);
                    }
                }
                _ = tick.tick() => {
                    self.later.extend(self.refused.drain());
                    self.try_streams_again();
                    self.ping();
                    self.mistrust();
                    self.look_at_unborn();
                    self.sweep();
                }
                () = self.queue.closed() => return,
            }
            self.look_on();
        }
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Watch(key, waiter) => {
                let channel = self.group(&key, Base::Start);
                let Some(group) = self.groups.get_mut(&channel) else { return };
                group.wanted = true;
                match (group.track.base, &group.place) {
                    // What is behind comes through as well.
                    (Base::At(stand), Some((_, true))) => {
                        group.kept = true;
                        let _ = waiter.send(Ok(stand.position));
                    }
                    _ => {
                        group.waiters.push(waiter);
                        self.subscribe(&channel);
                    }
                }
            }
            Ask::Unwatch(key) => {
                let channel = self.channel(&key);
                if let Some(group) = self.groups.get_mut(&channel) {
                    (group.wanted, group.kept) = (false, false);
                    self.leave_if_unwanted(&channel);
                }
            }
            Ask::WatchStream(stream, waiter) => self.watch_stream(&stream, waiter),
            Ask::UnwatchStream(stream) => self.unwatch_stream(&stream),
        }
    }

    fn channel(&self, key: &GroupKey) -> Bytes {
        keys::channel(key, self.constants.db).into()
    }

    /// The channel of a group, which is followed from now on.
    fn group(&mut self, key: &GroupKey, base: Base) -> Bytes {
        let channel = self.channel(key);
        if !self.groups.contains_key(&channel) {
            self.tickets += 1;
            let group = Group {
                key: key.clone(),
                track: Track::new(base),
                wanted: false,
                kept: false,
                by_stream: false,
                named: 0,
                place: None,
                waiters: Vec::new(),
                ticket: self.tickets,
                looking: false,
                again: false,
            };
            self.groups.insert(channel.clone(), group);
        }
        channel
    }

    fn leave_if_unwanted(&mut self, channel: &Bytes) {
        let Some(group) = self.groups.get(channel).filter(|group| !group.wanted && !group.by_stream) else { return };
        if let Some((place, _)) = group.place.clone() {
            self.leave(&place, channel);
        }
        self.groups.remove(channel);
        self.later.remove(channel);
        self.refused.remove(channel);
        self.behind.remove(channel);
    }

    fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Answered { channel, ticket, place, result } => self.answered(&channel, ticket, &place, &result),
            Outcome::Looked { channel, ticket, found } => {
                self.looks -= 1;
                if self.groups.get(&channel).is_some_and(|group| group.ticket == ticket) {
                    self.looked(&channel, found);
                }
            }
            Outcome::Renewed { channel, ticket, now } => {
                self.looks -= 1;
                if self.groups.get(&channel).is_some_and(|group| group.ticket == ticket) {
                    self.renewed(&channel, &now);
                }
            }
            Outcome::Births { stream, ticket, place, result } => self.births(&stream, ticket, &place, &result),
            Outcome::Members { stream, reading, groups } => self.members(&stream, reading, groups),
            Outcome::Pinged { place, alive } => {
                if !alive {
                    self.lost(&place);
                }
            }
            Outcome::Left => {}
        }
    }

    fn retry(&mut self) {
        for channel in std::mem::take(&mut self.later) {
            let Some(group) = self.groups.get(&channel) else { continue };
            if group.place.is_none() {
                // The subscription is confirmed first, and then it is looked at.
                self.subscribe(&channel);
            } else {
                self.look(&channel);
            }
        }
        self.settle_streams();
    }

    fn ping(&mut self) {
        for place in self.ears.places() {
            let ping = self.ears.send(&place, "PING", b"");
            self.work.push(Box::pin(async move {
                let alive = tokio::time::timeout(TICK * 5, ping).await.is_ok_and(|answer| !matches!(answer, Err(Trouble::Lost)));
                Outcome::Pinged { place, alive }
            }));
        }
    }

    /// Clears the index out, now and then.
    fn sweep(&mut self) {
        if self.swept.is_some_and(|at| at.elapsed() < self.sweep_every) {
            return;
        }
        self.swept = Some(Instant::now());
        // What was swept an hour ago need not be listened to.
        self.enumerate_again();
        let (line, every) = (self.line.clone(), self.sweep_every);
        self.work.push(Box::pin(async move {
            if let Err(error) = sweep::sweep(&line, every).await {
                tracing::debug!(%error, "the index is cleared out another time");
            }
            Outcome::Left
        }));
    }
}
