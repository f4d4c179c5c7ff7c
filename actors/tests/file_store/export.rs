//! Streams as NDJSON.

use proptest::prelude::*;
use weir_actors::adapter::file::export::{ExportError, Parser};
use weir_actors::ids::ItemKey;
use weir_actors::settings::StreamSettings;

use crate::files::scratch;
use crate::store::{Writer, open, put};

fn parser() -> Parser {
    Parser::new(&StreamSettings { max_name_bytes: 16, max_value_bytes: 64, ..StreamSettings::default() }, None)
}

/// Feeds lines to a parser until one is refused; where, and why.
fn refused(lines: &[&str]) -> String {
    let mut parser = parser();
    for line in lines {
        if let Err(error) = parser.line(line.as_bytes()) {
            return error.to_string();
        }
    }
    parser.finish().unwrap_err().to_string()
}

const TITLE: &str = r#"{"weir":"stream","version":1,"stream":"s"}"#;
const ITEM: &str = r#"{"group":"g","item":"i","data":1}"#;

#[test]
fn stream_comes_back_as_it_was_in_order_and_byte_for_byte() {
    let scratch = scratch();
    let mut store = open(scratch.path()).unwrap();
    let items = [
        ("", "", "null"),
        ("a", "z", "1.0"),
        ("a", "b", r#"{"b":1,"a":[1e400,"\ud800"],"b":2}"#),
        ("a", "\u{1f600}\"\n", r#""\u0000""#),
        ("é", "x", "[ ]"),
    ];
    let mut writer = Writer::default();
    for (group, item, value) in items {
        writer.commit(&mut store, &[put(&ItemKey::new("s\"t", group, item), value)]).unwrap();
    }
    writer.commit(&mut store, &[put(&ItemKey::new("other", "g", "i"), "1")]).unwrap();
    let mut file = Vec::new();
    assert_eq!(store.handle().export("s\"t", &mut file).unwrap(), 5);
    let mut parser = parser();
    let mut read = Vec::new();
    for line in file.split(|byte| *byte == b'\n') {
        read.extend(parser.line(line).unwrap());
    }
    assert_eq!(parser.finish().unwrap(), 5);
    assert_eq!(parser.stream().unwrap().as_str(), "s\"t");
    let read: Vec<_> = read.iter().map(|(key, json)| (key.group.group(), key.item.as_str(), json.as_bytes())).collect();
    assert_eq!(read, items.map(|(group, item, value)| (group, item, value.as_bytes())));
}

#[test]
fn value_that_was_written_on_several_lines_is_one_line_of_the_file() {
    let scratch = scratch();
    let mut store = open(scratch.path()).unwrap();
    Writer::default().commit(&mut store, &[put(&ItemKey::new("s", "g", "i"), "{\r\n  \"a\": \"\\n\"\n}")]).unwrap();
    let mut file = Vec::new();
    store.handle().export("s", &mut file).unwrap();
    let mut parser = parser();
    let read: Vec<_> = file.split(|byte| *byte == b'\n').filter_map(|line| parser.line(line).unwrap()).collect();
    assert_eq!(parser.finish().unwrap(), 1);
    assert_eq!(read[0].1.as_bytes(), b"{    \"a\": \"\\n\" }");
}

#[test]
fn stream_that_holds_nothing_is_not_exported() {
    let scratch = scratch();
    let store = open(scratch.path()).unwrap();
    let mut file = Vec::new();
    assert!(matches!(store.handle().export("s", &mut file), Err(ExportError::NoStream(name)) if name == "s"));
    assert!(file.is_empty());
    let handle = store.handle();
    drop(store);
    assert!(handle.export("s", &mut file).unwrap_err().to_string().contains("closed"));
}

#[test]
fn file_that_is_not_whole_or_not_ours_is_refused_with_the_line() {
    assert!(refused(&[]).starts_with("there is nothing to read"));
    assert!(refused(&["", " "]).starts_with("there is nothing to read"));
    assert!(refused(&[TITLE, ITEM]).contains("1 items before that"));
    assert!(refused(&["[1]"]).starts_with("line 1: this is no file"));
    assert!(refused(&[r#"{"weir":"other","version":1,"stream":"s"}"#]).starts_with("line 1: this is no file"));
    assert!(refused(&[r#"{"weir":"stream","version":2,"stream":"s"}"#]).contains("newer Weir"));
    assert!(refused(&[TITLE, "{"]).starts_with("line 2: "));
    assert!(refused(&[TITLE, r#"{"item":"i","data":1}"#]).contains("missing field `group`"));
    assert!(refused(&[TITLE, r#"{"group":"g","data":1}"#]).contains("missing field `item`"));
    assert!(refused(&[TITLE, r#"{"group":"g","item":"i"}"#]).contains("missing field `data`"));
    assert_eq!(refused(&[TITLE, ITEM, r#"{"end":true,"items":2}"#]), "line 3: the file should have 2 items and has 1");
    assert!(refused(&[TITLE, r#"{"end":true,"items":0}"#, TITLE]).starts_with("line 3: there is more"));
    let long = format!(r#"{{"group":"{}","item":"i","data":1}}"#, "x".repeat(17));
    assert!(refused(&[TITLE, &long]).contains("the limit is 16 (`max_name_bytes`)"));
    let large = format!(r#"{{"group":"g","item":"i","data":"{}"}}"#, "x".repeat(64));
    assert!(refused(&[TITLE, &large]).contains("the limit is 64 (`max_value_bytes`)"));
}

#[test]
fn items_of_a_renamed_stream_go_into_the_other() {
    let mut parser = Parser::new(&StreamSettings::default(), Some("t"));
    assert_eq!(parser.stream(), None);
    parser.line(TITLE.as_bytes()).unwrap();
    let (key, _) = parser.line(ITEM.as_bytes()).unwrap().unwrap();
    assert_eq!((key.group.stream(), parser.stream().unwrap().as_str()), ("t", "t"));
}

proptest! {
    #[test]
    fn any_lines_are_taken_or_refused(lines in proptest::collection::vec(
        prop_oneof![
            Just(TITLE.as_bytes().to_vec()),
            Just(ITEM.as_bytes().to_vec()),
            any::<Vec<u8>>(),
            r#"\{("(group|item|data|end|items|weir|version|stream)":("a"|1|true|\[\]|null),?){0,4}\}"#.prop_map(String::into_bytes),
        ],
        0..6,
    )) {
        let mut parser = parser();
        for line in &lines {
            if parser.line(line).is_err() {
                break;
            }
        }
        let _ = parser.finish();
    }
}
