//! The configuration: what is taken keeps its promises, what is refused is refused the same way each time, and neither shows a secret.

use std::cell::RefCell;
use std::io::{Seek, Write};

use tempfile::NamedTempFile;

/// The folder of the server's own sources, for their modules to be found in.
#[path = "../../src"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "of the binary, which uses all of it")]
mod weir {
    pub(super) mod config;
}

use weir::config::explain::{HIDDEN, explain};
use weir::config::{Config, ConfigError, load};

/// What an environment variable holds.
const SECRET: &str = "hunter2-s3cr3t";

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new(NamedTempFile::new_in("/dev/shm").or_else(|_| NamedTempFile::new()).expect("a file"));
}

/// Reads `data` as a configuration file.
pub fn run(data: &[u8]) {
    FILE.with_borrow_mut(|file| {
        file.as_file().set_len(0).expect("a file can be emptied");
        file.rewind().expect("a file has a beginning");
        file.write_all(data).expect("room in a file");
        let config = read(file);
        judge(&config, &read(file));
        if let Ok(config) = config {
            let explained = explain(Some(file.path()), &variable).expect("what is taken can be explained");
            assert_eq!(explained.config, config);
            let token = explained.keys.iter().find(|key| key.key == "token").and_then(|key| key.value.as_deref());
            assert!(token.is_none_or(|token| token == HIDDEN));
        }
    });
}

fn read(file: &NamedTempFile) -> Result<Config, ConfigError> {
    load(Some(file.path()), &variable)
}

/// Numbers are set to themselves, what begins with `_` is not set.
fn variable(name: &str) -> Option<String> {
    match name.chars().next() {
        Some('_') => None,
        Some('0'..='9') => Some(name.to_owned()),
        _ => Some(SECRET.to_owned()),
    }
}

fn judge(config: &Result<Config, ConfigError>, again: &Result<Config, ConfigError>) {
    match (config, again) {
        (Ok(config), Ok(again)) => {
            assert_eq!(config, again);
            assert!(config.stream.settings.idle_timeout > config.stream.settings.ping_interval);
            assert!(config.stream.settings.max_value_bytes <= config.worker.settings.max_message_bytes);
            for said in config.warnings.iter().chain(&config.skipped) {
                assert!(!said.is_empty() && !said.contains(SECRET), "{said}");
            }
        }
        (Err(error), Err(again)) => {
            let said = error.to_string();
            assert_eq!(said, again.to_string());
            assert!(!said.is_empty() && !said.contains(SECRET), "{said}");
            assert!(!said.contains("the YAML parser failed"), "{said}");
        }
        (one, other) => panic!("{one:?}, then {other:?}"),
    }
}
