//! File systems of a test's own: one that is small, one that turns read-only.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A file system in memory. Dropping it unmounts it.
pub(crate) struct Mount(TempDir);

impl Mount {
    /// One of so many MiB; `None`, and a line on standard error, where this machine does not let us mount.
    pub(crate) fn tmpfs(mib: u32) -> Option<Self> {
        let place = TempDir::with_prefix("weir-mount-").unwrap();
        match run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={mib}m,nr_inodes=400"), "weir-test"]).arg(place.path())) {
            Ok(()) => Some(Self(place)),
            Err(reason) => {
                let test = std::thread::current().name().unwrap_or_default().to_owned();
                // Not by `eprintln!`, which is not shown where a test passes.
                let line = format!("LEFT OUT {test}: it needs a tmpfs of its own, and mounting is refused: {reason}\n");
                std::io::stderr().write_all(line.as_bytes()).unwrap();
                None
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves so many bytes free: a file beside whatever is there takes the others.
    pub(crate) fn leave(&self, bytes: u64) {
        let ballast = self.path().join("ballast");
        let _ = fs::remove_file(&ballast);
        let mut file = File::create(&ballast).unwrap();
        let page = [b'x'; 4_096];
        while self.free_bytes() >= bytes + page.len() as u64 {
            // In steps, as a disk says only afterwards what it has taken.
            for _ in 0..((self.free_bytes() - bytes) / page.len() as u64).max(1) {
                if file.write_all(&page).is_err() {
                    return;
                }
            }
        }
    }

    /// Leaves so many files that can be made.
    pub(crate) fn leave_files(&self, files: u64) {
        let ballast = self.path().join("many");
        let _ = fs::remove_dir_all(&ballast);
        fs::create_dir(&ballast).unwrap();
        for n in 0..self.free("%d", "").saturating_sub(files) {
            File::create(ballast.join(n.to_string())).unwrap();
        }
    }

    pub(crate) fn free_bytes(&self) -> u64 {
        self.free("%a", "%S")
    }

    /// What `stat` of coreutils says of the file system: the product of two of its numbers.
    fn free(&self, count: &str, unit: &str) -> u64 {
        let output =
            Command::new("stat").args(["--file-system", "--format", &format!("{count} {unit}")]).arg(self.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap().split_whitespace().map(|number| number.parse::<u64>().unwrap()).product()
    }

    /// From here on nothing can be written.
    #[allow(dead_code, reason = "used by one of the two test binaries")]
    pub(crate) fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(self.path())).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily where a process still has a file open there; the folder must not stay mounted in any case.
        let path = self.path();
        if let Err(busy) = run(Command::new("umount").arg(path)) {
            let lazily = run(Command::new("umount").arg("--lazy").arg(path));
            assert!(lazily.is_ok() || std::thread::panicking(), "{} stays mounted: {busy}", path.display());
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}
