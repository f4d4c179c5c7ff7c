//! `${VAR:default}`, by the table of protocol.md E.2.

use super::*;

/// What a text value comes to.
fn resolved(value: &str, env: &[(&str, &str)]) -> Result<String, String> {
    let text = format!("- class: modules::stream::StreamModule\n  config:\n    auth_function: {value}\n");
    load_with(text, env).map(|config| config.stream.settings.auth_function.unwrap_or_default()).map_err(|error| error.to_string())
}

fn port(value: &str, env: &[(&str, &str)]) -> Result<u16, String> {
    load_with(format!("port: {value}\n"), env).map(|config| config.worker.port).map_err(|error| error.to_string())
}

#[test]
fn reference_resolves_as_in_the_table() {
    let env = [("A", "value"), ("URL", "redis://h:6379"), ("YAML", "{ a: [b"), ("REF", "${A}"), ("EMPTY", "")];
    for (value, expected) in [
        ("${A}", "value"),
        ("${A:abc}", "value"),
        ("${UNSET:abc}", "abc"),
        ("x${A}y${A}", "xvalueyvalue"),
        ("${UNSET:redis://h:6379}", "redis://h:6379"),
        ("${URL}", "redis://h:6379"),
        ("${YAML}", "{ a: [b"),
        ("${UNSET: spaced # text}", "spaced # text"),
        ("${UNSET:größe}", "größe"),
        ("'${A}'", "value"),
        ("\"a ${A}: b\"", "a value: b"),
        ("${REF}", "${A}"),
        ("$A", "$A"),
        ("'${}'", "${}"),
        ("$${A}", "$value"),
        ("${UNSET:${A}}", "${A}"),
        ("x${EMPTY}", "x"),
        ("${EMPTY:abc}", "abc"),
        ("'${EMPTY:abc}'", "abc"),
        ("${A", "${A"),
        ("a$", "a$"),
    ] {
        assert_eq!(resolved(value, &env).as_deref(), Ok(expected), "{value}");
    }
}

#[test]
fn plain_reference_is_typed_as_yaml_would() {
    let env = [("P", "4000"), ("HEX", "0x10"), ("SPACED", " 4000\n"), ("EMPTY", "")];
    for (value, expected) in [
        ("${P}", 4000),
        ("${UNSET:4000}", 4000),
        ("4${UNSET:000}", 4000),
        ("${HEX}", 16),
        ("${SPACED}", 4000),
        ("${EMPTY}", 49134),
        ("${EMPTY:4000}", 4000),
        ("${UNSET:}", 49134),
        ("${UNSET:~}", 49134),
    ] {
        assert_eq!(port(value, &env), Ok(expected), "{value}");
    }
    assert!(resolved("${P}", &env).unwrap_err().contains("found 4000 from ${P}, expected a text"));
}

#[test]
fn quoted_reference_stays_a_text() {
    for value in ["\"${P:3112}\"", "'${P:3112}'", "\"3${P:112}\"", "\"${P:31}${P:12}\""] {
        assert!(port(value, &[]).unwrap_err().ends_with("expected a whole number from 0 to 65535, without quotes"), "{value}");
        assert_eq!(resolved(value, &[]).as_deref(), Ok("3112"), "{value}");
    }
    assert!(resolved("'${E:}'", &[]).unwrap_err().contains("expected a text that is not empty"));
}

#[test]
fn reference_inside_braces_is_read() {
    let text = "modules:\n  - class: modules::stream::StreamModule\n    config: { port: ${STREAM_PORT:3112}, host: ${H:127.0.0.1}, auth_function: my::auth,\n              \
                adapter: { class: modules::stream::adapters::KvStore, config: { store_method: ${M} } } }\n";
    let config = load_with(text, &[("STREAM_PORT", "4000"), ("M", "in_memory")]).unwrap();
    assert_eq!((config.stream.port, config.stream.host.as_str()), (4000, "127.0.0.1"));
}

#[test]
fn missing_variable_is_refused_with_path_and_name() {
    assert_eq!(
        load_with(stream("port: ${STREAM_PORT}"), &[]).unwrap_err().to_string(),
        "modules[0].config.port: environment variable STREAM_PORT is not set; set it or give a default, as in ${STREAM_PORT:value}"
    );
    assert_eq!(port("${A}", &[]).unwrap_err().split(" is").next(), Some("port: environment variable A"));
}

#[test]
fn reference_in_a_comment_or_a_key_is_left_alone() {
    let text = "# ${UNSET} and ${A\nport: 5000 # ${UNSET}\n${UNSET}: 1\n";
    let config = loaded(text);
    assert_eq!(config.worker.port, 5000);
    assert!(config.warnings[0].starts_with("${UNSET}: unknown key"), "{:?}", config.warnings);
}

#[test]
fn empty_variable_leaves_the_default_with_a_warning() {
    let config = load_with(stream("auth_function: ${AUTH}"), &[("AUTH", "")]).unwrap();
    assert_eq!(config.stream.settings.auth_function, None);
    assert_eq!(config.warnings, ["modules[0].config.auth_function: environment variable AUTH is empty; the default holds"]);
    let path = adapter("KvStore", "file_path: ${DIR:/data}");
    let AdapterConfig::File { path, .. } = load_with(path, &[("DIR", "")]).unwrap().stream.adapter else { panic!("files") };
    assert_eq!(path.to_str(), Some("/data"));
}

#[test]
fn empty_variable_in_quotes_is_named_where_nothing_may_stand() {
    for (text, said) in [
        ("token: \"${T}\"".to_owned(), "token: found nothing from ${T}, which is empty, expected a text of visible"),
        (stream("port: '${T}'"), "modules[0].config.port: found nothing from ${T}, which is empty, expected a whole number"),
    ] {
        let error = load_with(text, &[("T", "")]).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}

#[test]
fn content_of_a_variable_is_never_yaml() {
    let config = load_with("host: ${H}\nport: 1\n", &[("H", "a\nport: 2")]);
    assert!(config.unwrap_err().to_string().starts_with("host: found a text from ${H}, expected a host name"));
}

#[test]
fn text_from_a_variable_is_not_shown() {
    let error = port("${P}", &[("P", "hunter2")]).unwrap_err();
    assert_eq!(error, "port: found a text from ${P}, expected a whole number from 0 to 65535");
}
