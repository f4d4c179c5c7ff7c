//! What Prometheus is told of every process, by the names that all of them use.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use procfs::process::{LimitValue, Process};

use super::text::Samples;

static STARTED: OnceLock<SystemTime> = OnceLock::new();

/// The process has begun to serve.
pub(super) fn started() {
    STARTED.get_or_init(SystemTime::now);
}

pub(super) fn start_seconds(out: &mut Samples<'_>) {
    let since = STARTED.get().and_then(|started| started.duration_since(UNIX_EPOCH).ok());
    if let Some(since) = since {
        out.one(since.as_secs_f64());
    }
}

pub(super) fn cpu_seconds(out: &mut Samples<'_>) {
    if let Ok(stat) = Process::myself().and_then(|process| process.stat()) {
        let ticks = u32::try_from(stat.utime + stat.stime).map(f64::from);
        let second = u32::try_from(procfs::ticks_per_second()).map(f64::from);
        if let (Ok(ticks), Ok(second)) = (ticks, second) {
            out.one(ticks / second);
        }
    }
}

pub(super) fn resident_bytes(out: &mut Samples<'_>) {
    out.one(resident());
}

pub(super) fn open_files(out: &mut Samples<'_>) {
    if let Ok(files) = Process::myself().and_then(|process| process.fd_count()) {
        out.one(files);
    }
}

pub(super) fn most_files(out: &mut Samples<'_>) {
    if let Ok(limits) = Process::myself().and_then(|process| process.limits())
        && let LimitValue::Value(files) = limits.max_open_files.soft_limit
    {
        out.one(files);
    }
}

/// The memory of this process, by the operating system's account; 0 where it has none.
pub(super) fn resident() -> u64 {
    Process::myself().and_then(|process| process.stat()).map_or(0, |stat| stat.rss * procfs::page_size())
}
