//! An import into a store that no server uses: a system is started on it for as long as that takes.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::{anyhow, bail};
use tokio::io::{AsyncRead, BufReader, ReadBuf};
use weir_actors::adapter::file::{FileStore, FolderError};
use weir_actors::settings::Settings;
use weir_actors::streams::Streams;

use crate::config::{AdapterConfig, Config};
use crate::control::{self, Import};

/// A file or a pipe. It blocks; nothing else runs on this thread.
struct Blocking<R>(R);

impl<R: Read + Unpin> AsyncRead for Blocking<R> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = self.0.read(into.initialize_unfilled())?;
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

/// Reads NDJSON and sets its items; how many. Only with `create` a store is made: where there is none, `--config` was probably forgotten.
///
/// # Errors
/// What is wrong with the file or the store; what was set before stays.
pub(super) fn run(config: &Config, from: impl Read + Unpin, import: &Import, create: bool) -> anyhow::Result<u64> {
    let AdapterConfig::File { path, options } = &config.stream.adapter else { bail!("the configured adapter has no folder to write into") };
    let store = match FileStore::open_existing(path, options.clone()) {
        Err(FolderError::NoStore { .. }) if create => FileStore::open(path, options.clone())?,
        Err(error @ FolderError::NoStore { .. }) => return Err(anyhow!("{error}; `--create` makes one")),
        opened => opened?,
    };
    let settings = Settings { stream: config.stream.settings.clone(), ..Settings::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let streams = Streams::builder().adapter(store).settings(settings).start().await?;
        let imported = control::import(&mut BufReader::new(Blocking(from)), import, &streams).await;
        streams.shutdown().await;
        imported.map_err(anyhow::Error::msg)
    })
}
