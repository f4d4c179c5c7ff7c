//! `weir list` and `weir streams`.

use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::call::Server;
use super::output::{BOLD, Output, note};
use crate::config::Config;
use crate::json::visible;

/// Lists a group.
#[derive(clap::Args)]
pub(crate) struct List {
    /// The stream.
    stream: String,
    /// The group.
    group: String,
    #[command(flatten)]
    server: Server,
}

impl List {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let input = json!({"stream_name": self.stream, "group_id": self.group}).to_string();
        let result = self.server.result(config, "stream::list", &input)?;
        if out.is_json() {
            out.json(&result)?;
            return Ok(());
        }
        let values: Vec<&RawValue> = serde_json::from_str(&result)?;
        if values.is_empty() {
            note(format_args!("the group holds nothing; `weir streams` lists those that do"));
        }
        for value in values {
            out.value("", value.get())?;
        }
        Ok(())
    }
}

/// Lists streams and groups.
#[derive(clap::Args)]
pub(crate) struct Streams {
    /// Only the groups of this stream.
    stream: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// What `stream::list_all` answers.
#[derive(Deserialize)]
struct All {
    stream: Vec<Stream>,
}

#[derive(Deserialize)]
struct Stream {
    id: String,
    groups: Vec<String>,
}

impl Streams {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let (function, input) = match &self.stream {
            Some(stream) => ("stream::list_groups", json!({"stream_name": stream})),
            None => ("stream::list_all", json!({})),
        };
        let result = self.server.result(config, function, &input.to_string())?;
        if out.is_json() {
            out.json(&result)?;
        } else if self.stream.is_some() {
            let groups: Vec<String> = serde_json::from_str(&result)?;
            if groups.is_empty() {
                note(format_args!("the stream holds nothing; `weir streams` lists those that do"));
            }
            groups.iter().try_for_each(|group| out.line(format_args!("{}", visible(group))))?;
        } else {
            let All { stream } = serde_json::from_str(&result)?;
            if stream.is_empty() {
                note(format_args!("no stream holds anything; `weir set STREAM GROUP ITEM JSON` makes one"));
            }
            for Stream { id, groups } in stream {
                out.line(format_args!("{BOLD}{}{BOLD:#}", visible(&id)))?;
                groups.iter().try_for_each(|group| out.line(format_args!("  {}", visible(group))))?;
            }
        }
        Ok(())
    }
}
