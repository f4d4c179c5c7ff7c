//! Who may connect: what the auth function is asked, and what its answer means (protocol.md C.8).

use std::collections::BTreeMap;

use serde::Serialize;

use crate::error::CloseCode;
use crate::functions::Registry;
use crate::json::Json;

/// What the auth function is told of a connection.
#[derive(Debug, Serialize)]
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

/// Asks the auth function, if there is one. The context is `None` where there is none.
///
/// # Errors
/// [`CloseCode::Unauthorized`] where the function refuses; [`CloseCode::AuthUnavailable`] where it is missing, fails, takes too long, or
/// answers anything but an object with a `context`.
pub async fn authorize(registry: &Registry, input: &AuthInput) -> Result<Option<Json>, CloseCode> {
    let settings = &registry.settings.stream;
    let Some(function) = &settings.auth_function else { return Ok(None) };
    let input = Json::of(input).unwrap_or(Json::NULL);
    match registry.call(function, input, settings.auth_timeout).await {
        Ok(output) => read(&output.into_json()).inspect_err(|code| tracing::info!(function, code = code.code(), "client refused")),
        Err(error) => {
            tracing::warn!(function, code = %error.code, %error, "the auth function failed; nobody gets in");
            Err(CloseCode::AuthUnavailable)
        }
    }
}

fn read(answer: &Json) -> Result<Option<Json>, CloseCode> {
    let value = answer.to_value().unwrap_or_default();
    let object = value.as_object().ok_or(CloseCode::AuthUnavailable)?;
    match object.get("unauthorized") {
        Some(serde_json::Value::Bool(true)) => return Err(CloseCode::Unauthorized),
        None | Some(serde_json::Value::Null | serde_json::Value::Bool(false)) => {}
        Some(_) => return Err(CloseCode::AuthUnavailable),
    }
    let context = object.get("context").ok_or(CloseCode::AuthUnavailable)?;
    Ok(Some(Json::from_value(context)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_object_with_a_context_lets_anybody_in() {
        let cases = [
            (json!({"context": {"a": 1}}), Ok(Some(Json::assembled(r#"{"a":1}"#)))),
            (json!({"context": null}), Ok(Some(Json::NULL))),
            (json!({"context": 1, "unauthorized": false}), Ok(Some(Json::assembled("1")))),
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
            assert_eq!(read(&Json::from_value(&answer)), expected, "{answer}");
        }
    }
}
