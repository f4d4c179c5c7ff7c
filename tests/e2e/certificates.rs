//! Certificates of a test's own, made by openssl.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

fn openssl(folder: &Path, args: &str) {
    let made = Command::new("openssl").args(args.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
    assert!(made.expect("openssl, which `make test` installs").success(), "openssl {args}");
}

/// An authority, `ca.crt`, and a certificate of it for `localhost`: `crt` with its `key`.
pub(crate) fn certificates() -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = folder.path();
    openssl(at, "req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=test");
    openssl(at, "req -newkey rsa:2048 -nodes -keyout key -out request -subj /CN=localhost");
    fs::write(at.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(at, "x509 -req -in request -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out crt");
    folder
}
