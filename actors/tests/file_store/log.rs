//! What is logged: by Weir on one thread, and by RocksDB on threads of its own.

use std::fmt::{Debug, Write};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

struct Lines {
    /// Of this target and those below it.
    target: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

/// The warnings and errors of RocksDB, for all tests: its threads belong to none.
static ROCKSDB: LazyLock<Arc<Mutex<Vec<String>>>> = LazyLock::new(|| {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    tracing::subscriber::set_global_default(Lines { target: "rocksdb", lines: lines.clone() }).unwrap();
    lines
});

/// Whether RocksDB has said something about this path since this was first asked for.
pub(crate) fn rocksdb_has_said(words: &str, path: &Path) -> bool {
    ROCKSDB.lock().unwrap().iter().any(|line| line.contains(words) && line.contains(path.to_str().unwrap()))
}

/// Runs `work`; what it returns, and the warnings and errors of Weir itself that it logged, as `name=value` of each field.
pub(crate) fn warnings<T>(work: impl FnOnce() -> T) -> (T, Vec<String>) {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let result = tracing::subscriber::with_default(Lines { target: "weir_actors", lines: lines.clone() }, work);
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    (result, lines)
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{}={value:?} ", field.name()).unwrap();
    }
}

impl Subscriber for Lines {
    fn enabled(&self, about: &Metadata<'_>) -> bool {
        *about.level() <= Level::WARN && about.target().starts_with(self.target)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.lines.lock().unwrap().push(text.0);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
