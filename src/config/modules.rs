//! Walks a parsed file by the table of keys.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_actors::adapter::file::Fsync;
use weir_actors::settings::Overflow;

use super::error::ConfigError;
use super::expand::{self, Expanded, Scalar};
use super::keys::{self, Key, Slot, Tls};
use super::source::Node;
use super::wording::{self, hint, nearest, plain, quotable};
use super::{Config, StreamConfig, TlsFiles, WorkerConfig, ports};

type Mapping = BTreeMap<String, Node>;

/// A `{class, config}`.
pub(super) struct Class<'n> {
    pub(super) name: String,
    /// The name as a message may show it.
    pub(super) shown: String,
    pub(super) entry: &'n Mapping,
}

const STREAM: &str = "modules::stream::StreamModule";
const WORKER: &str = "modules::worker::WorkerModule";
const ADMIN: &str = "modules::admin::AdminModule";

/// What else may stand in a file that is shared with the engine that Weir replaces.
const SKIPPED: &[&str] = &[
    "modules::state::StateModule",
    "modules::api::RestApiModule",
    "modules::queue::QueueModule",
    "modules::pubsub::PubSubModule",
    "modules::cron::CronModule",
    "modules::observability::OtelModule",
    "modules::shell::ExecModule",
    "modules::http_functions::HttpFunctionsModule",
    "modules::bridge_client::BridgeClientModule",
    "modules::telemetry::TelemetryModule",
];

/// What of a configuration a file has said.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The variable that each value came from, if any, by the full path of the key.
    pub(super) values: BTreeMap<String, Option<String>>,
    /// The path of the stream module's keys.
    pub(super) stream_at: Option<String>,
    /// The path of the worker module's keys.
    pub(super) worker_at: Option<String>,
    /// The path of the admin module's keys.
    pub(super) admin_at: Option<String>,
}

/// Makes a configuration of a parsed file.
///
/// # Errors
/// The first [`ConfigError`] met: top-level keys first, then modules in order, keys of one mapping by name.
pub(super) fn read(root: Node, env: &dyn Fn(&str) -> Option<String>) -> Result<(Config, Written), ConfigError> {
    let mut reader = Reader { env, warnings: Vec::new(), written: Written::default() };
    let mut config = Config::default();
    match root {
        Node::List(modules) => reader.modules(&mut config, &Mapping::new(), &modules, "")?,
        Node::Mapping(top) => reader.top(&mut config, &top)?,
        Node::Scalar(_) => reader.warn("the configuration file is empty; everything has its default".to_owned()),
    }
    config.warnings = reader.warnings;
    Ok((config, reader.written))
}

/// Walks the file; what it has to say without failing is collected in `warnings`.
pub(super) struct Reader<'a> {
    env: &'a dyn Fn(&str) -> Option<String>,
    warnings: Vec<String>,
    written: Written,
}

impl Reader<'_> {
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    fn top(&mut self, config: &mut Config, top: &Mapping) -> Result<(), ConfigError> {
        if top.is_empty() {
            self.warn("the configuration file is empty; everything has its default".to_owned());
            return Ok(());
        }
        if top.contains_key("workers") {
            return Err(ConfigError::WorkersForm);
        }
        if top.contains_key("class") {
            let hint = "list modules under `modules`, each as `- class: ...`".to_owned();
            return Err(ConfigError::UnknownKey { key: "class".to_owned(), hint });
        }
        for (name, value) in top {
            if let Some(key) = keys::LISTENER.iter().find(|key| key.name == name) {
                self.set(&mut config.worker, key, value, name)?;
            } else if name == "log" {
                match value {
                    Node::Scalar(Scalar::Null) => {}
                    Node::Mapping(own) => self.section(&mut config.log, own, &[keys::LOG], name)?,
                    other => return Err(bad(name, other, "a mapping, as in `log: { format: json }`")),
                }
            } else if name != "modules" {
                let known: Vec<_> = keys::LISTENER.iter().map(|key| key.name).chain(["log", "modules"]).collect();
                // The engine may have keys here that we do not know. What looks like one of ours is one: without its `token` a port would be open.
                if nearest(name, &known).is_some() {
                    return Err(ConfigError::UnknownKey { key: plain(name), hint: hint(name, &known) });
                }
                self.warn(format!("{}: unknown key without effect; {}", plain(name), hint(name, &known)));
            }
        }
        match top.get("modules") {
            None | Some(Node::Scalar(Scalar::Null)) => self.modules(config, top, &[], "modules"),
            Some(Node::List(modules)) => self.modules(config, top, modules, "modules"),
            Some(other) => Err(bad("modules", other, "a list of modules, each with its `class` and `config`")),
        }
    }

    fn modules(&mut self, config: &mut Config, top: &Mapping, modules: &[Node], at: &str) -> Result<(), ConfigError> {
        let (mut stream_at, mut worker_at, mut admin_at) = (None, None, None);
        for (index, module) in modules.iter().enumerate() {
            let at = format!("{at}[{index}]");
            let Class { name: class, shown, entry } = self.class(module, &at)?;
            let seen_at = match class.as_str() {
                STREAM => &mut stream_at,
                WORKER => &mut worker_at,
                ADMIN => &mut admin_at,
                class if SKIPPED.contains(&class) => {
                    if !config.skipped.iter().any(|known| known == class) {
                        config.skipped.push(class.to_owned());
                    }
                    continue;
                }
                class => return Err(unknown_module(class, shown, &at)),
            };
            if let Some(before) = seen_at.replace(at.clone()) {
                let reason = format!("{class} is there already, at {before}; keep one of them");
                return Err(ConfigError::Conflict { key: format!("{at}.class"), reason });
            }
            let Some(own) = self.config(entry, &at)? else {
                continue;
            };
            let at = format!("{at}.config");
            if class == STREAM {
                self.section(&mut config.stream, own, &[keys::STREAM], &at)?;
            } else if class == ADMIN {
                self.section(&mut config.admin, own, &[keys::ADMIN], &at)?;
            } else {
                let mut worker = config.worker.clone();
                self.section(&mut worker, own, &[keys::LISTENER, keys::WORKER], &at)?;
                self.warn_overridden(&mut config.worker, &mut worker, top, &at);
                config.worker = worker;
            }
        }
        if stream_at.is_none() {
            self.warn(format!("no {STREAM} is listed; it runs with its defaults"));
        }
        let own = |module: Option<String>| module.map(|at| format!("{at}.config"));
        (self.written.stream_at, self.written.worker_at, self.written.admin_at) = (own(stream_at), own(worker_at), own(admin_at));
        let (stream_at, worker_at) = (self.written.stream_at.as_deref(), self.written.worker_at.as_deref());
        compare(&config.stream, stream_at.unwrap_or(STREAM), &config.worker, worker_at.unwrap_or(WORKER))?;
        let port_of_workers = worker_at.map(|at| format!("{at}.port")).filter(|at| self.written.values.contains_key(at));
        let port_of = |at: Option<&str>, class: &str| format!("{}.port", at.unwrap_or(class));
        let names = [
            port_of_workers.unwrap_or_else(|| "port".to_owned()),
            port_of(stream_at, STREAM),
            port_of(self.written.admin_at.as_deref(), ADMIN),
        ];
        ports::refuse_equal(config, &names)
    }

    /// The class of a module or an adapter, and the mapping that names it.
    pub(super) fn class<'n>(&mut self, node: &'n Node, at: &str) -> Result<Class<'n>, ConfigError> {
        let Node::Mapping(entry) = node else {
            return Err(bad(at, node, "a mapping with `class` and `config`"));
        };
        let at = format!("{at}.class");
        let nothing = Node::Scalar(Scalar::Null);
        let node = entry.get("class").unwrap_or(&nothing);
        let Node::Scalar(scalar) = node else {
            return Err(bad(&at, node, CLASS_NAME));
        };
        match self.resolve(scalar, &at)? {
            Expanded { scalar: Scalar::Text(name), variable } => {
                self.written.values.insert(at, variable.clone());
                // What a variable holds is not shown.
                let shown = variable.map_or_else(|| quotable(&name), |variable| format!("a text from ${{{variable}}}"));
                Ok(Class { name, shown, entry })
            }
            other => Err(bad_scalar(&at, &other, CLASS_NAME)),
        }
    }

    /// The `config` of a module or an adapter of ours, if there is one.
    pub(super) fn config<'n>(&self, entry: &'n Mapping, at: &str) -> Result<Option<&'n Mapping>, ConfigError> {
        if let Some(name) = entry.keys().find(|name| !ENTRY.contains(&name.as_str())) {
            return Err(unknown_key(name, ENTRY, at));
        }
        let at = format!("{at}.config");
        match entry.get("config") {
            None => Ok(None),
            Some(Node::Mapping(config)) => Ok(Some(config)),
            Some(Node::Scalar(scalar)) => match self.resolve(scalar, &at)? {
                Expanded { scalar: Scalar::Null, .. } => Ok(None),
                other => Err(bad_scalar(&at, &other, "a mapping")),
            },
            Some(other) => Err(bad(&at, other, "a mapping")),
        }
    }

    pub(super) fn section<S>(&mut self, section: &mut S, own: &Mapping, keys: &[&[Key<S>]], at: &str) -> Result<(), ConfigError> {
        for (name, value) in own {
            match keys.iter().copied().flatten().find(|key| key.name == name) {
                Some(key) => self.set(section, key, value, &format!("{at}.{name}"))?,
                None => {
                    let known: Vec<_> = keys.iter().copied().flatten().map(|key| key.name).collect();
                    return Err(unknown_key(name, &known, at));
                }
            }
        }
        Ok(())
    }

    fn set<S>(&mut self, section: &mut S, key: &Key<S>, node: &Node, at: &str) -> Result<(), ConfigError> {
        if !matches!(node, Node::Scalar(_)) {
            self.written.values.insert(at.to_owned(), None);
        }
        let slot = match (key.slot)(section) {
            Slot::Adapter(adapter) => return self.adapter(adapter, node, at),
            Slot::Ignored => {
                self.warn(format!("{at}: has no effect here; remove it"));
                return Ok(());
            }
            slot => slot,
        };
        let slot = match (slot, node) {
            (Slot::Fsync(fsync), Node::Mapping(own)) => {
                let mut period = Duration::ZERO;
                self.section(&mut period, own, &[keys::FSYNC], at)?;
                if period.is_zero() {
                    return Err(bad(at, node, &Slot::Fsync(fsync).expected()));
                }
                *fsync = Fsync::Every(period);
                return Ok(());
            }
            (Slot::ByStream(streams), Node::Mapping(own)) => {
                streams.clear();
                for (stream, node) in own {
                    let (mut overflow, at) = (Overflow::Resync, format!("{at}.{}", plain(stream)));
                    let Node::Scalar(scalar) = node else { return Err(bad(&at, node, &Slot::Choice(&mut overflow).expected())) };
                    let found = self.resolve(scalar, &at)?;
                    Slot::Choice(&mut overflow).set(&found.scalar).map_err(|expected| bad_scalar(&at, &found, &expected))?;
                    self.written.values.insert(at, found.variable);
                    streams.insert(stream.as_str().into(), overflow);
                }
                return Ok(());
            }
            (Slot::Tls(files), Node::Mapping(own)) => {
                let mut tls = Tls::default();
                self.section(&mut tls, own, &[keys::TLS], at)?;
                // One that is missing never means that there is no TLS.
                let (Some(cert), Some(key)) = (tls.cert, tls.key) else { return Err(bad(at, node, &Slot::Tls(files).expected())) };
                *files = Some(TlsFiles { cert: cert.into(), key: key.into() });
                return Ok(());
            }
            (Slot::Origins(origins), Node::List(list)) => {
                // Of an empty list no page.
                origins.get_or_insert_default();
                for (index, node) in list.iter().enumerate() {
                    let at = format!("{at}[{index}]");
                    let slot = Slot::Origins(origins);
                    let Node::Scalar(scalar) = node else { return Err(bad(&at, node, &slot.expected())) };
                    let found = self.resolve(scalar, &at)?;
                    slot.set(&found.scalar).map_err(|expected| bad_scalar(&at, &found, &expected))?;
                    self.written.values.insert(at, found.variable);
                }
                return Ok(());
            }
            (slot, _) => slot,
        };
        let Node::Scalar(scalar) = node else {
            return Err(bad(at, node, &slot.expected()));
        };
        let found = self.resolve(scalar, at)?;
        if found.scalar == Scalar::Null {
            // As good as not written. From a variable it may be an accident, and for `auth_function` an open door.
            if let Some(variable) = &found.variable {
                self.warn(format!("{at}: environment variable {variable} is empty; the default holds"));
            }
            return Ok(());
        }
        let secret = matches!(slot, Slot::Token(_));
        slot.set(&found.scalar).map_err(|expected| match secret {
            true => ConfigError::BadValue { key: at.to_owned(), found: wording::found_secret(&found), expected },
            false => bad_scalar(at, &found, &expected),
        })?;
        self.written.values.insert(at.to_owned(), found.variable);
        Ok(())
    }

    pub(super) fn resolve(&self, scalar: &Scalar, at: &str) -> Result<Expanded, ConfigError> {
        match scalar {
            Scalar::Text(text) => {
                expand::expand(text, self.env).map_err(|variable| ConfigError::MissingVariable { key: at.to_owned(), variable })
            }
            other => Ok(Expanded { scalar: other.clone(), variable: None }),
        }
    }

    /// Of two different ports or tokens, one at the top and one in the module, the second counts; who wrote the first should know.
    fn warn_overridden(&mut self, top: &mut WorkerConfig, module: &mut WorkerConfig, written: &Mapping, at: &str) {
        for key in keys::LISTENER.iter().filter(|key| written.contains_key(key.name)) {
            if (key.slot)(top).differs(&(key.slot)(module)) {
                let name = key.name;
                self.warn(format!("{at}.{name}: takes the place of the top-level `{name}`"));
            }
        }
    }
}

const ENTRY: &[&str] = &["class", "config"];
const CLASS_NAME: &str = "the name of a class, such as modules::stream::StreamModule";

/// Checks what no key can check alone.
fn compare(stream: &StreamConfig, stream_at: &str, worker: &WorkerConfig, worker_at: &str) -> Result<(), ConfigError> {
    let conflict = |key: &str, reason| Err(ConfigError::Conflict { key: format!("{stream_at}.{key}"), reason });
    let (stream, worker) = (&stream.settings, &worker.settings);
    if stream.idle_timeout <= stream.ping_interval {
        let (idle, ping) = (stream.idle_timeout.as_millis(), stream.ping_interval.as_millis());
        return conflict("idle_timeout_ms", format!("{idle} must be more than ping_interval_ms ({ping}); raise one or lower the other"));
    }
    if stream.max_value_bytes > worker.max_message_bytes {
        let (value, message) = (stream.max_value_bytes, worker.max_message_bytes);
        let reason = format!("{value} must not be more than {worker_at}.max_message_bytes ({message}); lower one or raise the other");
        return conflict("max_value_bytes", reason);
    }
    Ok(())
}

fn unknown_key(name: &str, known: &[&str], at: &str) -> ConfigError {
    ConfigError::UnknownKey { key: format!("{at}.{}", plain(name)), hint: hint(name, known) }
}

fn unknown_module(class: &str, shown: String, at: &str) -> ConfigError {
    let hint = match nearest(class, [STREAM, WORKER, ADMIN].iter().chain(SKIPPED)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("served are {STREAM}, {WORKER} and {ADMIN}; skipped are {}", SKIPPED.join(", ")),
    };
    ConfigError::UnknownClass { key: format!("{at}.class"), class: shown, hint }
}

fn bad(at: &str, found: &Node, expected: &str) -> ConfigError {
    let found = match found {
        Node::List(_) => "a list".to_owned(),
        Node::Mapping(_) => "a mapping".to_owned(),
        Node::Scalar(scalar) => wording::found(scalar, None),
    };
    ConfigError::BadValue { key: at.to_owned(), found, expected: expected.to_owned() }
}

fn bad_scalar(at: &str, found: &Expanded, expected: &str) -> ConfigError {
    let quoted_number = matches!(&found.scalar, Scalar::Text(text) if text.parse::<i64>().is_ok());
    let hint = if quoted_number { ", without quotes" } else { "" };
    let found = wording::found(&found.scalar, found.variable.as_deref());
    ConfigError::BadValue { key: at.to_owned(), found, expected: format!("{expected}{hint}") }
}
