//! The line to the driver, for reads that need no place in an order.

use std::collections::BTreeMap;
use std::time::Instant;

use redis::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::call::{Answer, Batch, Call, Index, Permit, Phase, Request, Task};
use super::driver::{Command, Seen};
use super::{closed, error, keys, read};
use crate::adapter::AdapterError;
use crate::ids::GroupKey;

/// Keys that are looked at in one message.
const LOOKED_AT: usize = 1_000;

/// How calls reach the driver.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) commands: mpsc::UnboundedSender<Command>,
    pub(super) seen: watch::Receiver<Seen>,
}

impl Line {
    /// Sends a read at once, and beside the bound on calls.
    pub(super) fn free(
        &self,
        about: &GroupKey,
        slot: u16,
        build: fn(&Request<'_>) -> Batch,
        args: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        let (call, answer) = new_call(about.clone(), slot, Task::Read(build, args), None);
        let sent = self.commands.send(Command::Free(call)).map_err(|_gone| closed());
        async move {
            sent?;
            replies(answer).await
        }
    }

    /// The same, where the group's keys are.
    pub(super) fn about(
        &self,
        group: &GroupKey,
        build: fn(&Request<'_>) -> Batch,
        args: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        self.free(group, keys::slot(&keys::items(group)), build, args)
    }

    /// The same, where the index is.
    pub(super) fn index(
        &self,
        build: fn(&Request<'_>) -> Batch,
        args: Vec<String>,
    ) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        self.free(&GroupKey::new("", ""), keys::slot(keys::STREAMS), build, args)
    }

    /// The members of a set of the index.
    pub(super) fn members(&self, key: String) -> impl Future<Output = Result<Vec<Value>, AdapterError>> + use<> {
        self.index(read::members, vec![key])
    }

    /// Those of the groups that hold an item.
    pub(super) async fn holding(&self, groups: Vec<GroupKey>) -> Result<Vec<GroupKey>, AdapterError> {
        let found = self.exist(groups.iter().map(keys::items).collect()).await?;
        Ok(groups.into_iter().zip(found).filter_map(|(group, found)| found.then_some(group)).collect())
    }

    /// Which of the keys are there.
    pub(super) async fn exist(&self, names: Vec<String>) -> Result<Vec<bool>, AdapterError> {
        let mut by_node: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
        let mut found = vec![false; names.len()];
        let is_cluster = {
            let seen = self.seen.borrow();
            for (place, name) in names.into_iter().enumerate() {
                let owner = seen.topology.owner(keys::slot(&name)).unwrap_or_default().to_owned();
                by_node.entry(owner).or_default().push((place, name));
            }
            seen.topology.is_cluster()
        };
        let ask = |chunk: &[(usize, String)]| {
            let names: Vec<String> = chunk.iter().map(|(_, name)| name.clone()).collect();
            let slot = names.first().map_or(0, |name| keys::slot(name));
            self.free(&GroupKey::new("", ""), slot, read::exist, names)
        };
        let asked: Vec<_> = by_node.values().flat_map(|names| names.chunks(LOOKED_AT)).map(|chunk| (chunk, ask(chunk))).collect();
        for (chunk, replies) in asked {
            let replies = match replies.await {
                Ok(replies) => replies,
                // Slots have moved between the nodes meanwhile: one by one, each finds its way.
                Err(_) if is_cluster && chunk.len() > 1 => {
                    let mut replies = Vec::new();
                    for one in chunk.chunks(1).map(ask).collect::<Vec<_>>() {
                        replies.extend(one.await?);
                    }
                    replies
                }
                Err(error) => return Err(error),
            };
            for ((place, _), reply) in chunk.iter().zip(replies) {
                found[*place] = reply == Value::Int(1);
            }
        }
        Ok(found)
    }
}

/// A call, and where its answer comes.
pub(super) fn new_call(
    about: GroupKey,
    slot: u16,
    task: Task,
    permit: Option<Permit>,
) -> (Call, oneshot::Receiver<Result<Answer, AdapterError>>) {
    let (reply, answer) = oneshot::channel();
    let call = Call {
        task,
        phase: Phase::First,
        about,
        slot,
        ask: None,
        index: Index::Known,
        since: Instant::now(),
        reply: Some(reply),
        _permit: permit,
    };
    (call, answer)
}

/// Waits for the answer to a read.
pub(super) async fn replies(answer: oneshot::Receiver<Result<Answer, AdapterError>>) -> Result<Vec<Value>, AdapterError> {
    match answer.await.map_err(|_gone| closed())?? {
        Answer::Replies(replies) => Ok(replies),
        Answer::Applied(_) => Err(error::garbled("a read")),
    }
}
