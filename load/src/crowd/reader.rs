//! One thread's share of the subscribers.

use std::time::Duration;

use anyhow::Result;

use super::Subscriber;
use super::course::Course;
use crate::clock;
use crate::connection::BUFFER_BYTES;
use crate::dialect::Content;
use crate::payload;
use crate::poll::{Poll, Timer};
use crate::report::Latencies;
use crate::track::Arrival;

const PUBLISHER: usize = usize::MAX;
const TIMER: usize = usize::MAX - 1;
/// How often a thread looks up that is told nothing.
const LOOK: Duration = Duration::from_millis(100);

/// What one thread has counted.
pub(crate) struct Tally {
    pub(crate) latencies: Latencies,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

/// Reads until the run ends. The one that `leads` also looks after the publisher.
pub(crate) fn read(subscribers: &mut [Subscriber], course: &Course<'_>, leads: bool) -> Result<Tally> {
    let mut poll = Poll::new()?;
    for (token, subscriber) in subscribers.iter().enumerate() {
        poll.add(&subscriber.connection, token)?;
    }
    let timer = Timer::new()?;
    if leads {
        poll.add(&timer, TIMER)?;
        course.watch_publisher(&poll, PUBLISHER)?;
        // The first burst goes out as soon as the timer says so.
        timer.set(Duration::ZERO)?;
    }
    let mut reader = Reader {
        course,
        payload_bytes: course.payload_bytes(),
        buffer: vec![0; BUFFER_BYTES],
        tally: Tally { latencies: Latencies::new()?, duplicated: 0, reordered: 0 },
    };
    let mut last = clock::now();
    while !course.has_ended() {
        let mut arrived = 0;
        for token in poll.wait(Some(LOOK))? {
            match token {
                PUBLISHER => course.take_answers(&mut reader.buffer)?,
                TIMER => {
                    // Setting it takes back that it is ready.
                    timer.set(course.advance()?.unwrap_or(Duration::from_secs(3600)))?;
                }
                token => arrived += reader.take(&mut subscribers[token])?,
            }
        }
        if arrived > 0 {
            last = clock::now();
            course.arrived(arrived)?;
        } else if leads {
            course.quiet_since(last)?;
        }
    }
    Ok(reader.tally)
}

struct Reader<'a, 'b> {
    course: &'a Course<'b>,
    payload_bytes: usize,
    buffer: Vec<u8>,
    tally: Tally,
}

impl Reader<'_, '_> {
    /// Reads once; how many events were there that had not been there before.
    fn take(&mut self, subscriber: &mut Subscriber) -> Result<u64> {
        let Some(count) = subscriber.connection.read(&mut self.buffer)? else { return Ok(0) };
        let (now, first, dialect) = (clock::now(), self.course.first(), self.course.dialect());
        let (mut at, mut arrived) = (0, 0);
        while let Some(incoming) = dialect.next(&self.buffer[at..count], self.payload_bytes)? {
            match incoming.content {
                Content::Event(place) => {
                    if let Some((number, sent)) = payload::read(&self.buffer[at..][place]) {
                        match subscriber.track.see(number) {
                            Arrival::New => arrived += 1,
                            Arrival::Late => {
                                arrived += 1;
                                self.tally.reordered += 1;
                            }
                            Arrival::Again => self.tally.duplicated += 1,
                        }
                        if number >= first {
                            self.tally.latencies.record(now.saturating_sub(sent));
                        }
                    }
                }
                Content::Ask(answer) => subscriber.connection.write(&answer)?,
                Content::Other => {}
            }
            at += incoming.end;
        }
        subscriber.connection.hold(&self.buffer[at..count]);
        Ok(arrived)
    }
}
