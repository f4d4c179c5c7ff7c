//! The configuration file: what it may say, and what holds where it says nothing.
//!
//! Layout: `source` reads the file and has the `config` crate parse its YAML, `expand` does `${VAR:default}`, `keys` is the one
//! table of our keys with their types and ranges, `modules` and `adapter` walk the parsed file by that table, `ports` compares what the listeners have, `error` and `wording` say what is wrong,
//! `changes` what differs when the file is read again, `explain` what holds and where it came from, by the `lines` of the file.
//! The reader is lenient about what belongs to the engine that Weir replaces (collected in [`Config::skipped`] and
//! [`Config::warnings`], for the caller to log) and strict about what is ours: a mistyped key stops the start.

mod adapter;
pub(crate) mod changes;
mod error;
mod expand;
pub(crate) mod explain;
mod keys;
mod lines;
mod modules;
mod ports;
mod source;
#[cfg(test)]
mod tests;
mod wording;

use std::path::{Path, PathBuf};

pub(crate) use error::ConfigError;
use weir_actors::adapter::file::FileOptions;
use weir_actors::adapter::redis::RedisOptions;
use weir_actors::settings::{StreamSettings, WorkerSettings};
use weir_actors::token::Token;

/// Everything the server can be told. The default is what runs without a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Config {
    /// Where workers connect and what one of them may use: top-level `host`, `port` and `token`, and `modules::worker::WorkerModule`.
    pub(crate) worker: WorkerConfig,
    /// Where stream clients connect and what one of them may use: `modules::stream::StreamModule`.
    pub(crate) stream: StreamConfig,
    /// What operators look at: `modules::admin::AdminModule`.
    pub(crate) admin: AdminConfig,
    /// What the log looks like and holds: top-level `log`.
    pub(crate) log: LogConfig,
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
    /// `tls`: the port speaks TLS and nothing else.
    pub(crate) tls: Option<TlsFiles>,
    /// Who may connect and what one worker may use; the keys are named as the fields, with their unit.
    pub(crate) settings: WorkerSettings,
}

/// The stream listener, its clients and where items are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StreamConfig {
    /// `host`: name or address to listen on, without port or brackets.
    pub(crate) host: String,
    /// `port`: 0 takes any free port.
    pub(crate) port: u16,
    /// `tls`: the port speaks TLS and nothing else.
    pub(crate) tls: Option<TlsFiles>,
    /// `adapter`: where items are kept.
    pub(crate) adapter: AdapterConfig,
    /// Who may connect and what one client may use; the keys are named as the fields, with their unit.
    pub(crate) settings: StreamSettings,
}

/// The admin listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AdminConfig {
    /// `enabled`: whether there is one.
    pub(crate) enabled: bool,
    /// `host`: name or address to listen on, without port or brackets.
    pub(crate) host: String,
    /// `port`: 0 takes any free port.
    pub(crate) port: u16,
    /// `token`: what must be shown; beyond this machine there must be one.
    pub(crate) token: Option<Token>,
    /// `otlp_endpoint`: the collector that spans are sent to.
    pub(crate) otlp_endpoint: Option<String>,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LogConfig {
    /// `format`: what a line looks like.
    pub(crate) format: LogFormat,
    /// `filter`: a level, or levels of modules.
    pub(crate) filter: Option<String>,
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// What a port shows of itself (`tls`). PEM files, read at the start and on SIGHUP; relative to where the server starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// `cert`: the certificate, and behind it those that lead to an authority.
    pub(crate) cert: PathBuf,
    /// `key`: the private key of the certificate.
    pub(crate) key: PathBuf,
}

/// Where items are kept (`adapter`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AdapterConfig {
    /// `modules::stream::adapters::KvStore` with `store_method: file_based`.
    File {
        /// `file_path`: a folder.
        path: PathBuf,
        /// The other keys.
        options: FileOptions,
    },
    /// `modules::stream::adapters::KvStore` with `store_method: in_memory`: lost on restart.
    InMemory,
    /// `modules::stream::adapters::RedisAdapter`: shared by all nodes.
    Redis(RedisOptions),
    /// Any other path: the functions that begin with it, of a connected worker.
    Functions(String),
}

/// Where the file store is unless `file_path` says otherwise.
const FILE_PATH: &str = "./data/streams";
/// Where Redis is unless `redis_url` says otherwise.
const REDIS_URL: &str = "redis://localhost:6379";

impl Default for AdapterConfig {
    fn default() -> Self {
        Self::File { path: FILE_PATH.into(), options: FileOptions::default() }
    }
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: 49134, tls: None, settings: WorkerSettings::default() }
    }
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { enabled: true, host: "127.0.0.1".to_owned(), port: 9464, token: None, otlp_endpoint: None }
    }
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { host: "0.0.0.0".to_owned(), port: 3112, tls: None, adapter: AdapterConfig::default(), settings: StreamSettings::default() }
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
        Some(path) => Ok(modules::read(source::parse(path)?.0, env)?.0),
    }
}
