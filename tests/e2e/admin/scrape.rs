//! What Prometheus reads, read by the rules of its text format.

use std::collections::{BTreeMap, BTreeSet};

use super::get;
use crate::server::{Server, until};

/// Samples by name and labels, as they are written.
pub(super) struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    /// Of a server, now.
    pub(super) async fn of(server: &Server) -> Self {
        let answer = get(server.admin(), "/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
        Self::parse(&answer.body)
    }

    /// Reads the format; panics where a rule is broken.
    fn parse(text: &str) -> Self {
        let (mut samples, mut types) = (BTreeMap::new(), BTreeMap::<String, String>::new());
        let mut helped = BTreeSet::new();
        let mut current = String::new();
        assert!(text.ends_with('\n'));
        for line in text.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect(line);
                assert!(helped.insert(name.to_owned()) && !help.is_empty(), "HELP once: {line}");
                continue;
            }
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect(line);
                assert!(helped.contains(name) && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(types.insert(name.to_owned(), kind.to_owned()).is_none(), "TYPE once: {line}");
                name.clone_into(&mut current);
                continue;
            }
            let (series, value) = line.rsplit_once(' ').expect(line);
            let name = series.split('{').next().unwrap();
            let suffix = name.strip_prefix(&current).unwrap_or_else(|| panic!("{line} is not below the TYPE of its metric"));
            let histogram = types[&current] == "histogram";
            assert_eq!(["_bucket", "_sum", "_count"].contains(&suffix), histogram, "{line}");
            assert!(histogram || suffix.is_empty(), "{line}");
            if let Some(labels) = series[name.len()..].strip_prefix('{') {
                let labels = labels.strip_suffix("\"}").expect(line);
                for label in labels.split("\",") {
                    let (label, _) = label.split_once("=\"").expect(line);
                    assert!(label.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
                }
            }
            let value: f64 = value.parse().expect(line);
            assert!(value >= 0.0 && value.is_finite(), "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
        for (name, _) in types.iter().filter(|(_, kind)| *kind == "histogram") {
            // In the order of the text, which is that of the bounds; `BTreeMap` sorts them otherwise.
            let buckets = text.lines().filter_map(|line| line.strip_prefix(&format!("{name}_bucket{{le=\"")));
            let buckets: Vec<(f64, f64)> = buckets
                .map(|bucket| bucket.split_once("\"} ").unwrap())
                .map(|(bound, count)| (bound.replace("+Inf", "inf").parse().unwrap(), count.parse().unwrap()))
                .collect();
            assert!(buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1), "{name}: {buckets:?}");
            if let Some(count) = samples.get(&format!("{name}_count")) {
                assert_eq!(buckets.last(), Some(&(f64::INFINITY, *count)), "{name}");
            }
        }
        Self(samples)
    }

    /// A sample that must be there.
    pub(super) fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series} among {:#?}", self.0.keys()))
    }

    /// Whether there is a sample.
    pub(super) fn has(&self, series: &str) -> bool {
        self.0.contains_key(series)
    }

    /// All samples whose names begin so.
    pub(super) fn beginning(&self, prefix: &str) -> Vec<(&str, f64)> {
        self.0.iter().filter(|(series, _)| series.starts_with(prefix)).map(|(series, value)| (series.as_str(), *value)).collect()
    }
}

/// Waits until these samples have these values, and checks that they stay.
pub(crate) async fn shows(server: &Server, expected: &[(&str, f64)]) {
    let wrong = async || {
        let scrape = Scrape::of(server).await;
        let wrong = expected.iter().filter(|(series, value)| scrape.get(series) != *value);
        wrong.map(|(series, value)| format!("{series} is {}, not {value}", scrape.get(series))).collect::<Vec<_>>()
    };
    // What was done is counted a moment after it is seen.
    let mut last = Vec::new();
    let settled = async {
        until("the numbers", async || {
            last = wrong().await;
            last.is_empty()
        })
        .await;
    };
    if tokio::time::timeout(crate::server::DEADLINE / 2, settled).await.is_err() {
        panic!("{}", last.join("\n"));
    }
    assert_eq!(wrong().await, Vec::<String>::new(), "more was counted than was done");
}
