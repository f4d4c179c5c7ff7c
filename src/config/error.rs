//! What can be wrong with a configuration file. Keys are given with their full path (`modules[0].config.port`).

use std::io;
use std::path::PathBuf;

/// Why the configuration cannot be used. Shows neither values that come from the environment nor texts that may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The file is missing, a directory, or not ours to read.
    #[error("cannot read {}: {cause}; {}", path.display(), advice(cause))]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The file is longer than a configuration can sensibly be.
    #[error("{} is longer than {limit_bytes} bytes; is it a configuration file?", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: usize,
    },
    /// The file is not YAML, or uses a part of YAML that is not read.
    #[error("{} cannot be read as YAML: {reason}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column if known.
        reason: String,
    },
    /// A key of ours that does not exist.
    #[error("{key}: unknown key; {hint}")]
    UnknownKey {
        /// Full path of the key.
        key: String,
        /// The key that was probably meant, or all there are.
        hint: String,
    },
    /// A module or adapter class that nobody knows.
    #[error("{key}: unknown class {class}; {hint}")]
    UnknownClass {
        /// Full path of the `class` key.
        key: String,
        /// The class as written.
        class: String,
        /// The class that was probably meant, or all there are.
        hint: String,
    },
    /// Something that the engine's configuration has and this version of Weir has not.
    #[error("{key}: {what} is not in this version yet; {instead}")]
    NotYet {
        /// Full path of the key.
        key: String,
        /// What was asked for.
        what: &'static str,
        /// What to write.
        instead: &'static str,
    },
    /// The file has the form of the newest engine, with `workers` for `modules`.
    #[error("workers: this form is not read; list the modules under `modules`, each with its `class` and `config`")]
    WorkersForm,
    /// A value of the wrong type or out of range.
    #[error("{key}: found {found}, expected {expected}")]
    BadValue {
        /// Full path of the key.
        key: String,
        /// What is there, in words.
        found: String,
        /// What can be there, in words.
        expected: String,
    },
    /// Values that are right alone and wrong together.
    #[error("{key}: {reason}")]
    Conflict {
        /// Full path of one of the keys.
        key: String,
        /// What does not fit.
        reason: String,
    },
    /// A `${VAR}` without default, and no such variable.
    #[error("{key}: environment variable {variable} is not set; set it or give a default, as in ${{{variable}:value}}")]
    MissingVariable {
        /// Full path of the key.
        key: String,
        /// The variable.
        variable: String,
    },
}

/// What to do about a file that cannot be read. That of a package is not for everybody, as it may hold a token.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::PermissionDenied => "this user may not read it: run this as root, as the server's user or in its group",
        _ => "check the path of the configuration file",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_that_is_not_for_this_user_is_told_so() {
        let told = |kind: io::ErrorKind| ConfigError::Unreadable { path: "weir.yaml".into(), cause: kind.into() }.to_string();
        assert!(told(io::ErrorKind::PermissionDenied).contains("this user may not read it"));
        assert!(told(io::ErrorKind::NotFound).contains("check the path"));
    }
}
