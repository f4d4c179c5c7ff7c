//! What Weir is held against, started for a run.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Kind, Server};
use crate::dialect::weir::Weir;
use crate::process::{Started, Watched};

/// This program as the floor, in a process of its own so that it is measured like the others.
pub(super) fn floor() -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut process = Started::spawn(command.arg("floor").stdin(Stdio::null()).stdout(Stdio::piped()))?;
    let mut stdout = BufReader::new(process.child().stdout.take().context("no standard output")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let address = line.trim().parse().with_context(|| format!("the floor says {line:?}"))?;
    Ok(Server {
        kind: Kind::Floor,
        dialect: &Weir,
        publishers: address,
        subscribers: address,
        watched: Watched::new(process.id()),
        _process: Some(process),
        _stdout: Some(stdout),
        _folder: None,
    })
}
