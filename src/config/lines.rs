//! On which line of the file a key stands. The `config` crate does not tell, so what it parses with is asked once more.

use std::collections::BTreeMap;

use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::Marker;

use super::expand;

/// Lines, counted from 1, by the full path of a key as messages have it (`modules[0].config.port`).
pub(super) type Lines = BTreeMap<String, usize>;

/// The lines of a text that has been read without an error, and is masked as it was then.
pub(super) fn of(masked: &str) -> Lines {
    let mut walk = Walk::default();
    // What does not parse twice has no lines; nothing else hangs on them.
    let _ = Parser::new(masked.chars()).load(&mut walk, false);
    walk.lines
}

/// What the walk is in.
enum Level {
    List {
        at: String,
        next: usize,
    },
    /// `key` is the path of the key whose value comes next.
    Mapping {
        at: String,
        key: Option<String>,
    },
}

#[derive(Default)]
struct Walk {
    levels: Vec<Level>,
    lines: Lines,
}

impl Walk {
    /// The path of a value that begins on this line.
    fn begin(&mut self, line: usize) -> String {
        match self.levels.last_mut() {
            None => String::new(),
            Some(Level::Mapping { key, .. }) => key.take().unwrap_or_default(),
            Some(Level::List { at, next }) => {
                let path = format!("{at}[{next}]");
                *next += 1;
                self.lines.insert(path.clone(), line);
                path
            }
        }
    }
}

impl MarkedEventReceiver for Walk {
    fn on_event(&mut self, event: Event, mark: Marker) {
        match event {
            Event::Scalar(text, ..) => match self.levels.last_mut() {
                Some(Level::Mapping { at, key: key @ None }) => {
                    let name = expand::unmask(&text);
                    let path = if at.is_empty() { name } else { format!("{at}.{name}") };
                    self.lines.insert(path.clone(), mark.line());
                    *key = Some(path);
                }
                _ => drop(self.begin(mark.line())),
            },
            Event::SequenceStart(..) => {
                let at = self.begin(mark.line());
                self.levels.push(Level::List { at, next: 0 });
            }
            Event::MappingStart(..) => {
                let at = self.begin(mark.line());
                self.levels.push(Level::Mapping { at, key: None });
            }
            Event::SequenceEnd | Event::MappingEnd => drop(self.levels.pop()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, path: &str) -> Option<usize> {
        of(&expand::mask(text).unwrap_or_default()).get(path).copied()
    }

    #[test]
    fn lines_are_those_of_keys_in_blocks_and_in_braces() {
        let text = "port: ${P:1}\n# a comment\nmodules:\n  - class: a\n    config: { host: h,\n      port: 2 }\n  - config:\n      tls:\n        cert: c\n";
        let found = ["port", "modules[0].class", "modules[0].config.host", "modules[0].config.port", "modules[1].config.tls.cert", "none"];
        assert_eq!(found.map(|path| line(text, path)), [Some(1), Some(4), Some(5), Some(6), Some(9), None]);
    }

    #[test]
    fn lines_of_a_bare_list_begin_with_its_index() {
        assert_eq!(line("- class: a\n- class: b\n  config:\n    port: 1\n", "[1].config.port"), Some(4));
    }
}
