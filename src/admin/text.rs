//! Prometheus' text format, version 0.0.4.
//!
//! By hand: the numbers are there already, in one snapshot, and a library of metrics (`prometheus-client`) would want to keep them itself, or as much code to
//! be handed them as it takes to write them.

use std::fmt::{Display, Write};

use weir_actors::distribution::Distribution;
use weir_actors::metrics::snapshot::Snapshot;

use super::table::METRICS;

/// What the format is called.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// The samples of one metric.
pub(super) struct Samples<'a> {
    name: &'static str,
    out: &'a mut String,
}

/// All metrics.
pub(super) fn write(snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(32 << 10);
    for metric in METRICS {
        let name = metric.name;
        // Writing to a text does not fail.
        let _ = write!(out, "# HELP {name} {}\n# TYPE {name} {}\n", metric.help.replace('`', ""), metric.kind.name());
        (metric.read)(snapshot, &mut Samples { name, out: &mut out });
    }
    out
}

impl Samples<'_> {
    /// The one sample.
    pub(super) fn one(&mut self, value: impl Display) {
        self.with(&[], value);
    }

    /// The sample with these labels.
    pub(super) fn with(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.sample("", labels, value);
    }

    /// Of a count of things.
    pub(super) fn counts(&mut self, distribution: &Distribution) {
        self.distribution(distribution, u64::to_string);
    }

    /// Of nanoseconds, as seconds.
    pub(super) fn seconds(&mut self, distribution: &Distribution) {
        self.distribution(distribution, |nanos| seconds(*nanos));
    }

    fn distribution(&mut self, Distribution { buckets, count, sum, .. }: &Distribution, form: fn(&u64) -> String) {
        for (bound, count) in buckets {
            self.sample("_bucket", &[("le", &form(bound))], count);
        }
        self.sample("_bucket", &[("le", "+Inf")], count);
        self.sample("_sum", &[], form(sum));
        self.sample("_count", &[], count);
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.out.push(if place == 0 { '{' } else { ',' });
            let _ = write!(self.out, "{label}=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    c => self.out.push(c),
                }
            }
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// Exactly, without the digits that a float would add.
fn seconds(nanos: u64) -> String {
    let text = format!("{}.{:09}", nanos / SECOND, nanos % SECOND);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (nanos, text) in [(0, "0"), (1, "0.000000001"), (50_000, "0.00005"), (2_500_000_000, "2.5"), (10_000_000_000, "10")] {
            assert_eq!(seconds(nanos), text);
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut out = String::new();
        Samples { name: "m", out: &mut out }.with(&[("a", "x\\y\"z\n"), ("b", "ä")], 1);
        assert_eq!(out, "m{a=\"x\\\\y\\\"z\\n\",b=\"ä\"} 1\n");
    }
}
