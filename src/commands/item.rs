//! `weir get`, `set`, `update` and `delete`: one item.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::call::{Server, Value, with};
use super::output::{Output, RED};
use crate::client::ClientError;
use crate::config::Config;
use crate::json::{present, visible};

/// Which item.
#[derive(clap::Args)]
pub(crate) struct Key {
    /// The stream.
    stream: String,
    /// The group.
    group: String,
    /// The item.
    item: String,
}

impl Key {
    /// The input of a function.
    fn input(&self) -> serde_json::Value {
        json!({"stream_name": self.stream, "group_id": self.group, "item_id": self.item})
    }
}

/// Reads an item.
#[derive(clap::Args)]
pub(crate) struct Get {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    server: Server,
}

impl Get {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let Some(value) = self.server.call(config, "stream::get", &self.key.input().to_string())? else {
            let Key { stream, group, item } = &self.key;
            let list = format!("weir list {} {}", quoted(stream), quoted(group));
            let message = format!("there is no item {item:?} in group {group:?} of stream {stream:?}; `{list}` shows what is");
            return Err(ClientError::Failed { code: "item_not_found".to_owned(), message }.into());
        };
        if out.is_json() {
            out.json(&value)?
        } else {
            out.value("", &value)?
        }
        Ok(())
    }
}

/// Sets an item.
#[derive(clap::Args)]
pub(crate) struct Set {
    #[command(flatten)]
    key: Key,
    /// The value, in JSON; `-` reads standard input.
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    value: Value,
    #[command(flatten)]
    server: Server,
}

impl Set {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let input = with(&self.key.input(), "data", &self.value.text()?);
        written(&self.server.result(config, "stream::set", &input)?, out)
    }
}

/// Updates an item.
#[derive(clap::Args)]
pub(crate) struct Update {
    #[command(flatten)]
    key: Key,
    /// A JSON list of operations; `-` reads standard input.
    #[arg(value_name = "OPS")]
    ops: Value,
    #[command(flatten)]
    server: Server,
}

impl Update {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let input = with(&self.key.input(), "ops", &self.ops.text()?);
        written(&self.server.result(config, "stream::update", &input)?, out)
    }
}

/// Deletes an item.
#[derive(clap::Args)]
pub(crate) struct Delete {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    server: Server,
}

impl Delete {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        written(&self.server.result(config, "stream::delete", &self.key.input().to_string())?, out)
    }
}

/// A name as a shell takes it.
fn quoted(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/' | '@' | '%' | '+' | ',' | '=');
    if name.starts_with('-') || name.is_empty() || !name.chars().all(is_plain) {
        Cow::Owned(format!("'{}'", name.replace('\'', "'\\''")))
    } else {
        Cow::Borrowed(name)
    }
}

/// What a write answers.
#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    old_value: Option<&'a RawValue>,
    /// A delete has none.
    #[serde(borrow, default, deserialize_with = "present")]
    new_value: Option<&'a RawValue>,
    #[serde(default)]
    errors: Vec<OpError>,
}

/// An operation of an update that did not fit; the others have been applied.
#[derive(Deserialize)]
struct OpError {
    op_index: usize,
    code: String,
    message: String,
}

fn written(result: &str, out: &mut Output) -> anyhow::Result<()> {
    if out.is_json() {
        out.json(result)?;
        return Ok(());
    }
    let Written { old_value, new_value, errors } = serde_json::from_str(result)?;
    // Null and nothing are the same here, in the answers too.
    out.value("old", old_value.map_or("null", RawValue::get))?;
    if let Some(new_value) = new_value {
        out.value("new", new_value.get())?;
    }
    for OpError { op_index, code, message } in errors {
        out.line(format_args!("{RED}op {op_index}{RED:#}  {}: {}", visible(&code), visible(&message)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_where_a_shell_would_take_them_apart() {
        for (name, shown) in
            [("room-1", "room-1"), ("a/b", "a/b"), ("a b", "'a b'"), ("é:{}", "'é:{}'"), ("it's", r"'it'\''s'"), ("", "''"), ("~", "'~'")]
        {
            assert_eq!(quoted(name), shown);
        }
    }
}
