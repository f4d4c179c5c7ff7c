//! Processes: started ones, which end with the run, and what one costs by the operating system's figures.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long a process may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(20);

/// A process that ends when this is dropped.
pub(crate) struct Started(Child);

impl Started {
    pub(crate) fn spawn(command: &mut Command) -> Result<Self> {
        command.spawn().map(Self).with_context(|| format!("starting {}", command.get_program().to_string_lossy()))
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Whether it has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.0.try_wait(), Ok(None))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let Some(pid) = i32::try_from(self.0.id()).ok().and_then(rustix::process::Pid::from_raw) else { return };
        if self.has_ended() || rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
            return;
        }
        let asked = Instant::now();
        while !self.has_ended() && asked.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(2));
        }
        // It may have ended meanwhile.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is looked at, with those that it has started.
pub(crate) struct Watched {
    processes: Vec<u32>,
    /// Nanoseconds of each thread when it was seen last, since a thread that has ended is not listed any more.
    threads: Mutex<HashMap<u32, u64>>,
}

impl Watched {
    /// Watches a process and those that it has started so far.
    pub(crate) fn new(process: u32) -> Self {
        let mut processes = vec![process];
        let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
        processes.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        Self { processes, threads: Mutex::default() }
    }

    /// Time on a processor so far, exact to what the scheduler has accounted for: a thread that runs right now may lack its current slice,
    /// at most a tick.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for process in &self.processes {
            for task in fs::read_dir(format!("/proc/{process}/task")).with_context(|| format!("process {process} has ended"))? {
                let path = task?.path();
                let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or_default();
                // It may have ended since it was listed.
                if let Some(nanos) = on_processor(&path) {
                    threads.insert(thread, nanos);
                }
            }
        }
        Ok(Duration::from_nanos(threads.values().sum()))
    }

    /// Bytes in memory right now.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        self.processes.iter().map(|process| resident(*process)).sum()
    }
}

/// The first field of `schedstat` (Linux, `Documentation/scheduler/sched-stats.rst`): nanoseconds on a processor.
fn on_processor(task: &Path) -> Option<u64> {
    fs::read_to_string(task.join("schedstat")).ok()?.split_whitespace().next()?.parse().ok()
}

/// `smaps_rollup` counts pages; `statm` adds up counters that each processor may be behind with.
fn resident(process: u32) -> Result<u64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let rollup = fs::read_to_string(&path).with_context(|| format!("{path}; run as the user of the server"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:")).with_context(|| format!("{path} has no Rss"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("Rss")?;
    Ok(kib * 1024)
}

/// Lets this process, and those that it starts, have as many open files as they may.
///
/// # Errors
/// Where that is less than `needed`.
pub(crate) fn allow_files(needed: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = limit.maximum.map_or(needed, |maximum| maximum.max(needed));
    // Only root may raise the second, and not everywhere.
    if setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum: Some(raised) }).is_err() {
        let most = most_files();
        ensure!(most >= needed, "{needed} open files are needed and {most} allowed: raise `ulimit -Hn`");
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(())
}

/// Open files that this process may have.
pub(crate) fn most_files() -> u64 {
    getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX)
}
