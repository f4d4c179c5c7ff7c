//! The `weir` server: configuration, listeners, signals and logs around `weir-actors`.

mod config;
mod serve;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Durable real-time streams: a worker writes, every subscriber sees it, triggers fire.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file (YAML); without one, workers connect to 127.0.0.1:49134 and clients to port 3112.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,actix_server=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr).init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(std::io::stderr(), "weir: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let config = config::load(arguments.config.as_deref(), &|name| std::env::var(name).ok())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    if !config.skipped.is_empty() {
        tracing::warn!(classes = config.skipped.join(", "), "modules that Weir does not serve are skipped");
    }
    actix_rt::System::new().block_on(serve::serve(config))
}
