//! What is told of a file that is YAML but no configuration.

use super::*;

#[test]
fn unknown_class_is_refused_with_what_exists() {
    assert_eq!(
        refused("- class: modules::strem::StreamModule"),
        "[0].class: unknown class `modules::strem::StreamModule`; did you mean `modules::stream::StreamModule`?"
    );
    let error = refused("modules: [{ class: mine }]");
    assert!(error.starts_with("modules[0].class: unknown class `mine`; served are modules::stream::StreamModule, "), "{error}");
    assert!(error.contains("modules::cron::CronModule"), "{error}");
}

#[test]
fn module_listed_twice_is_refused() {
    assert_eq!(
        refused("- class: modules::stream::StreamModule\n- class: modules::stream::StreamModule\n"),
        "[1].class: modules::stream::StreamModule is there already, at [0]; keep one of them"
    );
}

#[test]
fn unknown_key_is_refused_with_its_path_and_the_likely_one() {
    assert_eq!(refused(&stream("prot: 1")), "modules[0].config.prot: unknown key; did you mean `port`?");
    assert_eq!(refused(&stream("idle_timeout: 1")), "modules[0].config.idle_timeout: unknown key; did you mean `idle_timeout_ms`?");
    assert_eq!(refused(&worker("xyz: 1")).split("; ").next(), Some("modules[0].config.xyz: unknown key"));
    assert_eq!(refused("- class: modules::stream::StreamModule\n  confg: {}\n"), "[0].confg: unknown key; did you mean `config`?");
    assert_eq!(
        refused(&adapter("KvStore", "store: 1")),
        "modules[0].config.adapter.config.store: unknown key; did you mean `store_method`?"
    );
    assert_eq!(refused("class: modules::stream::StreamModule"), "class: unknown key; list modules under `modules`, each as `- class: ...`");
}

#[test]
fn unknown_top_level_key_only_warns_unless_it_is_nearly_one_of_ours() {
    let config = loaded(&format!("cluster: 1\n{}", stream("")));
    assert_eq!(config.warnings, ["cluster: unknown key without effect; there are host, port, token, log, modules"]);
    for (key, meant) in
        [("prot: 1", "port"), ("tokn: secret", "token"), ("modulse: []", "modules"), ("hosts: a", "host"), ("logs: {}", "log")]
    {
        let name = key.split(':').next().unwrap();
        assert_eq!(refused(&format!("{key}\n{}", stream(""))), format!("{name}: unknown key; did you mean `{meant}`?"));
    }
}

#[test]
fn port_of_another_listener_is_refused() {
    let admin = |config: &str| format!("modules: [{{ class: modules::admin::AdminModule, config: {{ {config} }} }}]");
    for (text, said) in [
        (format!("port: 3112\n{}", stream("")), "modules[0].config.port: 3112 is that of port already; take another one"),
        (stream("port: 49134"), "modules[0].config.port: 49134 is that of port already; take another one"),
        (worker("port: 3112"), "modules::stream::StreamModule.port: 3112 is that of modules[0].config.port already; take another one"),
        (admin("port: 3112"), "modules[0].config.port: 3112 is that of modules::stream::StreamModule.port already; take another one"),
        (format!("host: localhost\n{}", admin("port: 49134")), "modules[0].config.port: 49134 is that of port already; take another one"),
    ] {
        assert_eq!(refused(&text), said);
    }
    loaded(&format!("port: 0\n{}", stream("port: 0")));
    loaded(&admin("port: 3112, enabled: false"));
    loaded(&format!("host: 127.0.0.1\nport: 3112\n{}", stream("host: 127.0.0.2")));
}

#[test]
fn workers_form_is_refused() {
    assert!(refused("workers: [{ name: iii-stream }]").starts_with("workers: this form is not read; list the modules"));
}

#[test]
fn bad_value_is_refused_with_path_found_and_expected() {
    let port = "expected a whole number from 0 to 65535";
    for (config, message) in [
        ("port: 65536", format!("port: found 65536, {port}")),
        ("port: -1", format!("port: found -1, {port}")),
        ("port: 3112.0", format!("port: found 3112, {port}")),
        ("port: '3112'", format!("port: found the text `3112`, {port}, without quotes")),
        ("port: true", format!("port: found true, {port}")),
        ("port: [1]", format!("port: found a list, {port}")),
        ("auth_refusal: never", "auth_refusal: found the text `never`, expected close or http".to_owned()),
        ("auth_function: ''", "auth_function: found the text ``, expected a text that is not empty".to_owned()),
        ("auth_timeout_ms: 0", "auth_timeout_ms: found 0, expected a whole number of milliseconds from 1 to 86400000".to_owned()),
        ("outbox_bytes: 1023", "outbox_bytes: found 1023, expected a whole number from 1024 to 1073741824".to_owned()),
        ("max_connections: 0", "max_connections: found 0, expected a whole number from 1 to 10000000".to_owned()),
        ("adapter: 5", "adapter: found 5, expected a mapping with `class` and `config`".to_owned()),
        ("adapter: {}", "adapter.class: found nothing, expected the name of a class, such as modules::stream::StreamModule".to_owned()),
    ] {
        assert_eq!(refused(&stream(config)), format!("modules[0].config.{message}"));
    }
    for text in ["modules: 5", "modules: { a: 1 }", "modules: [5]", "- 5", "- class: [a]", "- {}"] {
        assert!(refused(text).contains(", expected "), "{text}");
    }
}

#[test]
fn host_with_a_port_brackets_or_a_scheme_is_refused() {
    for host in ["'0.0.0.0:3112'", "localhost:1", "'[::1]'", "http://a", "a b", "''", "5", "'a@b'"] {
        let error = refused(&format!("host: {host}"));
        assert!(error.contains("host name or an address"), "{host}: {error}");
    }
    for host in ["'::'", "localhost", "10.0.0.1", "my-host.example"] {
        loaded(&format!("host: {host}"));
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    assert_eq!(
        refused(&stream("ping_interval_ms: 60000")),
        "modules[0].config.idle_timeout_ms: 60000 must be more than ping_interval_ms (60000); raise one or lower the other"
    );
    assert_eq!(
        refused(&worker("max_message_bytes: 1024")),
        "modules::stream::StreamModule.max_value_bytes: 16777216 must not be more than modules[0].config.max_message_bytes (1024); \
         lower one or raise the other"
    );
}

#[test]
fn adapter_of_another_version_is_refused_with_what_to_write() {
    assert_eq!(
        refused(&adapter("Bridge", "redis_url: 'redis://user:hunter2@host'")),
        "modules[0].config.adapter.class: modules::stream::adapters::Bridge is not in this version yet; \
         use modules::stream::adapters::KvStore or RedisAdapter"
    );
    assert_eq!(
        refused(&adapter("KVStore", "")),
        "modules[0].config.adapter.class: unknown class `modules::stream::adapters::KVStore`; did you mean \
         `modules::stream::adapters::KvStore`?"
    );
}

#[test]
fn url_with_a_password_is_never_repeated() {
    for url in ["redis://user:hunter2@host:6379", "redis://host?password=hunter2"] {
        for text in [
            stream(&format!("port: '{url}'")),
            stream(&format!("'{url}': 1")),
            format!("- class: '{url}'"),
            format!("'{url}': 1\nmodules: 5"),
            adapter("KvStore", &format!("store_method: '{url}'")),
            adapter("KvStore", &format!("redis_url: '{url}'")),
            adapter("RedisAdapter", &format!("redis_url: ['{url}']")),
            adapter("RedisAdapter", &format!("redis_url: '{url}', history: '{url}'")),
            stream("port: ${URL}"),
            stream("auth_refusal: \"${URL}\""),
            "host: ${URL}".to_owned(),
            format!("{{{{ redis_url: '{url}' }}: 1 }}"),
        ] {
            let error = load_with(&text, &[("URL", url)]).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{text}: {error}");
        }
    }
}
