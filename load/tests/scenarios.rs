//! Every scenario for a moment, against the built server, so that the tool does not rot. What it measures in so short a time means nothing.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

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

/// A server that was not started by the tool.
struct Running {
    process: Child,
    workers: String,
    streams: String,
    admin: String,
    _folder: TempDir,
}

impl Running {
    fn start() -> Self {
        let folder = TempDir::with_prefix("weir-load-test-").unwrap();
        let adapter = json!({"class": "modules::stream::adapters::KvStore", "config": {"store_method": "in_memory"}});
        let stream = json!({"host": "127.0.0.1", "port": 0, "adapter": adapter});
        let config = json!({"host": "127.0.0.1", "port": 0, "modules": [{"class": "modules::stream::StreamModule", "config": stream},
            {"class": "modules::admin::AdminModule", "config": {"port": 0}}]});
        let file = folder.path().join("config.yaml");
        fs::write(&file, config.to_string()).unwrap();
        let binary = Path::new(LOAD).with_file_name("weir");
        let mut process = Command::new(&binary)
            .arg("--config")
            .arg(&file)
            .current_dir(&folder)
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build it first", binary.display()));
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut address = |name: &str| {
            let url = lines.find_map(|line| Some(line.trim().strip_prefix(name)?.trim().split_once("://")?.1.to_owned()));
            url.unwrap().split('/').next().unwrap().to_owned()
        };
        let (workers, streams, admin) = (address("workers"), address("streams"), address("admin"));
        Self { process, workers, streams, admin, _folder: folder }
    }

    /// Has the tool load it.
    fn load(&self, arguments: &[&str]) -> Vec<Value> {
        let pid = self.process.id().to_string();
        load(&[arguments, &["--workers", &self.workers, "--streams", &self.streams, "--pid", &pid]].concat())
    }

    /// What it shows Prometheus.
    fn metrics(&self) -> BTreeMap<String, f64> {
        let mut stream = TcpStream::connect(&self.admin).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let samples = body.lines().filter_map(|line| line.rsplit_once(' '));
        samples.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let runs = self.process.try_wait().unwrap().is_none();
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        assert!(runs || std::thread::panicking(), "the server has ended");
    }
}

#[test]
fn server_that_runs_already_is_loaded_and_left_running() {
    let server = Running::start();
    let rows = server.load(&["fanout", "--subscribers", "10", "--seconds", "0.2", "--warm-up", "0.1"]);
    rows.iter().for_each(check);
}

const SETS: &str = "weir_invocations_total{function=\"stream::set\",outcome=\"ok\"}";
const UPDATES: &str = "weir_invocations_total{function=\"stream::update\",outcome=\"ok\"}";

#[test]
fn metrics_of_a_server_under_load_are_what_the_tool_has_counted() {
    let server = Running::start();
    // Without a warm-up all counts.
    let span = ["--seconds", "0.5", "--warm-up", "0"];
    let fanout = server.load(&[&["fanout", "--subscribers", "50", "--burst", "16"][..], &span].concat());
    let deliveries = fanout[0]["operations"].as_f64().unwrap();
    let metrics = server.metrics();
    assert!(deliveries > 1_000.0);
    assert_eq!(metrics["weir_deliveries_total"], deliveries);
    let published = metrics[SETS];
    assert_eq!(published * 50.0, deliveries);
    assert_eq!(metrics["weir_joins_total{outcome=\"admitted\"}"], 50.0);
    assert_eq!(metrics["weir_syncs_total"], 50.0);

    let write = server.load(&[&["write", "--set", "2", "--update", "1", "--items", "100"][..], &span].concat());
    let answers = write[0]["operations"].as_f64().unwrap();
    let metrics = server.metrics();
    assert!(answers > 1_000.0);
    assert_eq!(metrics[SETS] - published + metrics[UPDATES], answers);
    assert_eq!(metrics["weir_commit_calls_sum"], answers + published);
    assert_eq!(metrics["weir_store_calls_waiting"], 0.0);
}
