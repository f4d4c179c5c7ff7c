//! The log as JSON, and what it holds.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{BINARY, Server};
use crate::worker::Worker;

/// A start that fails: what it logs and says.
fn fails(mut config: Value, environment: &[(&str, &str)]) -> String {
    let folder = TempDir::with_prefix("weir-e2e-").unwrap();
    let file = folder.path().join("config.yaml");
    // Beyond this machine, without a token.
    config["port"] = json!(0);
    config["modules"] = json!([
        {"class": "modules::stream::StreamModule", "config": {"port": 0}},
        {"class": "modules::admin::AdminModule", "config": {"host": "0.0.0.0", "port": 0}},
    ]);
    fs::write(&file, config.to_string()).unwrap();
    let mut command = Command::new(BINARY);
    command.arg("--config").arg(&file).current_dir(folder.path()).env_remove("RUST_LOG");
    let output = command.envs(environment.iter().copied()).output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn log_as_json_is_an_object_a_line_with_its_fields() {
    let server = Server::in_format("json");
    let worker = Worker::open(&server).await;
    worker.set("s", "g", "i", json!({"secret": "hunter2"})).await;
    server.logged("worker connected").await;
    let log = server.log();
    let (whole, _) = log.rsplit_once('\n').unwrap();
    let lines: Vec<Value> = whole.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key}: {line}");
        }
    }
    let connected = lines.iter().find(|line| line["message"] == "worker connected").unwrap();
    assert_eq!((&connected["level"], &connected["worker"]), (&json!("INFO"), &json!(worker.id)));
    assert!(!log.contains("hunter2"));
}

#[test]
fn filter_of_the_configuration_gives_way_to_variables() {
    // An unknown top-level key is warned of.
    let config = |filter: Value| json!({"strange": 1, "log": {"filter": filter}});
    let warns = |filter: Value, environment: &[(&str, &str)]| fails(config(filter), environment).contains("unknown key without effect");
    assert!(warns(json!(null), &[]));
    assert!(!warns(json!("error"), &[]));
    assert!(warns(json!("error"), &[("RUST_LOG", "warn")]));
    assert!(!warns(json!("warn"), &[("WEIR_LOG", "error"), ("RUST_LOG", "warn")]));
    // One that is meant for something else.
    let log = fails(config(json!(null)), &[("RUST_LOG", "a=b=c")]);
    assert!(log.contains("the filter of the log cannot be read") && log.contains("unknown key without effect"), "{log}");
}

#[test]
fn start_that_fails_is_an_error_in_the_log_as_json() {
    let said = fails(json!({"log": {"format": "json"}}), &[]);
    let mut lines = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let error = lines.rfind(|line| line["level"] == "ERROR").unwrap_or_else(|| panic!("{said}"));
    assert!(error["error"].as_str().unwrap().contains("needs a `token`"), "{said}");
    assert!(said.lines().last().unwrap().starts_with("weir: "), "{said}");
}

#[test]
fn wrong_filter_or_format_names_its_key() {
    for (log, key) in
        [(json!({"filter": "a=b=c"}), "log.filter"), (json!({"format": "xml"}), "log.format"), (json!({"colour": 1}), "log.colour")]
    {
        let said = fails(json!({"log": log}), &[]);
        assert!(said.contains(key), "{said}");
    }
}
