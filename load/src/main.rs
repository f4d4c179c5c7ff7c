//! Loads a server, Weir or another, and says what an operation costs it.
//!
//! On a small machine the load competes with the server for processors, so it is made of few threads, epoll and raw frames, and what counts is
//! the time that the *server* spends on a processor per operation, by the operating system's account of its process.
//!
//! | file | what |
//! |---|---|
//! | `scenario/` | the commands: what a server is put through |
//! | `crowd/` | one publisher and many subscribers, on a few threads |
//! | `callers/` | connections that call and wait for answers |
//! | `server/` | starting Weir and its yardsticks; `process` watches what they cost |
//! | `dialect/`, `calls/` | how each of them is talked to: publishing, and calls that are answered |
//! | `floor` | the yardstick that is written here |
//! | `connection`, `poll`, `frame`, `payload`, `track`, `clock` | sockets, epoll, WebSocket frames, what is sent, what has come, time |
//! | `suite` | scenarios, the servers that take turns in them, and medians |
//! | `report`, `chart`, `progress`, `machine` | what is shown: tables, the chart, a progress bar, and what was measured where |

mod callers;
mod calls;
mod chart;
mod clock;
mod connection;
mod crowd;
mod dialect;
mod floor;
mod frame;
mod machine;
mod payload;
mod poll;
mod process;
mod progress;
mod report;
mod scenario;
mod server;
mod suite;
mod track;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crowd::Span;
use scenario::bench::Bench;
use scenario::fanout::Fanout;
use scenario::growth::Growth;
use scenario::idle::Idle;
use scenario::inprocess::InProcess;
use scenario::join::Join;
use scenario::slow::Slow;
use scenario::write::Write;
use server::{Kind, Target};
use suite::{Case, Scenario};

/// Loads a Weir server, and others with the same work, and says what an operation costs.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    span: Span,
    /// How often each server has its turn; medians are shown.
    #[arg(long, global = true)]
    rounds: Option<usize>,
    /// Write all that was found to this file.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw what the servers cost to this file.
    #[arg(long, global = true, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fanout(Fanout),
    Write(Write),
    Join(Join),
    Idle(Idle),
    Slow(Slow),
    #[command(name = "inprocess")]
    InProcess(InProcess),
    Growth(Growth),
    Bench(Bench),
    /// Serves as the floor: prints its address, and runs until it is ended.
    Floor,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("weir-load: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "a command says what it has found")]
fn run(arguments: Arguments) -> Result<()> {
    let Arguments { mut target, mut span, mut rounds, json, svg, command } = arguments;
    let one = |scenario: Box<dyn Scenario>, target: &Target| {
        // What is asked for by name is held against the least, or else against the first.
        let baseline = target.servers.iter().find(|kind| **kind == Kind::Floor).or(target.servers.first()).copied();
        let baseline = baseline.filter(|_| target.servers.len() > 1);
        vec![Case { scenario, servers: target.servers.clone(), store: target.store, baseline }]
    };
    let cases = match command {
        Command::Fanout(scenario) => one(Box::new(scenario), &target),
        Command::Write(scenario) => one(Box::new(scenario), &target),
        Command::Join(scenario) => one(Box::new(scenario), &target),
        Command::Idle(scenario) => one(Box::new(scenario), &target),
        Command::Slow(scenario) => one(Box::new(scenario), &target),
        Command::InProcess(scenario) => one(Box::new(scenario), &target),
        Command::Growth(scenario) => one(Box::new(scenario), &target),
        Command::Bench(bench) => {
            // Others are skipped where they are missing.
            target.servers = vec![Kind::Weir];
            if bench.quick {
                (span.seconds, span.warm_up) = (0.5, 0.2);
            }
            rounds = rounds.or(Some(if bench.quick { 1 } else { 3 }));
            bench.cases()
        }
        Command::Floor => return floor::serve(|address| println!("{address}")),
    };
    let results = suite::run(&cases, &target, span, rounds.unwrap_or(1))?;
    print!("{}", report::table(&results));
    let write = |path: Option<PathBuf>, text: String| {
        path.map_or(Ok(()), |path| fs::write(&path, text).with_context(|| format!("writing {}", path.display())))
    };
    write(svg, chart::svg(&results))?;
    write(json, format!("{}\n", serde_json::to_string_pretty(&results)?))
}
