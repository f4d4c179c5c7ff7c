//! `bench`: the whole set, beside its yardsticks, which is what the README's figures are.

use clap::Args;

use super::fanout::Fanout;
use super::idle::Idle;
use super::inprocess::InProcess;
use super::join::Join;
use super::slow::Slow;
use super::write::Write;
use crate::server::{Kind, Store};
use crate::suite::{Case, Scenario};

/// Runs the whole set beside its yardsticks: about seven minutes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Bench {
    /// Once, shorter and smaller: about a minute, and not to be compared with anything.
    #[arg(long)]
    pub(crate) quick: bool,
}

impl Bench {
    /// Everything there is, in the order of the table.
    pub(crate) fn cases(&self) -> Vec<Case> {
        use Kind::{Floor, Mosquitto, Nats, Nchan, Redis, Weir};
        let size = |full: usize, quick: usize| if self.quick { quick } else { full };
        let subscribers = size(1_000, 100);
        let fanout = |burst, rate| Fanout { subscribers, payload: 128, burst, rate };
        let everybody = [Floor, Weir, Redis, Nats, Mosquitto, Nchan];
        let mut cases = vec![
            case(fanout(1, None), &everybody, Store::Memory, Some(Floor)),
            case(fanout(16, None), &everybody, Store::Memory, Some(Floor)),
            case(fanout(1, Some(50.0)), &everybody, Store::Memory, Some(Floor)),
        ];
        for store in [Store::Memory, Store::File, Store::Redis] {
            cases.push(case(Write::default(), &[Redis, Weir], store, Some(Redis)));
        }
        let get = Write { set: 0, get: 1, ..Write::default() };
        cases.push(case(get, &[Redis, Weir], Store::Memory, Some(Redis)));
        let single = Write { connections: 1, in_flight: 1, ..Write::default() };
        cases.push(case(single.clone(), &[Redis, Weir], Store::Memory, Some(Redis)));
        cases.push(case(single, &[Redis, Weir], Store::File, Some(Redis)));
        cases.push(case(InProcess { in_flight: 256, payload: 128, items: 10_000 }, &[Weir], Store::Memory, None));
        cases.push(case(Join { clients: size(1_000, 100), items: 100, payload: 128 }, &[Weir], Store::Memory, None));
        cases.push(case(Idle { connections: size(5_000, 500) }, &everybody, Store::Memory, None));
        for (readers, stalled) in [(180, 20), (size(1_000, 50), size(100, 5))] {
            cases.push(case(Slow { readers, stalled, payload: 2_048, burst: 16 }, &[Weir], Store::Memory, None));
        }
        cases
    }
}

fn case(scenario: impl Scenario + 'static, servers: &[Kind], store: Store, baseline: Option<Kind>) -> Case {
    Case { scenario: Box::new(scenario), servers: servers.to_vec(), store, baseline }
}
