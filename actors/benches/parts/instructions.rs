//! Instructions and allocations of each part, counted by callgrind: where the clock shows noise, these show a change of one in a thousand.
//!
//! Each part is carried out in a process of its own, so that none depends on what was measured before it. What prepares it, and first rounds
//! that let buffers grow, are not counted. The figures are kept beside what is built, and the next run says how it differs.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::part::{Part, Round};

/// Has a process carry out one part, and nothing else.
pub(crate) const CARRY_OUT: &str = "--carry-out";
/// How many operations are counted at least, and rounds.
const OPERATIONS: u64 = 10_000;
const ROUNDS: u64 = 3;
/// The function within which is counted. No other function has this in its name.
const COUNTED: &str = "counted_rounds";
/// Calls of glibc that allocate.
const ALLOCATING: [&str; 6] = ["malloc", "calloc", "realloc", "aligned_alloc", "memalign", "posix_memalign"];

/// Prints a table; fails where a part allocates more often than it may.
pub(crate) fn print<'a>(parts: impl Iterator<Item = &'a Part>) -> ExitCode {
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("instructions.json");
    let mut known: BTreeMap<String, f64> =
        fs::read(&kept).map(|text| serde_json::from_slice(&text).expect("what an earlier run has written")).unwrap_or_default();
    let mut code = ExitCode::SUCCESS;
    println!("| part | instructions | since the last run | allocations | for each |\n|---|---|---|---|---|");
    for part in parts {
        let counted = count(part);
        let operations = (rounds(part) * part.operations) as f64;
        let (instructions, allocations) = (counted.instructions as f64 / operations, counted.allocations as f64 / operations);
        let before = known.insert(part.name.clone(), instructions);
        let change = before.map_or("new".to_owned(), |before| format!("{:+.2} %", (instructions / before - 1.0) * 100.0));
        println!("| {} | {instructions:.2} | {change} | {allocations:.4} | {} |", part.name, part.unit);
        let Some(most) = part.most_allocations else { continue };
        assert!(counted.allocations > 0, "{}: allocates, and nothing was seen of it", part.name);
        if counted.allocations > most * rounds(part) {
            eprintln!("{}: {} allocations in {} rounds, where {most} a round are allowed", part.name, counted.allocations, rounds(part));
            code = ExitCode::FAILURE;
        }
    }
    fs::write(&kept, serde_json::to_vec_pretty(&known).unwrap()).unwrap();
    code
}

struct Counted {
    instructions: u64,
    allocations: u64,
}

fn rounds(part: &Part) -> u64 {
    OPERATIONS.div_ceil(part.operations).max(ROUNDS)
}

/// Carries out one part in this process, which is callgrind's.
pub(crate) fn carry_out(part: &Part) {
    let mut round = part.start();
    for _ in 0..rounds(part) {
        round();
    }
    counted_rounds(&mut round, rounds(part));
}

/// Not followed by anything that allocates.
#[inline(never)]
fn counted_rounds(round: &mut Round, rounds: u64) {
    for _ in 0..rounds {
        round();
    }
}

/// Carries out one part in a process that callgrind looks at.
fn count(part: &Part) -> Counted {
    let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join("callgrind.out");
    let output = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--compress-strings=no", "--compress-pos=no"])
        // `--toggle-collect` would leave out the instructions of what goes before, but not its calls (valgrind 3.19).
        .arg(format!("--zero-before=*{COUNTED}*"))
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(env::current_exe().unwrap())
        .args([CARRY_OUT, &part.name])
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}; install it"));
    assert!(output.status.success(), "{}: {}", part.name, String::from_utf8_lossy(&output.stderr));
    let counted = read(&fs::read_to_string(&profile).unwrap());
    assert!(counted.instructions > 0, "{}: nothing was counted", part.name);
    counted
}

/// Reads what callgrind has written of what followed the beginning of [`counted_rounds`]. For each function that called another there are three
/// lines: the other function; how often; and where, with the instructions that passed until it returned.
fn read(profile: &str) -> Counted {
    let mut counted = Counted { instructions: 0, allocations: 0 };
    let mut lines = profile.lines();
    while let Some(line) = lines.next() {
        let Some(target) = line.strip_prefix("cfn=") else { continue };
        let mut number = |prefix: &str, place: usize| -> u64 {
            let line = lines.next().and_then(|line| line.strip_prefix(prefix)).expect("a line that follows");
            line.split(' ').nth(place).and_then(|number| number.parse().ok()).expect("a number")
        };
        let (calls, instructions) = (number("calls=", 0), number("", 1));
        if ALLOCATING.contains(&target) {
            counted.allocations += calls;
        } else if target.contains(COUNTED) {
            counted.instructions += instructions;
        }
    }
    counted
}
