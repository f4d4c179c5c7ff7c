//! What is fuzzed: each file takes bytes, hands them to one reader of foreign bytes, and asserts what must hold of anything it makes of them.
//!
//! The targets of cargo-fuzz run it (`make fuzz`), and so does `tests/fuzz_corpus`, on stable, with the corpus that they have found. An entry
//! point keeps no state from one input to the next, and asserts more than that nothing panics: that chunking does not matter, that what is
//! written is read as it was, that a result keeps within its limits.

pub mod config;
pub mod frames;
pub mod ops;
pub mod redis;
pub mod subscriber;
pub mod worker;
