//! For those who write an adapter: what every adapter must do, as checks to run.

pub mod adapter;
