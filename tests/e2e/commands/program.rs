//! Help, version, completions, and where the output goes.

use std::process::Stdio;

use tokio::process::Command;

use super::{at, ended, program, weir};
use crate::server::{Server, within};

const COMMANDS: [&str; 21] = [
    "serve",
    "call",
    "get",
    "set",
    "update",
    "delete",
    "list",
    "streams",
    "send",
    "watch",
    "top",
    "check-config",
    "doctor",
    "health",
    "export",
    "import",
    "backup",
    "restore",
    "verify",
    "completions",
    "help",
];

#[tokio::test]
async fn every_command_is_in_the_help_and_shows_an_example() {
    let help = weir(&["--help"]).await.printed();
    for command in COMMANDS {
        assert!(help.lines().any(|line| line.trim_start().split(' ').next() == Some(command)), "{command}: {help}");
        if command != "help" {
            let own = weir(&[command, "--help"]).await.printed();
            assert!(own.contains(&format!("  weir {command}")) || own.contains(&format!("<(weir {command}")), "{own}");
        }
    }
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    assert_eq!(listed.filter(|line| line.starts_with("  ") && !line.starts_with("   ")).count(), COMMANDS.len(), "{help}");
}

#[tokio::test]
async fn version_is_that_of_the_package() {
    // With the commit behind it, where the build was told.
    let version = weir(&["--version"]).await.printed();
    assert!(version.starts_with(&format!("weir {}", env!("CARGO_PKG_VERSION"))), "{version}");
}

#[tokio::test]
async fn completions_know_every_command_and_shells_take_them() {
    for shell in ["bash", "zsh", "fish"] {
        let script = weir(&["completions", shell]).await.printed();
        for command in COMMANDS {
            assert!(script.contains(command), "{shell}: {command}");
        }
        if shell == "bash" {
            let checked = Command::new("bash").args(["-n", "-c", &script]).output().await.unwrap();
            assert!(checked.status.success() && checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
        }
    }
    assert_eq!(weir(&["completions", "tcsh"]).await.code, 2);
}

#[tokio::test]
async fn output_that_nobody_reads_is_no_error() {
    let server = Server::start();
    for arguments in [&["completions", "bash"][..], &["streams", "--json"], &["check-config"], &["doctor", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = program(arguments);
        if arguments[0] == "streams" {
            command.args(["--url", &format!("ws://{}", server.workers())]);
        }
        command.current_dir(std::env::temp_dir()).stdout(Stdio::from(writer));
        let output = within("end of the command", command.spawn().unwrap().wait_with_output()).await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(0) && said.is_empty(), "{arguments:?}: {}: {said}", output.status);
    }
}

#[tokio::test]
async fn colours_are_for_terminals_unless_asked_for() {
    let server = Server::start();
    let plain = at(&server, &["set", "s", "g", "i", "1"]).await.printed();
    assert_eq!(plain, "old  null\nnew  1\n");
    let coloured = at(&server, &["set", "s", "g", "i", "2", "--color", "always"]).await.printed();
    assert_eq!(coloured, "\u{1b}[2mold\u{1b}[0m  1\n\u{1b}[2mnew\u{1b}[0m  2\n");
    let url = format!("ws://{}", server.workers());
    let forced = ended(program(&["set", "s", "g", "i", "3", "--url", &url, "--color", "never"]).env("CLICOLOR_FORCE", "1")).await;
    assert_eq!(forced.printed(), "old  2\nnew  3\n");
}

#[tokio::test]
async fn top_prints_what_the_console_shows() {
    let server = Server::start();
    let (client, _) = crate::subscriber::Subscriber::of(&server, "presence", "room-1").await;
    let url = format!("http://{}", server.admin());
    let looked = weir(&["top", "--json", "--count", "1", "--url", &url, "--filter", "ROOM-1"]).await.json();
    assert_eq!((&looked["overview"]["gauges"]["connections"], &looked["clients"]["total"]), (&1.into(), &1.into()));
    assert_eq!(looked["clients"]["sessions"][0]["address"], client.address.as_str());
    let refused = weir(&["top", "--url", &url]).await.refused();
    assert!(refused.contains("--json"), "{refused}");
    let away = weir(&["top", "--json", "--url", "http://127.0.0.1:1"]).await.json_error();
    assert!(away.1.contains("--url") && away.1.contains("http://127.0.0.1:1"), "{away:?}");
    let miswritten = weir(&["top", "--json", "--url", "127.0.0.1:9464"]).await.json_error();
    assert!(miswritten.1.contains("write http://HOST:PORT"), "{miswritten:?}");
}
