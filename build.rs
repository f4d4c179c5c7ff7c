//! Tells the program which commit it was built from: `WEIR_VERSION` is `0.1.0 (8c97953abcde)` where `WEIR_COMMIT` says which, as in packages, and else `0.1.0`.
//!
//! Not by itself from the repository: everything of this package, its tests included, would be compiled again after each commit.

use std::env;

/// Digits of a commit that are shown.
const DIGITS: usize = 12;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=WEIR_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let commit = env::var("WEIR_COMMIT").unwrap_or_default();
    match commit.get(..DIGITS).unwrap_or(&commit) {
        commit if !commit.is_empty() && commit.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            println!("cargo::rustc-env=WEIR_VERSION={version} ({commit})");
        }
        _ => println!("cargo::rustc-env=WEIR_VERSION={version}"),
    }
}
