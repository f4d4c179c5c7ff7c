//! Tells the program which commit it was built from: `WEIR_VERSION` is `0.1.0 (8c97953abcde)`, or `0.1.0` where nobody knows.
//!
//! Git's files are read here, so that neither git nor a repository is needed. Who builds from an archive may set `WEIR_COMMIT`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// Digits of a commit that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=WEIR_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = env::var("WEIR_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = given.or_else(|| head(Path::new(&env::var_os("CARGO_MANIFEST_DIR")?)));
    match commit.filter(|commit| commit.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        Some(commit) => println!("cargo::rustc-env=WEIR_VERSION={version} ({})", commit.get(..DIGITS).unwrap_or(&commit)),
        None => println!("cargo::rustc-env=WEIR_VERSION={version}"),
    }
}

/// The commit that is checked out in the folder.
fn head(folder: &Path) -> Option<String> {
    let own = folder_of_git(&folder.join(".git"))?;
    // A worktree has a HEAD of its own and shares the rest.
    let shared = fs::read_to_string(own.join("commondir")).map_or_else(|_| own.clone(), |path| own.join(path.trim_end()));
    let head = read(&own.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref: ") else { return Some(head) };
    // A commit changes neither HEAD nor, where the branch was packed, a file that is there already; but it is written down here.
    watch(&own.join("logs/HEAD"));
    let packed = || {
        let refs = read(&shared.join("packed-refs"))?;
        refs.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' ').map(str::to_owned))
    };
    read(&shared.join(name)).or_else(packed)
}

/// The folder itself, or the one that a worktree's file names.
fn folder_of_git(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let text = fs::read_to_string(path).ok()?;
    Some(path.parent()?.join(text.strip_prefix("gitdir: ")?.trim_end()))
}

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    watch(path);
    Some(text.trim_end().to_owned())
}

/// Only what is there: Cargo takes a file that is missing for one that has changed, each time.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
