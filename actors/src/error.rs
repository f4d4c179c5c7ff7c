//! What can go wrong, as callers and clients are told it.
//!
//! [`REPLY_CODES`] and [`CLOSE_CODES`] are the whole of what Weir itself answers; a test prints both into the README. Codes that a
//! worker's own function returns are passed on as they are.

use std::borrow::Cow;

use bytes::BufMut;

use crate::json::Json;
use crate::metrics::limit::Limit;

/// A call that ended without a result: what the caller is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct CallError {
    /// Stable name of the cause; one of [`REPLY_CODES`], or what the called worker answered.
    pub code: Cow<'static, str>,
    /// What went wrong and what to do about it.
    pub message: String,
    /// The stack of the called worker, where it sent one.
    pub stacktrace: Option<String>,
    /// The limit that the call would have passed, for whoever counts.
    pub(crate) limit: Option<Limit>,
}

impl CallError {
    /// An error with a code of ours.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: Cow::Borrowed(code), message: message.into(), stacktrace: None, limit: None }
    }

    /// The same, because of a limit if there is one.
    pub(crate) fn past(self, limit: Option<Limit>) -> Self {
        Self { limit, ..self }
    }

    /// Nobody serves function `id`.
    #[must_use]
    pub fn function_not_found(id: &str) -> Self {
        Self::new(FUNCTION_NOT_FOUND, format!("function '{id}' is not registered by any connected worker"))
    }

    /// The input of a built-in function does not have its shape.
    #[must_use]
    pub fn bad_input(function: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(DESERIALIZATION_ERROR, format!("{function}: {detail}"))
    }
}

/// No worker serves the function.
pub const FUNCTION_NOT_FOUND: &str = "function_not_found";
/// The input of a built-in function is not what it takes.
pub const DESERIALIZATION_ERROR: &str = "deserialization_error";
/// The worker that was called went away, or the store has ended.
pub const INVOCATION_STOPPED: &str = "invocation_stopped";
/// The worker that was called did not answer in time.
pub const INVOCATION_TIMEOUT: &str = "invocation_timeout";
/// A function of the program that Weir is embedded in failed.
pub const INVOCATION_FAILED: &str = "invocation_failed";
/// The worker that was called does not read its socket.
pub const CHANNEL_SEND_FAILED: &str = "channel_send_failed";
/// There is no queue here.
pub const ENQUEUE_ERROR: &str = "enqueue_error";
/// Too many calls are under way at one worker, or the store is behind.
pub const OVERLOADED: &str = "overloaded";
/// The message would be larger than its receiver takes.
pub const PAYLOAD_TOO_LARGE: &str = "payload_too_large";
/// A stream override answered in the wrong shape.
pub const JSON_ERROR: &str = "JSON_ERROR";
/// The entry is an HTTP function, which Weir does not call.
pub const FUNCTION_NOT_INVOKABLE: &str = "function_not_invokable";
/// A trigger's configuration is not what its type takes.
pub const TRIGGER_REGISTRATION_FAILED: &str = "trigger_registration_failed";
/// A built-in function cannot be registered by a worker, or a limit was reached.
pub const REGISTRATION_REFUSED: &str = "registration_refused";

/// Every code that Weir puts into an `error` of its own, with when it does.
pub const REPLY_CODES: &[(&str, &str)] = &[
    (FUNCTION_NOT_FOUND, "no connected worker serves the function"),
    (FUNCTION_NOT_INVOKABLE, "the function was registered with an HTTP address; Weir calls connected workers only"),
    (DESERIALIZATION_ERROR, "the input of a built-in function has a missing key, a wrong type, or passes a limit on names or values"),
    (INVOCATION_STOPPED, "the worker that was called disconnected before it answered; or the store has ended"),
    (INVOCATION_TIMEOUT, "the worker that was called did not answer within `invocation_timeout_ms`"),
    (INVOCATION_FAILED, "a function of the program that Weir is embedded in returned an error, or panicked"),
    (CHANNEL_SEND_FAILED, "the worker that was called does not read its socket"),
    (OVERLOADED, "`max_invocations` calls are under way at one worker, or the store is behind"),
    (PAYLOAD_TOO_LARGE, "the result is larger than 64 MiB, which no worker can receive"),
    (ENQUEUE_ERROR, "`enqueue` was asked for; Weir has no queue"),
    (JSON_ERROR, "a stream override answered in the wrong shape"),
    (TRIGGER_REGISTRATION_FAILED, "the trigger's configuration is invalid (in `triggerregistrationresult`)"),
    (REGISTRATION_REFUSED, "a limit on registrations was reached (in `triggerregistrationresult`)"),
    ("STREAM_SET_ERROR", "the store, or the override without a result, failed in `stream::set`, or `max_streams` is reached"),
    ("STREAM_GET_ERROR", "the store failed in `stream::get`"),
    ("STREAM_DELETE_ERROR", "the store failed in `stream::delete`"),
    ("STREAM_GET_GROUP_ERROR", "the store failed in `stream::list`"),
    ("STREAM_LIST_GROUPS_ERROR", "the store failed in `stream::list_groups`"),
    ("STREAM_LIST_ALL_ERROR", "the store failed in `stream::list_all`"),
    ("STREAM_SEND_ERROR", "the store failed in `stream::send`"),
    ("STREAM_UPDATE_ERROR", "the store failed in `stream::update`, `max_streams` is reached, or the stored value cannot be read as a tree"),
];

/// Why Weir closes a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseCode {
    /// The peer closed, and the close is answered.
    Normal,
    /// The peer broke RFC 6455.
    Protocol,
    /// A text message was not UTF-8.
    InvalidUtf8,
    /// A message was larger than the limit.
    TooBig,
    /// The group could not be read, so that the subscriber has no state to start from.
    Internal,
    /// The peer did not answer pings, or does not read.
    Unresponsive,
    /// The auth function refused the client.
    Unauthorized,
    /// The auth function is missing, failed or timed out.
    AuthUnavailable,
    /// The server stops; the reason on the wire also says when to come back.
    Restart,
    /// The client takes less than it is sent, and its stream has it closed for that.
    TooSlow,
    /// What the auth function granted is over.
    Expired,
    /// A worker called `stream::disconnect`; the reason is the worker's, if it gave one.
    Disconnected,
}

impl CloseCode {
    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        CLOSE_CODES[self as usize].1
    }

    /// The reason on the wire.
    #[must_use]
    pub fn reason(self) -> &'static str {
        CLOSE_CODES[self as usize].2
    }
}

/// Every close code that Weir sends, in the order of [`CloseCode`]: the cause, the code and the reason text.
pub const CLOSE_CODES: &[(CloseCode, u16, &str)] = &[
    (CloseCode::Normal, 1000, "closed by the client"),
    (CloseCode::Protocol, 1002, "protocol error"),
    (CloseCode::InvalidUtf8, 1007, "text is not UTF-8"),
    (CloseCode::TooBig, 1009, "message too big"),
    (CloseCode::Internal, 1011, "the group could not be read; connect again"),
    (CloseCode::Unresponsive, 4408, "no answer to pings"),
    (CloseCode::Unauthorized, 4401, "unauthorized"),
    (CloseCode::AuthUnavailable, 4503, "the auth function is not available"),
    (CloseCode::Restart, 1012, "the server stops"),
    (CloseCode::TooSlow, 4409, "too slow: less is read than there is to tell"),
    (CloseCode::Expired, 4410, "authorization expired"),
    (CloseCode::Disconnected, 4403, "disconnected by a worker"),
];

/// What a call ends with: a value, no value at all, or an error.
#[doc(hidden)]
pub type Outcome = Result<Output, CallError>;

/// The result of a call that succeeded.
///
/// The store's own results stay in parts until they are written into a frame, so that a value is not copied on the way.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// The key `result` is absent.
    Absent,
    /// A value, `null` included.
    Value(Json),
    /// What a write replaced and what it stored: `{"old_value": …, "new_value": …}`, for a delete without the latter.
    Written {
        /// The value before; `null` on the wire where there was none.
        old: Option<Json>,
        /// The value now.
        new: Option<Json>,
        /// The operations of an update that failed; absent where none did.
        errors: Option<Json>,
    },
    /// An array of values.
    List(Vec<Json>),
}

impl Output {
    /// Whether the key `result` is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// An upper bound of the text's length, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let len = |json: &Option<Json>| json.as_ref().map_or(4, |json| json.as_bytes().len());
        match self {
            Self::Absent => 4,
            Self::Value(json) => json.as_bytes().len(),
            Self::Written { old, new, errors } => 48 + len(old) + len(new) + len(errors),
            Self::List(values) => 2 + values.iter().map(|json| json.as_bytes().len() + 1).sum::<usize>(),
        }
    }

    /// Appends the value as JSON; nothing where it is absent.
    pub fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Absent => {}
            Self::Value(json) => out.put_slice(json.as_bytes()),
            Self::Written { old, new, errors } => {
                out.put_slice(b"{\"old_value\":");
                out.put_slice(old.as_ref().map_or(b"null", Json::as_bytes));
                for (key, json) in [(&b",\"new_value\":"[..], new), (b",\"errors\":", errors)] {
                    if let Some(json) = json {
                        out.put_slice(key);
                        out.put_slice(json.as_bytes());
                    }
                }
                out.put_u8(b'}');
            }
            Self::List(values) => {
                out.put_u8(b'[');
                for (index, json) in values.iter().enumerate() {
                    if index > 0 {
                        out.put_u8(b',');
                    }
                    out.put_slice(json.as_bytes());
                }
                out.put_u8(b']');
            }
        }
    }

    /// The whole value; `null` where it is absent.
    #[must_use]
    pub fn into_json(self) -> Json {
        match self {
            Self::Absent => Json::NULL,
            Self::Value(json) => json,
            parts => {
                let mut out = Vec::with_capacity(parts.size());
                parts.put(&mut out);
                Json::assembled(out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_codes_stand_in_the_order_of_the_enum() {
        for (index, (cause, _, _)) in CLOSE_CODES.iter().enumerate() {
            assert_eq!(*cause as usize, index);
        }
    }
}
