//! Durable real-time streams inside a Rust program.
//!
//! Items live in `stream > group > item`. A program writes an item through its [`Streams`](streams::Streams), and in one operation it is stored, everybody who subscribes to the
//! group sees the change, and the triggers that watch the stream are called. Subscribers are in this program, or connect by WebSocket to routes of its
//! actix-web application (feature `ws`); so may workers in other languages, which read, write and serve functions as this program does.
//!
//! ```
//! use futures_util::StreamExt;
//! use weir_actors::streams::{Ops, Streams, Told};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let streams = Streams::builder().start().await?;
//! let scores = streams.group::<serde_json::Value>("scores", "game-1");
//! scores.update("alice", Ops::new().increment("points", 3)).await?;
//!
//! let mut told = scores.subscribe();
//! let Some(Told::State(state)) = told.next().await.transpose()? else { panic!("it begins with the state") };
//! assert_eq!(state.items, [("alice".to_owned(), serde_json::json!({"points": 3}))]);
//!
//! scores.update("alice", Ops::new().increment("points", 2)).await?;
//! assert!(matches!(told.next().await.transpose()?, Some(Told::Change(change)) if change.item.as_deref() == Some("alice")));
//! streams.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! What holds: changes of a group have one order, the same for everybody; a subscriber gets the state and then every change, without gap; an acknowledged write is as
//! durable as its [`adapter`] makes it; a subscriber that does not read hurts only itself; and nobody gets in when those who decide about it fail.
//! The [README](https://docs.rs/crate/weir-actors/latest/source/README.md) has presence in an application of one's own.
//!
//! # Where to look
//!
//! - [`streams`]: the handle, and all that a program does with it
//! - [`settings`]: limits and behaviour; [`origin`], [`token`]: who may connect
//! - [`adapter`]: where items are kept, and the trait to keep them elsewhere; with feature `testing`, `testing` has the checks for one's own
//! - `ws`, with the feature of that name: the ports, as routes and as a server of its own
//! - [`metrics`], [`spans`]: what is counted, and how long it took, for those who operate it
//! - [`json`], [`ids`], [`clock`], [`error`]: values, names, timestamps, and every code that is answered
//!
//! # Inside
//!
//! For those who change this crate: what follows is public for its tests and fuzzers, is not shown in this documentation, and may change at any time. In layers; a file uses its
//! own layer and those above it in this list.
//!
//! - words: `ids`, `json`, `clock`, `change`, `error`, `token`, `origin`, `settings`, `health`, `counts`, `distribution`, `hash`
//! - protocol without I/O: `frame`, `wire`, `ops`
//! - storage: `adapter`
//! - actors: `store`, `group`, `session`, `trigger`, `functions` (who serves what), `auth`, `guardian`, `mailbox`, `metrics`, `spans`
//! - system: `system`, `streams`, `testing`, and `ws`, the only user of actix-web

pub mod adapter;
#[doc(hidden)]
pub mod auth;
#[doc(hidden)]
pub mod change;
pub mod clock;
#[doc(hidden)]
pub mod counts;
pub mod distribution;
pub mod error;
#[doc(hidden)]
pub mod frame;
#[doc(hidden)]
pub mod functions;
#[doc(hidden)]
pub mod group;
#[doc(hidden)]
pub mod guardian;
mod hash;
#[doc(hidden)]
pub mod health;
pub mod ids;
pub mod json;
mod mailbox;
pub mod metrics;
#[doc(hidden)]
pub mod ops;
pub mod origin;
#[doc(hidden)]
pub mod session;
pub mod settings;
pub mod spans;
#[doc(hidden)]
pub mod store;
pub mod streams;
#[doc(hidden)]
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
#[doc(hidden)]
pub mod trigger;
#[doc(hidden)]
pub mod wire;
#[cfg(feature = "ws")]
pub mod ws;

/// Runs what the README shows.
#[cfg(all(doctest, feature = "ws"))]
#[doc = include_str!("../README.md")]
struct Readme;
