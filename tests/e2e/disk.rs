//! A disk that loses power: what of a store's folder is certainly on it, by the journal of `disk.c`, and what else may be.
//!
//! What was synced is kept up to its length at the time. A file that was never synced may be gone, since its name is on the disk for certain
//! only if its folder was synced after it was made; or it may be there and empty. Both happen here, by chance, for neither is harsher: one
//! meets code that looks for a file, the other code that looks into it. (Gone even where the folder *was* synced, which no disk does:
//! nothing may rely on a file without caring for what is in it.) The name of a synced file is taken to be there with it, which ext4, XFS
//! and btrfs see to. Renames and removals that no sync of the folder has made permanent are undone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::Rng;
use rand::rngs::StdRng;
use tempfile::TempDir;

/// What is written at once, and so found either as it was or as it should be.
const PAGE: u64 = 4_096;

/// What a power loss leaves of that which was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsynced {
    /// Nothing.
    Lost,
    /// As much of the end of each file as happens to be written, up to half of it at most where `half` is set.
    Begun { half: bool },
    /// As much as happens to be written, and of that only some pages; the others hold zeros.
    Holed,
    /// Nothing but the whole of the newest log: what is written later may be on the disk earlier.
    NewestLog,
}

/// A folder for one store, and the journal of what was synced in it.
pub(crate) struct Disk {
    folder: TempDir,
    /// Lengths of the files when the journal began: all of that is on the disk.
    begun: BTreeMap<String, u64>,
}

/// A name that has changed and may change back.
struct Renamed {
    /// What it was before, unless it was removed.
    from: Option<String>,
    to: String,
    /// What had that name before, and how much of it was synced.
    before: Option<(PathBuf, Option<u64>)>,
}

/// The journal, played to its end.
struct Synced {
    lengths: BTreeMap<String, u64>,
    pending: Vec<Renamed>,
}

impl Disk {
    /// An empty one.
    pub(crate) fn new() -> Self {
        let folder = TempDir::with_prefix("weir-disk-").unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/disk.c");
        let shim = folder.path().join("disk.so");
        let built = Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).arg(&shim).arg(source).arg("-ldl").status();
        assert!(built.expect("the tests need a C compiler").success(), "disk.c cannot be compiled");
        Self { folder, begun: BTreeMap::new() }
    }

    /// Empties it.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_dir_all(self.store());
    }

    /// Puts the store in `folder` in place of what is there.
    pub(crate) fn fill(&self, folder: &Path) {
        self.clear();
        copy(folder, &self.store());
    }

    /// A copy of the store as it is.
    pub(crate) fn copy(&self) -> TempDir {
        let folder = TempDir::with_prefix("weir-copy-").unwrap();
        copy(&self.store(), folder.path());
        folder
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> PathBuf {
        // As /proc/self/fd shows it.
        self.folder.path().canonicalize().unwrap().join("store")
    }

    /// Begins a new journal; the environment of the process that is to write it.
    pub(crate) fn watched(&mut self) -> Vec<(&'static str, OsString)> {
        let root = self.folder.path();
        // As after a start of the machine: what is read then is on the disk.
        self.begun = files(&self.store()).into_iter().map(|(name, path)| (name, fs::metadata(path).unwrap().len())).collect();
        let (journal, saved) = (self.journal_file(), root.join("saved"));
        let _ = fs::remove_dir_all(&saved);
        fs::create_dir(&saved).unwrap();
        File::create(&journal).unwrap();
        vec![
            ("LD_PRELOAD", root.join("disk.so").into()),
            ("WEIR_DISK_FOLDER", self.store().into()),
            ("WEIR_DISK_JOURNAL", journal.into()),
            ("WEIR_DISK_SAVED", saved.into()),
        ]
    }

    /// The same for a process that kills itself before its `step`th step that concerns a file with `of` in its name.
    pub(crate) fn watched_until(&mut self, step: usize, of: &str) -> Vec<(&'static str, OsString)> {
        let mut environment = self.watched();
        environment.extend([("WEIR_DISK_STEP", step.to_string().into()), ("WEIR_DISK_OF", of.into())]);
        environment
    }

    fn journal_file(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn journal(&self) -> String {
        fs::read_to_string(self.journal_file()).unwrap()
    }

    /// Whether the process has killed itself at the step that was asked for.
    pub(crate) fn has_stopped(&self) -> bool {
        self.journal().lines().any(|line| line == "K")
    }

    /// Whether a table was removed, which a compaction does at its end.
    pub(crate) fn has_compacted(&self) -> bool {
        self.journal().lines().any(|line| line.starts_with("U\t") && line.ends_with(".sst"))
    }

    /// How often a log was synced.
    pub(crate) fn log_syncs(&self) -> usize {
        self.journal().lines().filter(|line| line.starts_with("S\t") && line.ends_with(".log")).count()
    }

    /// Makes `folder`, the store itself or a copy of it, what is left when the power goes where the journal ends.
    pub(crate) fn lose_power(&self, folder: &Path, unsynced: Unsynced, rng: &mut StdRng) {
        let at = |name: &str| folder.join(name.trim_start_matches('/'));
        let mut synced = self.played(&at);
        // In the order in which a journaling file system writes them, so that a first part of them may be there.
        let stay = if unsynced == Unsynced::Lost { 0 } else { rng.random_range(0..=synced.pending.len()) };
        for renamed in synced.pending.drain(stay..).rev() {
            if let Some(from) = &renamed.from {
                fs::rename(at(&renamed.to), at(from)).unwrap();
                rename(&mut synced.lengths, &renamed.to, from);
            }
            if let Some((saved, length)) = renamed.before {
                fs::copy(saved, at(&renamed.to)).unwrap();
                synced.lengths.extend(length.map(|length| (renamed.to, length)));
            }
        }
        // Rarely where something of it may be left.
        let gone = if matches!(unsynced, Unsynced::Lost | Unsynced::NewestLog) { 2 } else { 8 };
        let files = files(folder);
        let newest_log = files.iter().map(|(name, _)| name).filter(|name| name.ends_with(".log")).max();
        for (name, path) in &files {
            let length = fs::metadata(path).unwrap().len();
            match synced.lengths.get(name) {
                _ if unsynced == Unsynced::NewestLog && newest_log == Some(name) => {}
                None if rng.random_ratio(1, gone) => fs::remove_file(path).unwrap(),
                // Less than that where it was cut off meanwhile.
                kept => cut(path, (*kept.unwrap_or(&0)).min(length)..length, unsynced, rng),
            }
        }
    }

    fn played(&self, at: &impl Fn(&str) -> PathBuf) -> Synced {
        let saved = |number: &str| number.parse::<u32>().ok().map(|number| self.folder.path().join("saved").join(number.to_string()));
        let mut lengths = self.begun.clone();
        let mut pending: Vec<Renamed> = Vec::new();
        for line in self.journal().lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                // Links and copies to look through a store; each start removes what is left of them first.
                [.., name] if name.starts_with("/db.look") => {}
                // Two syncs of one file may run at a time, and the one that began first end last.
                ["S", size, name] => {
                    let length = lengths.entry(name.to_owned()).or_default();
                    *length = size.parse::<u64>().unwrap().max(*length);
                }
                ["T", size, name] => {
                    if let Some(length) = lengths.get_mut(name) {
                        *length = size.parse::<u64>().unwrap().min(*length);
                    }
                }
                ["D", folder] => pending.retain(|renamed| renamed.to.rsplit_once('/').unwrap().0 != folder),
                // Written down before it happens. No name is used twice, so what is still there was not renamed.
                ["R", _, from, _] if at(from).exists() => {}
                ["R", number, from, to] => {
                    // What is pending in a folder that gets another name is taken to be permanent.
                    pending.retain(|renamed| !renamed.to.starts_with(&format!("{from}/")));
                    let before = saved(number).map(|saved| (saved, lengths.remove(to)));
                    rename(&mut lengths, from, to);
                    pending.push(Renamed { from: Some(from.to_owned()), to: to.to_owned(), before });
                }
                ["U", number, name] => {
                    let length = lengths.remove(name);
                    pending.push(Renamed { from: None, to: name.to_owned(), before: saved(number).map(|saved| (saved, length)) });
                }
                ["K"] => {}
                _ => panic!("unknown line of the journal: {line}"),
            }
        }
        Synced { lengths, pending }
    }
}

/// Copies a store, but for what is no file; tables are never changed in place, so they are shared.
pub(crate) fn copy(from: &Path, to: &Path) {
    for (name, path) in files(from) {
        let target = to.join(name.trim_start_matches('/'));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if path.extension().is_some_and(|extension| extension == "sst") {
            fs::hard_link(path, target).unwrap();
        } else {
            fs::copy(path, target).unwrap();
        }
    }
}

/// The files below `folder`, under their names from there on.
fn files(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map(Result::unwrap) {
            let name = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => open.push((name, entry.path())),
                kind if kind.is_file() => found.push((name, entry.path())),
                // The control socket.
                _ => {}
            }
        }
    }
    found
}

/// Renames a file, or a folder with all that is in it.
fn rename(lengths: &mut BTreeMap<String, u64>, from: &str, to: &str) {
    let moved =
        |name: &str| name.strip_prefix(from).filter(|rest| rest.is_empty() || rest.starts_with('/')).map(|rest| format!("{to}{rest}"));
    *lengths = std::mem::take(lengths).into_iter().map(|(name, length)| (moved(&name).unwrap_or(name), length)).collect();
}

/// Leaves of the unsynced end of a file what may be left of it.
fn cut(path: &Path, end: Range<u64>, unsynced: Unsynced, rng: &mut StdRng) {
    if end.is_empty() {
        return;
    }
    let most = end.end - end.start;
    let length = end.start
        + match unsynced {
            Unsynced::Lost | Unsynced::NewestLog => 0,
            Unsynced::Begun { half } => rng.random_range(0..=if half { most / 2 } else { most }),
            // A hole in the middle is another thing than one at the end.
            Unsynced::Holed if rng.random() => most,
            Unsynced::Holed => rng.random_range(0..=most),
        };
    let mut bytes = fs::read(path).unwrap();
    bytes.truncate(index(length));
    // One page in so many: of a long end, not so many that all are lost but the first few.
    let holes = rng.random_range(1..=1 + u32::try_from((length - end.start) / PAGE).unwrap().min(64));
    let mut page = end.start;
    while unsynced == Unsynced::Holed && page < length {
        let next = length.min((page / PAGE + 1) * PAGE);
        if rng.random_ratio(1, holes) {
            bytes[index(page)..index(next)].fill(0);
        }
        page = next;
    }
    // As a file of its own: another folder may share this one.
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}
