//! The one table of our keys: what reads the file goes by it, and so does the test that holds `config.example.yaml` against it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::expand::Scalar;
use super::{AdapterConfig, AdminConfig, LogConfig, LogFormat, StreamConfig, TlsFiles, WorkerConfig};
use weir_actors::adapter::file::{FileOptions, Fsync};
use weir_actors::adapter::redis::RedisOptions;
use weir_actors::origin::Origins;
use weir_actors::settings::{AuthRefusal, JoinFailure, Overflow};
use weir_actors::token::Token;

/// A key of the section `S`.
pub(super) struct Key<S: 'static> {
    pub(super) name: &'static str,
    pub(super) slot: fn(&mut S) -> Slot<'_>,
}

const fn key<S>(name: &'static str, slot: fn(&mut S) -> Slot<'_>) -> Key<S> {
    Key { name, slot }
}

/// Where a value goes, with its type and range.
pub(super) enum Slot<'a> {
    Port(&'a mut u16),
    Host(&'a mut String),
    Text(&'a mut Option<String>),
    /// One that may hold a password, so that it is never shown.
    Url(&'a mut String),
    /// One that is no secret, unless somebody writes a password into it.
    Endpoint(&'a mut Option<String>),
    /// One that nobody may see, in whatever form it was written.
    Token(&'a mut Option<Token>),
    /// One text or a list of them.
    Origins(&'a mut Option<Origins>),
    /// A mapping with `cert` and `key`.
    Tls(&'a mut Option<TlsFiles>),
    /// A whole number of milliseconds up to a day.
    Millis(&'a mut Duration),
    /// A whole number of milliseconds up to a minute, 0 included.
    Grace(&'a mut Duration),
    /// A whole number of things, or of bytes.
    Number(&'a mut usize, RangeInclusive<usize>),
    /// Bytes of a disk.
    Bytes(&'a mut u64),
    /// `true` or `false`.
    Switch(&'a mut bool),
    Choice(&'a mut dyn Choice),
    /// A choice for single streams.
    ByStream(&'a mut BTreeMap<Box<str>, Overflow>),
    Adapter(&'a mut AdapterConfig),
    /// A word, or `every_ms` with a number.
    Fsync(&'a mut Fsync),
    /// Known to the engine that Weir replaces, without effect here.
    Ignored,
}

/// Top-level keys; `modules::worker::WorkerModule` has them too.
pub(super) const LISTENER: &[Key<WorkerConfig>] = &[
    key("host", |s| Slot::Host(&mut s.host)),
    key("port", |s| Slot::Port(&mut s.port)),
    key("token", |s| Slot::Token(&mut s.settings.token)),
];

/// Keys of `modules::worker::WorkerModule`.
pub(super) const WORKER: &[Key<WorkerConfig>] = &[
    key("tls", |s| Slot::Tls(&mut s.tls)),
    key("max_message_bytes", |s| bytes(&mut s.settings.max_message_bytes)),
    key("outbox_bytes", |s| bytes(&mut s.settings.outbox_bytes)),
    key("write_deadline_ms", |s| Slot::Millis(&mut s.settings.write_deadline)),
    key("invocation_timeout_ms", |s| Slot::Millis(&mut s.settings.invocation_timeout)),
    key("max_invocations", |s| count(&mut s.settings.max_invocations)),
    key("max_connections", |s| count(&mut s.settings.max_connections)),
    key("max_functions", |s| count(&mut s.settings.max_functions)),
];

/// Keys of `modules::stream::StreamModule`.
pub(super) const STREAM: &[Key<StreamConfig>] = &[
    key("host", |s| Slot::Host(&mut s.host)),
    key("port", |s| Slot::Port(&mut s.port)),
    key("tls", |s| Slot::Tls(&mut s.tls)),
    key("allowed_origins", |s| Slot::Origins(&mut s.settings.allowed_origins)),
    key("auth_function", |s| Slot::Text(&mut s.settings.auth_function)),
    key("auth_timeout_ms", |s| Slot::Millis(&mut s.settings.auth_timeout)),
    key("auth_refusal", |s| Slot::Choice(&mut s.settings.auth_refusal)),
    key("join_failure", |s| Slot::Choice(&mut s.settings.join_failure)),
    key("join_timeout_ms", |s| Slot::Millis(&mut s.settings.join_timeout)),
    key("leave_grace_ms", |s| Slot::Grace(&mut s.settings.leave_grace)),
    key("adapter", |s| Slot::Adapter(&mut s.adapter)),
    key("max_message_bytes", |s| bytes(&mut s.settings.max_message_bytes)),
    key("max_subscriptions", |s| count(&mut s.settings.max_subscriptions)),
    key("max_joins_per_second", |s| count(&mut s.settings.max_joins_per_second)),
    key("max_name_bytes", |s| name_bytes(&mut s.settings.max_name_bytes)),
    key("max_value_bytes", |s| bytes(&mut s.settings.max_value_bytes)),
    key("max_streams", |s| count(&mut s.settings.max_streams)),
    key("outbox_bytes", |s| bytes(&mut s.settings.outbox_bytes)),
    key("overflow", |s| Slot::Choice(&mut s.settings.overflow)),
    key("overflow_by_stream", |s| Slot::ByStream(&mut s.settings.overflow_by_stream)),
    key("ping_interval_ms", |s| Slot::Millis(&mut s.settings.ping_interval)),
    key("idle_timeout_ms", |s| Slot::Millis(&mut s.settings.idle_timeout)),
    key("write_deadline_ms", |s| Slot::Millis(&mut s.settings.write_deadline)),
    key("max_connections", |s| count(&mut s.settings.max_connections)),
    key("max_connections_per_address", |s| count(&mut s.settings.max_connections_per_address)),
    key("drain_ms", |s| Slot::Millis(&mut s.settings.drain)),
];

/// Keys of the top-level `log`.
pub(super) const LOG: &[Key<LogConfig>] = &[key("format", |s| Slot::Choice(&mut s.format)), key("filter", |s| Slot::Text(&mut s.filter))];

/// Keys of `modules::admin::AdminModule`.
pub(super) const ADMIN: &[Key<AdminConfig>] = &[
    key("enabled", |s| Slot::Switch(&mut s.enabled)),
    key("host", |s| Slot::Host(&mut s.host)),
    key("port", |s| Slot::Port(&mut s.port)),
    key("token", |s| Slot::Token(&mut s.token)),
    key("otlp_endpoint", |s| Slot::Endpoint(&mut s.otlp_endpoint)),
];

/// What `fsync` may hold instead of a word.
pub(super) const FSYNC: &[Key<Duration>] = &[key("every_ms", |period| Slot::Millis(period))];

/// Keys of `tls`.
pub(super) const TLS: &[Key<Tls>] = &[key("cert", |tls| Slot::Text(&mut tls.cert)), key("key", |tls| Slot::Text(&mut tls.key))];

/// Keys of the adapter `modules::stream::adapters::KvStore`.
pub(super) const KV_STORE: &[Key<KvStore>] = &[
    key("store_method", |s| Slot::Choice(&mut s.store_method)),
    key("file_path", |s| Slot::Text(&mut s.file_path)),
    key("fsync", |s| Slot::Fsync(&mut s.options.fsync)),
    key("cache_bytes", |s| Slot::Number(&mut s.options.cache_bytes, CACHE_BYTES)),
    key("min_free_bytes", |s| Slot::Bytes(&mut s.options.min_free_bytes)),
    key("save_interval_ms", |_| Slot::Ignored),
    key("channel_size", |_| Slot::Ignored),
];

/// Keys of the adapter `modules::stream::adapters::RedisAdapter`.
pub(super) const REDIS: &[Key<RedisOptions>] = &[
    key("redis_url", |s| Slot::Url(&mut s.url)),
    key("connect_timeout_ms", |s| Slot::Millis(&mut s.connect_timeout)),
    key("response_timeout_ms", |s| Slot::Millis(&mut s.response_timeout)),
    key("history", |s| count(&mut s.history)),
    key("history_age_ms", |s| Slot::Millis(&mut s.history_age)),
    key("history_bytes", |s| bytes(&mut s.history_bytes)),
];

/// `tls` as written, before it becomes [`TlsFiles`].
#[derive(Debug, Default)]
pub(super) struct Tls {
    pub(super) cert: Option<String>,
    pub(super) key: Option<String>,
}

/// The `config` of a KvStore as written, before it becomes an [`AdapterConfig`].
#[derive(Debug)]
pub(super) struct KvStore {
    pub(super) store_method: StoreMethod,
    pub(super) file_path: Option<String>,
    pub(super) options: FileOptions,
}

impl Default for KvStore {
    fn default() -> Self {
        Self { store_method: StoreMethod::FileBased, file_path: Some(super::FILE_PATH.to_owned()), options: FileOptions::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum StoreMethod {
    FileBased,
    InMemory,
}

fn bytes(field: &mut usize) -> Slot<'_> {
    Slot::Number(field, 1024..=1024 * 1024 * 1024)
}

fn name_bytes(field: &mut usize) -> Slot<'_> {
    Slot::Number(field, 1..=65_536)
}

fn count(field: &mut usize) -> Slot<'_> {
    Slot::Number(field, 1..=10_000_000)
}

const CACHE_BYTES: RangeInclusive<usize> = 1 << 20..=1 << 40;
const BYTES: RangeInclusive<u64> = 0..=1 << 50;
const GRACE_MILLIS: RangeInclusive<u64> = 0..=60 * 1000;
const MILLIS: RangeInclusive<u64> = 1..=24 * 60 * 60 * 1000;

impl Slot<'_> {
    /// Takes the value.
    ///
    /// # Errors
    /// What is expected here, in words.
    pub(super) fn set(self, value: &Scalar) -> Result<(), String> {
        let expected = self.expected();
        let taken = match (self, value) {
            (Self::Port(field), Scalar::Int(int)) => u16::try_from(*int).map(|port| *field = port).is_ok(),
            (Self::Host(field), Scalar::Text(text)) if is_host(text) => {
                *field = text.clone();
                true
            }
            (Self::Text(field) | Self::Endpoint(field), Scalar::Text(text)) if !text.trim().is_empty() => {
                *field = Some(text.clone());
                true
            }
            (Self::Url(field), Scalar::Text(text)) if !text.trim().is_empty() => {
                text.trim().clone_into(field);
                true
            }
            (Self::Token(field), Scalar::Text(text)) => Token::new(text).map(|token| *field = Some(token)).is_some(),
            (Self::Origins(field), Scalar::Text(text)) => field.get_or_insert_default().add(text).is_ok(),
            (Self::Millis(field), Scalar::Int(int)) => {
                let ms = u64::try_from(*int).ok().filter(|ms| MILLIS.contains(ms));
                ms.map(|ms| *field = Duration::from_millis(ms)).is_some()
            }
            (Self::Grace(field), Scalar::Int(int)) => {
                let ms = u64::try_from(*int).ok().filter(|ms| GRACE_MILLIS.contains(ms));
                ms.map(|ms| *field = Duration::from_millis(ms)).is_some()
            }
            (Self::Number(field, range), Scalar::Int(int)) => {
                let number = usize::try_from(*int).ok().filter(|number| range.contains(number));
                number.map(|number| *field = number).is_some()
            }
            (Self::Bytes(field), Scalar::Int(int)) => {
                let bytes = u64::try_from(*int).ok().filter(|bytes| BYTES.contains(bytes));
                bytes.map(|bytes| *field = bytes).is_some()
            }
            (Self::Switch(field), Scalar::Bool(on)) => {
                *field = *on;
                true
            }
            (Self::Choice(field), Scalar::Text(text)) => field.choose(text),
            (Self::Fsync(field), Scalar::Text(text)) => {
                let known = [("always", Fsync::Always), ("never", Fsync::Never)].into_iter().find(|(word, _)| word == text);
                known.map(|(_, fsync)| *field = fsync).is_some()
            }
            (Self::Ignored, _) => true,
            _ => false,
        };
        if taken { Ok(()) } else { Err(expected) }
    }

    /// What is expected here, in words.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Port(_) => "a whole number from 0 to 65535".to_owned(),
            Self::Host(_) => "a host name or an address such as 127.0.0.1, without port or brackets".to_owned(),
            Self::Text(_) => "a text that is not empty".to_owned(),
            Self::Endpoint(_) => "an address such as http://localhost:4318".to_owned(),
            Self::Url(_) => "an address such as redis://localhost:6379, or several parted by commas".to_owned(),
            Self::Token(_) => "a text of visible ASCII characters without spaces, in quotes if it looks like anything else".to_owned(),
            Self::Origins(_) => {
                "origins, in a list if there are several: https://app.example.com, https://*.example.com for its subdomains, or \"*\""
                    .to_owned()
            }
            Self::Tls(_) => "the files `cert` and `key`, as in `tls: { cert: server.crt, key: server.key }`".to_owned(),
            Self::Millis(_) => format!("a whole number of milliseconds from {} to {}", MILLIS.start(), MILLIS.end()),
            Self::Grace(_) => format!("a whole number of milliseconds from {} to {}", GRACE_MILLIS.start(), GRACE_MILLIS.end()),
            Self::Number(_, range) => {
                format!("a whole number from {} to {}", range.start(), range.end())
            }
            Self::Bytes(_) => format!("a whole number of bytes from {} to {}", BYTES.start(), BYTES.end()),
            Self::Switch(_) => "true or false".to_owned(),
            Self::Choice(field) => field.names().join(" or "),
            Self::Fsync(_) => "always, never, or every_ms with a number of milliseconds, as in `fsync: { every_ms: 100 }`".to_owned(),
            Self::ByStream(_) => "a mapping of streams to resync or close, as in `{ chat: close }`".to_owned(),
            Self::Adapter(_) => "a mapping with `class` and `config`".to_owned(),
            Self::Ignored => "anything".to_owned(),
        }
    }

    /// The value as the file would have it; `None` where there is none.
    pub(super) fn shown(&self) -> Option<String> {
        match self {
            Self::Port(field) => Some(field.to_string()),
            Self::Host(field) => Some((*field).clone()),
            Self::Text(field) | Self::Endpoint(field) => (*field).clone(),
            Self::Millis(field) | Self::Grace(field) => Some(field.as_millis().to_string()),
            Self::Number(field, _) => Some(field.to_string()),
            Self::Bytes(field) => Some(field.to_string()),
            Self::Switch(field) => Some(field.to_string()),
            Self::Choice(field) => Some(field.name().to_owned()),
            Self::Fsync(Fsync::Always) => Some("always".to_owned()),
            Self::Fsync(Fsync::Never) => Some("never".to_owned()),
            Self::Fsync(Fsync::Every(period)) => Some(format!("{{ every_ms: {} }}", period.as_millis())),
            Self::Url(url) => Some(if url.contains('@') { "…".to_owned() } else { (*url).clone() }),
            Self::Token(token) => token.as_ref().map(|_| "…".to_owned()),
            Self::Origins(origins) => origins.as_ref().map(ToString::to_string),
            Self::Tls(files) => files.as_ref().map(|files| format!("{{ cert: {}, key: {} }}", files.cert.display(), files.key.display())),
            Self::Adapter(_) | Self::ByStream(_) | Self::Ignored => None,
        }
    }

    /// Whether the value is a whole number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Port(_) | Self::Millis(_) | Self::Grace(_) | Self::Number(..) | Self::Bytes(_))
    }

    /// Whether two values of one key differ.
    pub(super) fn differs(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Token(one), Self::Token(other)) => one != other,
            (Self::ByStream(one), Self::ByStream(other)) => one != other,
            (Self::Adapter(one), Self::Adapter(other)) => one != other,
            _ => self.shown() != other.shown(),
        }
    }
}

/// Left to the resolver but for what people write by mistake: a port, brackets, a URL.
fn is_host(text: &str) -> bool {
    let stray = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '[' | ']' | '@');
    !text.is_empty() && !text.contains(stray) && text.matches(':').count() != 1
}

/// The name that a choice has in the file.
pub(super) fn name_of(choice: &impl Choice) -> &'static str {
    choice.name()
}

/// One of a few names.
pub(super) trait Choice {
    /// All names, the default first.
    fn names(&self) -> Vec<&'static str>;
    /// The name of the present value.
    fn name(&self) -> &'static str;
    /// Takes the value of that name; false if there is none.
    fn choose(&mut self, name: &str) -> bool;
}

/// A type whose values have names in the file.
trait Named: Copy + PartialEq + 'static {
    const ALL: &'static [(&'static str, Self)];
}

impl<T: Named> Choice for T {
    fn names(&self) -> Vec<&'static str> {
        T::ALL.iter().map(|(name, _)| *name).collect()
    }

    fn name(&self) -> &'static str {
        T::ALL.iter().find(|(_, value)| value == self).map_or("", |(name, _)| name)
    }

    fn choose(&mut self, name: &str) -> bool {
        T::ALL.iter().find(|(known, _)| *known == name).map(|(_, value)| *self = *value).is_some()
    }
}

impl Named for AuthRefusal {
    const ALL: &'static [(&'static str, Self)] = &[("close", Self::Close), ("http", Self::Http)];
}

impl Named for Overflow {
    const ALL: &'static [(&'static str, Self)] = &[("resync", Self::Resync), ("close", Self::Close)];
}

impl Named for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Named for JoinFailure {
    const ALL: &'static [(&'static str, Self)] = &[("refuse", Self::Refuse), ("allow", Self::Allow)];
}

impl Named for StoreMethod {
    const ALL: &'static [(&'static str, Self)] = &[("file_based", Self::FileBased), ("in_memory", Self::InMemory)];
}
