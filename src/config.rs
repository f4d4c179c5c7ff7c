//! The configuration file: what it may say, and what holds where it says nothing.
//!
//! Layout: `source` reads the file and has the `config` crate parse its YAML, `expand` does `${VAR:default}`, `keys` is the one
//! table of our keys with their types and ranges, `modules` and `adapter` walk the parsed file by that table, `error` and `wording` say what is wrong.
//! The reader is lenient about what belongs to the engine that Weir replaces (collected in [`Config::skipped`] and
//! [`Config::warnings`], for the caller to log) and strict about what is ours: a mistyped key stops the start.

mod adapter;
mod error;
mod expand;
mod keys;
mod modules;
mod source;
#[cfg(test)]
mod tests;
mod wording;

use std::path::Path;
use std::time::Duration;

pub(crate) use error::ConfigError;

/// Everything the server can be told. The default is what runs without a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    /// Where workers connect and what one of them may use: top-level `port` and `host`, and `modules::worker::WorkerModule`.
    pub(crate) worker: WorkerConfig,
    /// Where stream clients connect and what one of them may use: `modules::stream::StreamModule`.
    pub(crate) stream: StreamConfig,
    /// Module classes of the file that Weir does not serve, each once, in the order of the file. To be reported once.
    pub(crate) skipped: Vec<String>,
    /// What the file says that has no effect, or probably not the effect that was meant. To be logged once.
    pub(crate) warnings: Vec<String>,
}

/// The worker listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkerConfig {
    /// `host`: name or address to listen on, without port or brackets.
    pub(crate) host: String,
    /// `port`: 0 takes any free port, where the engine that Weir replaces takes 49134.
    pub(crate) port: u16,
    /// `max_message_bytes`: the longest message a worker may send.
    pub(crate) max_message_bytes: usize,
    /// `outbox_bytes`: what may wait to be sent to one worker.
    pub(crate) outbox_bytes: usize,
    /// `invocation_timeout_ms`: how long a function may take to answer.
    pub(crate) invocation_timeout: Duration,
    /// `max_invocations`: invocations in flight per worker.
    pub(crate) max_invocations: usize,
    /// `max_functions`: functions, triggers and trigger types that one worker may register, each.
    pub(crate) max_functions: usize,
}

/// The stream listener, its clients and where items are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfig {
    /// `host`: name or address to listen on, without port or brackets.
    pub(crate) host: String,
    /// `port`: 0 takes any free port.
    pub(crate) port: u16,
    /// `auth_function`: id of the function that decides who may connect. Without one, everybody may.
    pub(crate) auth_function: Option<String>,
    /// `auth_timeout_ms`: how long the auth function may take; then nobody gets in.
    pub(crate) auth_timeout: Duration,
    /// `auth_refusal`: how a client learns that it may not connect.
    pub(crate) auth_refusal: AuthRefusal,
    /// `join_failure`: what a join handler that throws, times out or is missing means.
    pub(crate) join_failure: JoinFailure,
    /// `join_timeout_ms`: how long each join handler, and each of its conditions, may take.
    pub(crate) join_timeout: Duration,
    /// `adapter`: where items are kept.
    pub(crate) adapter: AdapterConfig,
    /// `max_message_bytes`: the longest message a client may send.
    pub(crate) max_message_bytes: usize,
    /// `max_subscriptions`: groups that one socket may join.
    pub(crate) max_subscriptions: usize,
    /// `max_name_bytes`: the longest name of a stream, group or item.
    pub(crate) max_name_bytes: usize,
    /// `max_value_bytes`: the longest item, as JSON. At most [`WorkerConfig::max_message_bytes`].
    pub(crate) max_value_bytes: usize,
    /// `outbox_bytes`: what may wait to be sent to one client; a client that takes less than it is sent is resynced.
    pub(crate) outbox_bytes: usize,
    /// `ping_interval_ms`: how often a client is pinged.
    pub(crate) ping_interval: Duration,
    /// `idle_timeout_ms`: how long a client may be silent. More than [`StreamConfig::ping_interval`].
    pub(crate) idle_timeout: Duration,
    /// `max_connections`: sockets of stream clients on this server.
    pub(crate) max_connections: usize,
}

/// How a client that may not connect is told (`auth_refusal`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum AuthRefusal {
    /// `close`: the handshake succeeds, then one `unauthorized` frame and close code 4401 or 4503.
    #[default]
    Close,
    /// `http`: the handshake is answered 401 or 503.
    Http,
}

/// What a failing join handler means (`join_failure`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum JoinFailure {
    /// `refuse`: the client does not join.
    #[default]
    Refuse,
    /// `allow`: the client joins, as with the engine that Weir replaces.
    Allow,
}

/// Where items are kept (`adapter`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum AdapterConfig {
    /// `modules::stream::adapters::KvStore` with `store_method: in_memory`: lost on restart.
    #[default]
    InMemory,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".to_owned(),
            port: 49134,
            max_message_bytes: 16 * 1024 * 1024,
            outbox_bytes: 64 * 1024 * 1024,
            invocation_timeout: Duration::from_secs(300),
            max_invocations: 10_000,
            max_functions: 10_000,
        }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            host: "0.0.0.0".to_owned(),
            port: 3112,
            auth_function: None,
            auth_timeout: Duration::from_secs(5),
            auth_refusal: AuthRefusal::default(),
            join_failure: JoinFailure::default(),
            join_timeout: Duration::from_secs(10),
            adapter: AdapterConfig::default(),
            max_message_bytes: 1024 * 1024,
            max_subscriptions: 1_000,
            max_name_bytes: 512,
            max_value_bytes: 16 * 1024 * 1024,
            outbox_bytes: 1024 * 1024,
            ping_interval: Duration::from_secs(25),
            idle_timeout: Duration::from_secs(60),
            max_connections: 25_000,
        }
    }
}

/// Reads the configuration from the YAML file at `path`; without one, the defaults.
///
/// `env` answers what an environment variable holds; the server passes the process's own.
///
/// # Errors
/// [`ConfigError`] if the file cannot be read or is not YAML of the form above, names a key or a class that nobody knows, holds a
/// value out of range, or refers to a variable that is not set and has no default.
pub(crate) fn load(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
    match path {
        None => Ok(Config::default()),
        Some(path) => modules::read(source::parse(path)?, env),
    }
}
