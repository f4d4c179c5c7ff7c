//! What `weir check-config` shows.

use super::super::explain::{Explained, HIDDEN, Origin, explain};
use super::super::source::{self, Node};
use super::*;

fn explained(text: &str, env: &[(&str, &str)]) -> Explained {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let value = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    explain(Some(file.path()), &value).unwrap()
}

/// What is shown of a key: its value and its origin.
fn shown(explained: &Explained, module: &str, key: &str) -> (String, Origin) {
    let found = explained.keys.iter().find(|one| one.module == module && one.key == key).unwrap_or_else(|| panic!("no {module} {key}"));
    (found.value.clone().unwrap_or_default(), found.origin.clone())
}

fn at(line: usize, variables: &[&str]) -> Origin {
    Origin::File { line: Some(line), variables: variables.iter().map(|&name| name.to_owned()).collect() }
}

/// The full names of the keys below a node, down to what is no mapping.
fn names(node: &Node, prefix: &str, into: &mut Vec<String>) {
    match node {
        Node::Mapping(own) if !own.is_empty() => {
            for (name, node) in own {
                names(node, &format!("{prefix}.{name}"), into);
            }
        }
        _ => into.push(prefix.to_owned()),
    }
}

#[test]
fn every_key_of_the_example_is_shown_with_its_line() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml");
    let explained = explain(Some(&path), &|_| None).unwrap();
    let Node::Mapping(top) = source::parse(&path).unwrap().0 else { panic!("a mapping") };
    let mut written = Vec::new();
    for (name, node) in &top {
        match node {
            Node::List(modules) => {
                for (module, node) in ["stream", "worker", "admin"].into_iter().zip(modules) {
                    let Node::Mapping(module_of) = node else { panic!("a module") };
                    names(&module_of["config"], module, &mut written);
                }
            }
            Node::Mapping(_) => names(node, name, &mut written),
            _ => written.push(format!("worker.{name}")),
        }
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert!(written.len() > 40, "{written:?}");
    for name in written {
        let (module, key) = name.split_once('.').unwrap();
        let (value, origin) = shown(&explained, module, key);
        if let Origin::File { line: Some(line), .. } = origin {
            let last = key.rsplit('.').next().unwrap();
            assert!(lines[line - 1].trim_start().starts_with(&format!("{last}:")), "{name}: {line}");
        } else {
            // Null is as good as not written.
            assert!(value.is_empty(), "{name}: {value} {origin:?}");
        }
    }
}

#[test]
fn origins_are_the_line_and_the_variable_and_else_the_default() {
    let text = "port: ${W:1}\ntoken: \"${T}\"\nmodules:\n- class: modules::stream::StreamModule\n  config:\n    port: ${P:1}\n    host: a\n    \
                tls: { cert: \"${C}\", key: k }\n    allowed_origins: null\n- class: modules::worker::WorkerModule\n  config:\n    port: 7\n";
    let found = explained(text, &[("T", "hunter2"), ("P", "5"), ("C", "c.pem")]);
    assert_eq!(shown(&found, "worker", "port"), ("7".to_owned(), at(12, &[])));
    assert_eq!(shown(&found, "worker", "token"), (HIDDEN.to_owned(), at(2, &["T"])));
    assert_eq!(shown(&found, "stream", "port"), ("5".to_owned(), at(6, &["P"])));
    assert_eq!(shown(&found, "stream", "tls"), ("{ cert: c.pem, key: k }".to_owned(), at(8, &["C"])));
    assert_eq!(shown(&found, "stream", "allowed_origins"), (String::new(), Origin::Default));
    assert_eq!(shown(&found, "stream", "drain_ms"), ("5000".to_owned(), Origin::Default));
    assert_eq!(shown(&found, "stream", "adapter.config.fsync"), ("always".to_owned(), Origin::Default));
}

#[test]
fn endpoint_is_shown_without_a_password() {
    let module = |endpoint: &str| format!("modules: [{{ class: modules::admin::AdminModule, config: {{ otlp_endpoint: '{endpoint}' }} }}]");
    let found = explained(&module("http://user:hunter2@h:1/p"), &[]);
    assert_eq!(shown(&found, "admin", "otlp_endpoint").0, "http://…@h:1/p");
    assert_eq!(shown(&explained(&module("http://h:1"), &[]), "admin", "otlp_endpoint").0, "http://h:1");
}

#[test]
fn keys_of_an_adapter_are_those_of_its_class() {
    let redis = explained(&adapter("RedisAdapter", "redis_url: 'redis://u:hunter2@h:1', history: 7"), &[]);
    assert_eq!(shown(&redis, "stream", "adapter.config.redis_url").0, "redis://…@h:1");
    assert_eq!(shown(&redis, "stream", "adapter.config.history").0, "7");
    assert!(!redis.keys.iter().any(|one| one.key == "adapter.config.fsync"));
    let memory = explained(&adapter("KvStore", "store_method: in_memory"), &[]);
    assert_eq!(memory.keys.iter().filter(|one| one.key.starts_with("adapter.config.")).count(), 1);
}

#[test]
fn streams_of_their_own_overflow_are_shown() {
    let found = explained(&stream("overflow_by_stream: { chat: close, log: resync }"), &[]);
    assert_eq!(shown(&found, "stream", "overflow_by_stream").0, "{ chat: close, log: resync }");
}
