//! `growth`: whether what an operation costs stays the same when there is more of everything.

use anyhow::Result;
use clap::Args;

use super::fanout::Fanout;
use super::idle::Idle;
use super::join::Join;
use super::write::Write;
use crate::crowd::Span;
use crate::process::most_files;
use crate::report::Row;
use crate::server::{BESIDE, Kind, Target};
use crate::suite::Scenario;

/// Repeats fan-out, writes, joins and idle connections at growing sizes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Growth {
    /// Sizes above this are left out.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) limit: usize,
}

/// Bytes of payloads.
const PAYLOAD: usize = 128;

impl Scenario for Growth {
    fn run(&self, target: &Target, kind: Kind, span: Span) -> Result<Vec<Row>> {
        let sizes = |sizes: &'static [usize]| sizes.iter().copied().filter(|size| *size <= self.limit);
        let mut axes: Vec<Vec<(usize, Box<dyn Scenario>)>> = Vec::new();
        let fanout = |subscribers| Box::new(Fanout { subscribers, payload: PAYLOAD, burst: 1, rate: None }) as Box<dyn Scenario>;
        axes.push(sizes(&[10, 100, 1_000, 10_000]).map(|size| (1, fanout(size))).collect());
        let write = |groups| Box::new(Write { groups: Some(groups), ..Write::default() }) as Box<dyn Scenario>;
        axes.push(sizes(&[1, 1_000, 100_000]).map(|size| (1, write(size))).collect());
        let join = |items| Box::new(Join { clients: 20, items, payload: PAYLOAD }) as Box<dyn Scenario>;
        axes.push(sizes(&[10, 100, 1_000, 10_000, 100_000]).map(|size| (size, join(size))).collect());
        let idle = |connections| Box::new(Idle { connections }) as Box<dyn Scenario>;
        // As many as this machine lets a process have.
        let most = usize::try_from(most_files()).unwrap_or(usize::MAX).saturating_sub(BESIDE);
        axes.push(sizes(&[100, 1_000, 5_000, 20_000]).map(|size| (1, idle(size.min(most)))).collect());

        let mut rows = Vec::new();
        for axis in axes {
            let mut smallest = None;
            for (units, scenario) in axis {
                for mut row in scenario.run(target, kind, span)? {
                    // The work that one operation is: a join sends all items of its group.
                    let cost = row.more.get("KiB each").copied().unwrap_or(row.cpu_us / units as f64);
                    row.more.insert("× the smallest, per unit of work", cost / *smallest.get_or_insert(cost));
                    rows.push(row);
                }
            }
        }
        Ok(rows)
    }
}
