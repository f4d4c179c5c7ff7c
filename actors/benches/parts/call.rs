//! Reading calls: the text of a worker's message becomes an operation for the store.

use std::hint::black_box;

use weir_actors::ids::ItemKey;
use weir_actors::settings::Settings;
use weir_actors::store::input::{self, Op};
use weir_actors::wire;

use crate::part::Part;
use crate::sample;

/// Different calls, so that branches are not foreseen better than in life.
const CALLS: usize = 64;

pub(crate) fn parts() -> Vec<Part> {
    vec![
        Part::new("call/set in one pass", "message", CALLS, || reading(sample::set, one_pass)),
        Part::new("call/get in one pass", "message", CALLS, || reading(sample::get, one_pass)),
        Part::new("call/set by serde", "message", CALLS, || reading(sample::set, by_serde)),
        Part::new("call/update by serde", "message", CALLS, || reading(sample::update, by_serde)),
    ]
}

fn reading(text: fn(&ItemKey) -> String, read: fn(&[u8], &Settings) -> Op) -> impl FnMut() + 'static {
    let (texts, settings) = ((0..CALLS).map(|n| text(&sample::key(n))).collect::<Vec<_>>(), Settings::default());
    move || {
        for text in &texts {
            black_box(read(black_box(text.as_bytes()), &settings));
        }
    }
}

/// The way of nearly all calls.
pub(crate) fn one_pass(text: &[u8], settings: &Settings) -> Op {
    let call = wire::call::read(text).expect("a call in the usual form");
    input::plain(&call, settings).expect("a call of a usual function").1
}

/// The way of all others.
pub(crate) fn by_serde(text: &[u8], settings: &Settings) -> Op {
    let envelope = wire::worker::parse(text).expect("a message");
    let (function, data) = (envelope.function_id.expect("a function"), envelope.data.expect("an input"));
    input::parse(&function, data.get().as_bytes(), settings).expect("a function of the store").expect("a good input")
}
