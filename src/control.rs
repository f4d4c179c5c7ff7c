//! The socket by which commands reach the server that runs on a store: `control` in the store's folder, for its owner only.
//!
//! One request per connection, as one line of JSON. An export is answered by its NDJSON lines; everything else by one line, which is
//! [`Reply`]. Behind an import's request comes its NDJSON, until the sender closes its side.

mod client;
mod import;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use weir_actors::adapter::file::FileStoreHandle;
use weir_actors::adapter::file::folder::CONTROL;
use weir_actors::streams::{Streams, WeakStreams};

pub(crate) use client::Client;
pub(crate) use import::run as import;

/// Commands that are carried out at a time.
const COMMANDS: usize = 4;
/// How long the request itself may take, and its length.
const REQUEST: (Duration, u64) = (Duration::from_secs(10), 64 << 10);
/// How long the other side may take nothing.
const WRITE_DEADLINE: Duration = Duration::from_secs(60);

/// What a command asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    /// Copy the store into this folder.
    Backup(PathBuf),
    /// Read through all of the store.
    Verify,
    /// Write a stream as NDJSON.
    Export(String),
    /// Read a stream as NDJSON.
    Import(Import),
}

/// How a stream is read.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
pub(crate) struct Import {
    /// Import into this stream instead of the one that was exported.
    #[arg(long = "as", value_name = "STREAM")]
    pub(crate) rename: Option<String>,
    /// Import into a stream that holds items already; those of the same name are replaced.
    #[arg(long)]
    pub(crate) merge: bool,
}

/// How a request ended.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reply {
    /// What came of it.
    Ok(serde_json::Value),
    /// Why it failed.
    Error(String),
}

/// The listening socket. Dropping it ends it.
pub(crate) struct Control {
    task: actix_rt::task::JoinHandle<()>,
    path: PathBuf,
}

impl Control {
    /// Listens in the folder of the store. Where that cannot be, the log says so, and the server runs without it.
    pub(crate) fn start(folder: &Path, store: FileStoreHandle, streams: &Streams) -> Option<Self> {
        let path = folder.join(CONTROL);
        match listen(folder) {
            Ok(listener) => Some(Self { task: actix_rt::spawn(accept(listener, store, streams.downgrade())), path }),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "no control socket; `weir backup`, `export` and `import` work only while the server is stopped");
                None
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        let _ = fs::remove_file(&self.path);
    }
}

/// The address of the control socket, short enough for the system whatever the folder's path is; good for as long as the folder is open.
fn address(folder: &Path) -> io::Result<(File, String)> {
    let folder = File::open(folder)?;
    let address = format!("/proc/self/fd/{}/{CONTROL}", folder.as_raw_fd());
    Ok((folder, address))
}

fn listen(folder: &Path) -> io::Result<UnixListener> {
    let (_folder, address) = address(folder)?;
    // The store is locked by this process, so what is there is left of one that ended badly.
    match fs::remove_file(&address) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&address)?;
    fs::set_permissions(&address, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, store: FileStoreHandle, streams: WeakStreams) {
    let places = Arc::new(Semaphore::new(COMMANDS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _)) => {
                let (store, Some(streams)) = (store.clone(), streams.upgrade()) else { return };
                actix_rt::spawn(async move {
                    match carry_out(socket, store, &streams).await {
                        Ok(()) => {}
                        // Who only looks whether somebody is here, as `weir doctor` does.
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => tracing::debug!(%error, "a command was broken off"),
                        Err(error) => tracing::warn!(%error, "a command was broken off"),
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the control socket does not accept");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

async fn carry_out(socket: UnixStream, store: FileStoreHandle, streams: &Streams) -> io::Result<()> {
    let mut socket = BufReader::new(socket);
    let mut line = Vec::new();
    tokio::time::timeout(REQUEST.0, (&mut socket).take(REQUEST.1).read_until(b'\n', &mut line)).await??;
    let request = match serde_json::from_slice(&line) {
        Ok(request) => request,
        Err(error) => return answer(socket.get_mut(), Err(format!("the server does not know this command: {error}"))).await,
    };
    tracing::info!(?request, "command");
    let result = match request {
        Request::Backup(to) => blocking(move || store.backup(&to)).await,
        Request::Verify => blocking(move || store.verify()).await,
        Request::Import(import) => import::run(&mut socket, &import, streams).await.map(Into::into),
        Request::Export(stream) => {
            let socket = socket.into_inner().into_std()?;
            let written = tokio::task::spawn_blocking(move || export(&socket, &store, &stream));
            return written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        }
    };
    answer(socket.get_mut(), result).await
}

async fn blocking<T: Serialize + Send + 'static, E: std::fmt::Display + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<serde_json::Value, String> {
    let result = tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?;
    result.map_err(|error| error.to_string()).and_then(|done| serde_json::to_value(done).map_err(|error| error.to_string()))
}

async fn answer(socket: &mut UnixStream, result: Result<serde_json::Value, String>) -> io::Result<()> {
    let mut line = serde_json::to_vec(&result.map_or_else(Reply::Error, Reply::Ok))?;
    line.push(b'\n');
    tokio::time::timeout(WRITE_DEADLINE, socket.write_all(&line)).await?
}

fn export(socket: &std::os::unix::net::UnixStream, store: &FileStoreHandle, stream: &str) -> io::Result<()> {
    socket.set_nonblocking(false)?;
    socket.set_write_timeout(Some(WRITE_DEADLINE))?;
    let mut out = BufWriter::with_capacity(64 << 10, socket);
    if let Err(error) = store.export(stream, &mut out) {
        serde_json::to_writer(&mut out, &Reply::Error(error.to_string()))?;
        out.write_all(b"\n")?;
    }
    out.flush()
}
