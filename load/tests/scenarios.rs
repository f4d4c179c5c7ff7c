//! Every scenario for a moment, against the built server, so that the tool does not rot. What it measures in so short a time means nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const LOAD: &str = env!("CARGO_BIN_EXE_weir-load");

/// Runs the tool and returns its results, after a look at its chart.
fn load(arguments: &[&str]) -> Vec<Value> {
    let folder = TempDir::with_prefix("weir-load-test-").unwrap();
    let (json, svg) = (folder.path().join("results.json"), folder.path().join("results.svg"));
    let output = Command::new(LOAD).args(arguments).arg("--json").arg(&json).arg("--svg").arg(&svg).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let chart = fs::read_to_string(svg).unwrap();
    assert_eq!(roxmltree::Document::parse(&chart).unwrap().root_element().tag_name().name(), "svg");
    let results: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    assert!(results["machine"]["processors"].as_u64().unwrap() > 0);
    results["results"].as_array().unwrap().clone()
}

/// Fails unless something was done, and all of it arrived once and in order.
fn check(row: &Value) {
    assert!(row["operations"].as_u64().unwrap() > 0, "{row}");
    assert!(row["cpu_us"].as_f64().unwrap() > 0.0, "{row}");
    for mishap in ["lost", "duplicated", "reordered"] {
        assert_eq!(row[mishap], 0, "{row}");
    }
}

#[test]
fn bench_loses_nothing_in_any_scenario() {
    let rows = load(&["bench", "--quick"]);
    let mut scenarios = BTreeSet::new();
    for row in &rows {
        scenarios.insert(row["scenario"].as_str().unwrap().split(':').next().unwrap().to_owned());
        // Other yardsticks are there or not, and what they promise is theirs to keep.
        if ["weir", "floor", "redis"].contains(&row["server"].as_str().unwrap()) {
            check(row);
        }
    }
    assert_eq!(scenarios.into_iter().collect::<Vec<_>>(), ["fanout", "idle", "inprocess", "join", "slow", "write"]);
    let has_ratio = |row: &&Value| row["server"] == "weir" && row["ratio"].as_f64().is_some_and(|ratio| ratio > 0.0);
    for slow in rows.iter().filter(|row| row["scenario"].as_str().unwrap().starts_with("slow")) {
        let waited = slow["more"]["MiB that one of the stalled still got"].as_f64().unwrap();
        // Of more than 8 that were published.
        assert!(waited > 0.0 && waited < 8.0, "the stalled have not stalled: {slow}");
    }
    assert_eq!(rows.iter().filter(has_ratio).count(), 9, "fan-outs and writes have a baseline");
}

#[test]
fn growth_has_a_row_for_every_size() {
    let rows = load(&["growth", "--limit", "100", "--seconds", "0.2", "--warm-up", "0.1"]);
    rows.iter().for_each(check);
    // 10 and 100 subscribers, 1 group, groups of 10 and 100 items, 100 connections.
    assert_eq!(rows.len(), 6);
}

#[test]
fn writes_of_every_kind_are_answered_by_several_threads_at_a_rate() {
    let span = ["--seconds", "0.3", "--warm-up", "0.1", "--threads", "2"];
    let mix = ["write", "--set", "2", "--get", "1", "--update", "1", "--rate", "5000", "--items", "100"];
    load(&[&mix[..], &span[..]].concat()).iter().for_each(check);
    let fanout = ["fanout", "--subscribers", "21", "--burst", "3", "--payload", "700"];
    load(&[&fanout[..], &span[..]].concat()).iter().for_each(check);
}

#[test]
fn server_that_runs_already_is_loaded_and_left_running() {
    let folder = TempDir::with_prefix("weir-load-test-").unwrap();
    let adapter = json!({"class": "modules::stream::adapters::KvStore", "config": {"store_method": "in_memory"}});
    let stream = json!({"host": "127.0.0.1", "port": 0, "adapter": adapter});
    let config = json!({"host": "127.0.0.1", "port": 0, "modules": [{"class": "modules::stream::StreamModule", "config": stream}]});
    let file = folder.path().join("config.yaml");
    fs::write(&file, config.to_string()).unwrap();
    let binary = Path::new(LOAD).with_file_name("weir");
    let mut server = Command::new(&binary)
        .arg("--config")
        .arg(&file)
        .current_dir(&folder)
        .stdout(Stdio::piped())
        .stderr(File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; build it first", binary.display()));
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut address = |name: &str| {
        let url = lines.find_map(|line| Some(line.trim().strip_prefix(name)?.trim().strip_prefix("ws://")?.to_owned()));
        url.unwrap().split('/').next().unwrap().to_owned()
    };
    let (workers, streams, pid) = (address("workers"), address("streams"), server.id().to_string());
    let running = ["--workers", &workers, "--streams", &streams, "--pid", &pid];
    let fanout = ["fanout", "--subscribers", "10", "--seconds", "0.2", "--warm-up", "0.1"];
    let rows = load(&[&fanout[..], &running[..]].concat());
    let runs = server.try_wait().unwrap().is_none();
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(runs, "the server has ended");
    rows.iter().for_each(check);
}
