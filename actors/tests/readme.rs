//! The tables of codes in the README are the code's own. `WEIR_BLESS=1 cargo test -p weir-actors --test readme` writes them. The table of limits
//! names tests, which must be there.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use weir_actors::error::{CLOSE_CODES, REPLY_CODES};

fn holds(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = readme.find(&open).unwrap_or_else(|| panic!("README.md has no {open}")) + open.len();
    let end = start + readme[start..].find(&close).unwrap_or_else(|| panic!("README.md has no {close}"));
    if std::env::var_os("WEIR_BLESS").is_some() {
        fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[end..])).unwrap();
    } else {
        assert_eq!(&readme[start..end], table, "README.md is behind the code; run with WEIR_BLESS=1");
    }
}

#[test]
fn reply_and_close_codes_in_the_readme_are_those_of_the_code() {
    let mut replies = "| code | when |\n|---|---|\n".to_owned();
    for (code, when) in REPLY_CODES {
        writeln!(replies, "| `{code}` | {when} |").unwrap();
    }
    holds("reply codes", &replies);
    let mut closes = "| close code | reason |\n|---|---|\n".to_owned();
    for (_, code, reason) in CLOSE_CODES {
        writeln!(closes, "| {code} | {reason} |").unwrap();
    }
    holds("close codes", &closes);
}

/// All Rust source below a folder.
fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_limit_in_the_readme_has_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let table = readme.split_once("<!-- limits -->").unwrap().1.split_once("<!-- /limits -->").unwrap().0;
    let mut tests = String::new();
    for folder in ["actors/src", "actors/tests", "tests/e2e"] {
        sources(&root.join(folder), &mut tests);
    }
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| limit")).collect();
    assert!(rows.len() > 30, "{} limits", rows.len());
    for row in rows {
        let [.., test, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let name = test.trim().trim_matches('`');
        assert!(!name.is_empty() && tests.contains(&format!("fn {name}(")), "no test {name}: {row}");
    }
}
