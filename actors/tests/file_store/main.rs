//! The file store on a real disk: the conformance suite, what survives a restart, and how it behaves in trouble.
//!
//! `store`, `files`, `log` and `mount` are what tests are made of; every other file is one subject.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod files;
mod log;
mod mount;
mod store;

mod conformance;
mod damage;
mod export;
mod folder;
mod full_disk;
mod holes;
mod maintain;
mod many;
