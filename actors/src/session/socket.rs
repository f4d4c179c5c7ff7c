//! The part that all sessions share: frames in, control frames answered, liveness, and an orderly end.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::outbox::OutboxRef;
use crate::error::CloseCode;
use crate::frame::{self, FrameError, FrameReader, Limits, Message};
use crate::ids::SocketId;
use crate::metrics::peer::Counted;

/// How long a socket that was closed by us may take to answer before the connection is ended.
pub const LINGER: Duration = Duration::from_secs(2);

/// A peer that has left a ping, or what was sent to it, untouched for this long when its connection breaks had not answered.
const UNANSWERED: Duration = Duration::from_secs(5);

/// A message of the peer.
#[derive(Debug)]
pub enum Data {
    /// Checked UTF-8.
    Text(Bytes),
    /// Anything.
    Binary(Bytes),
}

/// One socket without its transport.
pub struct Socket {
    /// Its number.
    pub id: SocketId,
    /// What waits to be sent.
    pub outbox: OutboxRef,
    reader: FrameReader,
    heard: Instant,
    /// The first ping since the peer was last heard of.
    pinged: Option<Instant>,
    state: State,
    counted: Counted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// A close frame is on its way; what the peer still sends is dropped.
    Closing,
}

/// What a look at a silent socket led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Liveness {
    /// Heard of lately, or pinged; the next look is due after this time.
    Alive(Duration),
    /// Silent for too long.
    Dead,
}

impl Socket {
    /// A socket whose peer may send messages of `max_message_bytes`.
    #[must_use]
    pub fn new(id: SocketId, outbox: OutboxRef, max_message_bytes: usize, counted: Counted) -> Self {
        Self {
            id,
            outbox,
            reader: FrameReader::new(Limits { max_message_bytes }),
            heard: Instant::now(),
            pinged: None,
            state: State::Open,
            counted,
        }
    }

    /// Takes bytes off the connection.
    pub fn feed(&mut self, chunk: Bytes) {
        self.heard_of();
        self.counted.received(chunk.len());
        self.reader.push(chunk);
    }

    /// The next message, after all control frames before it were answered. `None` where more bytes are needed or the socket closes.
    pub fn receive(&mut self) -> Option<Data> {
        loop {
            let message = match self.reader.next() {
                Ok(message) => message?,
                Err(error) => {
                    tracing::info!(session = %self.id, code = error.code(), %error, "peer broke the protocol; closing");
                    self.close(match error {
                        FrameError::TooBig { .. } => CloseCode::TooBig,
                        FrameError::InvalidUtf8 => CloseCode::InvalidUtf8,
                        _ => CloseCode::Protocol,
                    });
                    return None;
                }
            };
            match message {
                Message::Close(_) if self.state == State::Closing => self.outbox.end(),
                Message::Close(close) => {
                    self.state = State::Closing;
                    self.counted.ended_by = Some(CloseCode::Normal);
                    let code = close.map_or(CloseCode::Normal.code(), |close| close.code);
                    self.outbox.push_last(frame::encode_close(code, ""));
                    self.outbox.end();
                }
                _ if self.state == State::Closing => {}
                Message::Text(text) => return Some(Data::Text(text)),
                Message::Binary(bytes) => return Some(Data::Binary(bytes)),
                Message::Ping(payload) => self.outbox.pong(frame::encode_pong(&payload)),
                Message::Pong(_) => {}
            }
        }
    }

    /// Sends a close frame, once. The caller ends the connection after [`LINGER`] if the peer does not.
    pub fn close(&mut self, code: CloseCode) {
        self.close_saying(code, code.reason());
    }

    /// The same with a reason other than that of the code, of at most 123 bytes.
    pub fn close_saying(&mut self, code: CloseCode, reason: &str) {
        if self.state == State::Open {
            self.state = State::Closing;
            self.counted.ended_by = Some(code);
            self.outbox.push_last(frame::encode_close(code.code(), reason));
        }
    }

    /// Ends a connection whose peer does not answer, without what still waits for it.
    pub fn give_up(&mut self) {
        self.outbox.clear();
        self.close(CloseCode::Unresponsive);
        self.outbox.end();
    }

    /// Whether a close frame was sent.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Why the socket is closing: [`CloseCode::Normal`] where the peer began it, `None` where nobody has closed it.
    #[must_use]
    pub fn closed_for(&self) -> Option<CloseCode> {
        self.counted.ended_by
    }

    /// Whether the connection, which has ended, had been one to a peer that neither answered nor read: the kernel gives up on those before
    /// [`check`](Self::check) does where data waits for them, after `write_deadline`.
    pub fn was_unresponsive(&mut self, write_deadline: Duration) -> bool {
        let silent = self.silence();
        let unanswered = UNANSWERED.min(write_deadline);
        let unread = self.outbox.has_unread() && silent >= unanswered;
        unread || self.pinged.is_some_and(|at| at.elapsed() >= unanswered)
    }

    /// Counts as heard of a peer that was not listened to.
    pub fn excuse(&mut self) {
        self.heard_of();
    }

    fn heard_of(&mut self) {
        self.heard = Instant::now();
        self.pinged = None;
    }

    /// How long the peer has neither sent nor taken anything.
    pub fn silence(&mut self) -> Duration {
        // A peer that takes what it is sent is alive, even if a long message keeps its pong waiting.
        if self.outbox.took_what_waited() {
            self.heard_of();
        }
        self.heard.elapsed()
    }

    /// Pings a peer that was silent for `ping_interval`, and gives it up after `idle_timeout`.
    pub fn check(&mut self, ping_interval: Duration, idle_timeout: Duration) -> Liveness {
        let silent = self.silence();
        let Some(next) = next_look(silent, ping_interval, idle_timeout) else { return Liveness::Dead };
        if silent >= ping_interval / 2 && self.state == State::Open {
            // Where even a ping finds no room, the silence will tell.
            let _ = self.outbox.offer(&frame::encode_ping(b""));
            self.pinged.get_or_insert_with(Instant::now);
        }
        Liveness::Alive(next)
    }
}

/// When a peer is to be looked at again: with every ping, and when its time is over, not with the first ping after that. `None` where it is.
fn next_look(silent: Duration, ping_interval: Duration, idle_timeout: Duration) -> Option<Duration> {
    let rest = idle_timeout.saturating_sub(silent);
    (!rest.is_zero()).then(|| rest.min(ping_interval))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::StreamSettings;

    #[test]
    fn peer_that_vanishes_is_found_within_60_s_whenever_it_was_last_heard_of() {
        let StreamSettings { ping_interval, idle_timeout, .. } = StreamSettings::default();
        for last in (0..60_000).step_by(50).map(Duration::from_millis) {
            // The first look is a ping after the beginning; until the peer vanishes it has only just been heard of.
            let (mut now, mut silent) = (Duration::ZERO, Duration::ZERO);
            let mut next = Some(ping_interval);
            while let Some(pause) = next {
                now += pause;
                silent = now.saturating_sub(last);
                next = next_look(silent, ping_interval, idle_timeout);
            }
            assert_eq!(silent, idle_timeout, "last heard of at {last:?}");
        }
        assert!(idle_timeout <= Duration::from_secs(60));
        assert!(ping_interval * 2 <= idle_timeout, "a ping may be lost");
    }
}
