//! The console and the published browser client in a real Chromium: every script of `tests/browser`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::sdk::{against_a_server, on_disk};

/// One test per script, and the list of all of them: each with the version of the SDK that its workers have.
macro_rules! scripts {
    ($($script:ident)+) => {
        const LISTED: &[&str] = &[$(stringify!($script)),+];
        $(#[tokio::test]
        async fn $script() {
            run(stringify!($script)).await;
        })+
    };
}

scripts! {
    console_call
    console_empty
    console_hostile
    console_keys
    console_overview
    console_phone
    console_sessions
    console_streams
    console_theme
    console_token
    console_workers
    origins
    stream_client
}

const SDK: &str = "0.22.1";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

async fn run(script: &str) {
    let source = folder().join(format!("{script}.mjs"));
    let mut command = Command::new("node");
    command.arg(&source).arg(SDK);
    against_a_server(command, &source, &folder().join("node_modules")).await;
}

#[test]
fn every_script_on_disk_is_listed() {
    let found: BTreeSet<_> = on_disk("browser", &folder(), ".mjs", None).into_iter().map(|(_, script, word)| (script, word)).collect();
    let listed: BTreeSet<_> = LISTED.iter().map(|script| (script.to_string(), SDK.to_owned())).collect();
    assert_eq!(found, listed, "on disk, and listed");
}
