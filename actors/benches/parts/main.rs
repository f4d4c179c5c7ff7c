//! The parts of the server one by one, without sockets and without actors.
//!
//! `make bench-parts` measures them in time, `make bench-instructions` in instructions and allocations, which nothing else on the machine changes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed"
)]

mod call;
mod encode;
mod fanout;
mod frame;
mod instructions;
mod part;
mod sample;
mod set;
mod store;

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use criterion::{Criterion, Throughput};

use part::Part;

fn main() -> ExitCode {
    let parts: Vec<Part> =
        [frame::parts(), call::parts(), encode::parts(), store::parts(), fanout::parts(), set::parts()].into_iter().flatten().collect();
    let arguments: Vec<String> = env::args().skip(1).collect();
    // `cargo bench` adds an option of its own.
    let plain = arguments.iter().find(|argument| !argument.starts_with("--")).map_or("", |argument| argument);
    let has = |option: &str| arguments.iter().any(|argument| argument == option);
    if has("--instructions") {
        return instructions::print(parts.iter().filter(|part| part.name.contains(plain)));
    }
    if has(instructions::CARRY_OUT) {
        instructions::carry_out(parts.iter().find(|part| part.name == plain).expect("a part of that name"));
    } else {
        time(&parts);
    }
    ExitCode::SUCCESS
}

fn time(parts: &[Part]) {
    let (warm_up, measured) = (Duration::from_millis(500), Duration::from_secs(2));
    let mut criterion = Criterion::default().warm_up_time(warm_up).measurement_time(measured).configure_from_args();
    for part in parts {
        let (group, name) = part.name.split_once('/').expect("a group and a name");
        let mut group = criterion.benchmark_group(group);
        group.throughput(Throughput::Elements(part.operations));
        // Criterion calls this several times.
        let mut round = None;
        group.bench_function(name, |bencher| {
            let round = round.get_or_insert_with(|| part.start());
            bencher.iter(round);
        });
        group.finish();
    }
    criterion.final_summary();
}
