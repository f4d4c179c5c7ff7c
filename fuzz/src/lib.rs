//! Stands in for `weir_actors`, so that `entry` and the configuration compile without RocksDB: all they use is passed on, and the two types of
//! the file store are written out. `tests/fuzz_corpus` runs the same entry points on the real ones.

extern crate self as weir_actors;

pub use actors::{change, clock, error, frame, ids, json, ops, origin, settings, store, token, wire};

/// The backends.
pub mod adapter {
    pub use actors::adapter::redis;

    /// As in `actors/src/adapter/file`.
    pub mod file {
        use std::time::Duration;

        /// When what was written is forced onto the disk.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fsync {
            /// Before it is acknowledged.
            Always,
            /// After this long.
            Every(Duration),
            /// When the system likes.
            Never,
        }

        /// How a file store behaves.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct FileOptions {
            /// When what was written is forced onto the disk.
            pub fsync: Fsync,
            /// Memory for what was read lately.
            pub cache_bytes: usize,
            /// What is left free.
            pub min_free_bytes: u64,
        }

        impl Default for FileOptions {
            fn default() -> Self {
                Self { fsync: Fsync::Always, cache_bytes: 64 << 20, min_free_bytes: 256 << 20 }
            }
        }
    }
}

#[path = "../entry/mod.rs"]
pub mod entry;
