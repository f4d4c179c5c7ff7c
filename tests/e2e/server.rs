//! One server per test: a process of the built binary, its configuration and log in a folder that goes with it.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::future::Future;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::redis_server::RedisServer;

/// How long anything may take that must happen. Never waited out by a test that passes.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How often a condition is looked at that nobody announces.
pub(crate) const POLL: Duration = Duration::from_millis(5);
/// Lines of the log that a failed test shows.
const LINES: usize = 150;

/// A running server. Dropping it ends the process, and fails the test if it had ended or panicked before.
pub(crate) struct Server {
    process: Child,
    /// Held open: a server must be able to write where it was started from.
    _stdout: Lines<BufReader<ChildStdout>>,
    folder: TempDir,
    workers: String,
    streams: String,
    admin: String,
    /// The test has ended the process itself.
    killed: bool,
    /// Where it keeps its items, if the test did not say.
    _redis: Option<RedisServer>,
}

/// Where servers keep their items whose test does not say: `redis`, or else the default.
const ADAPTER: &str = "WEIR_E2E_ADAPTER";

/// Whether servers whose test does not say keep their items in Redis.
pub(crate) fn on_redis() -> bool {
    env::var(ADAPTER).is_ok_and(|adapter| adapter == "redis")
}

/// The server.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_weir");

/// Where a server is started.
struct Place<'a> {
    environment: &'a [(&'a str, OsString)],
    host: &'a str,
    namespace: Option<&'a str>,
    /// Keys of the admin module beside its port.
    admin: Value,
    /// What its log looks like.
    format: &'a str,
}

impl Default for Place<'_> {
    fn default() -> Self {
        Self { environment: &[], host: "127.0.0.1", namespace: None, admin: json!({}), format: "text" }
    }
}

impl Server {
    /// A server with the default configuration.
    pub(crate) fn start() -> Self {
        Self::with(json!({}))
    }

    /// A server whose stream module has these keys beside host and port.
    pub(crate) fn with(stream: Value) -> Self {
        Self::configured(stream, json!({}))
    }

    /// A server whose stream and worker modules have these keys beside host and port.
    pub(crate) fn configured(stream: Value, worker: Value) -> Self {
        let debug = [("RUST_LOG", "debug".into())];
        Self::must(Self::launch(stream, worker, &Place { environment: &debug, ..Place::default() }))
    }

    /// A server whose stream and admin modules have these keys beside their ports.
    pub(crate) fn administered(stream: Value, admin: Value) -> Self {
        Self::must(Self::try_administered(stream, admin))
    }

    /// The same.
    ///
    /// # Errors
    /// The log, where it does not start.
    pub(crate) fn try_administered(stream: Value, admin: Value) -> Result<Self, String> {
        Self::launch(stream, json!({}), &Place { admin, ..Place::default() })
    }

    /// A server with the default configuration, in this environment.
    pub(crate) fn in_environment(environment: &[(&str, OsString)]) -> Self {
        Self::must(Self::launch(json!({}), json!({}), &Place { environment, ..Place::default() }))
    }

    /// A server whose log looks so.
    pub(crate) fn in_format(format: &str) -> Self {
        Self::must(Self::launch(json!({}), json!({}), &Place { format, ..Place::default() }))
    }

    /// The same without the details in its log, for a long load.
    pub(crate) fn load(stream: Value) -> Self {
        Self::must(Self::launch(stream, json!({}), &Place::default()))
    }

    /// A server of several on one Redis, which this adapter of the stream module says how to reach.
    pub(crate) fn node(adapter: &Value) -> Self {
        Self::must(Self::launch(json!({"adapter": adapter}), json!({}), &Place::default()))
    }

    /// The same with this environment.
    ///
    /// # Errors
    /// The log, where it does not start.
    pub(crate) fn node_in(adapter: &Value, environment: &[(&str, OsString)]) -> Result<Self, String> {
        Self::launch(json!({"adapter": adapter}), json!({}), &Place { environment, ..Place::default() })
    }

    /// A server in a network namespace, listening on `host` of it, whose stream module has these keys.
    pub(crate) fn inside(namespace: &str, host: &str, stream: Value) -> Self {
        let place = Place { namespace: Some(namespace), host, ..Place::default() };
        Self::must(Self::launch(stream, json!({}), &place))
    }

    /// A server with these keys beside host and port.
    ///
    /// # Errors
    /// The log, where it does not start.
    pub(crate) fn try_configured(stream: Value, worker: Value) -> Result<Self, String> {
        Self::launch(stream, worker, &Place::default())
    }

    fn must(started: Result<Self, String>) -> Self {
        let mut server = started.unwrap_or_else(|log| panic!("the server did not start:\n{log}"));
        assert!(matches!(server.process.try_wait(), Ok(None)), "the server ended at once");
        server
    }

    /// A server that keeps its items in the folder `store`, with these keys of the adapter and this environment. The store outlives it.
    ///
    /// # Errors
    /// The log, where it does not start.
    pub(crate) fn on(store: &Path, adapter: &Value, environment: &[(&str, OsString)]) -> Result<Self, String> {
        let mut stream = json!({"adapter": {"class": "modules::stream::adapters::KvStore", "config": adapter}});
        stream["adapter"]["config"]["file_path"] = json!(store);
        Self::launch(stream, json!({}), &Place { environment, ..Place::default() })
    }

    fn launch(mut stream: Value, worker: Value, place: &Place<'_>) -> Result<Self, String> {
        let folder = TempDir::with_prefix("weir-e2e-").unwrap();
        let shared = stream.get("adapter").is_none() && on_redis();
        let redis = shared.then(|| RedisServer::start(&[]));
        if let Some(redis) = &redis {
            stream["adapter"] = redis.adapter();
        }
        stream["host"] = json!(place.host);
        stream["port"] = json!(0);
        let mut config = json!({
            "host": place.host,
            "port": 0,
            "log": {"format": place.format},
            "modules": [
                {"class": "modules::stream::StreamModule"},
                {"class": "modules::worker::WorkerModule"},
                {"class": "modules::admin::AdminModule", "config": {"port": 0}},
            ],
        });
        let admin = place.admin.as_object().unwrap().clone();
        config["modules"][2]["config"].as_object_mut().unwrap().extend(admin);
        config["modules"][0]["config"] = stream;
        config["modules"][1]["config"] = worker;
        let file = folder.path().join("config.yaml");
        // JSON is YAML.
        fs::write(&file, config.to_string()).unwrap();
        let mut command = Command::new(if place.namespace.is_some() { "ip" } else { BINARY });
        if let Some(namespace) = place.namespace {
            // It becomes the server, so that a signal to it is one to the server.
            command.args(["netns", "exec", namespace, BINARY]);
        }
        let mut process = command
            .arg("--config")
            .arg(&file)
            .env("RUST_LOG", "info")
            .envs(place.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let stdout = process.stdout.take().unwrap();
        match announced(stdout) {
            Some((stdout, [workers, streams, admin])) => {
                Ok(Self { process, _stdout: stdout, folder, workers, streams, admin, killed: false, _redis: redis })
            }
            None => {
                let _ = process.kill();
                let _ = process.wait();
                Err(String::from_utf8_lossy(&fs::read(folder.path().join("log")).unwrap()).into_owned())
            }
        }
    }

    /// Ends the process with SIGKILL, whatever it does; it may have done that itself.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        let ended = self.process.wait().unwrap();
        assert_eq!(ended.signal(), Some(9), "the server has ended by itself: {ended}\n{}", self.log());
        self.killed = true;
    }

    /// Ends the process with SIGTERM, after which it must close in order.
    pub(crate) fn terminate(self) {
        self.signal("TERM");
        self.ended();
    }

    /// Waits until the process has ended in order.
    pub(crate) fn ended(self) {
        self.ended_with(0);
    }

    /// Waits until the process has ended with that code.
    pub(crate) fn ended_with(mut self, code: i32) {
        let ended = self.process.wait().unwrap();
        assert_eq!(ended.code(), Some(code), "{ended}\n{}", self.log());
        self.killed = true;
    }

    /// Sends the process a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.process.id().to_string()).status().unwrap();
        assert!(sent.success());
    }

    /// `ip:port` of the worker port.
    pub(crate) fn workers(&self) -> &str {
        &self.workers
    }

    /// `ip:port` of the stream port.
    pub(crate) fn streams(&self) -> &str {
        &self.streams
    }

    /// `ip:port` of the admin port.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        // Lossy: the last line may be cut in the middle of a character.
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap()).into_owned()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Waits until the log has a line with `text`.
    pub(crate) async fn logged(&self, text: &str) {
        until(&format!("{text:?} in the log"), async || self.log().contains(text)).await;
    }

    /// Changes the configuration file, which the server reads again on SIGHUP.
    pub(crate) fn reconfigure(&self, change: impl FnOnce(&mut Value)) {
        let file = self.folder.path().join("config.yaml");
        let mut config = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut config);
        fs::write(&file, config.to_string()).unwrap();
    }

    /// Puts any text into the configuration file.
    pub(crate) fn rewrite(&self, text: &str) {
        fs::write(self.folder.path().join("config.yaml"), text).unwrap();
    }

    /// Resident memory of the server, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = if self.killed { Ok(None) } else { self.process.try_wait() };
        let _ = self.process.kill();
        let _ = self.process.wait();
        let log = self.log();
        if thread::panicking() {
            let lines: Vec<_> = log.lines().collect();
            eprintln!("--- the end of the server's log ---\n{}", lines[lines.len().saturating_sub(LINES)..].join("\n"));
            return;
        }
        assert!(matches!(ended, Ok(None)), "the server has ended by itself: {ended:?}\n{log}");
        let panic = log.lines().position(|line| line.contains("panicked"));
        if let Some(line) = panic {
            let lines: Vec<_> = log.lines().skip(line.saturating_sub(5)).take(20).collect();
            panic!("the server has panicked:\n{}", lines.join("\n"));
        }
    }
}

type Announced = (Lines<BufReader<ChildStdout>>, [String; 3]);

/// The addresses that the server writes when it listens; `None` if it does not.
fn announced(stdout: ChildStdout) -> Option<Announced> {
    let (sender, receiver) = mpsc::channel();
    // Reading from a pipe has no deadline, so a thread of its own reads.
    thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines();
        let mut address = |name: &str| {
            lines.by_ref().map_while(Result::ok).find_map(|line| {
                let url = line.trim_start().strip_prefix(name)?.trim_start();
                let (_, address) = url.split_once("://")?;
                address.split('/').next().map(str::to_owned)
            })
        };
        let mut addresses = || Some([address("workers")?, address("streams")?, address("admin")?]);
        let addresses = addresses();
        let _ = sender.send(addresses.map(|addresses| (lines, addresses)));
    });
    receiver.recv_timeout(DEADLINE).ok().flatten()
}

/// The output of `future`, which must come within the [`DEADLINE`].
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("no {what} within {DEADLINE:?}"),
    }
}

/// Waits for a condition that nobody announces.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    within(what, async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    })
    .await;
}
