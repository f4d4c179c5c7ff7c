//! Maps whose keys are names, for the paths that every call and every change takes.
//!
//! By foldhash with a seed drawn anew by each process, which costs less than std's `SipHash` for names of some ten bytes. It is no
//! cryptography: whoever could watch hashes or time look-ups closely might find names that collide. Names come from workers, which may do
//! worse, and from what clients join, `max_subscriptions` of them each; addresses and headers are not kept in these.

/// A map in no order.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A set in no order.
pub(crate) type HashSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;

/// A map in the order in which its keys were first inserted.
pub(crate) type LinkedHashMap<K, V> = hashlink::LinkedHashMap<K, V, foldhash::fast::RandomState>;

/// A map in no order that is gone through as fast as a list.
pub(crate) type IndexMap<K, V> = indexmap::IndexMap<K, V, foldhash::fast::RandomState>;

/// A map of so many entries that forgets what was not used for the longest time.
#[cfg(feature = "rocksdb")]
pub(crate) type Lru<K, V> = hashlink::LruCache<K, V, foldhash::fast::RandomState>;
