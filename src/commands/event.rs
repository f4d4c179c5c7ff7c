//! `weir send`: an event that is not stored.

use serde_json::json;

use super::call::{Server, Value, with};
use super::output::{Output, note};
use crate::config::Config;

/// Sends an event.
#[derive(clap::Args)]
pub(crate) struct Send {
    /// The stream.
    stream: String,
    /// The group.
    group: String,
    /// The event's type, as subscribers get it.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// What it carries, in JSON; `-` reads standard input.
    #[arg(value_name = "JSON", default_value = "null", allow_negative_numbers = true)]
    value: Value,
    /// The item that it is about, whose subscribers then get it too.
    #[arg(long)]
    item: Option<String>,
    #[command(flatten)]
    server: Server,
}

impl Send {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let mut input = json!({"stream_name": self.stream, "group_id": self.group, "type": self.kind});
        if let Some(item) = self.item {
            input["id"] = item.into();
        }
        let result = self.server.result(config, "stream::send", &with(&input, "data", &self.value.text()?))?;
        if out.is_json() {
            out.json(&result)?
        } else {
            note(format_args!("sent"))
        }
        Ok(())
    }
}
