//! Scenarios and the servers that take turns in them, round after round, and the medians of that.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::crowd::Span;
use crate::machine::{self, Machine};
use crate::report::{Latency, Row};
use crate::server::{Kind, Store, Target};

/// Something that a server is put through.
pub(crate) trait Scenario {
    /// One run, against a server of its own.
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>>;
}

/// A scenario, and who takes turns in it.
pub(crate) struct Case {
    pub(crate) scenario: Box<dyn Scenario>,
    pub(crate) servers: Vec<Kind>,
    pub(crate) store: Store,
    /// Whose cost the others are held against.
    pub(crate) baseline: Option<Kind>,
}

/// What a server has come to in a scenario: the medians of all rounds.
#[derive(Serialize, Clone, Debug)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) baseline: Option<Kind>,
    /// Processor time per operation over the baseline's in the same round.
    pub(crate) ratio: Option<f64>,
    /// The lowest and the highest of these.
    pub(crate) spread: Option<[f64; 2]>,
}

/// All that a run has found.
#[derive(Serialize, Debug)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    /// Versions of what was measured.
    pub(crate) programs: BTreeMap<String, String>,
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    pub(crate) warm_up: f64,
    pub(crate) results: Vec<Summary>,
}

/// Runs all cases so many times, the servers of a case in turn, so that what else the machine does meanwhile meets all alike.
pub(crate) fn run(cases: &[Case], target: &Target, span: Span, rounds: usize) -> Result<Results> {
    ensure!(rounds > 0, "no rounds");
    let installed = installed(cases, target)?;
    let mut rows: Vec<Vec<Vec<Row>>> = cases.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (case, rounds) in cases.iter().zip(&mut rows) {
            let target = target.with(case.store);
            if case.store == Store::Redis && !installed.contains_key(&Kind::Redis) && !target.is_running() {
                continue;
            }
            let mut round = Vec::new();
            for kind in case.servers.iter().filter(|kind| installed.contains_key(kind)) {
                round.extend(case.scenario.run(&target, *kind, span).with_context(|| format!("{} fails", kind.name()))?);
            }
            rounds.push(round);
        }
    }
    let results = cases.iter().zip(&rows).flat_map(|(case, rounds)| summaries(rounds, case.baseline)).collect();
    let programs = installed.into_iter().map(|(kind, version)| (kind.name(), version)).collect();
    Ok(Results { machine: Machine::look(), programs, rounds, seconds: span.seconds, warm_up: span.warm_up, results })
}

/// Those servers that are there, with their versions. What is missing is said once.
fn installed(cases: &[Case], target: &Target) -> Result<BTreeMap<Kind, String>> {
    let mut installed = BTreeMap::new();
    let mut kinds: Vec<Kind> = cases.iter().flat_map(|case| case.servers.clone()).collect();
    // Behind Weir, where it is not beside it.
    kinds.extend(cases.iter().filter(|case| case.store == Store::Redis).map(|_| Kind::Redis));
    kinds.sort_unstable();
    kinds.dedup();
    for kind in kinds {
        match machine::version(kind, target) {
            Ok(version) => {
                installed.insert(kind, version);
            }
            Err(error) if kind == Kind::Weir || target.servers.contains(&kind) => return Err(error),
            Err(error) => eprintln!("skipped: {error:#}"),
        }
    }
    Ok(installed)
}

/// One summary for each line that every round has.
fn summaries(rounds: &[Vec<Row>], baseline: Option<Kind>) -> Vec<Summary> {
    let find = |round: &Vec<Row>, row: &Row, server: Kind| {
        round.iter().find(|other| other.scenario == row.scenario && other.server == server).cloned()
    };
    let Some(first) = rounds.first() else { return Vec::new() };
    first
        .iter()
        .map(|row| {
            let same: Vec<Row> = rounds.iter().filter_map(|round| find(round, row, row.server)).collect();
            let mut ratios: Vec<f64> = rounds
                .iter()
                .filter_map(|round| Some(find(round, row, row.server)?.cpu_us / find(round, row, baseline?)?.cpu_us))
                .collect();
            ratios.sort_by(f64::total_cmp);
            let spread = Some([*ratios.first().unwrap_or(&0.0), *ratios.last().unwrap_or(&0.0)]).filter(|_| !ratios.is_empty());
            Summary { row: medians(row, &same), baseline, ratio: spread.map(|_| median(ratios)), spread }
        })
        .collect()
}

/// Of what is measured, the median; of what must not happen, the sum.
fn medians(row: &Row, rows: &[Row]) -> Row {
    let of = |field: &dyn Fn(&Row) -> f64| median(rows.iter().map(field).collect());
    let sum = |field: fn(&Row) -> u64| rows.iter().map(field).sum();
    Row {
        scenario: row.scenario.clone(),
        server: row.server,
        unit: row.unit,
        operations: sum(|row| row.operations),
        per_second: of(&|row| row.per_second),
        cpu_us: of(&|row| row.cpu_us),
        latency: Latency {
            p50_us: of(&|row| row.latency.p50_us),
            p99_us: of(&|row| row.latency.p99_us),
            p999_us: of(&|row| row.latency.p999_us),
            max_us: rows.iter().map(|row| row.latency.max_us).fold(0.0, f64::max),
        },
        resident_mib: of(&|row| row.resident_mib),
        lost: sum(|row| row.lost),
        duplicated: sum(|row| row.duplicated),
        reordered: sum(|row| row.reordered),
        more: row.more.keys().map(|name| (*name, of(&|row| row.more.get(name).copied().unwrap_or(f64::NAN)))).collect(),
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        odd if odd % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 9.0]).to_bits(), 3f64.to_bits());
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]).to_bits(), 3f64.to_bits());
    }
}
