//! `weir call`, and what all commands share that call a function.

use std::io::{self, Read};
use std::time::Duration;

use anyhow::Context;
use serde_json::value::RawValue;

use super::block_on;
use super::output::{Output, tell_of_standard_input};
use crate::client::{Address, ClientError, Credential, Worker};
use crate::config::Config;

/// Where the token is, if not on the command line, where others can see it.
const TOKEN: &str = "WEIR_TOKEN";

/// The server that is called.
#[derive(clap::Args)]
pub(crate) struct Server {
    /// Worker port, such as ws://localhost:49134; else what the configuration says.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Token of the worker port; else WEIR_TOKEN, else what the configuration says.
    #[arg(long)]
    token: Option<String>,
    /// How long an answer may take, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
}

impl Server {
    /// Calls a function once; its result, `None` where it has none.
    ///
    /// # Errors
    /// Where there is no server or no result.
    pub(super) fn call(self, config: &Config, function: &str, data: &str) -> anyhow::Result<Option<String>> {
        let address = Address::of_workers(self.url.as_deref(), Credential::given(self.token, TOKEN), config)?;
        block_on(async {
            let mut worker = Worker::open(&address).await?;
            let result = worker.call(function, data, Duration::from_secs(self.timeout)).await;
            worker.close().await;
            Ok(result?)
        })
    }

    /// Calls a function that has a result; null stands for none.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub(super) fn result(self, config: &Config, function: &str, data: &str) -> anyhow::Result<String> {
        Ok(self.call(config, function, data)?.unwrap_or_else(|| "null".to_owned()))
    }
}

/// An object of names with one more key, whose value stays as it is written.
pub(super) fn with(object: &serde_json::Value, key: &str, raw: &str) -> String {
    let text = object.to_string();
    format!("{},\"{key}\":{raw}}}", text.strip_suffix('}').unwrap_or(&text))
}

/// A value on the command line, which is passed on as it is written.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Written(String),
    /// `-`
    StandardInput,
}

impl Value {
    /// The JSON text.
    ///
    /// # Errors
    /// Where standard input cannot be read, or where it is no JSON.
    pub(super) fn text(self) -> anyhow::Result<String> {
        let text = match self {
            Self::Written(text) => text,
            Self::StandardInput => {
                tell_of_standard_input();
                let mut text = String::new();
                io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
                text
            }
        };
        match serde_json::from_str::<&RawValue>(&text) {
            Ok(_) => Ok(text),
            Err(error) => {
                let message = format!("this is no JSON ({error}); a text needs double quotes of its own, as in '\"text\"'");
                Err(ClientError::BadJson(message).into())
            }
        }
    }
}

impl From<String> for Value {
    /// As on the command line. Whether it is JSON is seen when it is used, so that both kinds are told alike.
    fn from(text: String) -> Self {
        if text == "-" { Self::StandardInput } else { Self::Written(text) }
    }
}

/// Calls any function.
#[derive(clap::Args)]
pub(crate) struct Call {
    /// Its id.
    function: String,
    /// What it is called with; `-` reads standard input.
    #[arg(value_name = "JSON", default_value = "null", allow_negative_numbers = true)]
    value: Value,
    #[command(flatten)]
    server: Server,
}

impl Call {
    pub(super) fn run(self, config: &Config, out: &mut Output) -> anyhow::Result<()> {
        let data = self.value.text()?;
        match self.server.call(config, &self.function, &data)? {
            Some(result) if out.is_json() => out.json(&result)?,
            None if out.is_json() => out.json("null")?,
            Some(result) => out.value("", &result)?,
            None => super::output::note(format_args!("no result")),
        }
        Ok(())
    }
}
