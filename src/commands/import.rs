//! An import into a store that no server uses.

use std::io::{BufRead, Read};

use anyhow::{Context, bail};
use weir_actors::adapter::Adapter;
use weir_actors::adapter::file::FileStore;
use weir_actors::adapter::file::export::Parser;
use weir_actors::store::input::Op;
use weir_actors::store::ledger::Ledger;

use crate::config::{AdapterConfig, Config};
use crate::control::{Import, mixes};

/// Items that are committed together, and their bytes.
const BATCH: (u64, usize) = (1_000, 4 << 20);

/// Reads NDJSON and sets its items; how many.
///
/// # Errors
/// What is wrong with the file or the store; what was set before stays.
pub(super) fn run(config: &Config, mut from: impl BufRead, import: &Import) -> anyhow::Result<u64> {
    let AdapterConfig::File { path, options } = &config.stream.adapter else { bail!("the configured adapter has no folder to write into") };
    let mut store = FileStore::open(path, options.clone())?;
    let mut parser = Parser::new(&config.stream.settings, import.rename.as_deref());
    let limit = parser.max_line_bytes() as u64 + 1;
    let mut line = Vec::new();
    let mut read = |parser: &mut Parser| -> anyhow::Result<_> {
        line.clear();
        let length = from.by_ref().take(limit).read_until(b'\n', &mut line).context("cannot read the file")?;
        if length as u64 == limit {
            bail!("line {} is longer than {limit} bytes", parser.lines() + 1);
        }
        Ok((length > 0, parser.line(line.strip_suffix(b"\n").unwrap_or(&line))?))
    };
    while parser.stream().is_none() {
        if !read(&mut parser)?.0 {
            break;
        }
    }
    if let Some(stream) = parser.stream().filter(|_| !import.merge)
        && !store.list_groups(stream.as_str())?.wait()?.is_empty()
    {
        bail!(mixes(stream));
    }
    let settings = &config.stream.settings;
    let mut ledger = Ledger::new(Box::new(store), settings.max_value_bytes, settings.max_streams);
    loop {
        let (more, item) = read(&mut parser)?;
        if let Some((key, data)) = item {
            ledger.apply(Op::Set { key, data })?;
        }
        if !more || ledger.pending_bytes() >= BATCH.1 || parser.items().is_multiple_of(BATCH.0) {
            ledger.commit()?;
            ledger.forget(|_| false);
        }
        if !more {
            return Ok(parser.finish()?);
        }
    }
}
