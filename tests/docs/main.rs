//! The documentation names what is there: files and headings that it links, metrics, and tests that prove a promise.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    ["README.md", "CHANGELOG.md", "actors/README.md"].map(|name| root().join(name)).into_iter().chain(docs).collect()
}

/// The text without blocks of code.
fn prose(text: &str) -> String {
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// Where the links of a page lead, those to other machines left out.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets.filter(|target| !target.contains("://") && !target.contains(' ')).map(str::to_owned).collect()
}

/// What a heading is called in a link.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text);
    let headings = headings.lines().filter_map(|line| line.strip_prefix('#').map(|rest| rest.trim_start_matches('#').trim()));
    let slug = |heading: &str| {
        let kept = heading.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(slug).collect()
}

/// Words that begin so and are made of small letters, digits and underscores.
fn words(text: &str, beginning: &str) -> BTreeSet<String> {
    let is_part = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    text.split(|letter| !is_part(letter)).filter(|word| word.starts_with(beginning)).map(str::to_owned).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut count = 0;
    for page in pages() {
        for link in links(&read(&page)) {
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { page.parent().unwrap().join(path) };
            assert!(target.exists(), "{}: {link}", page.display());
            if !anchor.is_empty() {
                assert!(anchors(&read(&target)).contains(anchor), "{}: {link}", page.display());
            }
            count += 1;
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn metrics_are_those_that_are_measured() {
    let readme = read(&root().join("README.md"));
    let table = readme.split_once("<!-- metrics -->").unwrap().1.split_once("<!-- /metrics -->").unwrap().0;
    let measured = words(table, "weir_");
    assert!(measured.len() > 20, "{measured:?}");
    for page in pages().into_iter().chain([root().join("docs/alerts.yaml")]) {
        for name in words(&read(&page), "weir_") {
            let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
            assert!(
                ["weir_", "weir_actors"].contains(&&*name) || measured.contains(&name) || measured.contains(of_histogram),
                "{}: {name}",
                page.display()
            );
        }
    }
}

#[test]
fn tests_that_prove_a_promise_are_there() {
    fn sources(folder: &Path, into: &mut String) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension().is_some_and(|extension| extension == "rs") {
                _ if path.is_dir() => sources(&path, into),
                true => into.push_str(&read(&path)),
                false => {}
            }
        }
    }
    let mut code = String::new();
    for folder in ["actors/src", "actors/tests", "src", "tests"] {
        sources(&root().join(folder), &mut code);
    }
    let page = read(&root().join("docs/guarantees.md"));
    let names =
        page.split('`').skip(1).step_by(2).filter(|name| name.len() >= 20 && !name.starts_with("weir_") && words(name, "").contains(*name));
    let mut count = 0;
    for name in names {
        assert!(code.contains(&format!("fn {name}(")) || code.contains(&format!("{name};")), "no test {name}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}
