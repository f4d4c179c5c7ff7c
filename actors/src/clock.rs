//! Time as clients see it: integer milliseconds since the Unix epoch that never step back.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since the Unix epoch; a timestamp on the wire.
pub type Millis = u64;

/// The wall clock, held so that it never goes backwards within a process.
///
/// A client drops what looks older than what it has seen (protocol.md C.6), so a clock that an operator or NTP sets back must not reach it.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Clock {
    last: Millis,
    #[cfg(test)]
    pub(crate) fixed: Option<Millis>,
}

impl Clock {
    /// A clock that never answers less than `floor`, what an earlier process has issued.
    #[must_use]
    pub fn starting_at(floor: Millis) -> Self {
        Self {
            last: floor,
            #[cfg(test)]
            fixed: None,
        }
    }

    /// Now, in milliseconds; at least what was answered before.
    pub fn now(&mut self) -> Millis {
        #[cfg(test)]
        if let Some(fixed) = self.fixed {
            self.last = self.last.max(fixed);
            return self.last;
        }
        self.last = self.last.max(wall());
        self.last
    }
}

/// The wall clock as it stands, in milliseconds.
#[must_use]
pub fn wall() -> Millis {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_set_back_stays_where_it_was() {
        let mut clock = Clock { fixed: Some(5_000), ..Clock::default() };
        assert_eq!(clock.now(), 5_000);
        clock.fixed = Some(1_000);
        assert_eq!(clock.now(), 5_000);
        clock.fixed = Some(5_001);
        assert_eq!(clock.now(), 5_001);
    }
}
