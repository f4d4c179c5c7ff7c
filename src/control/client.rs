//! The side of the command.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use super::{Reply, Request};

const GONE: &str = "the server went away before it answered; its log may say why";

/// A connection to the server that runs on a store.
pub(crate) struct Client(UnixStream);

impl Client {
    /// Connects to the server that runs on the store in `folder`; `None` where none does.
    pub(crate) fn connect(folder: &Path) -> Option<Self> {
        let (_folder, address) = super::address(folder).ok()?;
        UnixStream::connect(address).ok().map(Self)
    }

    /// Asks, and waits for as long as it takes.
    ///
    /// # Errors
    /// What the server answers, or that it went away.
    pub(crate) fn ask<T: DeserializeOwned>(mut self, request: &Request, body: &mut dyn Read) -> anyhow::Result<T> {
        self.send(request)?;
        // Where the server has seen enough, it answers and closes; the answer says more than the failure to write.
        let _ = io::copy(body, &mut self.0);
        let _ = self.0.shutdown(Shutdown::Write);
        let mut line = String::new();
        BufReader::new(&self.0).read_line(&mut line).context(GONE)?;
        match serde_json::from_str(&line).context(GONE)? {
            Reply::Ok(done) => Ok(serde_json::from_value(done)?),
            Reply::Error(error) => bail!(error),
        }
    }

    /// Has a stream exported to `out`; how many lines that were.
    ///
    /// # Errors
    /// What the server answers, that it went away, or that `out` cannot be written.
    pub(crate) fn export(mut self, stream: &str, out: &mut impl Write) -> anyhow::Result<()> {
        self.send(&Request::Export(stream.to_owned()))?;
        let mut lines = BufReader::with_capacity(64 << 10, &self.0);
        let mut line = Vec::new();
        loop {
            line.clear();
            if lines.read_until(b'\n', &mut line).context(GONE)? == 0 {
                bail!(GONE);
            }
            if line.starts_with(b"{\"error\":")
                && let Ok(Reply::Error(error)) = serde_json::from_slice(&line)
            {
                bail!(error);
            }
            out.write_all(&line)?;
            if line.starts_with(b"{\"end\":") {
                return Ok(out.flush()?);
            }
        }
    }

    fn send(&mut self, request: &Request) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.0.write_all(&line).context(GONE)
    }
}
