//! The machine: open files, the backlog of listeners, the clock.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, getrlimit};

use super::{Check, Owner};
use crate::config::Config;
use crate::serve::BACKLOG;

/// Files beside sockets: those of the store, and what the process has anyway.
const OTHER_FILES: u64 = 1_000;
/// With less, not even the store opens for sure.
const FEWEST_FILES: u64 = 256;

pub(super) fn check(config: Option<&Config>, owner: &Owner) -> Vec<Check> {
    [config.map(|config| open_files(config, owner)), backlog(), Some(clock())].into_iter().flatten().collect()
}

fn open_files(config: &Config, owner: &Owner) -> Check {
    const WHAT: &str = "open files";
    const ADVICE: &str = "`ulimit -n`, or LimitNOFILE= of the systemd unit; or lower `max_connections`";
    let (streams, workers) = (config.stream.settings.max_connections, config.worker.settings.max_connections);
    let needed = OTHER_FILES.saturating_add(streams as u64).saturating_add(workers as u64);
    let of_server = match owner {
        Owner::Process(id) => limit_of(*id).map(|limit| (limit, format!("for the server, process {id}"))),
        _ => None,
    };
    // systemd and containers give a server limits of its own.
    let (limit, whose) = of_server.unwrap_or_else(|| (getrlimit(Resource::Nofile).current, "in this shell".to_owned()));
    match limit {
        None => Check::ok(WHAT, format!("without a limit {whose}")),
        Some(limit) if limit >= needed => Check::ok(WHAT, format!("up to {limit} {whose}")),
        Some(limit) => {
            let detail = format!("up to {limit} {whose}; {streams} clients and {workers} workers (`max_connections`) need {needed}");
            if limit < FEWEST_FILES { Check::fail(WHAT, detail, ADVICE) } else { Check::warn(WHAT, detail, ADVICE) }
        }
    }
}

/// How many files a process may have open; `None` inside where that is any number, and outside where it is not known.
fn limit_of(process: u32) -> Option<Option<u64>> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?;
    if soft == "unlimited" { Some(None) } else { soft.parse().ok().map(Some) }
}

fn backlog() -> Option<Check> {
    const WHAT: &str = "somaxconn";
    let limit: i32 = fs::read_to_string("/proc/sys/net/core/somaxconn").ok()?.trim().parse().ok()?;
    let detail = format!("{limit} connections may wait to be accepted");
    Some(if limit >= BACKLOG {
        Check::ok(WHAT, detail)
    } else {
        Check::warn(
            WHAT,
            format!("{detail}; more at once are tried again by their clients"),
            format!("sysctl -w net.core.somaxconn={BACKLOG}"),
        )
    })
}

fn clock() -> Check {
    const WHAT: &str = "clock";
    let asked = Command::new("timedatectl").args(["show", "--property=NTPSynchronized", "--value"]).output();
    match asked.as_ref().map(|output| output.stdout.trim_ascii()) {
        Ok(b"yes") => Check::ok(WHAT, "is kept by the network"),
        Ok(b"no") => Check::warn(
            WHAT,
            "is kept by nobody; timestamps of changes, and tokens that expire, go by it",
            "timedatectl set-ntp true, or chrony",
        ),
        _ => Check::ok(WHAT, "the machine does not say whether it is kept by the network"),
    }
}
