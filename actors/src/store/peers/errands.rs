//! What was asked of other nodes and is not answered yet.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::super::failure;
use super::note::{self, Note};
use super::{AWAY, gone, unknown};
use crate::adapter::AdapterError;
use crate::change::Snapshot;
use crate::error::{CallError, Outcome};

/// Calls that may be under way at other nodes, and snapshots, …
const UNDER_WAY: usize = 4_096;
/// … and bytes of them; one alone may have more. All of it may wait in the memory of one other node, whose store takes nothing just then.
const BYTES: usize = 64 << 20;

/// Who waits for it.
#[derive(Debug)]
pub(super) enum Errand {
    /// A call, with the code of its failures.
    Call(oneshot::Sender<Outcome>, &'static str),
    /// The state of a group.
    Take(oneshot::Sender<Result<Snapshot, AdapterError>>),
}

/// All errands, each with the node that it is for. The store sends them out, and whoever listens to the other nodes brings the answers: not
/// the store, which may be waiting for room just then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Errands(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    made: u64,
    errands: HashMap<u64, Entered>,
    bytes: usize,
}

#[derive(Debug)]
struct Entered {
    node: Box<str>,
    bytes: usize,
    errand: Errand,
}

impl Errands {
    /// Enters an errand of so many bytes and numbers it; `None` where too much is under way.
    pub(super) fn enter(&self, node: &str, bytes: usize, errand: Errand) -> Option<u64> {
        let mut open = self.0.lock();
        if open.errands.len() >= UNDER_WAY || (open.bytes > 0 && open.bytes + bytes > BYTES) {
            return None;
        }
        open.made += 1;
        open.bytes += bytes;
        let n = open.made;
        open.errands.insert(n, Entered { node: node.into(), bytes, errand });
        Some(n)
    }

    /// Takes an errand back that was not sent.
    pub(super) fn withdraw(&self, n: u64) {
        self.take(n);
    }

    /// Brings an answer to whoever waits for it; `false` where the message is none.
    pub(crate) fn bring(&self, note: Note<'_>) -> bool {
        match note {
            Note::Answer { n, result, error } => {
                if let Some(Errand::Call(sender, _)) = self.take(n).map(|entered| entered.errand) {
                    // Whoever waited may have given up, here and below.
                    let _ = sender.send(note::outcome(result, error));
                }
            }
            Note::State { n, state } => {
                if let Some(Errand::Take(sender)) = self.take(n).map(|entered| entered.errand) {
                    let failed = |error: CallError| match &*error.code {
                        AWAY => AdapterError::Away(error.message),
                        _ => AdapterError::Failed(error.message),
                    };
                    let _ = sender.send(note::snapshot(state).map_err(failed));
                }
            }
            _ => return false,
        }
        true
    }

    fn take(&self, n: u64) -> Option<Entered> {
        let mut open = self.0.lock();
        let entered = open.errands.remove(&n)?;
        open.bytes -= entered.bytes;
        Some(entered)
    }

    /// What was asked of that node, or of all, is not known any more.
    pub(super) fn fail(&self, node: Option<&str>) {
        let lost: Vec<_> = {
            let mut open = self.0.lock();
            let lost: Vec<_> = open.errands.extract_if(|_, entered| node.is_none_or(|node| *entered.node == *node)).collect();
            open.bytes -= lost.iter().map(|(_, entered)| entered.bytes).sum::<usize>();
            lost
        };
        for (_, Entered { node: home, errand, .. }) in lost {
            match errand {
                Errand::Call(sender, code) => {
                    let home = format!("node {home}, where a worker serves this stream,");
                    let _ = sender.send(Err(failure(code, &unknown(&home))));
                }
                // It changes nothing, so it is asked for again.
                Errand::Take(sender) => drop(sender.send(Err(gone(&home)))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn errands_are_bounded_and_end_with_their_node() {
        let errands = Errands::default();
        let (mut waiting, mut last) = (Vec::new(), 0);
        for n in 0..UNDER_WAY {
            let (sender, receiver) = oneshot::channel();
            last = errands.enter(if n == 0 { "one" } else { "other" }, 1, Errand::Call(sender, "X")).unwrap();
            waiting.push(receiver);
        }
        assert!(errands.enter("one", 1, Errand::Call(oneshot::channel().0, "X")).is_none());
        errands.withdraw(last);
        errands.fail(Some("one"));
        assert!(waiting[0].try_recv().unwrap().unwrap_err().message.contains("may or may not"));
        assert!(waiting[1].try_recv().is_err());
        let text = note::answer(2, Err(CallError::new("Y", "no")));
        assert!(errands.bring(Note::parse(&text).unwrap()));
        assert_eq!(waiting[1].try_recv().unwrap(), Err(CallError::new("Y", "no")));
        errands.fail(None);
        assert_eq!(waiting[2].try_recv().unwrap().unwrap_err().code, "X");
    }

    #[test]
    fn bytes_of_errands_are_bounded_and_given_back() {
        let errands = Errands::default();
        let enter = |bytes| errands.enter("one", bytes, Errand::Call(oneshot::channel().0, "X"));
        let first = enter(2 * BYTES).unwrap();
        assert!(enter(1).is_none());
        errands.withdraw(first);
        let first = enter(BYTES).unwrap();
        assert!(enter(1).is_none());
        assert!(errands.bring(Note::parse(&note::answer(first, Ok(crate::error::Output::Absent))).unwrap()));
        enter(BYTES).unwrap();
        errands.fail(Some("one"));
        enter(BYTES).unwrap();
    }
}
