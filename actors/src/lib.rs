//! The actors of Weir: durable real-time streams.
//!
//! Items live in `stream > group > item`. A worker writes an item; the change is stored, numbered and stamped by the
//! [`Store`](store::Store), encoded once, and handed to one [`Group`](group::Group) per thread that has subscribers, which pushes the frame
//! into their outboxes; the [`Triggers`](trigger::Triggers) dispatcher calls the workers that watch the stream.
//!
//! # Layout
//!
//! In layers; a file uses its own layer and those above it in this list.
//!
//! - words: [`ids`], [`json`], [`clock`], [`change`], [`error`], [`token`], [`origin`], [`settings`], [`health`], [`counts`], `hash`
//! - protocol without I/O: [`frame`], [`wire`], [`ops`]
//! - storage: [`adapter`]
//! - actors: [`store`], [`group`], [`session`], [`trigger`], [`functions`] (who serves what), [`auth`], [`guardian`]
//! - system: [`system`], with feature `testing` the checks for adapters in `testing`, and with feature `ws` the actix-web routes in `ws`, the only user of actix-web

pub mod adapter;
pub mod auth;
pub mod change;
pub mod clock;
pub mod counts;
pub mod error;
pub mod frame;
pub mod functions;
pub mod group;
pub mod guardian;
mod hash;
pub mod health;
pub mod ids;
pub mod json;
pub mod ops;
pub mod origin;
pub mod session;
pub mod settings;
pub mod store;
pub mod streams;
pub mod system;
#[cfg(feature = "testing")]
pub mod testing;
pub mod token;
pub mod trigger;
pub mod wire;
#[cfg(feature = "ws")]
pub mod ws;
