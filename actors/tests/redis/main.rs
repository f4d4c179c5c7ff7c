//! The Redis backend against real servers, which every test starts for itself in a folder of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod away;
mod basics;
mod cluster;
mod gaps;
mod mirror;
mod nodes;
mod order;
mod refusals;
mod server;

mod speed;
mod streams;
mod system;
