//! The files of a folder, to copy them and to see that none was changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// An empty folder, in memory where the machine has a place for that: many tests open a store a few hundred times, and each syncs.
pub(crate) fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    let fast = if memory.is_dir() { TempDir::with_prefix_in("weir-", memory).ok() } else { None };
    fast.unwrap_or_else(|| TempDir::with_prefix("weir-").unwrap())
}

/// Copies all files of a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    try_copy(from, to).unwrap();
}

fn try_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy(&entry.path(), &target)?;
        } else if !entry.file_type()?.is_socket() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Copies the files of an open store, to which nobody writes, as a crash would leave them.
pub(crate) fn crash(from: &Path, to: &Path) {
    // RocksDB compacts when it likes, and what it changes while the files are copied would make a picture that never was.
    let picture =
        || (db_files(from, |_| true), db_files(from, |name| name.starts_with("MANIFEST")).into_iter().map(fs::read).find_map(Result::ok));
    for _ in 0..100 {
        let before = picture();
        if try_copy(from, to).is_ok() && picture() == before {
            return;
        }
        fs::remove_dir_all(to).unwrap();
    }
    panic!("RocksDB never rests in {}", from.display());
}

/// Every file below a folder with its contents, and every folder; without `LOCK`, which says who was there last.
pub(crate) fn files(folder: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.insert(path.clone(), None);
                folders.push(path);
            } else if path.file_name().is_none_or(|name| name != "LOCK") {
                found.insert(path.clone(), Some(fs::read(&path).unwrap_or_default()));
            }
        }
    }
    found
}

/// Fails where a file has come, gone or changed, and says which.
pub(crate) fn assert_untouched(before: &BTreeMap<PathBuf, Option<Vec<u8>>>, folder: &Path, when: &str) {
    let after = files(folder);
    for (path, bytes) in before {
        match after.get(path) {
            None => panic!("{when}: {} is gone", path.display()),
            Some(now) => assert!(now == bytes, "{when}: {} has changed", path.display()),
        }
    }
    for path in after.keys() {
        assert!(before.contains_key(path), "{when}: {} has come", path.display());
    }
}

/// The paths of those files of RocksDB in a store's folder whose name is wanted.
pub(crate) fn db_files(folder: &Path, wanted: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| wanted(path.file_name().unwrap().to_str().unwrap()));
    paths.sort_unstable();
    paths
}

/// The largest of its table files. Others may be there that RocksDB has just replaced and is about to delete.
pub(crate) fn largest_table(folder: &Path) -> PathBuf {
    let tables = db_files(folder, |name| name.ends_with(".sst"));
    tables.into_iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap()
}
