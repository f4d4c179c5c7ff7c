//! A Redis of a test's own, gone with the test: Debian's `redis-server`, on a free port, in a temporary folder.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{DEADLINE, POLL};

/// A running Redis.
pub(crate) struct RedisServer {
    host: String,
    port: u16,
    folder: TempDir,
    args: Vec<String>,
    process: Option<Child>,
}

impl RedisServer {
    /// One that keeps nothing on disk, with these arguments beside.
    pub(crate) fn start(args: &[&str]) -> Self {
        // Whoever takes the port in between makes the process end at once, and then it is another one.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(server) = Self::start_at("127.0.0.1", port, args) {
                return server;
            }
        }
        panic!("no port for redis-server");
    }

    /// The same on an address that was free a moment ago; `None` if it is not any more.
    pub(crate) fn start_at(host: &str, port: u16, args: &[&str]) -> Option<Self> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Self { host: host.to_owned(), port, folder: TempDir::new().unwrap(), args, process: None };
        server.run().then_some(server)
    }

    fn run(&mut self) -> bool {
        let process = Command::new("redis-server")
            .args(["--bind", &self.host, "--port", &self.port.to_string(), "--save", "", "--dir"])
            .arg(self.folder.path())
            .args(&self.args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, which `make test` installs");
        self.process = Some(process);
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE {
            if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if self.cli(&["PING"]) == "PONG" {
                return true;
            }
            thread::sleep(POLL);
        }
        panic!("redis-server does not answer");
    }

    /// What a command answers, as `redis-cli` prints it.
    pub(crate) fn cli(&self, command: &[&str]) -> String {
        let output =
            Command::new("redis-cli").args(["-h", &self.host, "-p", &self.port.to_string()]).args(command).output().expect("redis-cli");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// The port, on loopback unless it was started elsewhere.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The keys of a stream module that keeps its items here.
    pub(crate) fn adapter(&self) -> Value {
        let url = format!("redis://{}:{}", self.host, self.port);
        json!({"class": "modules::stream::adapters::RedisAdapter", "config": {"redis_url": url, "connect_timeout_ms": 10_000}})
    }

    /// Sends the process a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(process).status().unwrap().success());
    }

    /// Ends the process as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again in the same folder, after [`kill`](Self::kill) or instead of it.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis-server does not come back");
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
