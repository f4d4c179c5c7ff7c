//! `weir health`: whether a server is ready, for health checks of containers and scripts.

use std::process::ExitCode;
use std::time::Duration;

use super::block_on;
use super::output::Output;
use crate::client::{Address, http};
use crate::config::Config;
use crate::json::visible;

/// Asks a server how it is.
#[derive(clap::Args)]
pub(crate) struct Health {
    /// Ask only whether it answers at all, not whether it is ready.
    #[arg(long)]
    live: bool,
    /// Stream or admin port, such as http://localhost:3112; else the stream port of the configuration.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// How long the answer may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2)]
    timeout: u64,
}

impl Health {
    /// Prints the answer; a failure where it is not ready.
    ///
    /// # Errors
    /// Where there is none.
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<ExitCode> {
        let address = Address::of_streams(self.url.as_deref(), None, config)?;
        let path = if self.live { "/health/live" } else { "/health/ready" };
        let health = block_on(async { Ok(http::health(&address, path, Duration::from_secs(self.timeout)).await?) })?;
        if out.is_json() {
            out.json(&serde_json::to_string(&health)?)?;
        } else if health.ready {
            out.line(format_args!("{}", if self.live { "live" } else { "ready" }))?;
        } else {
            out.line(format_args!("not ready: {}", visible(&health.reasons.join("; "))))?;
        }
        Ok(if health.ready { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
