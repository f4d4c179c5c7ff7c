//! The log: text for people or JSON for machines, on standard error.

use std::env;
use std::io::{self, IsTerminal};

use anyhow::anyhow;
use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};

/// What filters the log in place of the configuration; the first that says anything counts.
const VARIABLES: [&str; 2] = ["WEIR_LOG", "RUST_LOG"];

/// The variable that says what the log holds, and what it says; whether that can be read is another question.
fn variable() -> Option<(&'static str, String)> {
    VARIABLES.into_iter().find_map(|name| Some((name, env::var(name).ok().filter(|text| !text.trim().is_empty())?)))
}

/// The variable whose filter takes the place of the configuration's, and that filter.
pub(crate) fn held_by_variable() -> Option<(&'static str, String)> {
    variable().filter(|(_, text)| EnvFilter::try_new(text).is_ok())
}

fn configured(config: &LogConfig) -> anyhow::Result<Option<EnvFilter>> {
    let filter = config.filter.as_ref().map(EnvFilter::try_new).transpose();
    filter.map_err(|error| anyhow!("log.filter: {error}; write a level, or levels of modules: info,weir_actors=debug"))
}

/// Looks at the configuration as [`start`] does.
///
/// # Errors
/// As there.
pub(crate) fn check(config: &LogConfig) -> anyhow::Result<()> {
    if held_by_variable().is_none() {
        configured(config)?;
    }
    Ok(())
}

/// Begins to log, filtered by `default` where nobody says otherwise.
///
/// # Errors
/// Where the filter of the configuration is none. Variables may be meant for others too: what is wrong with them is logged.
pub(crate) fn start(config: &LogConfig, default: &str) -> anyhow::Result<()> {
    let mut wrong = None;
    let filter =
        variable().and_then(|(name, text)| EnvFilter::try_new(text).inspect_err(|error| wrong = Some((name, error.to_string()))).ok());
    let filter = match filter {
        Some(filter) => filter,
        None => configured(config)?.unwrap_or_else(|| EnvFilter::new(default)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.format {
        LogFormat::Text => log.with_ansi(io::stderr().is_terminal()).init(),
        // Fields beside the message, where what collects logs looks for them.
        LogFormat::Json => log.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
    if let Some((variable, error)) = wrong {
        tracing::warn!(variable, %error, "the filter of the log cannot be read; it is not used");
    }
    Ok(())
}
