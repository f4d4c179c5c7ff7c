//! The published SDKs and stream clients, unmodified: every script of `tests/sdk`, with every version that its head names.
//!
//! A test per script and version, so that a result says which. [`LISTED`] is written by hand, because tests are;
//! `every_script_on_disk_is_listed` holds it against the folder.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::Semaphore;

use crate::server::Server;

/// The scripts have deadlines of their own, which end them earlier and say what they waited for.
const LIMIT: Duration = Duration::from_secs(90);
/// Scripts that run at a time.
static PLACES: Semaphore = Semaphore::const_new(2);

/// One test per version of each script, and the list of all of them.
macro_rules! scripts {
    ($($language:ident { $($script:ident: $($version:ident $word:literal)+;)+ })+) => {
        /// Language, script and version; for Rust the version is that of the crate, otherwise it is the script's argument.
        const LISTED: &[(&str, &str, &str)] = &[$($($((stringify!($language), stringify!($script), $word),)+)+)+];
        $(mod $language {
            $(mod $script {
                $(#[tokio::test]
                async fn $version() {
                    crate::sdk::run(stringify!($language), stringify!($script), $word).await;
                })+
            })+
        })+
    };
}

scripts! {
    node {
        presence: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        on_auth: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        stream_auth: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        conditional_join: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        join_leave: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        stream_trigger: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        functions: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        errors: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        void_order: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        create_stream: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        trigger_types: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        listing: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        reconnect: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        shutdown: v0_9_0 "0.9.0" v0_11_6 "0.11.6" v0_22_1 "0.22.1";
        stream_client: core "core" node "node";
    }
    python {
        presence: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        on_auth: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        stream_auth: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        conditional_join: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        functions: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        void_order: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        create_stream: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        trigger_types: v0_10_0 "0.10.0" v0_25_0 "0.25.0";
        listing: v0_10_0 "0.10.0";
    }
    rust {
        presence: v0_10 "0.10" v0_11 "0.11" v0_25 "0.25";
        on_auth: v0_10 "0.10" v0_11 "0.11" v0_25 "0.25";
        stream_auth: v0_10 "0.10" v0_11 "0.11" v0_25 "0.25";
        conditional_join: v0_10 "0.10" v0_11 "0.11" v0_25 "0.25";
        functions: v0_10 "0.10" v0_11 "0.11" v0_25 "0.25";
        listing: v0_10 "0.10";
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// Where the source of a script stands.
fn source(language: &str, script: &str, word: &str) -> PathBuf {
    folder().join(match language {
        "node" => format!("node/{script}.mjs"),
        "python" => format!("python/{script}.py"),
        _ => format!("rust-{word}/src/bin/{script}.rs"),
    })
}

/// A program that was built with a published SDK.
pub(crate) fn built(name: &str) -> PathBuf {
    let binaries = std::env::var_os("WEIR_SDK_BIN")
        .map_or_else(|| Path::new(&std::env::var_os("HOME").unwrap_or_default()).join(".cache/weir/sdk/debug"), PathBuf::from);
    binaries.join(name)
}

/// What runs a script, and the file that must be there for it.
fn command(language: &str, script: &str, word: &str) -> (Command, PathBuf) {
    let source = source(language, script, word);
    match language {
        "node" => {
            let mut command = Command::new("node");
            command.arg(source).arg(word);
            (command, folder().join("node/node_modules"))
        }
        "python" => {
            let python = folder().join(format!("python/.venv/{word}/bin/python"));
            let mut command = Command::new(&python);
            command.arg("-B").arg(source).arg(word);
            (command, python)
        }
        _ => {
            let binary = built(&format!("{script}-{word}").replace(['_', '.'], "-"));
            (Command::new(&binary), binary)
        }
    }
}

/// What follows `key` in the comments at the head of a script.
fn head(source: &Path, key: &str) -> Option<String> {
    let text = fs::read_to_string(source).unwrap_or_else(|error| panic!("{}: {error}", source.display()));
    let comments = text.lines().take_while(|line| line.starts_with("//") || line.starts_with('#'));
    comments.filter_map(|line| Some(line.split_once(key)?.1.trim().to_owned())).next()
}

/// Runs a script against a server of its own.
async fn run(language: &str, script: &str, word: &str) {
    let (command, needed) = command(language, script, word);
    against_a_server(command, &source(language, script, word), &needed).await;
}

/// Runs what `command` says, which must succeed, against a server that is configured as the head of `source` has it. `needed` must be there for it.
pub(crate) async fn against_a_server(mut command: Command, source: &Path, needed: &Path) {
    assert!(needed.exists(), "{} is not there; run `make deps`", needed.display());
    let _place = PLACES.acquire().await.unwrap();
    let stream = keys(source, "weir-config:").unwrap_or_else(|| json!({}));
    let server = match keys(source, "weir-admin:") {
        None => Server::with(stream),
        Some(admin) => Server::administered(stream, admin),
    };
    let output = command
        .env("WEIR_WORKERS", format!("ws://{}", server.workers()))
        .env("WEIR_STREAMS", format!("ws://{}", server.streams()))
        .env("WEIR_ADMIN", format!("http://{}", server.admin()))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(LIMIT, output).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("the script was still running after {LIMIT:?}"),
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
}

/// The keys of a module that a script wants its server to have: `key=value`, parted by spaces. What is JSON is that, all else is text.
fn keys(source: &Path, line: &str) -> Option<Value> {
    let pairs = head(source, line)?;
    let pairs = pairs.split_whitespace().map(|pair| pair.split_once('=').unwrap_or_else(|| panic!("{line} key=value, not {pair}")));
    Some(pairs.map(|(key, value)| (key.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value)))).collect())
}

/// Every script below `folder` with every word of its `weir-run` line; for Rust, whose line is empty, with the version of its crate.
pub(crate) fn on_disk(language: &str, folder: &Path, suffix: &str, version: Option<&str>) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(script) = path.file_name().unwrap().to_string_lossy().strip_suffix(suffix).map(str::to_owned) else { continue };
        let Some(words) = head(&path, "weir-run:") else { continue };
        let words = version.map_or_else(|| words.split_whitespace().map(str::to_owned).collect(), |version| vec![version.to_owned()]);
        assert!(!words.is_empty(), "{}: no word in weir-run", path.display());
        found.extend(words.into_iter().map(|word| (language.to_owned(), script.clone(), word)));
    }
    found
}

#[test]
fn every_script_on_disk_is_listed() {
    let mut found = on_disk("node", &folder().join("node"), ".mjs", None);
    found.extend(on_disk("python", &folder().join("python"), ".py", None));
    for entry in fs::read_dir(folder()).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if let Some(version) = name.strip_prefix("rust-") {
            found.extend(on_disk("rust", &folder().join(&name).join("src/bin"), ".rs", Some(version)));
        }
    }
    let found: BTreeSet<_> = found.into_iter().collect();
    let listed = LISTED.iter().map(|(language, script, word)| (language.to_string(), script.to_string(), word.to_string())).collect();
    let missing: Vec<_> = found.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&found).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not listed: {missing:?}; listed but not on disk: {gone:?}");
}
