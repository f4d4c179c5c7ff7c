//! The store without its actor: operations applied, numbered, stamped and committed to the adapter in memory.

use std::hint::black_box;

use weir_actors::adapter::memory::Memory;
use weir_actors::ids::ItemKey;
use weir_actors::settings::Settings;
use weir_actors::store::input::Op;
use weir_actors::store::ledger::Ledger;

use crate::call::by_serde;
use crate::part::Part;
use crate::sample;

/// Items that are worked on in turn: so many, in hundreds of maps, that it does not matter how the seeds of this process scatter them.
const ITEMS: usize = 4_096;

pub(crate) fn parts() -> Vec<Part> {
    vec![
        Part::new("store/set, committed alone", "set", ITEMS, || store(1, set)),
        Part::new("store/set in batches of 16", "set", ITEMS, || store(16, set)),
        Part::new("store/set in batches of 256", "set", ITEMS, || store(256, set)),
        Part::new("store/get in batches of 16", "get", ITEMS, || store(16, |_| |key: &ItemKey| Op::Get { key: key.clone() })),
        Part::new("store/update in batches of 16", "update", ITEMS, || store(16, update)),
    ]
}

/// A store of `ITEMS` items that takes an operation on each, so many to a commit.
///
/// An operation is made within the measurement, since the store keeps it, but of parts that are shared and not copied.
fn store<F: Fn(&ItemKey) -> Op + 'static>(batch: usize, op: fn(&ItemKey) -> F) -> impl FnMut() + 'static {
    let mut ledger = filled();
    let ops: Vec<(ItemKey, F)> = (0..ITEMS).map(sample::key).map(|key| (key.clone(), op(&key))).collect();
    move || {
        for batch in ops.chunks(batch) {
            for (key, op) in batch {
                black_box(ledger.apply(op(key)).expect("an operation that fits"));
            }
            black_box(ledger.commit().expect("memory does not fail"));
        }
    }
}

/// A ledger on the adapter in memory, with the items.
pub(crate) fn filled() -> Ledger {
    let limits = Settings::default().stream;
    let mut ledger = Ledger::new(Box::new(Memory::new()), limits.max_value_bytes, limits.max_streams);
    for key in (0..ITEMS).map(sample::key) {
        ledger.apply(set(&key)(&key)).expect("an operation that fits");
    }
    // At once: small batches must not pay for what a large one has taken.
    ledger.commit().expect("memory does not fail");
    ledger
}

fn set(key: &ItemKey) -> impl Fn(&ItemKey) -> Op + use<> {
    let value = sample::value(key);
    move |key| Op::Set { key: key.clone(), data: value.clone() }
}

fn update(key: &ItemKey) -> impl Fn(&ItemKey) -> Op + use<> {
    let Op::Update { ops, raw, .. } = by_serde(sample::update(key).as_bytes(), &Settings::default()) else { panic!("no update") };
    move |key| Op::Update { key: key.clone(), ops: ops.clone(), raw: raw.clone() }
}
