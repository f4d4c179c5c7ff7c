//! What a configuration file may say and what it is told when it may not. Each test goes through a real file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod example;
mod expansion;
mod explaining;
mod guards;
mod hostile;
mod refusal;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use weir_actors::adapter::file::Fsync;
use weir_actors::origin::Origins;
use weir_actors::settings::{AuthRefusal, JoinFailure, Overflow};
use weir_actors::token::Token;

/// Loads `text` with the variables `env`.
fn load_with(text: impl AsRef<[u8]>, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let value = |name: &str| env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    load(Some(file.path()), &value)
}

fn loaded(text: &str) -> Config {
    load_with(text, &[]).unwrap()
}

fn refused(text: &str) -> String {
    load_with(text, &[]).unwrap_err().to_string()
}

/// A file with this `config` of the stream module.
fn stream(config: &str) -> String {
    format!("modules: [{{ class: modules::stream::StreamModule, config: {{ {config} }} }}]")
}

fn worker(config: &str) -> String {
    format!("modules: [{{ class: 'modules::worker::WorkerModule', config: {{ {config} }} }}]")
}

fn adapter(class: &str, config: &str) -> String {
    stream(&format!("adapter: {{ class: 'modules::stream::adapters::{class}', config: {{ {config} }} }}"))
}

fn origins(entries: &[&str]) -> Origins {
    let mut origins = Origins::default();
    entries.iter().for_each(|entry| origins.add(entry).unwrap());
    origins
}

#[test]
fn config_without_a_file_is_the_default() {
    let config = load(None, &|_| None).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!((config.worker.host.as_str(), config.worker.port), ("127.0.0.1", 49134));
    assert_eq!((config.stream.host.as_str(), config.stream.port), ("0.0.0.0", 3112));
}

#[test]
fn mapping_with_port_and_modules_is_read() {
    let config = loaded(
        "port: 5000\nhost: 0.0.0.0\nmodules:\n  - class: modules::stream::StreamModule\n    config:\n      port: 4000\n      auth_function: my::auth\n",
    );
    assert_eq!((config.worker.host.as_str(), config.worker.port), ("0.0.0.0", 5000));
    assert_eq!((config.stream.host.as_str(), config.stream.port), ("0.0.0.0", 4000));
    assert_eq!(config.stream.settings.auth_function.as_deref(), Some("my::auth"));
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn bare_list_is_read_as_the_modules() {
    let expected = StreamConfig { port: 4000, ..StreamConfig::default() };
    let block = "- class: modules::stream::StreamModule\n  config:\n    port: 4000\n";
    for text in [
        block.to_owned(),
        format!("# comment\n---\n{block}"),
        format!("---\n{block}...\n"),
        format!("\u{feff}{block}"),
        "  - class: modules::stream::StreamModule\n    config:\n      port: 4000\n".to_owned(),
        "[{ class: modules::stream::StreamModule, config: { port: 4000 } }]".to_owned(),
        "--- [{ class: modules::stream::StreamModule, config: { port: 4000 } }]".to_owned(),
        "[\n{ \"class\": \"modules::stream::StreamModule\",\n\"config\": { \"port\": 4000 } }\n]".to_owned(),
    ] {
        assert_eq!(loaded(&text).stream, expected, "{text}");
    }
}

#[test]
fn every_key_of_the_stream_module_reaches_its_field() {
    let config = loaded(&stream(
        "port: 0, host: localhost, tls: { cert: c.pem, key: k.pem }, allowed_origins: ['https://a', 'https://*.b'], auth_function: a, auth_timeout_ms: 1, auth_refusal: http, join_failure: allow, join_timeout_ms: 2, \
         max_message_bytes: 1024, max_subscriptions: 3, max_joins_per_second: 10, max_name_bytes: 4, max_value_bytes: 1025, max_streams: 12, outbox_bytes: 1026, \
         leave_grace_ms: 8, ping_interval_ms: 5, idle_timeout_ms: 6, write_deadline_ms: 11, max_connections: 7, \
         max_connections_per_address: 8, drain_ms: 9, overflow: close, overflow_by_stream: { a: resync }",
    ));
    let expected = StreamConfig {
        host: "localhost".to_owned(),
        port: 0,
        tls: Some(TlsFiles { cert: "c.pem".into(), key: "k.pem".into() }),
        adapter: AdapterConfig::default(),
        settings: StreamSettings {
            overflow: Overflow::Close,
            overflow_by_stream: BTreeMap::from([("a".into(), Overflow::Resync)]),
            max_connections_per_address: 8,
            drain: Duration::from_millis(9),
            allowed_origins: Some(origins(&["https://a", "https://*.b"])),
            auth_function: Some("a".to_owned()),
            adapter_functions: None,
            auth_timeout: Duration::from_millis(1),
            auth_refusal: AuthRefusal::Http,
            join_failure: JoinFailure::Allow,
            join_timeout: Duration::from_millis(2),
            leave_grace: Duration::from_millis(8),
            max_message_bytes: 1024,
            max_subscriptions: 3,
            max_joins_per_second: 10,
            max_name_bytes: 4,
            max_value_bytes: 1025,
            max_streams: 12,
            outbox_bytes: 1026,
            ping_interval: Duration::from_millis(5),
            idle_timeout: Duration::from_millis(6),
            write_deadline: Duration::from_millis(11),
            max_connections: 7,
        },
    };
    assert_eq!(config.stream, expected);
}

#[test]
fn every_key_of_the_worker_module_reaches_its_field() {
    let config = loaded(&worker(
        "port: 1, host: '::1', token: s3cret, tls: { cert: c, key: k }, max_message_bytes: 16777217, outbox_bytes: 1024, write_deadline_ms: 5, invocation_timeout_ms: 2, max_invocations: 3, max_connections: 6, max_functions: 4",
    ));
    let expected = WorkerConfig {
        host: "::1".to_owned(),
        port: 1,
        tls: Some(TlsFiles { cert: "c".into(), key: "k".into() }),
        settings: WorkerSettings {
            token: Token::new("s3cret"),
            max_message_bytes: 16_777_217,
            outbox_bytes: 1024,
            write_deadline: Duration::from_millis(5),
            invocation_timeout: Duration::from_millis(2),
            max_invocations: 3,
            max_connections: 6,
            max_functions: 4,
        },
    };
    assert_eq!(config.worker, expected);
}

#[test]
fn worker_module_with_another_port_overrides_the_top_with_a_warning() {
    let config = loaded(&format!("port: 5000\nhost: localhost\n{}", worker("port: 6000, host: localhost")));
    assert_eq!((config.worker.host.as_str(), config.worker.port), ("localhost", 6000));
    assert_eq!(config.warnings[0], "modules[0].config.port: takes the place of the top-level `port`");
}

#[test]
fn module_without_config_or_with_null_has_its_defaults() {
    for text in [
        "modules: [{ class: modules::stream::StreamModule }]",
        "modules: [{ class: modules::stream::StreamModule, config: null }]",
        "modules: [{ class: modules::stream::StreamModule, config: { port: null, adapter: ~ } }]",
        "modules: [{ class: modules::stream::StreamModule, config: { adapter: { class: modules::stream::adapters::KvStore } } }]",
    ] {
        assert_eq!(loaded(text), Config::default(), "{text}");
    }
}

#[test]
fn file_without_stream_module_warns() {
    for text in ["port: 5000", "modules:", "modules: []", "[]"] {
        assert_eq!(loaded(text).warnings, ["no modules::stream::StreamModule is listed; it runs with its defaults"], "{text}");
    }
}

#[test]
fn empty_file_has_the_defaults_with_a_warning() {
    for text in ["", "\n\n", "# only a comment\n", "---\n", "{}", "null"] {
        let config = loaded(text);
        assert_eq!(config.warnings, ["the configuration file is empty; everything has its default"], "{text:?}");
        assert_eq!(Config { warnings: Vec::new(), ..config }, Config::default());
    }
}

#[test]
fn modules_of_the_engine_are_skipped_once_and_unread() {
    let config = loaded(
        "- class: modules::cron::CronModule\n  config: { adapter: 5, x: '${NOT_SET}' }\n- class: modules::stream::StreamModule\n\
         - class: modules::api::RestApiModule\n  anything: 1\n- class: modules::cron::CronModule\n",
    );
    assert_eq!(config.skipped, ["modules::cron::CronModule", "modules::api::RestApiModule"]);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn adapter_keys_without_effect_warn() {
    let config =
        loaded(&adapter("KvStore", "store_method: in_memory, file_path: ./d, fsync: never, save_interval_ms: 5000, channel_size: 256"));
    let at = "modules[0].config.adapter.config";
    assert_eq!(
        config.warnings,
        [
            format!("{at}.channel_size: has no effect here; remove it"),
            format!("{at}.save_interval_ms: has no effect here; remove it"),
            format!("{at}.file_path: has no effect with `store_method: in_memory`"),
            format!("{at}.fsync: has no effect with `store_method: in_memory`"),
        ]
    );
    assert_eq!(config.stream.adapter, AdapterConfig::InMemory);
}

#[test]
fn kv_store_keeps_items_in_files_unless_told_otherwise() {
    let expected = |path: &str, options| AdapterConfig::File { path: path.into(), options };
    let options = FileOptions::default();
    assert_eq!(Config::default().stream.adapter, expected("./data/streams", options.clone()));
    assert_eq!(loaded(&adapter("KvStore", "")).stream.adapter, expected("./data/streams", options.clone()));
    assert_eq!(loaded(&adapter("KvStore", "file_path: /x")).stream.adapter, expected("/x", options));
    let config = loaded(&adapter("KvStore", "store_method: file_based, fsync: never, cache_bytes: 1048576, min_free_bytes: 0"));
    let options = FileOptions { fsync: Fsync::Never, cache_bytes: 1 << 20, min_free_bytes: 0 };
    assert_eq!(config.stream.adapter, expected("./data/streams", options));
}

#[test]
fn redis_has_an_address_and_a_history() {
    let AdapterConfig::Redis(options) = loaded(&adapter("RedisAdapter", "")).stream.adapter else { panic!() };
    assert_eq!(options, RedisOptions::new("redis://localhost:6379"));
    let AdapterConfig::Redis(options) =
        loaded(&adapter("RedisAdapter", "redis_url: ' rediss://u:secret@a, b ', history: 7, history_age_ms: 5, connect_timeout_ms: 1"))
            .stream
            .adapter
    else {
        panic!()
    };
    assert_eq!((options.url.as_str(), options.history), ("rediss://u:secret@a, b", 7));
    assert_eq!((options.history_age, options.connect_timeout), (Duration::from_millis(5), Duration::from_millis(1)));
    assert!(!format!("{options:?}").contains("secret"));
    assert!(refused(&adapter("RedisAdapter", "redis_uri: x")).contains("did you mean `redis_url`?"));
    assert!(refused(&adapter("RedisAdapter", "history: 0")).contains("from 1 to"));
}

#[test]
fn fsync_is_a_word_or_a_period() {
    for (text, fsync) in [
        ("always", Fsync::Always),
        ("never", Fsync::Never),
        ("{ every_ms: 100 }", Fsync::Every(Duration::from_millis(100))),
        ("null", Fsync::Always),
    ] {
        let config = loaded(&adapter("KvStore", &format!("fsync: {text}")));
        assert!(matches!(config.stream.adapter, AdapterConfig::File { options, .. } if options.fsync == fsync), "{text}");
    }
    let at = "modules[0].config.adapter.config.fsync";
    for (text, found) in [("sometimes", "the text `sometimes`"), ("100", "100"), ("{}", "a mapping"), ("[]", "a list")] {
        let expected = "always, never, or every_ms with a number of milliseconds, as in `fsync: { every_ms: 100 }`";
        assert_eq!(refused(&adapter("KvStore", &format!("fsync: {text}"))), format!("{at}: found {found}, expected {expected}"));
    }
    assert!(refused(&adapter("KvStore", "fsync: { every_ms: 0 }")).starts_with(&format!("{at}.every_ms: found 0")));
    assert!(refused(&adapter("KvStore", "fsync: { evry_ms: 5 }")).contains("did you mean `every_ms`?"));
}

#[test]
fn class_that_is_not_built_in_is_an_adapter_of_functions() {
    let class = |class: &str| stream(&format!("adapter: {{ class: '{class}' }}"));
    assert_eq!(loaded(&class("my::store")).stream.adapter, AdapterConfig::Functions("my::store".to_owned()));
    let config = loaded(&stream("adapter: { class: 'my::store', config: { table: items } }"));
    assert_eq!(config.warnings, ["modules[0].config.adapter.config.table: has no effect with an adapter of functions"]);
    // A mistyped class of ours is none.
    assert!(refused(&class("modules::stream::adapters::KvStor")).contains("did you mean"));
    assert!(refused(&class("KvStore")).contains("unknown class"));
}
