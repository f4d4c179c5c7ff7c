//! Where spans are sent.

use std::env;
use std::fmt;

use anyhow::{Context, bail};
use reqwest::Url;

use crate::config::AdminConfig;

/// Below the address of a collector, where spans go.
const PATH: &str = "/v1/traces";
/// Where OpenTelemetry has exporters of spans send to, as it stands, …
const FOR_SPANS: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// … and all exporters, each to a path of its own below.
const FOR_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// The URL that spans are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint(Url);

/// Who has named it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// `otlp_endpoint` of the configuration.
    Configuration,
    /// That variable, which may be meant for others too: what is wrong with it ends nothing.
    Variable(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Configuration => f.write_str("`otlp_endpoint` of modules::admin::AdminModule"),
            Self::Variable(name) => f.write_str(name),
        }
    }
}

impl Endpoint {
    /// What names an endpoint, and what it says; `None` where nothing does.
    pub(crate) fn named(config: &AdminConfig, environment: impl Fn(&str) -> Option<String>) -> Option<(Source, anyhow::Result<Self>)> {
        let variable = |name| Some((name, environment(name).filter(|text| !text.trim().is_empty())?));
        if let Some(text) = &config.otlp_endpoint {
            return Some((Source::Configuration, Self::below(text)));
        }
        if let Some((name, text)) = variable(FOR_SPANS) {
            return Some((Source::Variable(name), parse(&text).map(Self)));
        }
        variable(FOR_ALL).map(|(name, text)| (Source::Variable(name), Self::below(&text)))
    }

    /// As [`named`](Self::named), by the variables of this process.
    pub(crate) fn of(config: &AdminConfig) -> Option<(Source, anyhow::Result<Self>)> {
        Self::named(config, |name| env::var(name).ok())
    }

    /// The endpoint of the collector at that address.
    fn below(text: &str) -> anyhow::Result<Self> {
        let mut url = parse(text)?;
        url.set_path(&format!("{}{PATH}", url.path().trim_end_matches('/')));
        Ok(Self(url))
    }

    /// Host and port, for a connection.
    pub(crate) fn address(&self) -> (&str, u16) {
        // Of such a URL both are known: `parse` has seen to it.
        let host = self.0.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        (host, self.0.port_or_known_default().unwrap_or_default())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

fn parse(text: &str) -> anyhow::Result<Url> {
    let url = Url::parse(text.trim()).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.context("not an address such as http://localhost:4318")?;
    if !url.username().is_empty() || url.password().is_some() {
        bail!("a password in an address gets into logs; say it in OTEL_EXPORTER_OTLP_HEADERS, as in 'authorization=Basic …'");
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    fn configured(text: &str) -> anyhow::Result<Endpoint> {
        let config = AdminConfig { otlp_endpoint: Some(text.to_owned()), ..AdminConfig::default() };
        let (source, endpoint) = Endpoint::named(&config, |_| panic!("the configuration goes first")).unwrap();
        assert_eq!(source, Source::Configuration);
        endpoint
    }

    #[test]
    fn endpoint_is_below_the_address_of_a_collector() {
        for (text, address, shown) in [
            ("http://localhost:4318", ("localhost", 4318), "http://localhost:4318/v1/traces"),
            (" https://collector/ ", ("collector", 443), "https://collector/v1/traces"),
            ("http://[::1]:4318/base/", ("::1", 4318), "http://[::1]:4318/base/v1/traces"),
            ("http://[::1]", ("::1", 80), "http://[::1]/v1/traces"),
        ] {
            let endpoint = configured(text).unwrap();
            assert_eq!((endpoint.address(), endpoint.to_string().as_str()), (address, shown));
        }
        for text in ["", "localhost:4318", "grpc://collector", "http://", "http://a b", "http://user:password@host", "http://user@host"] {
            assert!(configured(text).is_err(), "{text}");
        }
    }

    #[test]
    fn variable_for_spans_goes_before_the_one_for_all_and_is_taken_as_it_stands() {
        let of = |spans: Option<&str>, all: Option<&str>| {
            let environment = |name: &str| if name == FOR_SPANS { spans } else { all }.map(str::to_owned);
            Endpoint::named(&AdminConfig::default(), environment).map(|(source, endpoint)| (source, endpoint.unwrap().to_string()))
        };
        let (spans, all) = (Some("http://one/some/path"), Some("http://two"));
        assert_eq!(of(spans, all), Some((Source::Variable(FOR_SPANS), "http://one/some/path".to_owned())));
        assert_eq!(of(Some(" "), all), Some((Source::Variable(FOR_ALL), "http://two/v1/traces".to_owned())));
        assert_eq!(of(None, None), None);
    }
}
