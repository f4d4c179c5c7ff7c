//! What two configurations differ in, key by key, without what the keys hold.

use super::Config;
use super::keys::{self, Key};

/// A key that holds something else than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Changed {
    /// `stream`, `worker`, `admin` or `log`.
    pub(crate) module: &'static str,
    /// The key as the file has it.
    pub(crate) key: &'static str,
}

/// The keys whose values differ, those of the stream module first, in the order of the table.
pub(crate) fn between(one: &Config, other: &Config) -> Vec<Changed> {
    let stream = differing("stream", keys::STREAM, &one.stream, &other.stream);
    let listener = differing("worker", keys::LISTENER, &one.worker, &other.worker);
    let worker = differing("worker", keys::WORKER, &one.worker, &other.worker);
    let admin = differing("admin", keys::ADMIN, &one.admin, &other.admin);
    let log = differing("log", keys::LOG, &one.log, &other.log);
    stream.into_iter().chain(listener).chain(worker).chain(admin).chain(log).collect()
}

fn differing<S: Clone>(module: &'static str, keys: &[Key<S>], one: &S, other: &S) -> Vec<Changed> {
    // A slot is a way to write.
    let (mut one, mut other) = (one.clone(), other.clone());
    let differs = |key: &&Key<S>| (key.slot)(&mut one).differs(&(key.slot)(&mut other));
    keys.iter().filter(differs).map(|key| Changed { module, key: key.name }).collect()
}
