//! The commands beside the server, one noun or verb per file; `output` is what they print by.

pub(crate) mod call;
mod check_config;
pub(crate) mod completions;
mod doctor;
pub(crate) mod event;
pub(crate) mod health;
pub(crate) mod item;
pub(crate) mod listing;
mod output;
pub(crate) mod store;
pub(crate) mod top;
pub(crate) mod watch;

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use crate::arguments::Command;
use crate::client::ClientError;
use crate::config::{self, Config, ConfigError};
use output::Output;

/// Carries out a command other than `serve`.
///
/// # Errors
/// What went wrong and what to do.
pub(crate) fn run(command: Command, path: Option<&Path>, json: bool) -> anyhow::Result<ExitCode> {
    let out = &mut Output::new(json);
    match command {
        // Main's own.
        Command::Serve => return Ok(ExitCode::SUCCESS),
        Command::Completions(completions) => completions.run(out),
        Command::CheckConfig => return check_config::run(path, out),
        Command::Doctor => return doctor::run(path, out),
        Command::Health(health) => return health.run(&read(path)?, out),
        Command::Call(call) => call.run(&read(path)?, out),
        Command::Get(get) => get.run(&read(path)?, out),
        Command::Set(set) => set.run(&read(path)?, out),
        Command::Update(update) => update.run(&read(path)?, out),
        Command::Delete(delete) => delete.run(&read(path)?, out),
        Command::List(list) => list.run(&read(path)?, out),
        Command::Streams(streams) => streams.run(&read(path)?, out),
        Command::Send(send) => send.run(&read(path)?, out),
        Command::Watch(watch) => watch.run(&read(path)?, out),
        Command::Top(top) => top.run(&read(path)?, out),
        Command::Store(command) => {
            let config = read(path)?;
            for warning in &config.warnings {
                tracing::warn!("{warning}");
            }
            return store::run(command, &config, out);
        }
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The exit code of a command that was written wrong.
const MISWRITTEN: u8 = 2;

/// Tells that a command, or the server, has failed.
pub(crate) fn failed(error: &anyhow::Error, json: bool) -> ExitCode {
    let client = error.downcast_ref::<ClientError>();
    if json {
        let (code, message) = match client {
            Some(error) => (error.code(), error.message()),
            None if error.is::<ConfigError>() => ("bad_configuration", format!("{error:#}")),
            None => ("command_failed", format!("{error:#}")),
        };
        as_json(code, &message);
    } else {
        output::note(format_args!("weir: {error:#}"));
    }
    match client {
        Some(ClientError::BadJson(_)) => ExitCode::from(MISWRITTEN),
        _ => ExitCode::FAILURE,
    }
}

/// Tells a script that its command line was written wrong.
pub(crate) fn miswritten(error: &clap::Error) -> ExitCode {
    let said = error.render().to_string();
    as_json("bad_arguments", said.trim().trim_start_matches("error: "));
    ExitCode::from(MISWRITTEN)
}

fn as_json(code: &str, message: &str) {
    // Where nobody reads, there is nobody to tell.
    let _ = Output::new(true).json(&json!({"error": {"code": code, "message": message}}).to_string());
}

fn read(path: Option<&Path>) -> Result<Config, ConfigError> {
    config::load(path, &|name| std::env::var(name).ok())
}

/// Runs what waits for sockets.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}
