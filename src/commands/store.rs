//! Commands that look after the store: through the server that runs on it, or on the folder itself where none does.

mod import;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use serde_json::json;
use weir_actors::adapter::file::maintain::{self, Copied};
use weir_actors::adapter::file::verify::{self, Verification};
use weir_actors::adapter::file::{FileOptions, FileStore, FolderError};

use super::output::{GREEN, Output, RED, Raw, tell_of_standard_input};
use crate::config::{AdapterConfig, Config};
use crate::control::{Client, Import, Request};

/// A command for the file store that the configuration names.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Write one stream as NDJSON, as it is at one moment, while the server runs or without it.
    #[command(after_help = "Example:\n  weir export chat > chat.ndjson")]
    Export {
        /// The stream.
        stream: String,
        /// Write into this file instead of to standard output. It must not exist.
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Read a stream that `export` has written. Where the server runs, subscribers and triggers see each item come.
    #[command(after_help = "Examples:\n  weir import chat.ndjson --as chat-again\n  weir --config weir.yaml import chat.ndjson --create")]
    Import {
        /// The file; standard input where it is missing.
        file: Option<PathBuf>,
        #[command(flatten)]
        how: Import,
        /// Make a store where there is none, and no server either.
        #[arg(long)]
        create: bool,
    },
    /// Copy the whole store into a folder, as it is at one moment, while the server runs or without it.
    #[command(after_help = "Example:\n  weir backup /backups/monday")]
    Backup {
        /// An empty folder, or one that does not exist.
        folder: PathBuf,
    },
    /// Make a backup the store. The server must be stopped.
    #[command(after_help = "Example:\n  weir restore /backups/monday --replace")]
    Restore {
        /// What `backup` has written.
        folder: PathBuf,
        /// Put a store that is there already aside, in its folder.
        #[arg(long)]
        replace: bool,
    },
    /// Read through the whole store, or a backup, and report what is damaged. Changes nothing.
    #[command(after_help = "Examples:\n  weir verify\n  weir verify /backups/monday")]
    Verify {
        /// A backup, or the folder of another store.
        folder: Option<PathBuf>,
    },
}

/// Carries out a command.
///
/// # Errors
/// What went wrong and what to do.
pub(super) fn run(command: StoreCommand, config: &Config, out: &mut Output) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Export { stream, output } => {
            export(store_folder(config)?, &stream, output.as_deref())?;
            // Standard output has the stream itself.
            if let Some(path) = output.filter(|_| out.is_json()) {
                out.json(&json!({"path": path}).to_string())?;
            }
        }
        StoreCommand::Import { file, how, create } => {
            let store = store_folder(config)?;
            let from: Box<dyn Read> = match &file {
                Some(path) => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
                None => {
                    tell_of_standard_input();
                    Box::new(io::stdin())
                }
            };
            let items = import(config, store, from, (how, create))?;
            if out.is_json() {
                out.json(&json!({"items": items, "store": store}).to_string())?;
            } else {
                let many = if items == 1 { "" } else { "s" };
                out.line(format_args!("{items} item{many} imported into {}", store.display()))?;
            }
        }
        StoreCommand::Backup { folder } => {
            let (store, to) = (store_folder(config)?, std::path::absolute(&folder)?);
            let copied = match Client::connect(store) {
                Some(server) => server.ask(&Request::Backup(to), &mut io::empty())?,
                None => maintain::backup(store, &to)?,
            };
            tell_copied("backup of", store, &copied, out)?;
        }
        StoreCommand::Restore { folder, replace } => {
            let store = store_folder(config)?;
            let copied = maintain::restore(&folder, store, replace).map_err(|error| of_folder(error, &folder))?;
            tell_copied("restored from", &folder, &copied, out)?;
        }
        StoreCommand::Verify { folder } => {
            let store = folder.as_deref().map_or_else(|| store_folder(config), Ok)?;
            let found: Verification = match Client::connect(store) {
                Some(server) => server.ask(&Request::Verify, &mut io::empty())?,
                None => verify::verify(store).map_err(|error| match &folder {
                    Some(folder) => of_folder(error, folder),
                    None => error.into(),
                })?,
            };
            return tell_verified(store, &found, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is wrong with a folder of the command line, where `file_path` has nothing to do with it.
fn of_folder(error: FolderError, named: &Path) -> anyhow::Error {
    const ADVICE: &str = "give a folder that `weir backup` has written, or that of a store";
    match error {
        FolderError::NotAStore { path, found } if path == named => {
            anyhow!("{} is not a Weir store: it holds {found}; {ADVICE}", path.display())
        }
        FolderError::NoStore { path } if path == named => anyhow!("{} holds no Weir store; {ADVICE}", path.display()),
        error => error.into(),
    }
}

fn store_folder(config: &Config) -> anyhow::Result<&Path> {
    match &config.stream.adapter {
        AdapterConfig::File { path, .. } => Ok(path),
        AdapterConfig::InMemory => bail!("the configured adapter keeps items in memory; there is no store to work on"),
        AdapterConfig::Redis(_) => bail!(
            "the configured adapter keeps items in Redis, which has its own backups (BGSAVE, or its append-only file); this command is for a store in files"
        ),
        AdapterConfig::Functions(prefix) => bail!("the configured adapter is a worker's, {prefix}; look after its items there"),
    }
}

fn export(store: &Path, stream: &str, output: Option<&Path>) -> anyhow::Result<()> {
    let mut out: Box<dyn Write> = match output {
        Some(path) => Box::new(File::create_new(path).with_context(|| format!("cannot make {}", path.display()))?),
        None => Box::new(Raw::new()),
    };
    let written = export_to(store, stream, &mut BufWriter::with_capacity(64 << 10, &mut out));
    if let (Err(_), Some(path)) = (&written, output) {
        // Half a file is worse than none.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn export_to(store: &Path, stream: &str, out: &mut impl Write) -> anyhow::Result<()> {
    match Client::connect(store) {
        Some(server) => server.export(stream, out),
        None => {
            FileStore::open_existing(store, FileOptions::default())?.handle().export(stream, out)?;
            Ok(())
        }
    }
}

fn import(config: &Config, store: &Path, mut from: Box<dyn Read>, (how, create): (Import, bool)) -> anyhow::Result<u64> {
    match Client::connect(store) {
        Some(server) => server.ask(&Request::Import(how), &mut from),
        None => import::run(config, from, &how, create),
    }
}

fn tell_copied(what: &str, from: &Path, copied: &Copied, out: &mut Output) -> anyhow::Result<()> {
    if out.is_json() {
        return Ok(out.json(&serde_json::to_string(copied)?)?);
    }
    let Copied { files, bytes, path, aside, .. } = copied;
    out.line(format_args!("{what} {}: {files} files, {bytes} bytes in {}", from.display(), path.display()))?;
    if let Some(aside) = aside {
        out.line(format_args!("the store that was there is in {}", aside.display()))?;
    }
    Ok(())
}

fn tell_verified(store: &Path, found: &Verification, out: &mut Output) -> anyhow::Result<ExitCode> {
    let code = if found.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    if out.is_json() {
        out.json(&serde_json::to_string(found)?)?;
        return Ok(code);
    }
    let Verification { streams, groups, items, bytes, .. } = found;
    out.line(format_args!("{}: {streams} streams, {groups} groups, {items} items with values of {bytes} bytes", store.display()))?;
    for note in &found.notes {
        out.line(format_args!("note: {note}"))?;
    }
    if found.is_whole() {
        out.line(format_args!("{GREEN}everything can be read{GREEN:#}"))?;
        return Ok(code);
    }
    for problem in &found.problems {
        out.line(format_args!("{RED}damaged{RED:#}: {problem}"))?;
    }
    if found.more_problems > 0 {
        out.line(format_args!("{RED}damaged{RED:#}: {} more", found.more_problems))?;
    }
    out.line(format_args!("`weir restore` brings back a backup; `weir export` still writes the streams that are whole"))?;
    Ok(code)
}
