//! A Redis of a test's own, gone with the test.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use weir_actors::adapter::redis::{Feed, Redis, RedisOptions};

/// How long anything may take at most.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    pub(crate) port: u16,
    dir: TempDir,
    args: Vec<String>,
    process: Option<Child>,
}

impl Server {
    pub(crate) fn start(args: &[&str]) -> Self {
        // Whoever takes the port in between makes the server end at once, and then it is another one.
        for _ in 0..20 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            if let Some(server) = Self::start_at(port, args) {
                return server;
            }
        }
        panic!("no port for redis-server");
    }

    /// A node of a Cluster to be; its second port is found like the first.
    pub(crate) fn start_cluster_node(args: &[&str]) -> Self {
        let bus = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
        Self::start(&[args, &["--cluster-port", &bus]].concat())
    }

    /// On a port that was free a moment ago.
    pub(crate) fn start_at(port: u16, args: &[&str]) -> Option<Self> {
        let args = args.iter().map(|arg| (*arg).to_owned()).collect();
        let mut server = Self { port, dir: tempfile::tempdir().unwrap(), args, process: None };
        server.run().then_some(server)
    }

    fn run(&mut self) -> bool {
        let process = Command::new("redis-server")
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(self.dir.path())
            .args(&self.args)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server of Debian's package is needed");
        self.process = Some(process);
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                return false;
            }
            if self.try_admin().is_some_and(|mut admin| redis::cmd("PING").exec(&mut admin).is_ok()) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("redis-server does not answer");
    }

    fn try_admin(&self) -> Option<redis::Connection> {
        redis::Client::open(self.url()).unwrap().get_connection().ok()
    }

    /// A connection of the test's own.
    pub(crate) fn admin(&self) -> redis::Connection {
        self.try_admin().expect("redis-server is there")
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    pub(crate) fn options(&self) -> RedisOptions {
        let mut options = RedisOptions::new(self.url());
        options.connect_timeout = Duration::from_secs(10);
        options
    }

    pub(crate) async fn connect(&self) -> (Redis, Feed) {
        Redis::connect(self.options()).await.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().unwrap().id()
    }

    /// Ends the server as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(self.run(), "redis-server does not come back");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
