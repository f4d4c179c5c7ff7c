//! The whole path of a set, but for the actors and the sockets at both ends: frames read, calls read, applied and committed together, each change
//! encoded once and passed to every socket of the group.

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use weir_actors::frame::{FrameReader, Limits, Message};
use weir_actors::group::roster::Scope;
use weir_actors::settings::Settings;
use weir_actors::wire::subscriber::Address;

use crate::call::one_pass;
use crate::fanout::{encoded, roster};
use crate::frame::{drain, masked};
use crate::part::Part;
use crate::sample;
use crate::store::filled;

/// Sets that come together.
const BATCH: usize = 16;

pub(crate) fn parts() -> Vec<Part> {
    // The bound is the same for any number of sockets: delivering takes no memory.
    let part = |sockets| Part::new(format!("set/{BATCH} of them to {sockets}"), "set", BATCH, move || setting(sockets));
    [1, 1_000].map(|sockets| part(sockets).allocates_at_most(8 * BATCH as u64)).into()
}

fn setting(sockets: usize) -> impl FnMut() + 'static {
    let wire: Vec<u8> = (0..BATCH).flat_map(|n| masked(sample::set(&sample::key_in_group(n)).as_bytes())).collect();
    let (wire, settings) = (Bytes::from(wire), Settings::default());
    let mut reader = FrameReader::new(Limits { max_message_bytes: 1 << 20 });
    let mut ledger = filled();
    let address = Address::new(&sample::key(0).group);
    let (mut roster, _) = roster(&address, sockets, |_| Scope::Group);
    move || {
        reader.push(wire.clone());
        drain(&mut reader, |message| {
            let Message::Text(text) = message else { panic!("no text") };
            let op = one_pass(&text, &settings);
            black_box(ledger.apply(op).expect("an operation that fits"));
        });
        let recorded = ledger.commit().expect("memory does not fail");
        assert_eq!(recorded.len(), BATCH);
        let changes: Vec<_> = recorded.into_iter().map(|recorded| Arc::new(encoded(recorded, &address))).collect();
        black_box(roster.changes(&changes));
    }
}
