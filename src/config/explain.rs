//! Every key with what holds and where that came from. Secrets are not shown.

use std::path::Path;

use weir_actors::adapter::file::FileOptions;

use super::keys::{self, Key, KvStore, Slot, StoreMethod};
use super::lines::{self, Lines};
use super::modules::Written;
use super::{AdapterConfig, Config, ConfigError, adapter, expand, modules, source};

/// A configuration and how it came about.
pub(crate) struct Explained {
    pub(crate) config: Config,
    /// Every key of the modules that are served, by module in the order of the table.
    pub(crate) keys: Vec<Explanation>,
}

/// A key.
pub(crate) struct Explanation {
    /// `worker`, `stream`, `admin` or `log`.
    pub(crate) module: &'static str,
    /// As in the file, below the module's `config`: `adapter.config.fsync`.
    pub(crate) key: String,
    /// As the file would have it, [`HIDDEN`] for a secret; `None` where the key has no value.
    pub(crate) value: Option<String>,
    /// The value is a whole number.
    pub(crate) is_number: bool,
    /// `ms` or `bytes`, where the name says so.
    pub(crate) unit: Option<&'static str>,
    pub(crate) origin: Origin,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nothing is written.
    Default,
    /// This variable, which the file does not name.
    Variable(&'static str),
    /// The file says so.
    File {
        /// Where, counted from 1.
        line: Option<usize>,
        /// The environment variables that it refers to for it.
        variables: Vec<String>,
    },
}

/// Stands for a secret.
pub(crate) const HIDDEN: &str = "(not shown)";

/// Reads as [`load`](super::load) does, and explains.
///
/// # Errors
/// As `load`.
pub(crate) fn explain(path: Option<&Path>, env: &dyn Fn(&str) -> Option<String>) -> Result<Explained, ConfigError> {
    let (mut config, mut origins) = (Config::default(), Origins::default());
    if let Some(path) = path {
        let (root, text) = source::parse(path)?;
        (config, origins.written) = modules::read(root, env)?;
        origins.lines = expand::mask(&text).map(|masked| lines::of(&masked)).unwrap_or_default();
    }
    let mut keys = Vec::new();
    // A slot is a way to write, so copies are read.
    let (mut worker, mut stream) = (config.worker.clone(), config.stream.clone());
    let worker_at = origins.written.worker_at.clone();
    for key in keys::LISTENER {
        let inside = worker_at.as_ref().map(|at| format!("{at}.{}", key.name)).filter(|at| origins.has(at));
        keys.push(explained("worker", key.name, key, &mut worker, origins.of(inside.as_deref().unwrap_or(key.name))));
    }
    origins.section(&mut keys, ("worker", ""), keys::WORKER, &mut worker, worker_at.as_deref());
    let stream_at = origins.written.stream_at.clone();
    for key in keys::STREAM {
        let at = stream_at.as_ref().map(|at| format!("{at}.{}", key.name));
        match key.name {
            "adapter" => origins.adapter(&mut keys, &stream.adapter, at.as_deref()),
            name => keys.push(explained("stream", name, key, &mut stream, at.map_or(Origin::Default, |at| origins.of(&at)))),
        }
    }
    let (mut admin, mut log) = (config.admin.clone(), config.log.clone());
    let admin_at = origins.written.admin_at.clone();
    origins.section(&mut keys, ("admin", ""), keys::ADMIN, &mut admin, admin_at.as_deref());
    origins.section(&mut keys, ("log", ""), keys::LOG, &mut log, Some("log"));
    Ok(Explained { config, keys })
}

#[derive(Default)]
struct Origins {
    written: Written,
    lines: Lines,
}

impl Origins {
    fn has(&self, at: &str) -> bool {
        self.written.values.contains_key(at)
    }

    fn of(&self, at: &str) -> Origin {
        if !self.has(at) {
            return Origin::Default;
        }
        let inside = |path: &str| path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let from = self.written.values.iter().filter(|(path, _)| inside(path));
        let mut variables: Vec<_> = from.filter_map(|(_, variable)| variable.clone()).collect();
        variables.dedup();
        Origin::File { line: self.lines.get(at).copied(), variables }
    }

    /// The keys of a section, named `prefix` and the key, which stand at `at` in the file.
    fn section<S>(
        &self,
        into: &mut Vec<Explanation>,
        (module, prefix): (&'static str, &str),
        keys: &[Key<S>],
        section: &mut S,
        at: Option<&str>,
    ) {
        for key in keys {
            let origin = at.map_or(Origin::Default, |at| self.of(&format!("{at}.{}", key.name)));
            into.push(explained(module, &format!("{prefix}{}", key.name), key, section, origin));
        }
    }

    fn adapter(&self, into: &mut Vec<Explanation>, adapter: &AdapterConfig, at: Option<&str>) {
        const CONFIG: (&str, &str) = ("stream", "adapter.config.");
        let class = match adapter {
            AdapterConfig::File { .. } | AdapterConfig::InMemory => adapter::KV_STORE,
            AdapterConfig::Redis(_) => adapter::REDIS,
            AdapterConfig::Functions(prefix) => prefix,
        };
        into.push(Explanation {
            module: "stream",
            key: "adapter.class".to_owned(),
            value: Some(class.to_owned()),
            is_number: false,
            unit: None,
            origin: at.map_or(Origin::Default, |at| self.of(&format!("{at}.class"))),
        });
        let at = at.map(|at| format!("{at}.config"));
        let mut kv_store = |mut store: KvStore, keys: &[Key<KvStore>]| self.section(into, CONFIG, keys, &mut store, at.as_deref());
        match adapter {
            AdapterConfig::File { path, options } => kv_store(
                KvStore { store_method: StoreMethod::FileBased, file_path: Some(path.display().to_string()), options: options.clone() },
                keys::KV_STORE,
            ),
            // The others have no effect then.
            AdapterConfig::InMemory => kv_store(
                KvStore { store_method: StoreMethod::InMemory, file_path: None, options: FileOptions::default() },
                keys::KV_STORE.get(..1).unwrap_or_default(),
            ),
            AdapterConfig::Redis(options) => self.section(into, CONFIG, keys::REDIS, &mut options.clone(), at.as_deref()),
            AdapterConfig::Functions(_) => {}
        }
    }
}

fn explained<S>(module: &'static str, name: &str, key: &Key<S>, section: &mut S, origin: Origin) -> Explanation {
    let slot = (key.slot)(section);
    let unit = ["ms", "bytes"].into_iter().find(|unit| slot.is_number() && name.ends_with(&format!("_{unit}")));
    let value = match &slot {
        Slot::Token(token) => token.as_ref().map(|_| HIDDEN.to_owned()),
        Slot::Url(url) => Some(without_secrets(url)),
        Slot::Endpoint(endpoint) => endpoint.as_deref().map(without_secrets),
        Slot::ByStream(streams) => {
            let pairs: Vec<_> = streams.iter().map(|(stream, overflow)| format!("{stream}: {}", keys::name_of(overflow))).collect();
            Some(if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) })
        }
        Slot::Ignored => Some("(no effect)".to_owned()),
        slot => slot.shown(),
    };
    Explanation { module, key: name.to_owned(), value, is_number: slot.is_number(), unit, origin }
}

/// Addresses without what may be a name, a password or a parameter that holds one.
pub(crate) fn without_secrets(urls: &str) -> String {
    let masked = urls.split(',').map(|url| {
        let url = url.trim();
        let (url, query) = url.split_once('?').map_or((url, ""), |(url, _)| (url, "?…"));
        match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}{query}"),
            (None, Some((_, host))) => format!("…@{host}{query}"),
            _ => format!("{url}{query}"),
        }
    });
    masked.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn addresses_are_shown_without_their_secrets() {
        for (url, shown) in [
            ("redis://localhost:6379", "redis://localhost:6379"),
            ("redis://user:pa@ss@a:1/2, rediss://:p@b:2", "redis://…@a:1/2, rediss://…@b:2"),
            ("redis+unix:///run/redis?pass=secret", "redis+unix:///run/redis?…"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
