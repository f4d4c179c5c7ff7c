//! `weir check-config`.

use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ended, program, weir, weir_by};

/// A file of this text.
fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("weir.yaml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

fn key<'v>(shown: &'v Value, module: &str, name: &str) -> &'v Value {
    shown["keys"].as_array().unwrap().iter().find(|key| key["module"] == module && key["key"] == name).unwrap()
}

#[tokio::test]
async fn example_is_good_and_every_value_has_its_line() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config.example.yaml");
    let text = std::fs::read_to_string(&example).unwrap();
    let line_of = |begin: &str| text.lines().position(|line| line == begin).unwrap() + 1;
    let shown = weir_by(&example, &["check-config"]).await.printed();
    let row = |name: &str, value: &str, origin: &str| format!("  {name:<27} {value:<24} {origin}");
    let port = row("port", "49134", &format!("config.example.yaml:{}", line_of("port: 49134")));
    let idle = row("idle_timeout_ms", "60000 ms (1 min)", &format!("config.example.yaml:{}", line_of("      idle_timeout_ms: 60000")));
    for line in [port, idle, row("token", "none", "default")] {
        assert!(shown.lines().any(|shown| shown == line), "{line:?} in\n{shown}");
    }
    assert!(shown.ends_with("\ngood\n"), "{shown}");
    let json = weir_by(&example, &["check-config", "--json"]).await.json();
    assert_eq!((&json["ok"], &json["warnings"], &json["skipped"]), (&json!(true), &json!([]), &json!([])));
    let cache = key(&json, "stream", "adapter.config.cache_bytes");
    let line = line_of("          cache_bytes: 67108864");
    assert_eq!(
        *cache,
        json!({"module": "stream", "key": "adapter.config.cache_bytes", "value": 67_108_864, "unit": "bytes",
               "origin": {"from": "file", "line": line, "variables": []}})
    );
}

#[tokio::test]
async fn values_of_the_environment_are_named_and_secrets_masked() {
    let text = "port: ${W_PORT:1}\ntoken: \"${W_TOKEN}\"\nmodules:\n- class: modules::stream::StreamModule\n  config:\n    adapter:\n      \
                class: modules::stream::adapters::RedisAdapter\n      config: { redis_url: \"redis://u:hunter2@h:1\" }\n\
                - class: modules::cron::CronModule\nstray: 1\n";
    let (_folder, path) = file(text);
    let with = |arguments: &[&str]| {
        let mut command = program(arguments);
        command.arg("--config").arg(&path).env("W_PORT", "7").env("W_TOKEN", "hunter2");
        command
    };
    let shown = ended(&mut with(&["check-config"])).await.printed();
    assert!(!shown.contains("hunter2"), "{shown}");
    for part in ["weir.yaml:1 ${W_PORT}", "(not shown)", "weir.yaml:2 ${W_TOKEN}", "redis://…@h:1", "weir.yaml:8"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(shown.contains("warning  stray: unknown key") && shown.contains("skipped  modules::cron::CronModule"), "{shown}");
    let json = ended(&mut with(&["check-config", "--json"])).await.json();
    assert_eq!(key(&json, "worker", "port")["origin"], json!({"from": "environment", "line": 1, "variables": ["W_PORT"]}));
    assert_eq!(key(&json, "worker", "port")["value"], 7);
    assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
    assert!(!json.to_string().contains("hunter2"));
}

#[tokio::test]
async fn wrong_file_is_a_failure_with_the_whole_error() {
    let (_folder, path) = file("modules:\n- class: modules::stream::StreamModule\n  config: { port: many }\n");
    let wrong = weir_by(&path, &["check-config"]).await;
    let expected = "wrong  modules[0].config.port: found the text `many`, expected a whole number from 0 to 65535";
    assert!(wrong.code == 1 && wrong.stdout.contains(expected), "{}", wrong.stdout);
    let wrong = weir_by(&path, &["check-config", "--json"]).await;
    let json: Value = serde_json::from_str(&wrong.stdout).unwrap();
    assert_eq!((wrong.code, &json["ok"]), (1, &json!(false)));
    assert!(json["error"].as_str().unwrap().starts_with("modules[0].config.port: "), "{json}");
    let (_folder, path) = file("modules:\n- class: modules::stream::StreamModule\n  config: { tls: { cert: none.crt, key: none.key } }\n");
    let wrong = weir_by(&path, &["check-config"]).await;
    assert!(wrong.code == 1 && wrong.stdout.contains("wrong  the stream port") && wrong.stdout.contains("none.crt"), "{}", wrong.stdout);
}

#[tokio::test]
async fn what_stops_a_start_is_wrong_here_too() {
    let with = |module: &str, config: &str| format!("port: 0\nmodules:\n- class: modules::{module}\n  config: {{ {config} }}\n");
    let redis = "port: 0, adapter: { class: 'modules::stream::adapters::RedisAdapter', config: { redis_url: nonsense } }";
    for (text, said) in [
        (with("admin::AdminModule", "host: 0.0.0.0, port: 0"), "needs a `token`"),
        (with("admin::AdminModule", "port: 0, otlp_endpoint: collector"), "`otlp_endpoint`"),
        (format!("log: {{ filter: 'a=b=c' }}\n{}", with("stream::StreamModule", "port: 0")), "log.filter"),
        (with("stream::StreamModule", redis), "not an address"),
        (
            format!("{}- class: modules::admin::AdminModule\n", with("stream::StreamModule", "port: 9464")),
            "9464 is that of modules[0].config.port already",
        ),
        (format!("tokn: secret\n{}", with("stream::StreamModule", "port: 0")), "did you mean `token`?"),
    ] {
        // Two of them would be taken from others that run beside this test; what is wrong is seen before.
        let text = if text.contains("stream::") {
            text
        } else {
            format!("{text}- class: modules::stream::StreamModule\n  config: {{ port: 0 }}\n")
        };
        let text =
            if text.contains("admin::") { text } else { format!("{text}- class: modules::admin::AdminModule\n  config: {{ port: 0 }}\n") };
        let (folder, path) = file(&text);
        let wrong = weir_by(&path, &["check-config"]).await;
        assert!(wrong.code == 1 && wrong.stdout.contains("\nwrong  ") && wrong.stdout.contains(said), "{text}{}", wrong.stdout);
        let started = ended(program(&["serve", "--config"]).arg(&path).current_dir(folder.path())).await;
        assert!(started.code == 1 && started.stderr.contains(said), "{text}{}", started.stderr);
        let doctor = ended(program(&["doctor", "--config"]).arg(&path).current_dir(folder.path())).await;
        assert!(doctor.code == 1 && doctor.stdout.contains(said), "{text}{}", doctor.stdout);
    }
}

#[tokio::test]
async fn variables_that_hold_are_named() {
    let (_folder, path) = file("log: { filter: warn }\n");
    let mut command = program(&["check-config", "--json", "--config"]);
    command.arg(&path).env("WEIR_LOG", "debug").env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
    let json = ended(&mut command).await.json();
    let of = |variable: &str| json!({"from": "environment", "line": null, "variables": [variable]});
    let (filter, endpoint) = (key(&json, "log", "filter"), key(&json, "admin", "otlp_endpoint"));
    assert_eq!((&filter["value"], &filter["origin"]), (&json!("debug"), &of("WEIR_LOG")));
    assert_eq!((&endpoint["value"], &endpoint["origin"]), (&json!("http://collector:4318/v1/traces"), &of("OTEL_EXPORTER_OTLP_ENDPOINT")));
}

#[tokio::test]
async fn last_file_that_is_named_counts_and_else_that_of_the_variable() {
    let ((_one, one), (_two, two)) = (file("port: 1\n"), file("port: 2\n"));
    let port = async |command: &mut tokio::process::Command| key(&ended(command).await.json(), "worker", "port")["value"].clone();
    assert_eq!(port(program(&["--config"]).arg(&one).arg("--config").arg(&two).args(["check-config", "--json"])).await, 2);
    assert_eq!(port(program(&["--config"]).arg(&one).args(["check-config", "--json", "-c"]).arg(&two)).await, 2);
    assert_eq!(port(program(&["check-config", "--json"]).env("WEIR_CONFIG", &one)).await, 1);
    assert_eq!(port(program(&["check-config", "--json", "-c"]).arg(&two).env("WEIR_CONFIG", &one)).await, 2);
    assert_eq!(port(program(&["check-config", "--json"]).env("WEIR_CONFIG", "")).await, 49134);
}

#[tokio::test]
async fn without_a_file_the_defaults_are_shown() {
    let shown = weir(&["check-config"]).await.printed();
    assert!(shown.starts_with("configuration  no file; everything has its default\n"), "{shown}");
    assert!(shown.lines().filter(|line| line.starts_with("  ")).all(|line| line.ends_with(" default")), "{shown}");
}
