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
//! | `report`, `progress` | what is shown |

mod callers;
mod calls;
mod clock;
mod connection;
mod crowd;
mod dialect;
mod floor;
mod frame;
mod payload;
mod poll;
mod process;
mod progress;
mod report;
mod scenario;
mod server;
mod track;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crowd::Span;
use scenario::fanout::Fanout;
use scenario::slow::Slow;
use scenario::write::Write;
use server::Target;

/// Loads a Weir server, and others with the same work, and says what an operation costs.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    span: Span,
    /// How often each server has its turn.
    #[arg(long, global = true, default_value_t = 1)]
    rounds: usize,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Fanout(Fanout),
    Slow(Slow),
    Write(Write),
    /// Serves as the floor: prints its address, and runs until it is ended.
    Floor,
}

#[expect(clippy::print_stdout, reason = "a command says what it has found")]
fn main() -> Result<()> {
    let Arguments { target, span, rounds, command } = Arguments::parse();
    let mut rows = Vec::new();
    for _ in 0..rounds {
        for kind in &target.servers {
            rows.push(match &command {
                Command::Fanout(fanout) => fanout.run(&target, *kind, span)?,
                Command::Slow(slow) => slow.run(&target, *kind, span)?,
                Command::Write(write) => write.run(&target, *kind, span)?,
                Command::Floor => return floor::serve(|address| println!("{address}")),
            });
        }
    }
    print!("{}", report::table(&rows));
    Ok(())
}
