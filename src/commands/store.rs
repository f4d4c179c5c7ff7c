//! Commands that look after the store: through the server that runs on it, or on the folder itself where none does.

mod import;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Subcommand;
use serde_json::json;
use weir_actors::adapter::file::maintain::{self, Copied};
use weir_actors::adapter::file::verify::{self, Verification};
use weir_actors::adapter::file::{FileOptions, FileStore};

use super::output::{GREEN, Output, RED, Raw};
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
    #[command(after_help = "Example:\n  weir import chat.ndjson --as chat-again")]
    Import {
        /// The file; standard input where it is missing.
        file: Option<PathBuf>,
        #[command(flatten)]
        how: Import,
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
        }
        StoreCommand::Import { file, how } => {
            let from: Box<dyn Read> = match &file {
                Some(path) => Box::new(File::open(path).with_context(|| format!("cannot read {}", path.display()))?),
                None => Box::new(io::stdin()),
            };
            let items = import(config, from, how)?;
            if out.is_json() { out.json(&json!({"items": items}).to_string())? } else { out.line(format_args!("{items} items imported"))? }
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
            let copied = maintain::restore(&folder, store, replace)?;
            tell_copied("restored from", &folder, &copied, out)?;
        }
        StoreCommand::Verify { folder } => {
            let store = folder.as_deref().map_or_else(|| store_folder(config), Ok)?;
            let found: Verification = match Client::connect(store) {
                Some(server) => server.ask(&Request::Verify, &mut io::empty())?,
                None => verify::verify(store)?,
            };
            return tell_verified(store, &found, out);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn store_folder(config: &Config) -> anyhow::Result<&Path> {
    match &config.stream.adapter {
        AdapterConfig::File { path, .. } => Ok(path),
        AdapterConfig::InMemory => bail!("the configured adapter keeps items in memory; there is no store to work on"),
        AdapterConfig::Redis(_) => bail!("the configured adapter keeps items in Redis; look after them there"),
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

fn import(config: &Config, mut from: Box<dyn Read>, how: Import) -> anyhow::Result<u64> {
    match Client::connect(store_folder(config)?) {
        Some(server) => server.ask(&Request::Import(how), &mut from),
        None => import::run(config, from, &how),
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
