//! One publisher and its subscribers: the next burst goes out when all have the last one, or at a fixed rate.
//!
//! The subscribers are shared out among a few threads, each with an epoll loop. Nobody stands between them: the thread that takes the last
//! delivery of a burst publishes the next one.

mod course;
mod reader;

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;

use crate::clock;
use crate::connection::Connection;
use crate::payload;
use crate::progress::Progress;
use crate::report::Latencies;
use crate::server::Server;
use crate::track::Track;

use course::Course;

/// The group that all subscribe to.
pub(crate) const GROUP: &str = "group-0";
/// How often the progress bar is drawn.
const DRAW: Duration = Duration::from_millis(100);

/// How long is measured, and by how many threads.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Span {
    /// How long is measured, after the warm-up.
    #[arg(long, default_value_t = 2.0, global = true)]
    pub(crate) seconds: f64,
    /// How long the server runs in before that.
    #[arg(long, default_value_t = 0.5, global = true)]
    pub(crate) warm_up: f64,
    /// Threads of this program. On few processors they take from the server what they use.
    #[arg(long, default_value_t = 1, global = true)]
    pub(crate) threads: usize,
}

/// When events are published.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Events at once.
    pub(crate) burst: u64,
    /// Events per second; without, the next burst follows when all have the last one.
    pub(crate) rate: Option<f64>,
}

/// One connection that is told of everything.
pub(crate) struct Subscriber {
    connection: Connection,
    track: Track,
}

/// The publisher and the subscribers.
pub(crate) struct Crowd<'a> {
    server: &'a Server,
    subscribers: Vec<Subscriber>,
    publisher: Connection,
    payload: Vec<u8>,
    /// Events published so far.
    published: u64,
}

/// What a run has come to.
pub(crate) struct Outcome {
    /// Of the measured part.
    pub(crate) deliveries: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu: Duration,
    pub(crate) latencies: Latencies,
    /// Of the whole run.
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

impl<'a> Crowd<'a> {
    /// Connects a publisher and so many subscribers; payloads have `payload_bytes`.
    pub(crate) fn gather(server: &'a Server, subscribers: usize, payload_bytes: usize) -> Result<Self> {
        let subscribers = (0..subscribers)
            .map(|_| {
                let mut connection = Connection::open(server.subscribers)?;
                server.dialect.subscribe(&mut connection, GROUP)?;
                Ok(Subscriber { connection, track: Track::default() })
            })
            .collect::<Result<_>>()
            .with_context(|| format!("subscribing at {}", server.name()))?;
        let mut publisher = Connection::open(server.publishers)?;
        server.dialect.introduce(&mut publisher)?;
        let payload = payload::noise(payload_bytes.max(payload::LEAST_BYTES), 1).into_bytes();
        Ok(Self { server, subscribers, publisher, payload, published: 0 })
    }

    /// Changes the bytes of a payload, and returns what they were.
    pub(crate) fn set_payload(&mut self, bytes: usize) -> usize {
        let payload = payload::noise(bytes.max(payload::LEAST_BYTES), 1).into_bytes();
        std::mem::replace(&mut self.payload, payload).len()
    }

    /// Publishes and counts for the warm-up and the time measured.
    pub(crate) fn run(&mut self, pace: Pace, span: Span, name: &str) -> Result<Outcome> {
        let count = self.subscribers.len();
        let threads = span.threads.clamp(1, count.max(1));
        let course = Course::new(self.server, &mut self.publisher, &mut self.payload, self.published, count as u64, pace, span)?;
        let progress = Progress::new(name, span.warm_up + span.seconds);
        let began = clock::now();
        let tallies = thread::scope(|scope| {
            let shares = self.subscribers.chunks_mut(count.div_ceil(threads)).enumerate();
            let readers: Vec<_> = shares
                .map(|(number, share)| {
                    let course = &course;
                    scope.spawn(move || {
                        let read = reader::read(share, course, number == 0);
                        // Whatever ends one thread ends all.
                        course.end();
                        read
                    })
                })
                .collect();
            while !course.has_ended() {
                thread::sleep(DRAW);
                progress.at(clock::seconds(clock::now() - began), format!("{} deliveries", course.delivered()));
            }
            let joined = readers.into_iter().map(|reader| reader.join().unwrap_or_else(|_| Err(anyhow!("a reader panicked"))));
            joined.collect::<Result<Vec<_>>>()
        })?;
        let (published, measured) = course.finish()?;
        self.published = published;
        let mut outcome = Outcome {
            deliveries: measured.events * count as u64,
            seconds: measured.seconds,
            cpu: measured.cpu,
            latencies: Latencies::new()?,
            duplicated: 0,
            reordered: 0,
        };
        for tally in tallies {
            outcome.latencies.add(&tally.latencies)?;
            outcome.duplicated += tally.duplicated;
            outcome.reordered += tally.reordered;
        }
        Ok(outcome)
    }

    /// Deliveries that have not come, of all that was published so far.
    pub(crate) fn lost(&self) -> u64 {
        self.subscribers.iter().map(|subscriber| subscriber.track.lost(self.published)).sum()
    }
}
