//! What programs that embed Weir may use: the public items of `weir-actors`, as listed in `actors/public-api.txt`. A change of the list is seen in
//! review; one that takes something away, or changes it, breaks programs of others.
//!
//! `WEIR_BLESS=1 cargo test --release --workspace --test public_api` writes the list.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The version of rustdoc's JSON that the library below reads; rustdoc says which it writes.
const FORMAT: u64 = 57;

/// Has rustdoc describe the crate as JSON, which stable releases do when they are told that they are not: where cargo calls rustdoc, and only there,
/// since the compiler would build all dependencies anew.
fn describe(scratch: &Path) -> PathBuf {
    let rustdoc = scratch.join("rustdoc");
    fs::write(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\" -Z unstable-options --output-format json\n").unwrap();
    fs::set_permissions(&rustdoc, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO"));
    command.args(["doc", "--release", "--locked", "--package", "weir-actors", "--all-features", "--no-deps"]);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).env("RUSTDOC", &rustdoc).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("doc/weir_actors.json")
}

#[test]
fn public_items_are_those_that_are_listed() {
    let scratch = tempfile::tempdir().unwrap();
    let json = describe(scratch.path());
    let described: serde_json::Value = serde_json::from_slice(&fs::read(&json).unwrap()).unwrap();
    if described["format_version"] != FORMAT {
        println!(
            "LEFT OUT: rustdoc writes version {} of its JSON, public-api reads {FORMAT}; take another version of it",
            described["format_version"]
        );
        return;
    }
    let api =
        public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true).omit_auto_trait_impls(true).omit_auto_derived_impls(true);
    let found = api.build().unwrap().to_string();
    let listed = Path::new(env!("CARGO_MANIFEST_DIR")).join("actors/public-api.txt");
    if std::env::var_os("WEIR_BLESS").is_some() {
        return fs::write(listed, found).unwrap();
    }
    let expected = fs::read_to_string(&listed).unwrap();
    let (found, expected): (Vec<_>, Vec<_>) = (found.lines().collect(), expected.lines().collect());
    let gone: Vec<_> = expected.iter().filter(|line| !found.contains(line)).collect();
    let new: Vec<_> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(gone.is_empty() && new.is_empty(), "no longer public: {gone:#?}\nnew: {new:#?}\nif it is meant: WEIR_BLESS=1");
}
