//! End to end: the built server over real sockets, spoken to as published workers and clients speak to it.
//!
//! `server`, `worker`, `subscriber`, `raw` and `certificates` are what tests are made of; `load`, `history` and `disk` what those are made of that kill their
//! server. Every other file is one subject, and every test starts a server of its own, on free ports, which must be alive and without a panic
//! in its log when the test ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod certificates;
mod disk;
mod history;
mod load;
mod raw;
mod redis_server;
mod server;
mod subscriber;
mod worker;

mod adapter_functions;
mod admin;
mod auth;
mod bad_frames;
mod bad_input;
mod browser;
mod calls;
mod commands;
mod conformance;
mod crash;
mod disconnect;
mod drain;
mod example_worker;
mod full_disk;
mod functions;
mod guards;
mod half_open;
mod handshake;
mod join;
mod leave;
mod leave_grace;
mod leave_reasons;
mod log;
mod many_streams;
mod names;
mod nodes;
mod order;
mod otlp;
mod overrides;
mod owners;
mod peers;
mod power_loss;
mod refresh;
mod reload;
mod restart;
mod rfc6455;
mod sdk;
mod slow;
mod soak;
mod store_commands;
mod subscribe;
mod tls;
mod trigger_types;
mod triggers;
mod update;
mod worker_limits;
mod workers;
