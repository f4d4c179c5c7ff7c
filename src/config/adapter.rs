//! The `adapter` of the stream module: which there are, and which of them this version has.

use super::error::ConfigError;
use super::expand::Scalar;
use super::keys::{self, KvStore, StoreMethod};
use super::modules::{Class, Reader};
use super::source::Node;
use super::wording::{hint, plain};
use super::{AdapterConfig, FILE_PATH, REDIS_URL};
use weir_actors::adapter::redis::RedisOptions;

pub(super) const KV_STORE: &str = "modules::stream::adapters::KvStore";
pub(super) const REDIS: &str = "modules::stream::adapters::RedisAdapter";
const BRIDGE: &str = "modules::stream::adapters::Bridge";

impl Reader<'_> {
    /// Reads `{class, config}`; null leaves what was there.
    pub(super) fn adapter(&mut self, adapter: &mut AdapterConfig, node: &Node, at: &str) -> Result<(), ConfigError> {
        if let Node::Scalar(scalar) = node
            && self.resolve(scalar, at)?.scalar == Scalar::Null
        {
            return Ok(());
        }
        let Class { name: class, shown, entry } = self.class(node, at)?;
        let class_at = format!("{at}.class");
        let not_yet =
            |what| ConfigError::NotYet { key: class_at.clone(), what, instead: "use modules::stream::adapters::KvStore or RedisAdapter" };
        match class.as_str() {
            KV_STORE => {
                let (mut store, own) = (KvStore::default(), self.config(entry, at)?);
                let at = format!("{at}.config");
                if let Some(own) = own {
                    self.section(&mut store, own, &[keys::KV_STORE], &at)?;
                }
                *adapter = self.kv_store(store, &|key| own.is_some_and(|own| own.contains_key(key)), &at);
                Ok(())
            }
            REDIS => {
                let (mut options, own) = (RedisOptions::new(REDIS_URL), self.config(entry, at)?);
                if let Some(own) = own {
                    self.section(&mut options, own, &[keys::REDIS], &format!("{at}.config"))?;
                }
                *adapter = AdapterConfig::Redis(options);
                Ok(())
            }
            BRIDGE => Err(not_yet(BRIDGE)),
            functions if functions.contains("::") && !functions.starts_with("modules::") => {
                let own = self.config(entry, at)?;
                for key in own.into_iter().flat_map(|own| own.keys()) {
                    self.warn(format!("{at}.config.{}: has no effect with an adapter of functions", plain(key)));
                }
                *adapter = AdapterConfig::Functions(functions.trim_end_matches("::").to_owned());
                Ok(())
            }
            other => {
                let hint = hint(other, &[KV_STORE, REDIS]);
                Err(ConfigError::UnknownClass { key: class_at, class: shown, hint })
            }
        }
    }

    fn kv_store(&mut self, store: KvStore, written: &dyn Fn(&str) -> bool, at: &str) -> AdapterConfig {
        match store.store_method {
            StoreMethod::FileBased => {
                AdapterConfig::File { path: store.file_path.unwrap_or_else(|| FILE_PATH.to_owned()).into(), options: store.options }
            }
            StoreMethod::InMemory => {
                for key in ["file_path", "fsync", "cache_bytes", "min_free_bytes"].into_iter().filter(|key| written(key)) {
                    self.warn(format!("{at}.{key}: has no effect with `store_method: in_memory`"));
                }
                AdapterConfig::InMemory
            }
        }
    }
}
