//! `weir doctor`: what a server needs, looked at one after the other. Nothing is changed.

mod machine;
mod ports;
mod redis;
mod store;

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::json;
use unicode_width::UnicodeWidthStr;
use weir_actors::adapter::file::folder;

use super::block_on;
use super::output::{DIM, GREEN, Output, RED, YELLOW};
use crate::config::{self, AdapterConfig, Config};
use crate::log;
use crate::tls::Certificates;

/// What was found about one thing.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    /// The thing.
    what: &'static str,
    verdict: Verdict,
    /// What was found.
    detail: String,
    /// What to do, where that is not nothing.
    advice: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, but perhaps not as it is meant to.
    Warn,
    /// A server does not start, or does not do its work.
    Fail,
}

impl Check {
    fn ok(what: &'static str, detail: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Ok, detail: detail.into(), advice: None }
    }

    fn warn(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Warn, detail: detail.into(), advice: Some(advice.into()) }
    }

    fn fail(what: &'static str, detail: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what, verdict: Verdict::Fail, detail: detail.into(), advice: Some(advice.into()) }
    }
}

/// Who has the store of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody: whatever server answers is another one.
    Nobody,
    /// This process.
    Process(u32),
    /// It is not in files, or that cannot be read.
    Unknown,
}

impl Owner {
    fn of(config: &Config) -> Self {
        let AdapterConfig::File { path, .. } = &config.stream.adapter else { return Self::Unknown };
        match folder::owner(path) {
            Ok(None) => Self::Nobody,
            Ok(Some(owner)) => owner.strip_prefix("process ").and_then(|id| id.parse().ok()).map_or(Self::Unknown, Self::Process),
            Err(_) => Self::Unknown,
        }
    }
}

/// Runs all checks; a failure where one fails.
///
/// # Errors
/// Where the result cannot be written.
pub(super) fn run(path: Option<&Path>, out: &mut Output) -> anyhow::Result<ExitCode> {
    let (mut checks, config) = configuration(path);
    let owner = config.as_ref().map_or(Owner::Unknown, Owner::of);
    if let Some(config) = &config {
        checks.extend(block_on(async { Ok(ports::check(config, &owner).await) })?);
        checks.extend(store(config)?);
        checks.extend(block_on(async { Ok(ports::collector(config).await) })?);
    }
    checks.extend(machine::check(config.as_ref(), &owner));
    let failed = checks.iter().any(|check| check.verdict == Verdict::Fail);
    if out.is_json() {
        out.json(&json!({"ok": !failed, "checks": checks}).to_string())?;
    } else {
        checks.iter().try_for_each(|check| show(check, out))?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn configuration(path: Option<&Path>) -> (Vec<Check>, Option<Config>) {
    let config = match config::load(path, &|name| std::env::var(name).ok()) {
        Ok(config) => config,
        Err(error) => return (vec![Check::fail("configuration", error.to_string(), "`weir check-config` shows what holds")], None),
    };
    let file = path.map_or_else(|| "no file; the defaults hold".to_owned(), |path| path.display().to_string());
    let mut checks = vec![match config.warnings.len() {
        0 => Check::ok("configuration", file),
        1 => Check::warn("configuration", format!("{file}, with a warning"), "`weir check-config` shows it"),
        many => Check::warn("configuration", format!("{file}, with {many} warnings"), "`weir check-config` shows them"),
    }];
    if let Err(error) = log::check(&config.log) {
        checks.push(Check::fail("log", format!("{error:#}"), "correct it, or set it to null"));
    }
    if config.worker.tls.is_some() || config.stream.tls.is_some() {
        checks.push(match Certificates::read(&config) {
            Ok(_) => Check::ok("certificates", "certificate and key of each port fit"),
            Err(error) => Check::fail("certificates", format!("{error:#}"), "correct the files of `tls`"),
        });
    }
    (checks, Some(config))
}

fn store(config: &Config) -> anyhow::Result<Vec<Check>> {
    Ok(match &config.stream.adapter {
        AdapterConfig::File { path, options } => store::check(path, options),
        AdapterConfig::Redis(options) => block_on(async { Ok(redis::check(options).await) })?,
        AdapterConfig::InMemory => vec![Check::ok("store", "in memory; everything is gone when the server stops")],
        AdapterConfig::Functions(prefix) => vec![Check::ok("store", format!("functions {prefix}::… of a connected worker"))],
    })
}

fn show(check: &Check, out: &mut Output) -> std::io::Result<()> {
    let Check { what, verdict, detail, advice } = check;
    let (word, style) = match verdict {
        Verdict::Ok => ("ok", GREEN),
        Verdict::Warn => ("warn", YELLOW),
        Verdict::Fail => ("fail", RED),
    };
    let begin = format!("{word:<4}  {what:<13}  ");
    let line = format!("{style}{word:<4}{style:#}  {what:<13}  {detail}");
    match advice {
        None => out.line(format_args!("{line}")),
        Some(advice) => {
            let fits = out.columns().is_none_or(|columns| begin.len() + detail.width() + advice.width() + "  ()".len() <= columns);
            let between = if fits { "  ".to_owned() } else { format!("\n{:indent$}", "", indent = begin.len()) };
            out.line(format_args!("{line}{between}{DIM}({advice}){DIM:#}"))
        }
    }
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => format!("{bytes} bytes"),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes >> 20),
        _ => format!("{} GiB", bytes >> 30),
    }
}
