//! Why a subscription ended, as `stream:leave` handlers are told.

use crate::error::CloseCode;

/// Why a subscription ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The client sent `leave`.
    Left,
    /// The client joined again with the same subscription id.
    Replaced,
    /// The client closed the connection in order.
    Closed,
    /// The connection ended without a close frame.
    Lost,
    /// The client did not answer pings, or did not read.
    Unresponsive,
    /// What the auth function had granted was over.
    Expired,
    /// A worker called `stream::disconnect`.
    Disconnected,
    /// The server closed the connection for another reason.
    Evicted,
    /// The server stops.
    Draining,
}

/// All reasons, in the order of [`Reason`], with their words on the wire.
const WORDS: [(Reason, &str); 9] = [
    (Reason::Left, "left"),
    (Reason::Replaced, "replaced"),
    (Reason::Closed, "closed"),
    (Reason::Lost, "lost"),
    (Reason::Unresponsive, "unresponsive"),
    (Reason::Expired, "expired"),
    (Reason::Disconnected, "disconnected"),
    (Reason::Evicted, "evicted"),
    (Reason::Draining, "draining"),
];

impl Reason {
    /// All of them, in order.
    pub const ALL: [Self; WORDS.len()] = {
        let mut all = [Self::Left; WORDS.len()];
        let mut place = 0;
        while place < WORDS.len() {
            all[place] = WORDS[place].0;
            place += 1;
        }
        all
    };

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        WORDS[self as usize].1
    }

    /// The reason of that word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(reason, _)| *reason)
    }

    /// The reason of that place in the enum.
    pub(super) fn at(place: u8) -> Option<Self> {
        WORDS.get(usize::from(place)).map(|(reason, _)| *reason)
    }
}

impl From<CloseCode> for Reason {
    fn from(code: CloseCode) -> Self {
        match code {
            CloseCode::Normal => Self::Closed,
            CloseCode::Unresponsive | CloseCode::TooSlow => Self::Unresponsive,
            CloseCode::Restart => Self::Draining,
            CloseCode::Expired => Self::Expired,
            CloseCode::Disconnected => Self::Disconnected,
            _ => Self::Evicted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_in_the_order_of_the_enum() {
        for (place, (reason, _)) in WORDS.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }
}
