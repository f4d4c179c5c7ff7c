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

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::ColorChoice;
use arguments::{Arguments, Command};
use clap::Parser;
use config::{LogConfig, LogFormat};

/// Names the configuration where `--config` does not.
const CONFIG: &str = "WEIR_CONFIG";

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What is logged where nobody says otherwise. actix-http has an ERROR, without an address, for each byte that is no HTTP, which anybody may send.
const LOG_FILTER: &str = "info,actix_server=warn,actix_http=off";

fn main() -> ExitCode {
    let mut arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // What was asked for, as help is.
        Err(said) if !said.use_stderr() => said.exit(),
        Err(error) if env::args_os().take_while(|word| word != "--").any(|word| word == "--json") => return commands::miswritten(&error),
        Err(error) => error.exit(),
    };
    arguments.config = arguments.config.or_else(|| env::var_os(CONFIG).filter(|path| !path.is_empty()).map(PathBuf::from));
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
    let config = config::load(arguments.config.as_deref(), &|name| env::var(name).ok())?;
    log::start(&config.log, LOG_FILTER)?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !config.skipped.is_empty() {
        tracing::warn!(classes = config.skipped.join(", "), "modules that Weir does not serve are skipped");
    }
    let format = config.log.format;
    let served = actix_rt::System::new().block_on(serve::serve(config, arguments.config));
    if let (Err(error), LogFormat::Json) = (&served, format) {
        // What collects logs reads no other lines.
        tracing::error!(error = format!("{error:#}"), "the server ends");
    }
    served.map(|()| ExitCode::SUCCESS)
}
