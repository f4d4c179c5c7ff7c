//! The `weir` server: configuration, listeners, signals and logs around `weir-actors`, and the commands beside it.

mod arguments;
mod client;
mod admin;
mod commands;
mod config;
mod control;
mod json;
mod listener;
mod reload;
mod serve;
mod tls;

use std::io::IsTerminal;
use std::process::ExitCode;

use anstream::ColorChoice;
use arguments::{Arguments, Command};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    ColorChoice::from(arguments.color).write_global();
    let serves = matches!(arguments.command, None | Some(Command::Serve));
    let default = if serves { "info,actix_server=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    let json = arguments.json && !serves;
    match run(arguments) {
        Ok(code) => code,
        Err(error) => commands::failed(&error, json),
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.command {
        None | Some(Command::Serve) => {}
        Some(command) => return commands::run(command, arguments.config.as_deref(), arguments.json),
    }
    let config = config::load(arguments.config.as_deref(), &|name| std::env::var(name).ok())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !config.skipped.is_empty() {
        tracing::warn!(classes = config.skipped.join(", "), "modules that Weir does not serve are skipped");
    }
    actix_rt::System::new().block_on(serve::serve(config, arguments.config))?;
    Ok(ExitCode::SUCCESS)
}
