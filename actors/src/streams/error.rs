//! What can go wrong, as a host program is told it.

use crate::error::{CallError, OVERLOADED};

/// A call that has no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The call was answered with an error: a code of [`REPLY_CODES`](crate::error::REPLY_CODES), or what the called function answered.
    #[error(transparent)]
    Call(#[from] CallError),
    /// What was handed in cannot be JSON: a map whose keys are no strings, or a type that says so itself.
    #[error("{what} cannot be written as JSON: {source}")]
    Encode {
        /// What of the call.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// What is stored, or was answered, does not have the shape of the type that was asked for.
    #[error("{what} does not have the shape of the type that was asked for: {source}")]
    Decode {
        /// Which item, or what else.
        what: String,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The system has stopped, or is about to.
    #[error("the streams have been shut down")]
    Closed,
}

impl Error {
    /// The code of the answer, where there was one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Call(error) => Some(&error.code),
            _ => None,
        }
    }

    /// Whether the same call may well succeed a little later: the store, or the function, has too much to do.
    #[must_use]
    pub fn is_overloaded(&self) -> bool {
        self.code() == Some(OVERLOADED)
    }
}

/// Streams that cannot be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// [`Placement::Here`](super::Placement) was asked for where no actix system runs.
    #[error(
        "no actix system runs on this thread; start inside one (`#[actix_web::main]`, `actix_rt::System`), or use Placement::OwnThreads"
    )]
    NoSystem,
    /// The operating system has no thread for us.
    #[error("no thread could be started: {0}")]
    Thread(std::io::Error),
    /// Redis was not reached in time, or refuses us.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] crate::adapter::redis::RedisError),
    /// The thread of the system has ended while it started; the log says why.
    #[error("the thread of the streams has ended while it started; this is a bug of Weir, see the log")]
    Died,
}
