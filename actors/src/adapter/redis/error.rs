//! What can go wrong with Redis, as operators and callers are told it. No text names a password: addresses only.

use std::time::Duration;

use redis::{ErrorKind, ServerErrorKind, Value};

use crate::adapter::AdapterError;

/// Why there is no connection to begin with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedisError {
    /// The address or an option cannot be used.
    #[error("redis_url: {0}")]
    Config(String),
    /// Redis refused the user, or is too old.
    #[error("redis at {address} refused us: {detail}")]
    Refused {
        /// Host and port.
        address: String,
        /// What it said.
        detail: String,
    },
    /// Nobody answered in time.
    #[error("redis at {address} was not reached within {timeout:?}: {detail}; start it, or correct `redis_url`")]
    Unreachable {
        /// Host and port.
        address: String,
        /// How long it was tried.
        timeout: Duration,
        /// What was wrong the last time.
        detail: String,
    },
}

impl RedisError {
    /// The stable name of the cause.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "redis_config",
            Self::Refused { .. } => "redis_refused",
            Self::Unreachable { .. } => "redis_unreachable",
        }
    }
}

/// Why a command had no result.
#[derive(Debug, Clone)]
pub(super) enum Trouble {
    /// It was not carried out and may be sent again.
    Again(Retry),
    /// The link broke before the answer came.
    Lost,
    /// Redis carried out nothing and will not.
    Refused(String),
}

/// What must happen before a command is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Retry {
    /// The script must be loaded.
    NoScript,
    /// The slot lives at another node.
    Moved(String),
    /// The slot is on its way to another node, and this key is there already.
    Ask(String),
    /// Time must pass.
    Wait(String),
}

/// Whether no answer came: the link is gone, or what came over it is not understood, so that nothing on it is certain any more.
pub(super) fn is_lost(error: &redis::RedisError) -> bool {
    error.code().is_none() && error.clone().into_server_errors().is_none()
}

/// The error among replies, if there is one. What is lost counts most, then what may be tried again.
pub(super) fn examine(replies: Result<Vec<Value>, redis::RedisError>) -> Result<Vec<Value>, Trouble> {
    let replies = match replies {
        Ok(replies) => replies,
        Err(error) => {
            return Err(match error.clone().into_server_errors() {
                Some(errors) => errors.first().map_or(Trouble::Lost, |(_, error)| of_server(error)),
                None if is_lost(&error) => Trouble::Lost,
                None => Trouble::Refused(error.to_string()),
            });
        }
    };
    match replies.iter().find_map(|reply| if let Value::ServerError(error) = reply { Some(error) } else { None }) {
        Some(error) => Err(of_server(error)),
        None => Ok(replies),
    }
}

fn of_server(error: &redis::ServerError) -> Trouble {
    if let Some(inner) = error.details().and_then(in_script) {
        return inner;
    }
    let text = || format!("{} {}", error.code(), error.details().unwrap_or_default());
    // "<slot> <host>:<port>"
    let address = || error.details().and_then(|details| details.split(' ').nth(1)).map(str::to_owned);
    match (error.kind(), error.code()) {
        (Some(ServerErrorKind::NoScript), _) => Trouble::Again(Retry::NoScript),
        (Some(ServerErrorKind::Moved), _) => address().map_or_else(|| Trouble::Refused(text()), |to| Trouble::Again(Retry::Moved(to))),
        (Some(ServerErrorKind::Ask), _) => address().map_or_else(|| Trouble::Refused(text()), |to| Trouble::Again(Retry::Ask(to))),
        (
            Some(
                ServerErrorKind::TryAgain
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading,
            ),
            _,
        )
        | (_, "BUSY" | "NOREPLICAS") => Trouble::Again(Retry::Wait(text())),
        _ => Trouble::Refused(text()),
    }
}

/// The trouble of a command in a script, as a Redis before 7.0 puts it: `Error running script (…): @user_script:1: … -READONLY You can't …`.
fn in_script(details: &str) -> Option<Trouble> {
    let (_, inner) = details.strip_prefix("Error running script")?.rsplit_once(": -")?;
    Some(match inner.split(' ').next() {
        Some("READONLY" | "NOREPLICAS" | "MASTERDOWN" | "LOADING") => Trouble::Again(Retry::Wait(inner.to_owned())),
        _ => Trouble::Refused(inner.to_owned()),
    })
}

/// Whether another attempt to connect would end like this one.
pub(super) fn is_final(error: &redis::RedisError) -> bool {
    matches!(error.kind(), ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig)
        || matches!(error.code(), Some("WRONGPASS" | "NOAUTH" | "NOPERM"))
}

/// The link is down, and nothing was sent.
pub(super) fn away(address: &str) -> AdapterError {
    AdapterError::Away(format!("redis at {address} is not connected; nothing was sent, and it is being tried again"))
}

/// A write whose answer never came.
pub(super) fn unknown(address: &str) -> AdapterError {
    AdapterError::Unknown(format!(
        "the link to redis at {address} broke before it answered; the write may or may not be there, read to know"
    ))
}

/// A channel that may not be subscribed to.
pub(super) fn not_heard(detail: &str) -> AdapterError {
    AdapterError::Failed(format!("redis refused to tell of changes: {detail}; allow the user the channels `*weir:*`"))
}

/// A write that is stored, although it cannot be acknowledged.
pub(super) fn not_indexed(why: &impl std::fmt::Display) -> AdapterError {
    AdapterError::Unknown(format!("the write is there, but its group could not be entered into the index: {why}"))
}

/// Redis answered what we cannot read.
pub(super) fn garbled(what: &str) -> AdapterError {
    AdapterError::Failed(format!("redis answered {what} in a shape that is not known; is it something else than Redis 6.2 or later?"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_old_redis_wraps_what_befell_a_script() {
        let wrapped = |inner: &str| {
            in_script(&format!("Error running script (call to f_6b1b): @user_script:33: @user_script: 33: -{inner} ")).unwrap()
        };
        let oom = "OOM command not allowed when used memory > 'maxmemory'.";
        assert!(matches!(wrapped(oom), Trouble::Refused(text) if text.starts_with("OOM")));
        assert!(matches!(wrapped("READONLY You can't write against a read only replica."), Trouble::Again(Retry::Wait(_))));
        assert!(in_script("unknown command").is_none());
    }
}
