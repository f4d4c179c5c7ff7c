//! Files that are not a configuration, by accident or by intent: an error each, no panic and no overflow.

use std::path::Path;

use proptest::prelude::*;

use super::super::source;
use super::*;

#[test]
fn missing_file_is_refused_with_its_path() {
    let error = load(Some(Path::new("/nowhere/weir.yaml")), &|_| None).unwrap_err();
    assert!(matches!(error, ConfigError::Unreadable { .. }));
    assert!(error.to_string().starts_with("cannot read /nowhere/weir.yaml: "), "{error}");
}

#[test]
fn directory_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(load(Some(directory.path()), &|_| None), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn file_that_is_not_utf8_is_refused() {
    let error = load_with(b"port: \xff\xfe", &[]).unwrap_err();
    assert!(error.to_string().contains("invalid utf-8"), "{error}");
}

#[test]
fn file_over_the_limit_is_refused_and_at_the_limit_is_read() {
    let at_limit = format!("port: 1\n#{}", "x".repeat(source::MAX_FILE_BYTES - 9));
    assert_eq!(at_limit.len(), source::MAX_FILE_BYTES);
    assert_eq!(loaded(&at_limit).worker.port, 1);
    assert!(matches!(load_with(at_limit + "x", &[]), Err(ConfigError::TooLarge { .. })));
}

#[test]
fn text_that_is_not_yaml_is_refused_with_line_and_column() {
    let error = refused("port: 1\nmodules: [\n");
    assert!(error.contains("cannot be read as YAML") && error.contains("line "), "{error}");
}

#[test]
fn root_that_is_no_mapping_or_list_is_refused() {
    for text in ["hello", "5", "true", "'- a'", "--- |\n  text\n"] {
        let error = refused(text);
        assert!(error.contains("neither a mapping with `port`, `host` and `modules` nor a list"), "{text}: {error}");
    }
}

#[test]
fn several_documents_are_refused() {
    assert!(refused("port: 1\n---\nport: 2\n").contains("Got 2 YAML documents, expected 1"));
}

#[test]
fn key_written_twice_is_refused_by_name() {
    assert!(refused("port: 1\nport: 2\n").contains("\"port\" is there twice in one mapping"));
    assert!(refused("- class: a\n  class: b\n").contains("\"class\" is there twice in one mapping"));
}

#[test]
fn alias_is_refused() {
    assert!(refused("port: &p 1\nx: *p\n").contains("anchors and aliases are not read; write out what *p stands for"));
}

#[test]
fn asterisk_or_ampersand_that_is_no_alias_is_read() {
    loaded("x: '0 */5 * * *'\ny: 0 */5 * * * *\nz: https://a/?b&c=d&e\nw: &anchor 5\n");
}

#[test]
fn growing_aliases_are_refused_in_time() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for level in 1..20 {
        let before = format!("*a{}", level - 1);
        bomb += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(","));
    }
    assert!(refused(&bomb).contains("anchors and aliases"));
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    for unit in ["- ", "? ", "[", "{", "{a: ", "[a: ", ": ", "- !t ", "- &a ", "\"k\":: , ", ":,", "\n: "] {
        for before in ["", "[", "a: ", "a: ["] {
            let text = format!("{before}{}", unit.repeat(200_000 / unit.len()));
            // Whether it is YAML does not matter.
            let _ = source::parse_text(&text);
        }
    }
    let indented: String = (0..400).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(refused(&indented).contains("is indented by more than 128 columns"));
}

#[test]
fn long_runs_of_dollars_and_braces_are_read_in_time() {
    for unit in ["${", "${a", "${:", "}", "${}", "$", "${A:"] {
        let _ = load_with(format!("x: '{}'", unit.repeat(100_000)), &[]);
    }
}

#[test]
fn character_of_the_mask_is_refused() {
    assert!(refused("port: 1 # \u{100024}\n").contains("U+100000 to U+10017F"));
}

/// Lines of what a configuration is made of, in any order and depth.
fn yaml_like() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "port",
        "host",
        "modules",
        "class",
        "config",
        "adapter",
        "workers",
        "modules::stream::StreamModule",
        "modules::stream::adapters::KvStore",
        "store_method",
        "in_memory",
        "3112",
        "null",
        "${A}",
        "${B:1}",
        "${",
        "}",
        "'",
        "\"",
        "- ",
        ": ",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\n",
        "\n  ",
        "\n    ",
        "# ",
        "&a",
        "*a",
        "!t ",
        "|\n",
        "? ",
        "0x",
        ".inf",
        "-1",
        "~",
        "<<",
        "---\n",
        "...",
        "\t",
        "\u{100024}",
        "\u{feff}",
        "\u{0}",
        "é",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

/// A tree that is always YAML, written as JSON.
fn tree() -> impl Strategy<Value = String> {
    let key = || prop::sample::select(vec!["port", "host", "modules", "class", "config", "adapter", "max_value_bytes", "x"]);
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|int| int.to_string()),
        any::<f64>().prop_map(|float| format!("{float:?}")),
        Just("\"modules::stream::StreamModule\"".to_owned()),
        Just("\"modules::worker::WorkerModule\"".to_owned()),
        Just("${A:5}".to_owned()),
        "\\PC{0,8}".prop_map(|text| format!("{text:?}")),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|list| format!("[{}]", list.join(", "))),
            prop::collection::btree_map(key(), inner, 0..6).prop_map(|pairs| {
                let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{key:?}: {value}")).collect();
                format!("{{{}}}", pairs.join(", "))
            }),
        ]
    })
}

/// Loads without panicking; what it accepts keeps the promises of [`Config`].
fn survives(text: &str) -> Result<(), TestCaseError> {
    match load_with(text, &[("A", "x: [${B}")]) {
        Ok(config) => {
            prop_assert!(config.stream.settings.idle_timeout > config.stream.settings.ping_interval);
            prop_assert!(config.stream.settings.max_value_bytes <= config.worker.settings.max_message_bytes);
        }
        Err(error) => {
            let message = error.to_string();
            prop_assert!(!message.is_empty() && !message.contains("the YAML parser failed"), "{message}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn random_text_never_panics(text in any::<String>()) {
        survives(&text)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = load_with(bytes, &[]);
    }

    #[test]
    fn random_words_never_panic(text in yaml_like()) {
        survives(&text)?;
    }

    #[test]
    fn random_tree_never_panics(text in tree()) {
        survives(&text)?;
    }

    #[test]
    fn masked_text_keeps_its_length_and_unmasks_to_itself(text in "[a-z${}:'\" \n]{0,60}") {
        let masked = super::super::expand::mask(&text).unwrap();
        prop_assert_eq!(masked.chars().count(), text.chars().count());
        prop_assert_eq!(super::super::expand::unmask(&masked), text);
    }
}
