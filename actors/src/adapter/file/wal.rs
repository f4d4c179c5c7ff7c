//! Looks through a write-ahead log of RocksDB before RocksDB does, and tells a torn end from damage.
//!
//! After a crash the last write may be there in part: it was never acknowledged, and dropping it is right. A flipped bit in the length of
//! a record looks the same to RocksDB (11.8), which then drops every acknowledged write behind it without a word, so the difference has
//! to be told here: with a sync per write, a write that begins *behind* an unreadable one proves that the unreadable one was complete.
//!
//! The MANIFEST, in which RocksDB notes the files of a store, has the same format and the same weakness: what is taken for its torn end is
//! forgotten with the files that it names. Here a torn end is told from damage by itself, since nothing need follow it; see [`Verdict::Torn`].
//!
//! Source for the format: `db/log_format.h` of RocksDB 11.8. A log is a sequence of blocks of 32 KiB, a block of records, and a record is
//! a masked CRC-32C of type and payload (4 bytes, little endian), the length of the payload (2), a type (1) and the payload. A write is
//! one record of type *full*, or one *first*, any number of *middle* and one *last*. What is left of a block is filled with zeros.

use std::io::{self, Read};

const BLOCK: usize = 32 << 10;
const HEADER: usize = 7;
const FULL: u8 = 1;
const FIRST: u8 = 2;
const MIDDLE: u8 = 3;
const LAST: u8 = 4;
/// Types of records in files that are used again. RocksDB reads one of them for ever where the others in the file are not
/// (`Reader::ReadPhysicalRecord`, which then returns without having read on), and a turned bit makes one of a common record.
const REUSED: [u8; 6] = [5, 6, 7, 8, 11, 131];
/// What a disk writes at once or not at all.
const SECTOR: usize = 512;

/// What a log was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every write in it is complete.
    Clean,
    /// All is complete up to `at`; behind that is the beginning of one write, and no other.
    Torn {
        /// Offset in bytes of the first byte that is no part of a complete write.
        at: u64,
        /// Bytes from there to the end.
        bytes: u64,
        /// All of the write is there, and it still cannot be read: its length or its checksum fit the end of the file, and no part of it
        /// is blank. A crash does not leave that: what it has kept from the disk is missing at the end, or reads as zeros.
        whole: bool,
        /// The offset of a record that RocksDB must not see: it would read on for ever.
        endless: Option<u64>,
    },
    /// Complete writes follow one that cannot be read.
    Damaged {
        /// Offset in bytes of the write that cannot be read.
        at: u64,
    },
}

/// Looks through a log.
///
/// # Errors
/// Where it cannot be read.
pub fn scan(mut log: impl Read) -> io::Result<Verdict> {
    let mut block = vec![0; BLOCK];
    let mut scan = Scan { offset: 0, write: None, complete: 0, broken: None };
    loop {
        let length = fill(&mut log, &mut block)?;
        if !scan.block(&block[..length]) {
            return Ok(Verdict::Damaged { at: scan.complete });
        }
        scan.offset += length as u64;
        if length < BLOCK {
            break;
        }
    }
    let (at, bytes) = (scan.complete, scan.offset - scan.complete);
    Ok(match scan.broken {
        Some(Broken { whole, endless }) => Verdict::Torn { at, bytes, whole, endless },
        None if scan.write.is_some() => Verdict::Torn { at, bytes, whole: false, endless: None },
        None => Verdict::Clean,
    })
}

/// What to write where so that RocksDB reads a log up to `at` and no further, where [`scan`] has found [damage](Verdict::Damaged).
///
/// Zeros in the place of a write are the end of a block to RocksDB (11.8, `log_reader.cc`): it goes on with the next block, and the writes
/// between are missing without a word. A record whose checksum is wrong ends the reading.
#[must_use]
pub fn stop(at: u64) -> ([u8; HEADER], u64) {
    let (block, header) = (BLOCK as u64, HEADER as u64);
    let room = block - at % block;
    ([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, FULL], if room < header { at + room } else { at })
}

fn fill(log: &mut impl Read, block: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < block.len() {
        match log.read(&mut block[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

struct Scan {
    /// Where the present block begins.
    offset: u64,
    /// Where the write that is being read begins.
    write: Option<u64>,
    /// Up to where all writes are complete.
    complete: u64,
    /// Something could not be read; from there on, only the beginning of another write counts.
    broken: Option<Broken>,
}

/// See [`Verdict::Torn`].
#[derive(Clone, Copy)]
struct Broken {
    whole: bool,
    endless: Option<u64>,
}

impl Broken {
    /// Looks at the record at `at` of a block, which cannot be read and begins at an offset of the file.
    fn new(block: &[u8], at: usize, offset: u64) -> Self {
        let rest = &block[at..];
        let Some((header, _)) = rest.split_first_chunk::<HEADER>() else { return Self { whole: false, endless: None } };
        let [c0, c1, c2, c3, l0, l1, kind] = *header;
        // A block begins with a sector.
        let (first, others) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
        // Of a few bytes, all may be zeros by themselves.
        let blank = |part: &[u8]| part.len() >= 8 && part.iter().all(|byte| *byte == 0);
        let written = !blank(first) && !others.chunks(SECTOR).any(blank);
        // A block that is full may end in a few zeros.
        let ends = rest.len().saturating_sub(HEADER - 1).max(HEADER)..=rest.len();
        let claimed = HEADER + usize::from(u16::from_le_bytes([l0, l1]));
        let checksum = u32::from_le_bytes([c0, c1, c2, c3]);
        let fits = ends.contains(&claimed) || ends.into_iter().any(|end| masked_crc(kind, &rest[HEADER..end]) == checksum);
        Self { whole: written && fits, endless: REUSED.contains(&kind).then_some(offset) }
    }
}

impl Scan {
    /// Reads one block; false where it proves damage.
    fn block(&mut self, block: &[u8]) -> bool {
        let mut at = 0;
        while at < block.len() {
            if self.broken.is_some() {
                return !(at..block.len()).any(|at| record(&block[at..], |kind| kind == FULL || kind == FIRST).is_some());
            }
            let rest = &block[at..];
            if rest.len() < HEADER && block.len() == BLOCK {
                if rest.iter().any(|byte| *byte != 0) {
                    self.broken = Some(Broken { whole: true, endless: None });
                }
                break;
            }
            let here = self.offset + at as u64;
            let Some((kind, length)) = record(rest, |kind| kind != 0) else {
                self.broken = Some(Broken::new(block, at, here));
                at += 1;
                continue;
            };
            let end = here + length as u64;
            match (kind, self.write) {
                (FULL, None) => self.complete = end,
                (FIRST, None) => self.write = Some(here),
                (MIDDLE, Some(_)) => {}
                (LAST, Some(_)) => {
                    self.write = None;
                    self.complete = end;
                }
                // A write that begins while another is not complete, or goes on where none has begun.
                (FULL | FIRST, Some(_)) => return false,
                (MIDDLE | LAST, None) => self.broken = Some(Broken { whole: true, endless: None }),
                // Notes of RocksDB to itself between writes.
                _ => self.complete = if self.write.is_none() { end } else { self.complete },
            }
            at += length;
        }
        true
    }
}

/// Type and whole length of the record at the beginning of `bytes`, if there is one of a `wanted` type and its checksum holds.
fn record(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> Option<(u8, usize)> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if !wanted(kind) || length > rest.len() {
        return None;
    }
    (masked_crc(kind, &rest[..length]) == u32::from_le_bytes([c0, c1, c2, c3])).then_some((kind, HEADER + length))
}

fn masked_crc(kind: u8, payload: &[u8]) -> u32 {
    let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use proptest::prelude::*;

    /// A log of these writes, as RocksDB lays it out, and where each of them ends.
    fn log(writes: &[Vec<u8>]) -> (Vec<u8>, Vec<usize>) {
        let (mut log, mut ends) = (Vec::new(), Vec::new());
        for write in writes {
            let (mut rest, mut begun) = (&write[..], false);
            loop {
                let room = BLOCK - log.len() % BLOCK;
                if room < HEADER {
                    log.resize(log.len() + room, 0);
                    continue;
                }
                let (part, left) = rest.split_at(rest.len().min(room - HEADER));
                let kind = match (begun, left.is_empty()) {
                    (false, true) => FULL,
                    (false, false) => FIRST,
                    (true, false) => MIDDLE,
                    (true, true) => LAST,
                };
                let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), part);
                log.extend(crc.rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes());
                log.extend(u16::try_from(part.len()).unwrap().to_le_bytes());
                log.push(kind);
                log.extend(part);
                begun = true;
                rest = left;
                if rest.is_empty() {
                    break;
                }
            }
            ends.push(log.len());
        }
        (log, ends)
    }

    fn writes() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let write = prop_oneof![20 => 1..300usize, 4 => 20_000..40_000usize, 1 => 60_000..100_000usize];
        proptest::collection::vec((any::<u8>(), write).prop_map(|(byte, length)| vec![byte | 1; length]), 2..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

        #[test]
        fn log_that_ends_anywhere_is_torn_behind_its_last_complete_write(writes in writes(), cut in any::<prop::sample::Index>()) {
            let (log, ends) = log(&writes);
            prop_assert_eq!(scan(&log[..]).unwrap(), Verdict::Clean);
            let cut = cut.index(log.len());
            let complete = ends.iter().copied().filter(|end| *end <= cut).max().unwrap_or_default();
            match scan(&log[..cut]).unwrap() {
                // Only the padding of a block may be missing.
                Verdict::Clean => prop_assert!(cut == complete || log[complete..cut].iter().all(|byte| *byte == 0)),
                Verdict::Torn { at, bytes, whole, .. } => {
                    prop_assert_eq!((at, bytes, whole), (complete as u64, (cut - complete) as u64, false));
                }
                Verdict::Damaged { at } => prop_assert!(false, "a cut at {cut} was taken for damage at {at}"),
            }
        }

        #[test]
        fn flipped_bit_is_damage_unless_it_is_in_the_last_write(writes in writes(), at in any::<prop::sample::Index>(), bit in 0..8u8) {
            let (mut log, ends) = log(&writes);
            let at = at.index(log.len());
            log[at] ^= 1 << bit;
            let last = ends[ends.len() - 2];
            match scan(&log[..]).unwrap() {
                Verdict::Clean => prop_assert!(false, "bit {bit} of byte {at} was overlooked"),
                Verdict::Torn { at: torn, whole, .. } => {
                    prop_assert!(at >= last && torn == last as u64 && whole, "byte {at}, last write {last}, torn {torn}, whole {whole}");
                }
                Verdict::Damaged { at: damaged } => prop_assert!(at < last && damaged <= at as u64, "byte {at}, last write {last}, damaged {damaged}"),
            }
        }
    }

    #[test]
    fn empty_log_is_clean_and_zeros_are_the_end_of_one() {
        assert_eq!(scan(&[][..]).unwrap(), Verdict::Clean);
        let (mut log, _) = log(&[vec![7; 100]]);
        let end = log.len() as u64;
        log.resize(log.len() + 5_000, 0);
        assert_eq!(scan(&log[..]).unwrap(), Verdict::Torn { at: end, bytes: 5_000, whole: false, endless: None });
    }

    #[test]
    fn log_with_a_stop_is_damaged_where_it_was() {
        for first in [1_000, BLOCK - 2 * HEADER - 3] {
            let (mut log, ends) = log(&[vec![1; first], vec![2; 40_000], vec![3; 40_000]]);
            log[ends[0]..ends[1]].fill(0);
            let damaged = Verdict::Damaged { at: ends[0] as u64 };
            assert_eq!(scan(&log[..]).unwrap(), damaged);
            let (stop, at) = stop(ends[0] as u64);
            let at = usize::try_from(at).unwrap();
            assert!(at % BLOCK + HEADER <= BLOCK, "a header does not go on in the next block");
            log[at..at + HEADER].copy_from_slice(&stop);
            assert_eq!(scan(&log[..]).unwrap(), damaged);
        }
    }

    #[test]
    fn later_part_of_the_same_write_does_not_prove_that_it_was_complete() {
        // The disk may have written the second block before the power went, and the first not.
        let (mut log, ends) = log(&[vec![1; 100], vec![2; 60_000]]);
        log[ends[0]..BLOCK].fill(0);
        let bytes = (log.len() - ends[0]) as u64;
        assert_eq!(scan(&log[..]).unwrap(), Verdict::Torn { at: ends[0] as u64, bytes, whole: false, endless: None });
    }

    #[test]
    fn write_whose_sectors_did_not_all_reach_the_disk_is_not_whole() {
        let (log, ends) = log(&[vec![1; 100], vec![2; 3_000]]);
        for sector in 1..log.len() / SECTOR {
            let mut log = log.clone();
            log[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            let bytes = (log.len() - ends[0]) as u64;
            assert_eq!(scan(&log[..]).unwrap(), Verdict::Torn { at: ends[0] as u64, bytes, whole: false, endless: None }, "{sector}");
        }
    }

    #[test]
    fn record_that_rocksdb_would_read_for_ever_is_told() {
        let (mut log, ends) = log(&[vec![1; 100], vec![2; 100], vec![3; 100]]);
        for (at, last) in [(ends[0], false), (ends[1], true)] {
            log[at + 6] ^= 4;
            match scan(&log[..]).unwrap() {
                Verdict::Torn { endless, whole, .. } => assert!(last && endless == Some(at as u64) && whole),
                // Reading stops before it.
                Verdict::Damaged { at: damaged } => assert!(!last && damaged == at as u64),
                Verdict::Clean => panic!("overlooked"),
            }
            log[at + 6] ^= 4;
        }
    }
}
