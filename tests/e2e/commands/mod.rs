//! The command line, as people and scripts use it: the built program beside a server.

mod check_config;
mod doctor;
mod failures;
mod health;
mod items;
mod program;
mod watch;

use std::path::Path;
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::server::{BINARY, Server, within};

/// How a command ended.
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ended {
    /// What it printed, which must be all.
    fn printed(self) -> String {
        assert!(self.code == 0 && self.stderr.is_empty(), "{}: {}{}", self.code, self.stdout, self.stderr);
        self.stdout
    }

    /// The one JSON text that it printed.
    fn json(self) -> Value {
        let printed = self.printed();
        assert_eq!(printed.matches('\n').count(), 1, "{printed}");
        serde_json::from_str(&printed).unwrap()
    }

    /// What it said on standard error, where it printed nothing and failed.
    fn refused(self) -> String {
        assert!(self.code == 1 && self.stdout.is_empty(), "{}: {}{}", self.code, self.stdout, self.stderr);
        self.stderr
    }

    /// Code and message of the error that it printed as JSON.
    fn json_error(self) -> (String, String) {
        assert!(self.code == 1 && self.stderr.is_empty(), "{}: {}{}", self.code, self.stdout, self.stderr);
        let error: Value = serde_json::from_str(&self.stdout).unwrap();
        let text = |name: &str| error["error"][name].as_str().unwrap().to_owned();
        (text("code"), text("message"))
    }
}

/// The program, with nothing in its environment that it looks at.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    for name in ["WEIR_TOKEN", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "RUST_LOG", "WEIR_LOG", "WEIR_CONFIG", "SSL_CERT_FILE"] {
        command.env_remove(name);
    }
    command
}

async fn ended(command: &mut Command) -> Ended {
    let output = within("end of the command", command.output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// Runs a command.
async fn weir(arguments: &[&str]) -> Ended {
    ended(&mut program(arguments)).await
}

/// Runs a command with a configuration file.
async fn weir_by(config: &Path, arguments: &[&str]) -> Ended {
    ended(program(arguments).arg("--config").arg(config)).await
}

/// Runs a command that calls a server.
async fn at(server: &Server, arguments: &[&str]) -> Ended {
    ended(program(arguments).args(["--url", &url(server)])).await
}

/// The same with something on standard input.
async fn at_with(server: &Server, arguments: &[&str], stdin: &str) -> Ended {
    let mut child = program(arguments).args(["--url", &url(server)]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).await.unwrap();
    let output = within("end of the command", child.wait_with_output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ended { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn url(server: &Server) -> String {
    format!("ws://{}", server.workers())
}
