//! The `weir` server: configuration, listeners, signals and logs around `weir-actors`, and the commands beside it.

mod admin;
mod arguments;
mod client;
mod commands;
mod config;
mod control;
mod json;
mod listener;
mod log;
mod otlp;
mod reload;
mod serve;
mod tls;

use std::process::ExitCode;

use anstream::ColorChoice;
use arguments::{Arguments, Command};
use clap::Parser;
use config::LogConfig;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is logged where nobody says otherwise. actix-http has an ERROR, without an address, for each byte that is no HTTP, which anybody may send.
const LOG_FILTER: &str = "info,actix_server=warn,actix_http=off";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ColorChoice::from(arguments.color).write_global();
    let json = arguments.json && !matches!(arguments.command, None | Some(Command::Serve));
    match run(arguments) {
        Ok(code) => code,
        Err(error) => commands::failed(&error, json),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None | Some(Command::Serve) => {}
        Some(command) => {
            log::start(&LogConfig::default(), "warn")?;
            return commands::run(command, arguments.config.as_deref(), arguments.json);
        }
    }
    let config = config::load(arguments.config.as_deref(), &|name| std::env::var(name).ok())?;
    log::start(&config.log, LOG_FILTER)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !config.skipped.is_empty() {
        tracing::warn!(classes = config.skipped.join(", "), "modules that Weir does not serve are skipped");
    }
    actix_rt::System::new().block_on(serve::serve(config, arguments.config))?;
    Ok(ExitCode::SUCCESS)
}
