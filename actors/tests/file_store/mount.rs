//! A small file system in memory, for tests that fill it or make it read-only.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A mounted tmpfs; dropping it unmounts it.
pub(crate) struct Mount(TempDir);

impl Mount {
    /// Mounts one of so many MiB. `None`, and a word on standard error, where this user may not mount: the test then checks nothing.
    pub(crate) fn new(mib: usize) -> Option<Self> {
        let folder = TempDir::with_prefix("weir-mount-").unwrap();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output().unwrap();
        if mounted.status.success() {
            return Some(Self(folder));
        }
        let may = rustix::process::geteuid().is_root();
        assert!(!may, "root cannot mount: {}", String::from_utf8_lossy(&mounted.stderr));
        eprintln!("left out, since only root may mount: {}", String::from_utf8_lossy(&mounted.stderr));
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: what a failed test still holds open goes with it.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}
