//! SIGHUP: the configuration and the certificates are read again, and what concerns connections to come is taken. All of it or, where something
//! is wrong with the files, nothing.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use weir_actors::settings::Guards;
use weir_actors::streams::Streams;

use crate::admin::Gate;
use crate::config::changes::{self, Changed};
use crate::config::{self, Config};
use crate::tls::Certificates;

/// What is read again.
pub(crate) struct Reload {
    path: Option<PathBuf>,
    /// What holds now: as at the start, but for what was taken since. Locked while files are read, so that what was read last is what stays.
    holds: Mutex<Config>,
    tls: Certificates,
    streams: Streams,
    admin: Option<Arc<Gate>>,
}

impl Reload {
    /// For a server that runs with `config`, from the file at `path`.
    pub(crate) fn new(path: Option<PathBuf>, config: Config, tls: Certificates, streams: Streams, admin: Option<Arc<Gate>>) -> Self {
        Self { path, holds: Mutex::new(config), tls, streams, admin }
    }

    /// Reads the files and logs what came of it.
    pub(crate) fn again(&self) {
        if let Err(error) = self.take(&mut self.holds.lock()) {
            tracing::error!(error = format!("{error:#}"), "SIGHUP: the files cannot be taken; everything stays as it was");
        }
    }

    fn take(&self, holds: &mut Config) -> anyhow::Result<()> {
        let fresh = match &self.path {
            Some(path) => config::load(Some(path), &|name| std::env::var(name).ok())?,
            None => holds.clone(),
        };
        let certificates = self.tls.read_again(&fresh)?;
        if let Some(admin) = &self.admin {
            admin.allows(fresh.admin.token.as_ref())?;
        }
        // Nothing fails from here on.
        for warning in &fresh.warnings {
            tracing::warn!("SIGHUP: {warning}");
        }
        for Changed { module, key } in changes::between(holds, &fresh) {
            match (module, key) {
                ("stream", "allowed_origins") => holds.stream.settings.allowed_origins.clone_from(&fresh.stream.settings.allowed_origins),
                ("admin", "token") if self.admin.is_some() => holds.admin.token.clone_from(&fresh.admin.token),
                ("worker", "token") => holds.worker.settings.token.clone_from(&fresh.worker.settings.token),
                ("stream", "tls") if self.tls.streams.is_some() && fresh.stream.tls.is_some() => {
                    holds.stream.tls.clone_from(&fresh.stream.tls)
                }
                ("worker", "tls") if self.tls.workers.is_some() && fresh.worker.tls.is_some() => {
                    holds.worker.tls.clone_from(&fresh.worker.tls)
                }
                _ => {
                    tracing::warn!(module, key, "SIGHUP: changed in the file; it needs a restart");
                    continue;
                }
            }
            tracing::info!(module, key, "SIGHUP: changed, for new connections");
            if (module, key) == ("worker", "token") && fresh.worker.settings.token.is_none() {
                tracing::warn!("SIGHUP: workers need no token from now on");
            }
        }
        let (allowed_origins, token) = (holds.stream.settings.allowed_origins.clone(), holds.worker.settings.token.clone());
        self.streams.set_guards(Guards { allowed_origins, token });
        if let Some(admin) = &self.admin {
            admin.set_token(holds.admin.token.clone());
        }
        certificates.show();
        tracing::info!("SIGHUP: the configuration has been read again");
        Ok(())
    }
}
