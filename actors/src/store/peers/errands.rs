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

/// Calls that may be under way at other nodes, and snapshots.
pub(super) const UNDER_WAY: usize = 4_096;

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
    errands: HashMap<u64, (Box<str>, Errand)>,
}

impl Errands {
    /// Enters an errand and numbers it; `None` where too many are under way.
    pub(super) fn enter(&self, node: &str, errand: Errand) -> Option<u64> {
        let mut open = self.0.lock();
        if open.errands.len() >= UNDER_WAY {
            return None;
        }
        open.made += 1;
        let n = open.made;
        open.errands.insert(n, (node.into(), errand));
        Some(n)
    }

    /// Takes an errand back that was not sent.
    pub(super) fn withdraw(&self, n: u64) {
        self.0.lock().errands.remove(&n);
    }

    /// Brings an answer to whoever waits for it; `false` where the message is none.
    pub(crate) fn bring(&self, note: Note<'_>) -> bool {
        match note {
            Note::Answer { n, result, error } => {
                if let Some((_, Errand::Call(sender, _))) = self.take(n) {
                    // Whoever waited may have given up, here and below.
                    let _ = sender.send(note::outcome(result, error));
                }
            }
            Note::State { n, state } => {
                if let Some((_, Errand::Take(sender))) = self.take(n) {
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

    fn take(&self, n: u64) -> Option<(Box<str>, Errand)> {
        self.0.lock().errands.remove(&n)
    }

    /// What was asked of that node, or of all, is not known any more.
    pub(super) fn fail(&self, node: Option<&str>) {
        let lost: Vec<_> = self.0.lock().errands.extract_if(|_, (home, _)| node.is_none_or(|node| **home == *node)).collect();
        for (_, (home, errand)) in lost {
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
            last = errands.enter(if n == 0 { "one" } else { "other" }, Errand::Call(sender, "X")).unwrap();
            waiting.push(receiver);
        }
        assert!(errands.enter("one", Errand::Call(oneshot::channel().0, "X")).is_none());
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
}
