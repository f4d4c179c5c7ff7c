//! Why a command had no result.

use crate::json::visible;

/// What went wrong between a command and a server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// The address cannot be used.
    #[error("{url}: {reason}; write {form}")]
    Address {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
        /// How it is written.
        form: &'static str,
    },
    /// The token cannot be sent.
    #[error("the token of {by} cannot stand in a header; it has visible ASCII characters and no spaces")]
    Token {
        /// Who has said it.
        by: &'static str,
    },
    /// What should be JSON is none, on the command line or on standard input.
    #[error("bad_json: {0}")]
    BadJson(String),
    /// Nobody is there, or TLS failed.
    #[error("cannot connect to {url}: {reason}; {hint}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the system said.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The server wants a token, or another one.
    #[error("{url} refused us: {reason}; {hint}")]
    Unauthorized {
        /// Where.
        url: String,
        /// What was said.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The handshake was answered otherwise.
    #[error("{url} answered HTTP {status}: {said}")]
    Answered {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// The beginning of what came with it.
        said: String,
    },
    /// The connection ended before there was a result.
    #[error(
        "the connection ended before the answer came ({reason}), so that nobody knows whether the call was carried out; read before you call again"
    )]
    Lost {
        /// How it ended.
        reason: String,
    },
    /// The server does not read on.
    #[error(
        "the message of {bytes} bytes is longer than the server takes, which is the `max_message_bytes` of its modules::worker::WorkerModule; the call was not carried out"
    )]
    TooLong {
        /// How long the message was, names and all.
        bytes: usize,
    },
    /// No answer in time.
    #[error("{function} did not answer within {seconds} s; it may still be carried out. `--timeout SECONDS` waits longer")]
    Timeout {
        /// What was called.
        function: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// What came is not the protocol.
    #[error("{url} does not speak as Weir does: {reason}; is it the right port?")]
    Protocol {
        /// Where.
        url: String,
        /// What came.
        reason: String,
    },
    /// The server has answered with an error.
    #[error("{}: {}{}", visible(code), visible(message), next(code))]
    Failed {
        /// The server's or the function's code.
        code: String,
        /// In words.
        message: String,
    },
}

/// What to do about a code of the server whose message does not say.
fn next(code: &str) -> &'static str {
    match code {
        "function_not_found" => "; `weir call engine::functions::list` lists what connected workers serve",
        "overloaded" => "; try again in a while",
        _ => "",
    }
}

impl ClientError {
    /// The stable name of the cause; of a call that failed, the code of the answer.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Address { .. } => "bad_address",
            Self::Token { .. } => "bad_token",
            Self::BadJson(_) => "bad_json",
            Self::Unreachable { .. } => "unreachable",
            Self::Unauthorized { .. } => "unauthorized",
            Self::Answered { .. } => "http_error",
            Self::Lost { .. } => "connection_lost",
            Self::TooLong { .. } => "message_too_long",
            Self::Timeout { .. } => "timeout",
            Self::Protocol { .. } => "protocol_error",
            Self::Failed { code, .. } => code,
        }
    }

    /// In words, without the code where that is the server's.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Failed { message, .. } | Self::BadJson(message) => message.clone(),
            other => other.to_string(),
        }
    }
}
