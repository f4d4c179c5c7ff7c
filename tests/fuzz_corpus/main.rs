//! What `make fuzz` runs on nightly, here on stable: every file of its corpus, then a while of mutations of them, through the same entry points.
//!
//! The entry point of the configuration brings the server's own modules with their tests, so that the filter `corpus` leaves the tests of this file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../../fuzz/entry/mod.rs"]
#[allow(unreachable_pub, reason = "public for the targets of cargo-fuzz")]
mod entry;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

/// How long mutations of a corpus are tried. What counts is that they are, on every run: finding is what `make fuzz` is for.
const MUTATING: Duration = Duration::from_secs(2);
/// No input is longer, so that many are tried.
const MOST_BYTES: usize = 4096;
/// The same mutations on each run, as far as the time goes.
const SEED: u64 = 0x5EED;

macro_rules! corpora {
    ($($entry:ident),+) => {
        $(mod $entry {
            #[test]
            fn corpus_and_mutations_of_it_hold() {
                super::hold(stringify!($entry), super::entry::$entry::run);
            }
        })+
    };
}

corpora!(config, frames, ops, redis, subscriber, worker);

/// Runs `entry` on the corpus of that name.
fn hold(name: &str, entry: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty(), "no corpus");
    for input in &corpus {
        run(entry, input);
    }
    let (mut random, begin, mut runs) = (StdRng::seed_from_u64(SEED), Instant::now(), 0);
    while begin.elapsed() < MUTATING {
        run(entry, &mutated(&corpus, &mut random));
        runs += 1;
    }
    assert!(runs > 0);
}

fn run(entry: fn(&[u8]), input: &[u8]) {
    let _shown = Shown(input);
    entry(input);
}

/// Shows the input of a failure as a Rust literal.
struct Shown<'a>(&'a [u8]);

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the input: b\"{}\"", self.0.escape_ascii());
        }
    }
}

/// A file of the corpus after one to eight changes: a byte set, bytes removed, repeated, or taken from another file.
fn mutated(corpus: &[Vec<u8>], random: &mut StdRng) -> Vec<u8> {
    let mut input = corpus.choose(random).cloned().unwrap_or_default();
    for _ in 0..random.random_range(1..=8) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 64));
        match random.random_range(0..5) {
            0 if at < input.len() => input[at] = random.random(),
            1 if at < input.len() => input[at] ^= 1 << random.random_range(0..8),
            2 => drop(input.drain(at..end)),
            3 => {
                let again = input[at..end].repeat(random.random_range(1..4));
                input.splice(end..end, again);
            }
            _ => {
                let other = corpus.choose(random).map_or(&[][..], Vec::as_slice);
                let from = random.random_range(0..=other.len());
                let to = random.random_range(from..=other.len().min(from + 64));
                input.splice(at..end, other[from..to].iter().copied());
            }
        }
    }
    input.truncate(MOST_BYTES);
    input
}
