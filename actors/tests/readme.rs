//! The tables of codes in the README are the code's own. `WEIR_BLESS=1 cargo test -p weir-actors --test readme` writes them.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::path::Path;

use weir_actors::error::{CLOSE_CODES, REPLY_CODES};

fn holds(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let start = readme.find(&open).unwrap_or_else(|| panic!("README.md has no {open}")) + open.len();
    let end = start + readme[start..].find(&close).unwrap_or_else(|| panic!("README.md has no {close}"));
    if std::env::var_os("WEIR_BLESS").is_some() {
        std::fs::write(&path, format!("{}{table}{}", &readme[..start], &readme[end..])).unwrap();
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
