//! epoll: which of many connections have something to read.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::{Errno, Result};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

/// Connections told at once.
const EVENTS: usize = 1024;

/// A set of connections, each with a number of its own.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)?, events: Vec::with_capacity(EVENTS) })
    }

    /// Watches for something to read.
    pub(crate) fn add(&self, source: &impl AsFd, token: usize) -> Result<()> {
        epoll::add(&self.epoll, source, EventData::new_u64(token as u64), EventFlags::IN)
    }

    /// Watches for room to write as well, or no more.
    pub(crate) fn writable(&self, source: &impl AsFd, token: usize, wanted: bool) -> Result<()> {
        let flags = if wanted { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        epoll::modify(&self.epoll, source, EventData::new_u64(token as u64), flags)
    }

    /// Waits, and says which are ready: none where nothing happened within `limit`.
    pub(crate) fn wait(&mut self, limit: Option<Duration>) -> Result<impl Iterator<Item = usize>> {
        let limit = limit.map(timespec);
        self.events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
        Ok(self.events.iter().map(|event| usize::try_from(event.data.u64()).unwrap_or(usize::MAX)))
    }
}

/// A timer that a [`Poll`] waits for more precisely than epoll's milliseconds.
pub(crate) struct Timer(OwnedFd);

impl Timer {
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?))
    }

    /// Becomes ready so long from now, once.
    pub(crate) fn set(&self, delay: Duration) -> Result<()> {
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would disarm it.
        let delay = timespec(delay.max(Duration::from_nanos(1)));
        rustix::time::timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: never, it_value: delay }).map(drop)
    }
}

impl AsFd for Timer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(duration.subsec_nanos()) }
}
