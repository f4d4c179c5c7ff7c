//! The `adapter` of the stream module: which there are, and which of them this version has.

use super::AdapterConfig;
use super::error::ConfigError;
use super::expand::Scalar;
use super::keys::{self, KvStore, StoreMethod};
use super::modules::Reader;
use super::source::Node;
use super::wording::{hint, quotable};

const KV_STORE: &str = "modules::stream::adapters::KvStore";
const REDIS: &str = "modules::stream::adapters::RedisAdapter";
const BRIDGE: &str = "modules::stream::adapters::Bridge";

impl Reader<'_> {
    /// Reads `{class, config}`; null leaves what was there.
    pub(super) fn adapter(&mut self, adapter: &mut AdapterConfig, node: &Node, at: &str) -> Result<(), ConfigError> {
        if let Node::Scalar(scalar) = node
            && self.resolve(scalar, at)?.scalar == Scalar::Null
        {
            return Ok(());
        }
        let (class, entry) = self.class(node, at)?;
        let class_at = format!("{at}.class");
        let not_yet = |what| ConfigError::NotYet { key: class_at.clone(), what, instead: "use modules::stream::adapters::KvStore" };
        match class.as_str() {
            KV_STORE => {
                let mut store = KvStore::default();
                if let Some(own) = self.config(entry, at)? {
                    self.section(&mut store, own, &[keys::KV_STORE], &format!("{at}.config"))?;
                }
                *adapter = self.kv_store(&store, &format!("{at}.config"))?;
                Ok(())
            }
            REDIS => Err(not_yet(REDIS)),
            BRIDGE => Err(not_yet(BRIDGE)),
            other => {
                let hint = hint(other, &[KV_STORE]);
                Err(ConfigError::UnknownClass { key: class_at, class: quotable(other), hint })
            }
        }
    }

    fn kv_store(&mut self, store: &KvStore, at: &str) -> Result<AdapterConfig, ConfigError> {
        match store.store_method {
            StoreMethod::FileBased => Err(ConfigError::NotYet {
                key: format!("{at}.store_method"),
                what: "file_based",
                instead: "set `store_method: in_memory` (items are lost on restart)",
            }),
            StoreMethod::InMemory => {
                if store.file_path.is_some() {
                    self.warn(format!("{at}.file_path: has no effect with `store_method: in_memory`"));
                }
                Ok(AdapterConfig::InMemory)
            }
        }
    }
}
