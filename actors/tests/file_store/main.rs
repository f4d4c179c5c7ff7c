//! The file store on a real disk: the conformance suite, what survives a restart, and what happens to a damaged folder.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod conformance;
mod export;
mod files;
mod full_disk;
mod holes;
mod maintain;
mod many;
mod mount;
mod store;
