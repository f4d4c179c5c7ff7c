//! Who may ask the admin listener.
//!
//! Whoever is on this machine, and whoever shows the token where there is one. A browser on this machine asks for whatever page it shows: that page
//! cannot read the answer, as nothing here allows other origins to, unless its host's name leads here (DNS rebinding). So on a loopback address
//! only names of this machine are answered.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use anyhow::bail;
use parking_lot::RwLock;
use weir_actors::token::Token;
use weir_actors::ws::shows;

use crate::config::AdminConfig;

/// What is answered without a token: those who spread load over nodes have none.
const OPEN: [&str; 2] = ["/health/live", "/health/ready"];

/// What must be shown.
#[derive(Debug)]
pub(crate) struct Gate {
    token: RwLock<Option<Token>>,
    is_loopback: bool,
    /// As the configuration has it: a name of this machine.
    host: String,
}

impl Gate {
    /// That of a listener on this address.
    ///
    /// # Errors
    /// Where that is beyond this machine, and there is no token.
    pub(super) fn new(address: IpAddr, config: &AdminConfig) -> anyhow::Result<Self> {
        let gate = Self { token: RwLock::default(), is_loopback: address.is_loopback(), host: config.host.clone() };
        gate.allows(config.token.as_ref())?;
        gate.set_token(config.token.clone());
        Ok(gate)
    }

    /// Whether this token, or none, is enough.
    ///
    /// # Errors
    /// Where it is not.
    pub(crate) fn allows(&self, token: Option<&Token>) -> anyhow::Result<()> {
        if token.is_none() && !self.is_loopback {
            let host = &self.host;
            bail!(
                "the admin port listens beyond this machine (`host` is {host}) and needs a `token`: set `token` of modules::admin::AdminModule, or `host: 127.0.0.1`"
            );
        }
        Ok(())
    }

    /// Asks for this token from now on.
    pub(crate) fn set_token(&self, token: Option<Token>) {
        *self.token.write() = token;
    }

    /// The answer to a request that may not pass.
    fn refusal(&self, request: &ServiceRequest) -> Option<HttpResponse> {
        // Who sends no `Host` is no browser.
        let host = request.headers().get(HOST).map(|host| host.to_str().unwrap_or_default());
        if self.is_loopback && host.is_some_and(|host| !self.is_here(host)) {
            return Some(HttpResponse::MisdirectedRequest().body("ask for localhost, or 127.0.0.1\n"));
        }
        // A browser says whose page asks. Another's could keep all connections, unseen; following a link to the page is as good as typing its address.
        let says = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
        let is_link = request.path() == "/" && says("sec-fetch-mode") == Some("navigate");
        if !is_link && !OPEN.contains(&request.path()) && matches!(says("sec-fetch-site"), Some("cross-site" | "same-site")) {
            return Some(HttpResponse::Forbidden().body("pages of other servers get nothing here\n"));
        }
        // The page itself says nothing; it asks for the token.
        let is_open = OPEN.contains(&request.path()) || request.path() == "/" || request.path().starts_with("/console/");
        let token = self.token.read();
        if !is_open && token.as_ref().is_some_and(|token| !shows(request.head(), token)) {
            let text = "unauthorized; show the `token` of modules::admin::AdminModule: Authorization: Bearer TOKEN, or ?token=TOKEN\n";
            return Some(HttpResponse::Unauthorized().insert_header((WWW_AUTHENTICATE, "Bearer")).body(text));
        }
        None
    }

    /// Whether a `Host` header names this machine.
    fn is_here(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || name.eq_ignore_ascii_case("localhost")
            || name.eq_ignore_ascii_case(&self.host)
    }
}

/// Lets a request pass, or answers it.
pub(super) async fn pass(gate: Arc<Gate>, request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    match gate.refusal(&request) {
        Some(refusal) => Ok(request.into_response(refusal)),
        None => next.call(request).await,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn host_of_another_machine_is_not_here() {
        let config = AdminConfig { host: "weir.local".to_owned(), ..AdminConfig::default() };
        let gate = Gate::new([127, 0, 0, 1].into(), &config).unwrap();
        for host in ["localhost", "LOCALHOST:9464", "127.0.0.1:9464", "127.8.8.8", "[::1]", "[::1]:80", "weir.local:9464"] {
            assert!(gate.is_here(host), "{host}");
        }
        for host in
            ["", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9464", "10.0.0.1", "[2001:db8::1]", "localhost:80:80"]
        {
            assert!(!gate.is_here(host), "{host}");
        }
    }

    #[test]
    fn beyond_this_machine_there_must_be_a_token() {
        let open = AdminConfig { host: "0.0.0.0".to_owned(), ..AdminConfig::default() };
        let error = Gate::new([0, 0, 0, 0].into(), &open).unwrap_err().to_string();
        assert!(error.contains("0.0.0.0") && error.contains("`token` of modules::admin::AdminModule"), "{error}");
        let guarded = AdminConfig { token: Token::new("secret"), ..open };
        assert!(Gate::new([0, 0, 0, 0].into(), &guarded).unwrap().allows(None).is_err());
    }
}
