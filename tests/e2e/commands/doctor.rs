//! `weir doctor`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Ended, weir_by};
use crate::redis_server::RedisServer;
use crate::server::Server;

/// A configuration for a server that does not run, in a folder of its own.
struct Place(TempDir);

impl Place {
    fn new(workers: &str, streams: &str, adapter: &Value) -> Self {
        let place = Self(TempDir::with_prefix("weir-e2e-").unwrap());
        let (worker_host, worker_port) = parts(workers);
        let (stream_host, stream_port) = parts(streams);
        let config = json!({
            "host": worker_host, "port": worker_port,
            "modules": [{"class": "modules::stream::StreamModule",
                         "config": {"host": stream_host, "port": stream_port, "adapter": adapter, "max_connections": 10}},
                        {"class": "modules::worker::WorkerModule", "config": {"max_connections": 10}},
                        {"class": "modules::admin::AdminModule", "config": {"port": 0}}],
        });
        place.write(&config);
        place
    }

    /// With these keys of the admin module.
    fn administered(self, admin: &Value) -> Self {
        let mut config: Value = serde_json::from_slice(&std::fs::read(self.config()).unwrap()).unwrap();
        config["modules"][2]["config"] = admin.clone();
        self.write(&config);
        self
    }

    fn write(&self, config: &Value) {
        std::fs::write(self.config(), config.to_string()).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.0.path().join("weir.yaml")
    }

    async fn doctor(&self, arguments: &[&str]) -> Ended {
        weir_by(&self.config(), &[&["doctor"], arguments].concat()).await
    }

    /// The verdict and the detail of each check, and the exit code.
    async fn checks(&self) -> (Value, i32) {
        let ended = self.doctor(&["--json"]).await;
        let found: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(found["ok"], ended.code == 0, "{found}");
        (found["checks"].clone(), ended.code)
    }
}

fn parts(address: &str) -> (&str, u16) {
    let (host, port) = address.rsplit_once(':').unwrap();
    (host, port.parse().unwrap())
}

fn files(path: &Path) -> Value {
    json!({"class": "modules::stream::adapters::KvStore", "config": {"file_path": path, "min_free_bytes": 0}})
}

/// The verdict of a check, and what was found and advised.
fn of(checks: &Value, what: &str) -> (String, String) {
    let check = checks.as_array().unwrap().iter().find(|check| check["what"] == what).unwrap_or_else(|| panic!("no {what} in {checks}"));
    let advice = check["advice"].as_str().map(|advice| format!(" ({advice})")).unwrap_or_default();
    (check["verdict"].as_str().unwrap().to_owned(), format!("{}{advice}", check["detail"].as_str().unwrap()))
}

/// Whether a check came out like this.
fn assert_is(checks: &Value, what: &str, verdict: &str, parts: &[&str]) {
    let (found, text) = of(checks, what);
    assert!(found == verdict && parts.iter().all(|part| text.contains(part)), "{what}: {found}: {text}");
}

#[tokio::test]
async fn doctor_of_a_server_that_could_start_is_content() {
    let folder = TempDir::new().unwrap();
    let place = Place::new("127.0.0.1:0", "127.0.0.1:0", &files(&folder.path().join("a/store")));
    let (checks, code) = place.checks().await;
    assert_eq!(code, 0);
    assert_is(&checks, "configuration", "ok", &["weir.yaml"]);
    assert_is(&checks, "worker port", "ok", &["any free port"]);
    assert_is(&checks, "store", "ok", &["a/store will be made"]);
    assert_is(&checks, "disk", "ok", &["free"]);
    assert!(!folder.path().join("a").exists(), "a doctor changes nothing");
    let lines = place.doctor(&[]).await.printed();
    assert!(lines.lines().any(|line| line == "ok    worker port    any free port"), "{lines}");
}

#[tokio::test]
async fn doctor_meets_the_server_that_runs() {
    let store = TempDir::new().unwrap();
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let (_, admin) = parts(server.admin());
    let place = Place::new(server.workers(), server.streams(), &files(store.path())).administered(&json!({"port": admin}));
    let (checks, code) = place.checks().await;
    assert_eq!(code, 0, "{checks}");
    assert_is(&checks, "admin port", "ok", &["a Weir on", server.admin(), "is ready"]);
    assert_is(&checks, "worker port", "ok", &[server.workers(), "takes workers"]);
    assert_is(&checks, "stream port", "ok", &["a Weir on", server.streams(), "is ready"]);
    assert_is(&checks, "store", "ok", &["in use by process", "takes commands"]);
    server.kill();
    let (checks, _) = Place::new("127.0.0.1:0", "127.0.0.1:0", &files(store.path())).checks().await;
    assert_is(&checks, "store", "ok", &["nobody uses it"]);
}

#[tokio::test]
async fn port_that_something_else_has_is_a_failure_that_says_how_to_find_it() {
    let stranger = || {
        let stranger = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = stranger.local_addr().unwrap().to_string();
        // It ends with the process.
        thread::spawn(move || while stranger.accept().is_ok() {});
        address
    };
    let addresses = [stranger(), stranger(), stranger()];
    let store = TempDir::new().unwrap();
    let admin = json!({"port": parts(&addresses[2]).1});
    let place = Place::new(&addresses[0], &addresses[1], &files(store.path())).administered(&admin);
    let (checks, code) = place.checks().await;
    assert_eq!(code, 1);
    for (what, address) in ["worker port", "stream port", "admin port"].into_iter().zip(&addresses) {
        assert_is(&checks, what, "fail", &[address, "taken by something else", "ss -ltnp", "another `port`"]);
    }
    let said = place.doctor(&[]).await;
    assert!(said.code == 1 && said.stdout.contains("fail  stream port    "), "{}", said.stdout);
}

#[tokio::test]
async fn ports_of_another_deployment_are_a_failure() {
    let (store, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let (_, admin) = parts(server.admin());
    for path in [other.path().join("to be made"), other.path().to_owned()] {
        let place = Place::new(server.workers(), server.streams(), &files(&path)).administered(&json!({"port": admin}));
        let (checks, code) = place.checks().await;
        assert_eq!(code, 1, "{checks}");
        for what in ["worker port", "stream port", "admin port"] {
            assert_is(&checks, what, "fail", &["another Weir", "another `port`"]);
        }
    }
}

#[tokio::test]
async fn store_that_does_not_open_is_a_failure_and_what_is_beside_one_a_warning() {
    let folder = TempDir::new().unwrap();
    let at = |path: &Path| Place::new("127.0.0.1:0", "127.0.0.1:0", &files(path));
    let (notes, engine, store) = (folder.path().join("notes"), folder.path().join("engine"), folder.path().join("store"));
    for (path, file) in [(&notes, "notes.txt"), (&engine, "chat.bin")] {
        std::fs::create_dir(path).unwrap();
        std::fs::write(path.join(file), "").unwrap();
        let (checks, code) = at(path).checks().await;
        assert_eq!(code, 1);
        assert_is(&checks, "store", "fail", &["is not a Weir store", file]);
    }
    Server::on(&store, &json!({}), &[]).unwrap().terminate();
    std::fs::create_dir(store.join("streams")).unwrap();
    let (checks, code) = at(&store).checks().await;
    assert_eq!(code, 0, "{checks}");
    assert_is(&checks, "store", "warn", &["\"streams\"", "move it away"]);
    // It stops nobody.
    Server::on(&store, &json!({}), &[]).unwrap().terminate();
    let (checks, code) = at(&store.join("within")).checks().await;
    assert_eq!(code, 1);
    assert_is(&checks, "store", "fail", &["lies within the folder of the store"]);
}

#[tokio::test]
async fn open_files_are_those_of_the_server_that_has_the_store() {
    let store = TempDir::new().unwrap();
    let server = Server::on(store.path(), &json!({}), &[]).unwrap();
    let place = Place::new("127.0.0.1:0", "127.0.0.1:0", &files(store.path()));
    let (checks, _) = place.checks().await;
    let owner = std::fs::read_to_string(store.path().join("LOCK")).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", owner.trim().trim_start_matches("process "))).unwrap();
    let limit = limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().nth(3).unwrap().to_owned();
    let (_, said) = of(&checks, "open files");
    assert!(said.contains(&format!("{limit} for the server, {}", owner.trim())), "{said}");
    server.kill();
    let (checks, _) = place.checks().await;
    assert!(of(&checks, "open files").1.contains("in this shell"), "{checks}");
}

#[tokio::test]
async fn collector_that_nobody_is_at_is_a_warning_and_one_that_cannot_be_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (there, folder) = (listener.local_addr().unwrap(), TempDir::new().unwrap());
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (endpoint, verdict, code, said) in [
        (format!("http://{there}"), "ok", 0, format!("http://{there}/v1/traces")),
        (format!("http://{gone}"), "warn", 0, "refused".to_owned()),
        ("collector".to_owned(), "fail", 1, "otlp_endpoint".to_owned()),
    ] {
        let place = Place::new("127.0.0.1:0", "127.0.0.1:0", &files(&folder.path().join("store")));
        let (checks, ended) = place.administered(&json!({"port": 0, "otlp_endpoint": endpoint})).checks().await;
        assert_is(&checks, "collector", verdict, &[&said]);
        assert_eq!(ended, code, "{checks}");
    }
}

#[tokio::test]
async fn host_and_folder_that_cannot_be_had_are_failures() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (checks, code) = Place::new("192.0.2.1:4000", "127.0.0.1:0", &files(&file)).checks().await;
    assert_eq!(code, 1);
    assert_is(&checks, "worker port", "fail", &["192.0.2.1:4000", "set `host`"]);
    assert_is(&checks, "store", "fail", &["is no folder", "`file_path`"]);
}

#[tokio::test]
async fn reserve_that_the_disk_does_not_have_is_a_failure() {
    let store = TempDir::new().unwrap();
    let mut adapter = files(store.path());
    adapter["config"]["min_free_bytes"] = json!(1u64 << 50);
    let (checks, code) = Place::new("127.0.0.1:0", "127.0.0.1:0", &adapter).checks().await;
    assert_eq!(code, 1);
    assert_is(&checks, "disk", "fail", &["writes are refused", "`min_free_bytes`"]);
}

#[tokio::test]
async fn redis_is_asked_what_it_does_with_items() {
    let mut redis = RedisServer::start(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let mut adapter = redis.adapter();
    adapter["config"]["response_timeout_ms"] = json!(1_000);
    let place = Place::new("127.0.0.1:0", "127.0.0.1:0", &adapter);
    let (checks, code) = place.checks().await;
    assert_eq!(code, 0, "{checks}");
    assert_is(&checks, "redis", "ok", &[&format!("127.0.0.1:{}", redis.port()), "version "]);
    assert_is(&checks, "redis memory", "warn", &["100 MiB", "allkeys-lru", "noeviction"]);
    assert_is(&checks, "redis log", "warn", &["appendonly no"]);
    assert_is(&checks, "redis clock", "ok", &["ms"]);
    redis.cli(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    redis.cli(&["CONFIG", "SET", "appendonly", "yes"]);
    let (checks, _) = place.checks().await;
    assert_is(&checks, "redis memory", "ok", &["noeviction"]);
    assert_is(&checks, "redis log", "ok", &["appendfsync everysec"]);
    redis.kill();
    let (checks, code) = place.checks().await;
    assert_eq!(code, 1);
    assert_is(&checks, "redis", "fail", &["was not reached", "PONG"]);
}

#[tokio::test]
async fn configuration_that_is_wrong_is_a_failure_and_the_rest_is_looked_at() {
    let place = Place::new("127.0.0.1:0", "127.0.0.1:0", &json!({"class": "modules::stream::adapters::Nothing"}));
    let (checks, code) = place.checks().await;
    assert_eq!(code, 1);
    assert_is(&checks, "configuration", "fail", &["unknown class", "`weir check-config`"]);
    assert!(matches!(of(&checks, "clock").0.as_str(), "ok" | "warn"));
}
