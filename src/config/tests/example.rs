//! `config.example.yaml` against the table of keys.

use std::path::PathBuf;

use super::super::expand::Scalar;
use super::super::keys::{self, Key, KvStore};
use super::super::source::{self, Node};
use super::*;

fn example() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml")
}

fn child<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    match node {
        Node::Mapping(mapping) => mapping.get(name),
        Node::List(list) => list.get(name.parse::<usize>().unwrap()),
        Node::Scalar(_) => None,
    }
}

/// Every key of the table stands in the section with its default; one that has none is named in a comment or is null.
fn holds<S: Default>(text: &str, section: &Node, keys: &[Key<S>]) {
    holds_of(S::default(), text, section, keys);
}

fn holds_of<S>(mut default: S, text: &str, section: &Node, keys: &[Key<S>]) {
    for key in keys {
        let name = key.name;
        let written = child(section, name);
        match ((key.slot)(&mut default).shown(), written) {
            (Some(shown), Some(Node::Scalar(Scalar::Int(int)))) => {
                assert_eq!(int.to_string(), shown, "{name}")
            }
            (Some(shown), Some(Node::Scalar(Scalar::Text(text)))) => {
                assert_eq!(*text, shown, "{name}")
            }
            (Some(shown), Some(Node::Scalar(Scalar::Bool(on)))) => assert_eq!(on.to_string(), shown, "{name}"),
            (Some(shown), other) => panic!("{name} should be {shown}, is {other:?}"),
            (None, Some(Node::Scalar(Scalar::Null) | Node::Mapping(_))) => {}
            (None, None) => assert!(text.contains(&format!("`{name}`")), "{name} is missing"),
            (None, other) => panic!("{name} has no default, is {other:?}"),
        }
    }
}

#[test]
fn example_loads_to_exactly_the_default() {
    assert_eq!(load(Some(&example()), &|_| None).unwrap(), Config::default());
}

#[test]
fn example_has_every_key_with_its_default() {
    let text = std::fs::read_to_string(example()).unwrap();
    let root = source::parse_text(&text).unwrap();
    let section = |path: &str| path.split('.').fold(&root, |node, name| child(node, name).unwrap());
    holds(&text, &root, keys::LISTENER);
    holds(&text, section("log"), keys::LOG);
    holds(&text, section("modules.0.config"), keys::STREAM);
    holds(&text, section("modules.0.config.adapter.config"), keys::KV_STORE as &[Key<KvStore>]);
    holds(&text, section("modules.1.config"), keys::WORKER);
    holds(&text, section("modules.2.config"), keys::ADMIN);
}

#[test]
fn example_of_redis_in_a_comment_has_every_key_with_its_default() {
    let text = std::fs::read_to_string(example()).unwrap();
    let from = text.lines().skip_while(|line| *line != "      # adapter:");
    let comment: Vec<_> = from.map_while(|line| line.strip_prefix("      # ")).collect();
    let root = source::parse_text(&comment.join("\n")).unwrap();
    let adapter = child(&root, "adapter").unwrap();
    assert!(
        matches!(child(adapter, "class"), Some(Node::Scalar(Scalar::Text(class))) if class == "modules::stream::adapters::RedisAdapter")
    );
    holds_of(RedisOptions::new(REDIS_URL), &text, child(adapter, "config").unwrap(), keys::REDIS);
}
