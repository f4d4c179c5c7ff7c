//! What a request says: which group it is for, what the auth function is told of it, and whether it shows a token.

use actix_http::RequestHead;
use actix_http::header::{AUTHORIZATION, HeaderMap, SEC_WEBSOCKET_PROTOCOL};

use crate::auth::AuthInput;
use crate::ids::{GroupKey, Name};
use crate::token::Token;

/// Whether a request shows `token`: as `Authorization: Bearer`, or as `token` in the URL, where published SDKs and browsers can be given it.
#[must_use]
pub fn shows(request: &RequestHead, token: &Token) -> bool {
    let bearer = request.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().split_at_checked("Bearer ".len()));
    let in_header = bearer.is_some_and(|(scheme, shown)| scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(shown.trim_ascii()));
    let in_url = |pair: &str| {
        let shown = pair.strip_prefix("token=");
        shown.is_some_and(|shown| token.is(&percent_encoding::percent_decode_str(shown).collect::<Vec<_>>()))
    };
    in_header || request.uri.query().unwrap_or_default().split('&').any(in_url)
}

/// The protocol that is answered where protocols are offered: browsers fail a connection whose offers are not answered by one of them. The first:
/// the second is a token, which logs must not see.
pub(super) fn protocol(request: &RequestHead) -> Option<&str> {
    let offered = request.headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    offered.split(',').next().map(str::trim).filter(|protocol| !protocol.is_empty())
}

/// What a path subscribes to: `Some(None)` for `/`, `None` for a path that is not served.
pub(super) fn address(path: &str) -> Option<Option<(GroupKey, Option<Name>)>> {
    if path == "/" || path.is_empty() {
        return Some(None);
    }
    let names = path.strip_prefix("/stream/")?;
    let names = names.strip_suffix('/').unwrap_or(names);
    let names: Vec<String> = names.split('/').map(decode).collect::<Option<_>>()?;
    match &names[..] {
        [stream, group] => Some(Some((GroupKey::new(stream, group), None))),
        // An empty item name means the whole group, as in a `join`.
        [stream, group, item] => {
            Some(Some((GroupKey::new(stream, group), Some(item.as_str()).filter(|item| !item.is_empty()).map(Name::from))))
        }
        _ => None,
    }
}

/// Percent-decodes one segment; `None` where the result is not UTF-8.
fn decode(segment: &str) -> Option<String> {
    percent_encoding::percent_decode_str(segment).decode_utf8().ok().map(Into::into)
}

/// What the auth function is told of a request.
pub(super) fn auth_input(request: &RequestHead) -> AuthInput {
    let mut query_params = std::collections::BTreeMap::<String, Vec<String>>::new();
    for pair in request.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        // What is not UTF-8 after decoding is handed over as it came.
        let decoded = |text: &str| decode(text).unwrap_or_else(|| text.to_owned());
        if !name.is_empty() {
            query_params.entry(decoded(name)).or_default().push(decoded(value));
        }
    }
    AuthInput {
        headers: headers(&request.headers),
        path: request.uri.path().to_owned(),
        query_params,
        addr: request.peer_addr.map_or_else(String::new, |addr| addr.to_string()),
    }
}

fn headers(map: &HeaderMap) -> std::collections::BTreeMap<String, String> {
    let mut headers = std::collections::BTreeMap::<String, String>::new();
    for (name, value) in map {
        let Ok(value) = value.to_str() else { continue };
        headers
            .entry(name.as_str().to_ascii_lowercase())
            .and_modify(|joined| {
                joined.push_str(", ");
                joined.push_str(value);
            })
            .or_insert_with(|| value.to_owned());
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn group(stream: &str, group: &str) -> Option<Option<(GroupKey, Option<Name>)>> {
        Some(Some((GroupKey::new(stream, group), None)))
    }

    #[test]
    fn group_address_takes_a_last_slash_or_none() {
        assert_eq!(address("/"), Some(None));
        assert_eq!(address("/stream/a/b/"), group("a", "b"));
        assert_eq!(address("/stream/a/b"), group("a", "b"));
        assert_eq!(address("/stream/a/b/c"), Some(Some((GroupKey::new("a", "b"), Some("c".into())))));
        assert_eq!(address("/stream/a/b/c/"), address("/stream/a/b/c"));
    }

    #[test]
    fn names_are_decoded_one_by_one() {
        assert_eq!(address("/stream/a%2Fb/c%20d%25/"), group("a/b", "c d%"));
        assert_eq!(address("/stream/%F0%9F%98%80/../"), group("😀", ".."));
        assert_eq!(address("/stream/%FF/b/"), None);
    }

    #[test]
    fn other_addresses_are_not_served() {
        for path in ["/stream", "/stream/a", "/stream/a/b/c/d", "/other", "/stream/"] {
            assert_eq!(address(path), None, "{path}");
        }
    }
}
