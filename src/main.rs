//! The `weir` server: configuration, listeners, signals and logs around `weir-actors`, and the commands that look after its store.

mod commands;
mod config;
mod control;
mod listener;
mod reload;
mod serve;
mod tls;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Durable real-time streams: a worker writes, every subscriber sees it, triggers fire.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file (YAML); without one, workers connect to 127.0.0.1:49134, clients to port 3112, and items are in ./data/streams.
    #[arg(short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve workers and clients. This is what runs without a command.
    Serve,
    #[command(flatten)]
    Store(commands::StoreCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let serves = matches!(arguments.command, None | Some(Command::Serve));
    let default = if serves { "info,actix_server=warn" } else { "warn" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    match run(arguments) {
        Ok(code) => code,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let config = config::load(arguments.config.as_deref(), &|name| std::env::var(name).ok())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if let Some(Command::Store(command)) = arguments.command {
        return commands::run(command, &config);
    }
    if !config.skipped.is_empty() {
        tracing::warn!(classes = config.skipped.join(", "), "modules that Weir does not serve are skipped");
    }
    actix_rt::System::new().block_on(serve::serve(config, arguments.config))?;
    Ok(ExitCode::SUCCESS)
}
