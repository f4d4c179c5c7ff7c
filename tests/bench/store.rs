//! What the file store costs, measured at the built server from outside: `make bench-store`.
//!
//! Sets per second and the server's CPU time per set with 256 calls in flight, for each setting of `fsync` and in memory; then a store of
//! 1,000,000 items: bytes on disk for each, and how long the server takes to start on it, after an orderly end and after kill -9.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed"
)]

mod harness;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

use harness::{CONNECTIONS, IN_FLIGHT, ITEMS, Measured, Server, VALUE_BYTES, run, throughput};
use serde_json::{Value, json};
use tempfile::TempDir;

const FILLED: u64 = 1_000_000;

/// The adapter with these keys.
fn kv_store(config: &Value) -> Value {
    json!({"class": "modules::stream::adapters::KvStore", "config": config})
}

fn row(name: &str, config: &Value) {
    let folder = TempDir::with_prefix("weir-bench-").unwrap();
    let server = Server::start(folder.path(), &kv_store(config));
    let Measured { per_second, cpu_us_per_set, .. } = throughput(&server, None);
    println!("| {name} | {per_second:>9.0} | {cpu_us_per_set:>6.2} | {:>4} |", server.resident_mib());
    server.terminate();
}

fn disk_bytes(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn million() {
    let folder = TempDir::with_prefix("weir-bench-").unwrap();
    let adapter = kv_store(&json!({"file_path": "store"}));
    let server = Server::start(folder.path(), &adapter);
    let (acks, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
    let began = Instant::now();
    let callers = run(&server, &acks, &ends, FILLED / CONNECTIONS as u64);
    callers.into_iter().for_each(|caller| caller.join().unwrap());
    println!(
        "\n{FILLED} items of {VALUE_BYTES} bytes written in {:.1} s, {} MiB resident",
        began.elapsed().as_secs_f64(),
        server.resident_mib()
    );
    server.kill();
    let server = Server::start(folder.path(), &adapter);
    println!("start after kill -9:          {:>5} ms until it listens", server.started.as_millis());
    server.terminate();
    let server = Server::start(folder.path(), &adapter);
    println!("start after an orderly end:   {:>5} ms until it listens, {} MiB resident", server.started.as_millis(), server.resident_mib());
    server.terminate();
    let bytes = disk_bytes(&folder.path().join("store/db"));
    println!("on disk:                      {:>5.1} bytes per item", bytes as f64 / FILLED as f64);
}

fn main() {
    println!(
        "stream::set from {CONNECTIONS} workers, {} in flight, values of {VALUE_BYTES} bytes, {} items\n",
        CONNECTIONS * IN_FLIGHT,
        ITEMS * 4
    );
    println!("| store | acknowledged sets/s | server CPU µs per set | MiB resident |\n|---|---|---|---|");
    row("files, `fsync: always`", &json!({"file_path": "store"}));
    row("files, `fsync: { every_ms: 100 }`", &json!({"file_path": "store", "fsync": {"every_ms": 100}}));
    row("files, `fsync: never`", &json!({"file_path": "store", "fsync": "never"}));
    row("in memory", &json!({"store_method": "in_memory"}));
    million();
}
