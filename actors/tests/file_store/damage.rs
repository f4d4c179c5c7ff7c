//! One turned bit, anywhere in the files of a store: refused or reported, and never other data without a word.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use weir_actors::adapter::file::verify::verify;
use weir_actors::adapter::file::{FileOptions, FileStore, FolderError, Fsync};
use weir_actors::adapter::{Adapter, AdapterError, Write};
use weir_actors::ids::ItemKey;

use crate::files::{assert_untouched, copy, crash, db_files, files, largest_table, scratch};
use crate::log::warnings;
use crate::store::{Contents, Writer, contents, open, put};

/// Positions that are tried in a larger file.
const POSITIONS: usize = 300;

/// A store whose older part is in a table file and whose newest writes are in the log only.
pub(crate) struct Sample {
    /// As a crash leaves it.
    pub(crate) crashed: TempDir,
    /// The same, closed.
    pub(crate) closed: TempDir,
    keys: Vec<ItemKey>,
    /// What it held before all writes that are in the log, and after each of them.
    history: Vec<Contents>,
}

fn key(n: usize) -> ItemKey {
    ItemKey::new(["chat", "presence", ""][n % 3], &format!("room {}", n % 7), &format!("item {}", n % 41))
}

fn value(random: &mut StdRng, n: usize) -> String {
    let length = if n.is_multiple_of(17) { 3_000 } else { random.random_range(0..60) };
    let text: String = (0..length).map(|_| char::from(random.random_range(b'a'..=b'z'))).collect();
    format!("{{\"n\":{n},\"text\":\"{text}\"}}")
}

fn write(writer: &mut Writer, store: &mut FileStore, random: &mut StdRng, n: usize) {
    let writes = match n % 5 {
        0..3 => vec![put(&key(n), &value(random, n)), put(&key(n + 1), &value(random, n))],
        3 => vec![Write::Delete(key(n - 3)), Write::Touch(key(n).group)],
        _ => vec![put(&key(n), &value(random, n)), Write::Delete(key(n / 2))],
    };
    writer.commit(store, &writes).unwrap();
}

impl Sample {
    pub(crate) fn new() -> Self {
        let (folder, crashed) = (scratch(), scratch());
        let (mut writer, mut random) = (Writer::default(), StdRng::seed_from_u64(11));
        let keys: Vec<_> = (0..3 * 7 * 41).map(key).collect();
        let mut store = open(folder.path()).unwrap();
        (0..100).for_each(|n| write(&mut writer, &mut store, &mut random, n));
        drop(store);
        let mut store = open(folder.path()).unwrap();
        let mut history = vec![contents(&mut store, &keys).unwrap()];
        for n in 100..120 {
            write(&mut writer, &mut store, &mut random, n);
            history.push(contents(&mut store, &keys).unwrap());
        }
        crash(folder.path(), crashed.path());
        drop(store);
        Self { crashed, closed: folder, keys, history }
    }

    pub(crate) fn outcome(&self, folder: &Path, fsync: Fsync) -> Outcome {
        let mut store = match FileStore::open(folder, FileOptions { fsync, min_free_bytes: 0, ..FileOptions::default() }) {
            Ok(store) => store,
            Err(error) => return Outcome::Refused(error),
        };
        match contents(&mut store, &self.keys) {
            Err(error) => Outcome::Unreadable(error),
            Ok(found) => match self.history.iter().rev().position(|known| *known == found) {
                Some(0) => Outcome::Whole,
                Some(missing) => Outcome::Missing(missing),
                None => Outcome::Other(Box::new(found)),
            },
        }
    }
}

/// What came of opening and reading a store.
#[derive(Debug)]
pub(crate) enum Outcome {
    Refused(FolderError),
    Unreadable(AdapterError),
    /// All as it was.
    Whole,
    /// All but the last so many writes.
    Missing(usize),
    /// What it never held.
    Other(Box<Contents>),
}

/// How often what came of it.
#[derive(Debug, Default)]
struct Tally {
    refused: usize,
    unreadable: usize,
    whole: usize,
    missing: usize,
}

/// Fails where an error does not name the folder and what to do.
pub(crate) fn assert_clear(error: &impl ToString, folder: &Path) {
    let text = error.to_string();
    assert!(text.contains(folder.to_str().unwrap()), "no path in {text:?}");
    assert!(text.contains("; ") && text.contains("weir restore"), "nothing to do in {text:?}");
}

impl Tally {
    /// Opens, reads and verifies a damaged copy, and fails where something is wrong without a word.
    fn take(&mut self, sample: &Sample, folder: &Path, fsync: Fsync, what: &str) {
        let before = files(folder);
        let verified = verify(folder);
        assert_untouched(&before, folder, &format!("{what}: verify"));
        let (outcome, warned) = warnings(|| sample.outcome(folder, fsync));
        match &outcome {
            Outcome::Refused(error) => {
                assert_eq!(error.code(), "damaged", "{what}: {error}");
                assert_clear(error, folder);
                assert_untouched(&before, folder, &format!("{what}: {error}"));
                self.refused += 1;
            }
            Outcome::Unreadable(error) => {
                assert!(matches!(error, AdapterError::Damaged { .. }), "{what}: {error}");
                assert_clear(error, folder);
                self.unreadable += 1;
            }
            Outcome::Whole => self.whole += 1,
            Outcome::Missing(missing) => {
                let told = warned.iter().any(|line| line.contains(".log ") && line.contains("at=") && line.contains("dropped"));
                assert!(what.contains(".log") && told, "{what}: {missing} writes are missing; the log says {warned:?}");
                self.missing += 1;
            }
            Outcome::Other(found) => panic!("{what}: other data, streams {:?}; the log says {warned:?}", found.streams),
        }
        match verified {
            Ok(found) if found.is_whole() && found.notes.is_empty() => {
                assert!(matches!(outcome, Outcome::Whole), "{what}: verify found nothing, and then {outcome:?}");
            }
            Ok(_) => {}
            Err(error) => assert_clear(&error, folder),
        }
    }
}

/// All of a small file, and of a larger one its head, its tail and as much again in between.
fn positions(length: usize, random: &mut StdRng) -> Vec<usize> {
    if length <= 3 * POSITIONS {
        return (0..length).collect();
    }
    let part = POSITIONS / 3;
    let mut positions: Vec<_> = (0..part).chain(length - part..length).collect();
    positions.extend((0..part).map(|_| random.random_range(part..length - part)));
    positions
}

/// Turns one bit of a copy at each of the positions of each of the files.
fn turn_bits(from: &Path, which: impl Fn(&str) -> bool, sample: &Sample) -> BTreeMap<String, Tally> {
    let mut random = StdRng::seed_from_u64(5);
    let mut tallies = BTreeMap::new();
    for file in db_files(from, which) {
        let name = file.file_name().unwrap().to_str().unwrap();
        let bytes = fs::read(&file).unwrap();
        let mut tally = Tally::default();
        for at in positions(bytes.len(), &mut random) {
            let bit = random.random_range(0..8);
            let folder = scratch();
            copy(from, folder.path());
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            fs::write(folder.path().join("db").join(name), bytes).unwrap();
            tally.take(sample, folder.path(), Fsync::Always, &format!("bit {bit} of byte {at} of {name}"));
        }
        tallies.insert(name.to_owned(), tally);
    }
    assert!(!tallies.is_empty());
    tallies
}

#[test]
fn turned_bit_in_a_table_file_is_refused_or_told_by_reads() {
    let sample = Sample::new();
    let tallies = turn_bits(sample.crashed.path(), |name| name.ends_with(".sst"), &sample);
    assert!(tallies.values().any(|tally| tally.unreadable > 0) && tallies.values().any(|tally| tally.refused > 0), "{tallies:?}");
}

#[test]
fn turned_bit_in_the_log_is_refused_unless_in_the_last_write_which_is_dropped_with_a_report() {
    let sample = Sample::new();
    let tallies = turn_bits(sample.crashed.path(), |name| name.ends_with(".log"), &sample);
    assert!(tallies.values().all(|tally| tally.refused > 0 && tally.missing > 0 && tally.whole == 0), "{tallies:?}");
}

#[test]
fn turned_bit_in_the_manifest_of_a_closed_store_is_refused() {
    let sample = Sample::new();
    let tallies = turn_bits(sample.closed.path(), |name| name.starts_with("MANIFEST"), &sample);
    assert!(tallies.values().all(|tally| tally.whole == 0), "{tallies:?}");
}

#[test]
fn turned_bit_in_the_manifest_of_a_store_that_crashed_is_refused() {
    let sample = Sample::new();
    let tallies = turn_bits(sample.crashed.path(), |name| name.starts_with("MANIFEST"), &sample);
    assert!(tallies.values().all(|tally| tally.whole == 0), "{tallies:?}");
}

#[test]
fn turned_bit_in_current_or_format_is_refused() {
    let sample = Sample::new();
    let tallies = turn_bits(sample.closed.path(), |name| name == "CURRENT" || name == "FORMAT", &sample);
    assert!(tallies.len() == 2 && tallies.values().all(|tally| tally.whole == 0), "{tallies:?}");
}

/// Offsets of the records of a log, or a MANIFEST, of one block.
fn records(log: &[u8]) -> Vec<usize> {
    let (mut records, mut at) = (Vec::new(), 0);
    while at < log.len() {
        records.push(at);
        at += 7 + usize::from(u16::from_le_bytes([log[at + 4], log[at + 5]]));
    }
    records
}

#[test]
fn turned_bit_in_a_log_that_was_not_synced_drops_the_rest_with_a_report() {
    let sample = Sample::new();
    let log = db_files(sample.crashed.path(), |name| name.ends_with(".log")).remove(0);
    let bytes = fs::read(&log).unwrap();
    let records = records(&bytes);
    assert_eq!(records.len(), sample.history.len() - 1);
    for (n, at) in records.into_iter().enumerate() {
        // In the checksum, the length, the type (where this bit has RocksDB read for ever) and the payload.
        for (byte, bit) in [(0, 0), (4, 6), (6, 2), (20, 1)] {
            for fsync in [Fsync::Every(Duration::from_millis(50)), Fsync::Never] {
                let folder = scratch();
                copy(sample.crashed.path(), folder.path());
                let mut bytes = bytes.clone();
                bytes[at + byte] ^= 1 << bit;
                fs::write(folder.path().join("db").join(log.file_name().unwrap()), bytes).unwrap();
                let mut tally = Tally::default();
                tally.take(&sample, folder.path(), fsync, &format!("bit {bit} of byte {byte} of write {n} in the .log"));
                assert_eq!(tally.missing, 1, "write {n}, byte {byte}: {tally:?}");
            }
        }
    }
}

#[test]
fn manifest_that_a_crash_has_cut_off_opens_with_a_warning_and_nothing_is_missing() {
    let sample = Sample::new();
    let manifest = |folder: &Path| db_files(folder, |name| name.starts_with("MANIFEST")).remove(0);
    let (before, after) = (fs::read(manifest(sample.crashed.path())).unwrap(), fs::read(manifest(sample.closed.path())).unwrap());
    assert!(after.len() > before.len() + 100 && after.starts_with(&before), "closing adds records to the same file");
    let records = records(&after);
    for cut in before.len()..after.len() {
        // What the disk did not get is missing, or zeros where the file had its length already; then whole sectors, or whole records.
        let zeros = after.len() - cut;
        let zeros = if zeros >= 8 && (cut % 512 == 0 || records.contains(&cut)) { vec![0, zeros] } else { vec![0] };
        for zeros in zeros {
            let folder = scratch();
            copy(sample.closed.path(), folder.path());
            copy(sample.crashed.path(), folder.path());
            let mut bytes = after[..cut].to_vec();
            bytes.resize(cut + zeros, 0);
            fs::write(manifest(folder.path()), &bytes).unwrap();
            let verified = verify(folder.path()).unwrap();
            let (outcome, warned) = warnings(|| sample.outcome(folder.path(), Fsync::Always));
            assert!(verified.is_whole() && matches!(outcome, Outcome::Whole), "cut at {cut}, {zeros} zeros: {outcome:?} {verified:?}");
            let told = warned.iter().any(|line| line.contains("MANIFEST") && line.contains("at="));
            assert_eq!((told, verified.notes.len()), (!records.contains(&cut) || zeros > 0, usize::from(told)), "cut at {cut}: {warned:?}");
        }
    }
}

#[test]
fn damage_that_shows_while_the_store_is_open_is_told_to_the_writer_and_nothing_is_overwritten() {
    let sample = Sample::new();
    let folder = scratch();
    copy(sample.closed.path(), folder.path());
    let table = largest_table(folder.path());
    let mut bytes = fs::read(&table).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&table, &bytes).unwrap();
    let mut store = open(folder.path()).unwrap();
    let unreadable: Vec<_> = sample.keys.iter().filter(|key| matches!(store.get(key), Err(AdapterError::Damaged { .. }))).collect();
    assert!(!unreadable.is_empty() && unreadable.len() < sample.keys.len());
    let mut writer = Writer::default();
    let refused = writer.commit(&mut store, &[put(unreadable[0], "1")]).unwrap_err();
    assert_clear(&refused, folder.path());
    drop(store);
    assert_eq!(fs::read(&table).unwrap(), bytes);
}
