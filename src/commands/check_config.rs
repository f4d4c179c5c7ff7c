//! `weir check-config`: what holds, and why.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::output::{BOLD, DIM, GREEN, Output, RED, YELLOW};
use crate::config::ConfigError;
use crate::config::explain::{Explained, Explanation, Origin, explain, without_secrets};
use crate::log;
use crate::otlp::{Endpoint, Source};
use crate::serve;

/// The column of values, if all names are shorter.
const NAMES: usize = 27;
/// The column of origins behind it, if the value is shorter.
const VALUES: usize = 24;

/// Reads the file and shows what it comes to; a failure where it cannot be used.
///
/// # Errors
/// Where the result cannot be written.
pub(super) fn run(path: Option<&Path>, out: &mut Output) -> anyhow::Result<ExitCode> {
    let mut explained = explain(path, &|name| std::env::var(name).ok());
    // What a server does not start with either.
    let wrong = match &explained {
        Ok(explained) => serve::check(&explained.config).err(),
        Err(_) => None,
    };
    if let Ok(explained) = &mut explained {
        show_variables(explained);
    }
    if out.is_json() {
        out.json(&as_json(path, &explained, wrong.as_ref()).to_string())?;
    } else {
        let file = path.map_or_else(|| "no file; everything has its default".to_owned(), |path| path.display().to_string());
        out.line(format_args!("{BOLD}configuration{BOLD:#}  {file}"))?;
        if let Ok(explained) = &explained {
            show(explained, path, out)?;
        }
        out.line(format_args!(""))?;
        match (&explained, &wrong) {
            (Err(error), _) => out.line(format_args!("{RED}wrong{RED:#}  {error}"))?,
            (_, Some(error)) => out.line(format_args!("{RED}wrong{RED:#}  {error:#}"))?,
            (Ok(_), None) => out.line(format_args!("{GREEN}good{GREEN:#}"))?,
        }
    }
    Ok(if explained.is_ok() && wrong.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Some variables hold without being named in the file.
fn show_variables(explained: &mut Explained) {
    let endpoint = match Endpoint::of(&explained.config.admin) {
        Some((Source::Variable(name), Ok(endpoint))) => Some((name, without_secrets(&endpoint.to_string()))),
        _ => None,
    };
    for (module, key, held) in [("log", "filter", log::held_by_variable()), ("admin", "otlp_endpoint", endpoint)] {
        let one = explained.keys.iter_mut().find(|one| one.module == module && one.key == key);
        if let Some((one, (name, value))) = one.zip(held) {
            one.value = Some(value);
            one.origin = Origin::Variable(name);
        }
    }
}

/// Below this the keys of an adapter stand in a file.
const ADAPTER: &str = "adapter.config.";

fn show(explained: &Explained, path: Option<&Path>, out: &mut Output) -> io::Result<()> {
    let of = |module: &'static str, in_adapter: bool| {
        explained.keys.iter().filter(move |key| key.module == module && key.key.starts_with(ADAPTER) == in_adapter)
    };
    section("worker", of("worker", false), path, out)?;
    section("stream", of("stream", false), path, out)?;
    section("adapter of stream", of("stream", true), path, out)?;
    section("admin", of("admin", false), path, out)?;
    section("log", of("log", false), path, out)?;
    if !explained.config.warnings.is_empty() || !explained.config.skipped.is_empty() {
        out.line(format_args!(""))?;
    }
    for warning in &explained.config.warnings {
        out.line(format_args!("{YELLOW}warning{YELLOW:#}  {warning}"))?;
    }
    for class in &explained.config.skipped {
        out.line(format_args!("{YELLOW}skipped{YELLOW:#}  {class}, which Weir does not serve"))?;
    }
    Ok(())
}

fn section<'k>(title: &str, keys: impl Iterator<Item = &'k Explanation>, path: Option<&Path>, out: &mut Output) -> io::Result<()> {
    let mut keys = keys.peekable();
    if keys.peek().is_some() {
        out.line(format_args!("\n{BOLD}{title}{BOLD:#}"))?;
    }
    for Explanation { key, value, unit, origin, .. } in keys {
        let name = key.strip_prefix(ADAPTER).unwrap_or(key);
        let value = match (value.as_deref(), unit) {
            (None, _) => "none".to_owned(),
            (Some(value), Some(unit)) => format!("{value} {unit}{}", rounded(value, unit)),
            (Some(value), None) => value.to_owned(),
        };
        let style = if *origin == Origin::Default { DIM } else { GREEN };
        out.line(format_args!("  {name:<NAMES$} {value:<VALUES$} {style}{}{style:#}", words(origin, path)))?;
    }
    Ok(())
}

/// The same in a larger unit, where that is shorter and as exact.
fn rounded(value: &str, unit: &str) -> String {
    const BYTES: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    const MS: [(u64, &str); 3] = [(3_600_000, "h"), (60_000, "min"), (1_000, "s")];
    let scale = if unit == "ms" { MS } else { BYTES };
    let number: u64 = value.parse().unwrap_or_default();
    let fits = scale.into_iter().find(|(size, _)| number >= *size && number.is_multiple_of(*size));
    fits.map(|(size, name)| format!(" ({} {name})", number / size)).unwrap_or_default()
}

fn words(origin: &Origin, path: Option<&Path>) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::Variable(name) => format!("${{{name}}}"),
        Origin::File { line, variables } => {
            let file = path.and_then(Path::file_name).map(|name| name.to_string_lossy()).unwrap_or_default();
            let mut words = line.map_or_else(|| file.clone().into_owned(), |line| format!("{file}:{line}"));
            for variable in variables {
                words.push_str(&format!(" ${{{variable}}}"));
            }
            words
        }
    }
}

fn as_json(path: Option<&Path>, explained: &Result<Explained, ConfigError>, wrong: Option<&anyhow::Error>) -> Value {
    let keys = |explained: &Explained| -> Vec<Value> {
        let one = |key: &Explanation| {
            let value = match &key.value {
                Some(value) if key.is_number => value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)),
                value => json!(value),
            };
            let (from, line, variables) = match &key.origin {
                Origin::Default => ("default", None, Vec::new()),
                Origin::Variable(name) => ("environment", None, vec![*name]),
                Origin::File { line, variables } => {
                    let from = if variables.is_empty() { "file" } else { "environment" };
                    (from, *line, variables.iter().map(String::as_str).collect())
                }
            };
            json!({"module": key.module, "key": key.key, "value": value, "unit": key.unit,
                   "origin": {"from": from, "line": line, "variables": variables}})
        };
        explained.keys.iter().map(one).collect()
    };
    match explained {
        Ok(explained) => json!({
            "file": path, "ok": wrong.is_none(), "error": wrong.map(|error| format!("{error:#}")), "keys": keys(explained),
            "warnings": explained.config.warnings, "skipped": explained.config.skipped,
        }),
        Err(error) => json!({"file": path, "ok": false, "error": error.to_string(), "keys": [], "warnings": [], "skipped": []}),
    }
}
