//! Talking to a server as a worker or a stream client does, for commands.
//!
//! Layout: `address` is where to connect and what to show there, `connection` the WebSocket over TCP or TLS, `worker` calls functions over it,
//! `subscription` gets the frames of a group, `http` asks the admin listener and for health, `error` says what went wrong and what to do.

mod address;
mod connection;
mod error;
pub(crate) mod http;
mod subscription;
mod worker;

pub(crate) use address::{Address, Credential};
pub(crate) use error::ClientError;
pub(crate) use subscription::{Ended, Subscription};
pub(crate) use worker::Worker;
