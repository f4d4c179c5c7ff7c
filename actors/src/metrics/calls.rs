//! Calls of functions, by function and by how they ended.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use super::limit::Limit;
use super::{Counter, Metrics};
use crate::distribution::{Histogram, SECONDS};
use crate::error::{self, CallError};
use crate::store::input::{FUNCTIONS, Function};

/// Functions of workers that are counted apart, those first that were registered first; all later ones count together.
pub const APART: usize = 200;
/// What those that are not counted apart are called, and functions that nobody serves.
pub const OTHERS: &str = "other";
/// What all functions of the engine that begin with `engine::` are called, and `stream::disconnect` is not.
pub const ENGINE: &str = "engine::*";

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// With a result.
    Ok,
    /// With an error of the function, or of the store.
    Error,
    /// Its input was not what the function takes, or passed a limit.
    Invalid,
    /// Nobody serves the function.
    NotFound,
    /// Too much is under way.
    Overloaded,
    /// The worker took too long.
    Timeout,
    /// The worker went away.
    Stopped,
}

impl Ending {
    /// All of them, in order.
    pub const ALL: [Self; 7] = [Self::Ok, Self::Error, Self::Invalid, Self::NotFound, Self::Overloaded, Self::Timeout, Self::Stopped];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Stopped => "stopped",
        }
    }

    /// How a call ended that Weir itself has answered.
    pub(crate) fn of<T>(outcome: &Result<T, CallError>) -> Self {
        match outcome {
            Ok(_) => Self::Ok,
            Err(error) => Self::by(&error.code),
        }
    }

    fn by(code: &str) -> Self {
        match code {
            error::DESERIALIZATION_ERROR => Self::Invalid,
            error::FUNCTION_NOT_FOUND | error::FUNCTION_NOT_INVOKABLE => Self::NotFound,
            error::OVERLOADED | error::CHANNEL_SEND_FAILED => Self::Overloaded,
            error::INVOCATION_TIMEOUT => Self::Timeout,
            error::INVOCATION_STOPPED => Self::Stopped,
            _ => Self::Error,
        }
    }
}

/// How the calls of one function ended, in the order of [`Ending::ALL`].
pub type Endings = [u64; Ending::ALL.len()];

#[derive(Debug, Default)]
struct Counters([Counter; Ending::ALL.len()]);

impl Counters {
    fn read(&self) -> Endings {
        std::array::from_fn(|ending| self.0[ending].get())
    }
}

/// A function that Weir serves itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BuiltIn {
    /// One that the store serves.
    Stream(Function),
    /// `stream::disconnect`
    Disconnect,
    /// One that begins with `engine::`.
    Engine,
}

/// What is counted of calls.
#[derive(Debug)]
pub(crate) struct Calls {
    stream: [Counters; FUNCTIONS.len()],
    disconnect: Counters,
    engine: Counters,
    others: Counters,
    workers: RwLock<HashMap<Box<str>, Arc<Counters>>>,
    /// How long workers took to answer.
    pub(crate) seconds: Histogram,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            stream: Default::default(),
            disconnect: Counters::default(),
            engine: Counters::default(),
            others: Counters::default(),
            workers: RwLock::default(),
            seconds: Histogram::new(SECONDS),
        }
    }
}

/// Calls that ended together, counted before they are added to what others count too.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    endings: [Endings; FUNCTIONS.len()],
    /// Those that were reached.
    limits: Vec<Limit>,
}

impl Batch {
    pub(crate) fn count<T>(&mut self, function: Function, outcome: &Result<T, CallError>) {
        self.endings[function.place()][Ending::of(outcome) as usize] += 1;
        self.limits.extend(reached(outcome));
    }
}

/// The limit that a call would have passed.
fn reached<T>(outcome: &Result<T, CallError>) -> Option<Limit> {
    outcome.as_ref().err().and_then(|error| error.limit)
}

impl Metrics {
    /// A function that Weir serves itself has ended.
    pub(crate) fn served<T>(&self, function: BuiltIn, outcome: &Result<T, CallError>) {
        let counters = match function {
            BuiltIn::Stream(function) => &self.calls.stream[function.place()],
            BuiltIn::Disconnect => &self.calls.disconnect,
            BuiltIn::Engine => &self.calls.engine,
        };
        counters.0[Ending::of(outcome) as usize].add(1);
        if let Some(limit) = reached(outcome) {
            self.limit(limit);
        }
    }

    /// Calls of the store have ended.
    pub(crate) fn served_all(&self, batch: &Batch) {
        for (counters, endings) in self.calls.stream.iter().zip(&batch.endings) {
            for (counter, count) in counters.0.iter().zip(endings) {
                if *count > 0 {
                    counter.add(*count);
                }
            }
        }
        for limit in &batch.limits {
            self.limit(*limit);
        }
    }

    /// A worker serves a function from now on.
    pub(crate) fn know(&self, function: &str) {
        // One that has the name of the others is one of them.
        let mut workers = self.calls.workers.write();
        if function != OTHERS && workers.len() < APART && !workers.contains_key(function) {
            workers.insert(function.into(), Arc::default());
        }
    }

    /// A call of a worker's function has ended, after so long where it got there.
    pub(crate) fn invoked(&self, function: &str, ending: Ending, took: Option<Duration>) {
        let counters = self.calls.workers.read().get(function).cloned();
        counters.as_deref().unwrap_or(&self.calls.others).0[ending as usize].add(1);
        if let Some(took) = took {
            self.calls.seconds.took(took);
        }
    }

    /// Functions that were called or are registered, with how their calls ended: those of Weir, those of workers by name, all others.
    pub(super) fn endings(&self) -> Vec<(Box<str>, Endings)> {
        let calls = &self.calls;
        let built_in = FUNCTIONS.iter().zip(&calls.stream).map(|(function, counters)| ((*function).into(), counters.read()));
        let mut all: Vec<_> = built_in.collect();
        all.push((crate::functions::disconnect::ID.into(), calls.disconnect.read()));
        all.push((ENGINE.into(), calls.engine.read()));
        let mut workers: Vec<_> = calls.workers.read().iter().map(|(function, counters)| (function.clone(), counters.read())).collect();
        workers.sort_unstable();
        all.extend(workers);
        all.push((OTHERS.into(), calls.others.read()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_beyond_the_bound_and_unknown_ones_count_together() {
        let metrics = Metrics::default();
        for n in 0..APART + 10 {
            metrics.know(&format!("f{n}"));
            metrics.invoked(&format!("f{n}"), Ending::Ok, Some(Duration::from_millis(1)));
        }
        metrics.invoked("made up", Ending::NotFound, None);
        let other = Metrics::default();
        other.know(OTHERS);
        assert_eq!(other.endings().iter().filter(|(function, _)| **function == *OTHERS).count(), 1);
        let endings = metrics.endings();
        assert_eq!(endings.len(), FUNCTIONS.len() + 3 + APART);
        let of = |name: &str| endings.iter().find(|(function, _)| **function == *name).map(|(_, endings)| *endings);
        assert_eq!(of("f0"), Some([1, 0, 0, 0, 0, 0, 0]));
        assert_eq!(of(&format!("f{APART}")), None);
        assert_eq!(of(OTHERS), Some([10, 0, 0, 1, 0, 0, 0]));
        assert_eq!(metrics.calls.seconds.distribution().count, APART as u64 + 10);
    }

    #[test]
    fn call_that_passes_a_limit_counts_for_it() {
        let (metrics, mut batch) = (Metrics::default(), Batch::default());
        let large: Result<(), _> = Err(CallError::bad_input("stream::set", "it is large").past(Some(Limit::Value)));
        let set = Function::of("stream::set").map(BuiltIn::Stream);
        for (function, outcome) in set.into_iter().zip([&large]) {
            metrics.served(function, outcome);
        }
        for outcome in [&large, &Ok(()), &Err(CallError::function_not_found("f"))] {
            Function::of("stream::set").into_iter().for_each(|function| batch.count(function, outcome));
        }
        metrics.served_all(&batch);
        let limits = metrics.snapshot().limits;
        assert!(limits.into_iter().all(|(limit, count)| count == if limit == Limit::Value { 2 } else { 0 }));
    }

    #[test]
    fn endings_stand_in_the_order_of_the_enum() {
        assert!(Ending::ALL.iter().enumerate().all(|(place, ending)| *ending as usize == place));
    }
}
