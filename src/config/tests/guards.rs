//! What guards the ports: `token`, `allowed_origins`, `tls`.

use super::*;

const SECRET: &str = "hunter2secret";

#[test]
fn token_stands_at_the_top_or_in_the_module() {
    for text in [
        format!("token: {SECRET}"),
        format!("token: '{SECRET}'"),
        worker(&format!("token: {SECRET}")),
        format!("token: other\n{}", worker(&format!("token: {SECRET}"))),
    ] {
        let config = loaded(&text);
        assert_eq!(config.worker.settings.token, Token::new(SECRET), "{text}");
        assert!(!format!("{config:?}").contains(SECRET));
    }
    let config = load_with("token: ${WEIR_TOKEN}", &[("WEIR_TOKEN", SECRET)]).unwrap();
    assert_eq!(config.worker.settings.token, Token::new(SECRET));
}

#[test]
fn token_of_the_module_overrides_another_at_the_top_with_a_warning() {
    let config = loaded(&format!("token: other\n{}", worker(&format!("token: {SECRET}"))));
    assert_eq!(config.warnings[0], "modules[0].config.token: takes the place of the top-level `token`");
    let config = loaded(&format!("token: {SECRET}\n{}", worker(&format!("token: {SECRET}"))));
    assert!(!config.warnings.iter().any(|warning| warning.contains("token")), "{:?}", config.warnings);
}

#[test]
fn token_that_is_refused_is_not_shown() {
    for (text, shown) in
        [("''", ""), ("hunter2 secret", "hunter2"), ("hünter2", "nter2"), ("4711", "4711"), ("47.5", "47"), ("true", "true")]
    {
        let error = refused(&worker(&format!("token: {text}")));
        assert!(error.starts_with("modules[0].config.token: found something else (not shown), expected a text of visible"), "{error}");
        assert!(shown.is_empty() || !error.contains(shown), "{error}");
    }
    let error = load_with("token: ${WEIR_TOKEN}", &[("WEIR_TOKEN", "4711")]).unwrap_err().to_string();
    assert!(error.starts_with("token: found something else from ${WEIR_TOKEN} (not shown)") && !error.contains("4711"), "{error}");
    assert!(!refused(&format!("token: [{SECRET}]")).contains(SECRET));
    assert!(!refused(&format!("token: {{ {SECRET}: 1 }}")).contains(SECRET));
}

#[test]
fn origins_are_one_text_or_a_list() {
    for (text, entries) in [
        ("https://app.example.com", &["https://app.example.com"][..]),
        ("'*'", &["*"]),
        ("['*', 'https://*.example.com:8443']", &["*", "https://*.example.com:8443"]),
        ("[]", &[]),
    ] {
        let config = loaded(&stream(&format!("allowed_origins: {text}")));
        assert_eq!(config.stream.settings.allowed_origins, Some(origins(entries)), "{text}");
    }
    assert_eq!(loaded(&stream("allowed_origins: null")).stream.settings.allowed_origins, None);
    let config = load_with(stream("allowed_origins: ['${PAGE}']"), &[("PAGE", "https://a")]).unwrap();
    assert_eq!(config.stream.settings.allowed_origins, Some(origins(&["https://a"])));
}

#[test]
fn origin_that_is_none_is_refused_with_its_place() {
    for (text, at) in
        [("app.example.com", ""), ("5", ""), ("{ a: b }", ""), ("['https://a', 'https://b/']", "[1]"), ("[null]", "[0]"), ("[[]]", "[0]")]
    {
        let error = refused(&stream(&format!("allowed_origins: {text}")));
        assert!(error.starts_with(&format!("modules[0].config.allowed_origins{at}: found ")), "{text}: {error}");
        assert!(error.contains("expected origins"), "{error}");
    }
}

#[test]
fn tls_has_both_files() {
    let at = "modules[0].config.tls";
    for text in ["{}", "{ cert: a }", "{ key: a }", "{ cert: a, key: null }", "a", "[a, b]"] {
        let error = refused(&stream(&format!("tls: {text}")));
        assert!(error.starts_with(&format!("{at}: found ")) && error.contains("expected the files `cert` and `key`"), "{error}");
    }
    let error = load_with(stream("tls: { cert: '${C:}', key: '${K:}' }"), &[]).unwrap_err().to_string();
    assert!(error.starts_with(at), "{error}");
    assert!(refused(&worker("tls: { cert: a, keys: b }")).contains("did you mean `key`?"));
    assert!(refused(&worker("tls: { cert: 5, key: b }")).starts_with("modules[0].config.tls.cert: found 5"));
    assert_eq!(loaded(&stream("tls: null")).stream.tls, None);
}
