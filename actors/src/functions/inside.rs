//! Calls that a function of the host program makes while it serves a stream in place of the store.
//!
//! Such a function may be what a lane waits for, so that its own call must not wait in that lane. What a worker calls from a handler cannot be told from its
//! other calls; here the task that makes the call can be. A task that the function has spawned is another one.

use super::table::Override;
use crate::store::input::Op;

tokio::task_local! {
    static SERVED: Option<Served>;
}

/// What a function serves in place of the store.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Served {
    Stream(Box<str>),
    /// It is part of an adapter of functions.
    All,
}

impl Served {
    fn by(function_id: &str, adapter: Option<&str>) -> Option<Self> {
        let is_adapters = |adapter: &str| function_id.strip_prefix(adapter).is_some_and(|rest| rest.starts_with("::"));
        if adapter.is_some_and(is_adapters) {
            return Some(Self::All);
        }
        Override::parse(function_id).map(|(_, stream)| Self::Stream(stream.into()))
    }

    fn holds_up(&self, op: &Op) -> bool {
        match self {
            Self::All => true,
            Self::Stream(stream) => matches!(op, Op::ListAll) || op.stream() == &**stream,
        }
    }
}

/// Runs what a function does; `adapter` is what the functions of the adapter begin with, where there is one of functions.
pub(crate) fn serving<F: Future>(function_id: &str, adapter: Option<&str>, run: F) -> impl Future<Output = F::Output> + use<F> {
    SERVED.scope(Served::by(function_id, adapter), run)
}

/// Whether a call that this program makes now is one that what it serves may be waiting for.
pub(crate) fn is_inside(op: &Op) -> bool {
    // Outside of any task of ours it is none.
    SERVED.try_with(|served| served.as_ref().is_some_and(|served| served.holds_up(op))).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::GroupKey;

    #[test]
    fn function_holds_up_the_stream_that_it_serves() {
        let list = |stream: &str| Op::List { group: GroupKey::new(stream, "g") };
        let one = Served::by("stream::set(a)", None);
        assert!(one.as_ref().is_some_and(|one| one.holds_up(&list("a")) && one.holds_up(&Op::ListAll) && !one.holds_up(&list("b"))));
        assert_eq!(Served::by("keep::set", Some("keep")), Some(Served::All));
        for id in ["keeper::set", "keep", "f"] {
            assert_eq!(Served::by(id, Some("keep")), None);
        }
    }
}
