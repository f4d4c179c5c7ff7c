//! What can stand on the command line.

use std::path::PathBuf;

use anstream::ColorChoice;
use clap::{Parser, Subcommand, ValueEnum};

use crate::commands::{call, completions, event, health, item, listing, store, top, watch};

/// The version, with the commit where it is known.
const VERSION: &str = match option_env!("WEIR_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// What the help ends with.
const AFTER: &str = "\
Variables:
  WEIR_CONFIG           Configuration file, where --config is not given
  WEIR_TOKEN            Token of the worker port, where --token is not given
  WEIR_ADMIN_TOKEN      The same of the admin port, for `weir top`
  WEIR_LOG, RUST_LOG    What the log holds, in place of `log.filter`
  NO_COLOR              No colours
  SSL_CERT_FILE         Certificates to trust, in place of the system's
  OTEL_EXPORTER_OTLP_…  Where and how spans are exported, as OpenTelemetry has them

It ends with:
  0  All went well. A server that was told to stop; `weir watch` that was ended by Ctrl-C; `weir update` whose operations did not all fit
  1  It failed, was not ready (`health`), found something wrong (`check-config`, `doctor`, `verify`), or was told twice to stop (`serve`)
  2  It was written wrong: the command line, or JSON that is none

`weir COMMAND --help` shows each command with an example.";

/// Durable real-time streams: a worker writes, every subscriber sees it, triggers fire.
#[derive(Parser)]
#[command(name = "weir", version = VERSION, about, after_help = AFTER)]
pub(crate) struct Arguments {
    /// Configuration file (YAML); without one, workers connect to 127.0.0.1:49134, clients to port 3112, and items are in ./data/streams.
    // The last one counts: an image or an alias may give one already.
    #[arg(short, long, value_name = "FILE", global = true, overrides_with = "config")]
    pub(crate) config: Option<PathBuf>,

    /// Print each result as one line of JSON, errors too.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to use colours; by itself on a terminal, unless NO_COLOR is set.
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Color::Auto, global = true)]
    pub(crate) color: Color,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal.
    Auto,
    /// Into files and pipes too.
    Always,
    /// Nowhere.
    Never,
}

impl From<Color> for ColorChoice {
    fn from(color: Color) -> Self {
        match color {
            Color::Auto => Self::Auto,
            Color::Always => Self::Always,
            Color::Never => Self::Never,
        }
    }
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve workers and clients. This is what runs without a command.
    #[command(after_help = "Example:\n  weir serve --config weir.yaml")]
    Serve,
    /// Call a function, of a worker or built in.
    #[command(after_help = "Examples:\n  weir call orders::total '{\"ids\": [1, 2]}'\n  weir call engine::functions::list")]
    Call(call::Call),
    /// Read an item.
    #[command(after_help = "Example:\n  weir get presence room-1 alice")]
    Get(item::Get),
    /// Set an item.
    #[command(
        after_help = "Examples:\n  weir set presence room-1 alice '{\"id\": \"alice\", \"online\": true}'\n  weir set presence room-1 alice - < alice.json"
    )]
    Set(item::Set),
    /// Change an item by operations: set, merge, append, increment, decrement, remove.
    #[command(after_help = "Example:\n  weir update presence room-1 alice '[{\"type\": \"increment\", \"path\": \"seen\", \"by\": 1}]'")]
    Update(item::Update),
    /// Delete an item.
    #[command(after_help = "Example:\n  weir delete presence room-1 alice")]
    Delete(item::Delete),
    /// List the values of a group, in the order in which its items were created.
    #[command(after_help = "Example:\n  weir list presence room-1")]
    List(listing::List),
    /// List all streams with their groups, or the groups of one.
    #[command(after_help = "Examples:\n  weir streams\n  weir streams presence")]
    Streams(listing::Streams),
    /// Send an event to the subscribers of a group. Nothing is stored.
    #[command(after_help = "Example:\n  weir send presence room-1 typing '{\"who\": \"alice\"}'")]
    Send(event::Send),
    /// Show the state of a group, and each change as it comes. Connects again when the connection is lost.
    #[command(after_help = "Examples:\n  weir watch presence room-1\n  weir watch presence room-1 --item alice --count 1 --json")]
    Watch(watch::Watch),
    /// Show rates, groups and clients of a running server, once a second.
    #[command(after_help = "Examples:\n  weir top\n  weir top --url http://127.0.0.1:9464 --filter room-1\n  weir top --json --count 1")]
    Top(top::Top),
    /// Show every key of the configuration with its value and where it came from, or what is wrong with it.
    #[command(after_help = "Example:\n  weir check-config --config weir.yaml")]
    CheckConfig,
    /// Look at what a server needs: configuration, ports, limits, store, Redis, clock.
    #[command(after_help = "Example:\n  weir doctor --config weir.yaml")]
    Doctor,
    /// Ask a running server whether it is ready; ends with 1 where it is not, for health checks.
    #[command(after_help = "Examples:\n  weir health\n  weir health --live --url http://localhost:3112")]
    Health(health::Health),
    #[command(flatten)]
    Store(store::StoreCommand),
    /// Print a script that completes commands in a shell.
    #[command(
        after_help = "Examples:\n  source <(weir completions bash)\n  weir completions zsh > ~/.zfunc/_weir\n  weir completions fish > ~/.config/fish/completions/weir.fish"
    )]
    Completions(completions::Completions),
}
