//! Encoding: what subscribers and callers are told, as frames.

use std::hint::black_box;

use weir_actors::change::Kind;
use weir_actors::error::Output;
use weir_actors::frame::Burst;
use weir_actors::ids::Name;
use weir_actors::json::Json;
use weir_actors::wire::subscriber::Address;
use weir_actors::wire::worker::put_invocation_result;

use crate::part::Part;
use crate::sample;

const CHANGES: usize = 64;
const ITEMS: usize = 1_000;
/// Answers that leave in one piece.
const ANSWERS: usize = 64;

pub(crate) fn parts() -> Vec<Part> {
    vec![
        Part::new("encode/change", "change", CHANGES, || {
            let (address, items) = group(CHANGES);
            move || {
                for (item, value) in &items {
                    black_box(address.change(black_box(1_764_000_000_000), Some(item), Kind::Update, value));
                }
            }
        }),
        Part::new("encode/sync of 1,000 items", "item", ITEMS, || {
            let (address, items) = group(ITEMS);
            move || drop(black_box(address.sync_group(black_box(1_764_000_000_000), &items)))
        }),
        Part::new("encode/answers to 64 sets", "answer", ANSWERS, || {
            let value = sample::value(&sample::key(0));
            let outcome = Ok(Output::Written { old: Some(value.clone()), new: Some(value), errors: None });
            move || {
                let mut burst = Burst::default();
                for _ in 0..ANSWERS {
                    let id = black_box("b3e07ac6-1c9d-4b8f-a5ff-000000000000");
                    burst.text(|out| put_invocation_result(out, id, "stream::set", &outcome, None));
                }
                black_box(burst.take());
            }
        }),
    ]
}

/// A group that holds so many items.
fn group(items: usize) -> (Address, Vec<(Name, Json)>) {
    let items = (0..items).map(sample::key_in_group).map(|key| (key.item.clone(), sample::value(&key)));
    (Address::new(&sample::key(0).group), items.collect())
}
