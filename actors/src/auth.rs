//! Who may connect: what the auth function is asked, and what its answer means (protocol.md C.8).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::clock::{self, Millis};
use crate::error::{self, CloseCode};
use crate::functions::Registry;
use crate::json::Json;
use crate::metrics::limit::Limit;

/// What the auth function is told of a connection.
#[derive(Debug, Clone, Serialize)]
pub struct AuthInput {
    /// Header names in lower case; a header that repeats is joined with `, `.
    pub headers: BTreeMap<String, String>,
    /// The path of the request as the client wrote it, without the query.
    pub path: String,
    /// The query, percent-decoded, every value of a name in order.
    pub query_params: BTreeMap<String, Vec<String>>,
    /// The remote address as `ip:port`.
    pub addr: String,
}

impl AuthInput {
    /// What it is told when a client refreshes its authorisation: the same, with the new token where clients with and without headers of
    /// their own put one.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        let mut input = self.clone();
        input.query_params.insert("token".to_owned(), vec![token.to_owned()]);
        input.headers.insert("authorization".to_owned(), format!("Bearer {token}"));
        input
    }
}

/// What the auth function granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grant {
    /// Who the client is; `None` where there is no auth function.
    pub context: Option<Json>,
    /// When it is over, if it ends before the connection.
    pub expires_at: Option<Millis>,
}

/// Asks the auth function, if there is one.
///
/// # Errors
/// [`CloseCode::Unauthorized`] where the function refuses, or grants what is over already; [`CloseCode::AuthUnavailable`] where it is
/// missing, fails, takes too long, or answers anything but an object with a `context` and perhaps a time.
pub async fn authorize(registry: &Registry, input: &AuthInput) -> Result<Grant, CloseCode> {
    let settings = &registry.settings.stream;
    let Some(function) = &settings.auth_function else { return Ok(Grant::default()) };
    let granted = ask(registry, function, input).await;
    let counts = &registry.metrics.authorized;
    match &granted {
        Ok(_) => counts.granted.add(1),
        Err(CloseCode::Unauthorized) => counts.refused.add(1),
        Err(_) => counts.unavailable.add(1),
    }
    granted
}

async fn ask(registry: &Registry, function: &str, input: &AuthInput) -> Result<Grant, CloseCode> {
    let told = Json::of(input).unwrap_or(Json::NULL);
    match registry.call(function, told, registry.settings.stream.auth_timeout).await {
        Ok(output) => read(&output.into_json(), clock::wall())
            .inspect_err(|code| tracing::info!(function, address = input.addr, code = code.code(), "client refused")),
        Err(error) => {
            if error.code == error::INVOCATION_TIMEOUT {
                registry.metrics.limit(Limit::Auth);
            }
            tracing::warn!(function, code = %error.code, %error, "the auth function failed; nobody gets in");
            Err(CloseCode::AuthUnavailable)
        }
    }
}

fn read(answer: &Json, now: Millis) -> Result<Grant, CloseCode> {
    let value = answer.to_value().unwrap_or_default();
    let object = value.as_object().ok_or(CloseCode::AuthUnavailable)?;
    match object.get("unauthorized") {
        Some(serde_json::Value::Bool(true)) => return Err(CloseCode::Unauthorized),
        None | Some(serde_json::Value::Null | serde_json::Value::Bool(false)) => {}
        Some(_) => return Err(CloseCode::AuthUnavailable),
    }
    let context = object.get("context").ok_or(CloseCode::AuthUnavailable)?;
    let expires_at = match object.get("expires_at") {
        None | Some(serde_json::Value::Null) => None,
        Some(value) => match millis(value).ok_or(CloseCode::AuthUnavailable)? {
            at if at <= now => return Err(CloseCode::Unauthorized),
            at => Some(at),
        },
    };
    Ok(Grant { context: Some(Json::from_value(context)), expires_at })
}

/// A number that may be a time. One that is not whole is what a clock with fractions gives, and counts without them.
fn millis(value: &serde_json::Value) -> Option<Millis> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked before")]
    let whole = |float: f64| (0.0..9e15).contains(&float).then_some(float as Millis);
    value.as_u64().or_else(|| value.as_f64().and_then(whole))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn granted(context: &'static str, expires_at: Option<Millis>) -> Result<Grant, CloseCode> {
        Ok(Grant { context: Some(Json::assembled(context)), expires_at })
    }

    #[test]
    fn token_of_a_refresh_takes_the_place_of_those_before() {
        let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let input = AuthInput {
            headers: [text("authorization", "Bearer old"), text("host", "h")].into(),
            path: "/".to_owned(),
            query_params: [("token".to_owned(), vec!["old".to_owned(), "older".to_owned()]), ("a".to_owned(), vec![])].into(),
            addr: "1.2.3.4:5".to_owned(),
        };
        let asked = serde_json::to_value(input.with_token("new")).unwrap_or_default();
        let expected = json!({"headers": {"authorization": "Bearer new", "host": "h"}, "path": "/", "query_params": {"a": [], "token": ["new"]},
                              "addr": "1.2.3.4:5"});
        assert_eq!(asked, expected);
    }

    #[test]
    fn only_an_object_with_a_context_lets_anybody_in() {
        let cases = [
            (json!({"context": {"a": 1}}), granted(r#"{"a":1}"#, None)),
            (json!({"context": null}), granted("null", None)),
            (json!({"context": 1, "unauthorized": false}), granted("1", None)),
            (json!({"context": 1, "expires_at": null}), granted("1", None)),
            (json!({"context": 1, "expires_at": 1001}), granted("1", Some(1001))),
            (json!({"context": 1, "expires_at": 2000.75}), granted("1", Some(2000))),
            (json!({"context": 1, "expires_at": 1000}), Err(CloseCode::Unauthorized)),
            (json!({"context": 1, "expires_at": 0}), Err(CloseCode::Unauthorized)),
            (json!({"context": 1, "expires_at": -5}), Err(CloseCode::AuthUnavailable)),
            (json!({"context": 1, "expires_at": 1e300}), Err(CloseCode::AuthUnavailable)),
            (json!({"context": 1, "expires_at": "2000"}), Err(CloseCode::AuthUnavailable)),
            (json!({"context": 1, "expires_at": [2000]}), Err(CloseCode::AuthUnavailable)),
            (json!({"context": 1, "expires_at": true}), Err(CloseCode::AuthUnavailable)),
            (json!({"context": 1, "unauthorized": true}), Err(CloseCode::Unauthorized)),
            (json!({"unauthorized": true}), Err(CloseCode::Unauthorized)),
            (json!({"context": 1, "unauthorized": "true"}), Err(CloseCode::AuthUnavailable)),
            (json!({}), Err(CloseCode::AuthUnavailable)),
            (json!(null), Err(CloseCode::AuthUnavailable)),
            (json!([1]), Err(CloseCode::AuthUnavailable)),
            (json!(true), Err(CloseCode::AuthUnavailable)),
            (json!("context"), Err(CloseCode::AuthUnavailable)),
        ];
        for (answer, expected) in cases {
            assert_eq!(read(&Json::from_value(&answer), 1000), expected, "{answer}");
        }
    }
}
