//! Calls: what is asked of Redis, in which commands, and what the answers mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use redis::{Cmd, Pipeline, Value};
use tokio::sync::oneshot;

use super::error::{Retry, Trouble, examine, not_indexed};
use super::keys;
use super::message::Parts;
use super::script::{self, Written};
use crate::adapter::AdapterError;
use crate::error::CallError;
use crate::ids::{GroupKey, Name};
use crate::json::Json;
use crate::metrics::limit::Limit;
use crate::ops::UpdateOp;
use crate::store::output::updated;

/// Attempts at one update before its caller is told that the item changes too often.
const ATTEMPTS: u32 = 100;

/// What a write did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What the item held before; `None` where it was not there.
    pub old: Option<Json>,
    /// What it holds now; `None` for a delete.
    pub new: Option<Json>,
    /// The operations of an update that failed; `None` where none did.
    pub errors: Option<Json>,
}

/// What a call ends with.
#[derive(Debug)]
pub(super) enum Answer {
    Applied(Applied),
    Replies(Vec<Value>),
}

/// Who waits for it.
pub(super) type Reply = oneshot::Sender<Result<Answer, AdapterError>>;

/// Commands for one node, sent together.
#[derive(Debug)]
pub(super) enum Batch {
    One(Cmd),
    Many(Pipeline),
    /// Carried out at one moment.
    Atomic(Pipeline),
    /// Each behind the word that lets a node serve a slot which is still on its way to it.
    Asking(Pipeline),
}

impl Batch {
    /// The same for a node that the slot is still on its way to.
    pub(super) fn asking(self) -> Self {
        let pipe = match self {
            Self::One(cmd) => vec![cmd],
            Self::Many(pipe) => pipe.cmd_iter().cloned().collect(),
            // Redis has no way to ask for a transaction; it waits until the slot has arrived.
            same @ (Self::Atomic(_) | Self::Asking(_)) => return same,
        };
        let mut asking = Pipeline::new();
        for cmd in pipe {
            asking.cmd("ASKING");
            asking.add_command(cmd);
        }
        Self::Asking(asking)
    }
}

/// What is asked.
#[derive(Debug)]
pub(super) enum Task {
    Set(Json),
    Delete,
    Update(Update),
    /// Gives a number to a change that is stored elsewhere, or nowhere.
    Record(Parts),
    /// Reads; how is the asker's business.
    Read(fn(&Request<'_>) -> Batch, Vec<String>),
}

/// What a read may need to build its commands.
pub(super) struct Request<'a> {
    pub(super) sha: &'a str,
    pub(super) group: &'a GroupKey,
    pub(super) item: Option<&'a Name>,
    pub(super) args: &'a [String],
}

/// An update on its way.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) ops: Vec<UpdateOp>,
    pub(super) max_value_bytes: usize,
    /// What the item holds as far as is known, and was last seen to hold.
    pub(super) base: Option<Option<Vec<u8>>>,
    pub(super) made: Option<(Json, Option<Json>)>,
    pub(super) attempts: u32,
}

/// Where a call stands.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    First,
    /// The write is done, the group is being entered into the index.
    Indexing(Applied),
}

/// How the group comes into the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// It is there.
    Known,
    /// In the same commands as the write, just before it.
    Along,
    /// After the write, before the caller is told: the index is at another node.
    After,
}

/// Everything about a call but its place in the order.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) task: Task,
    pub(super) phase: Phase,
    /// The group that it is about; only a name where it is about more.
    pub(super) about: GroupKey,
    /// The Cluster slot that it is for.
    pub(super) slot: u16,
    /// The node that it was redirected to, for once.
    pub(super) ask: Option<String>,
    pub(super) index: Index,
    pub(super) since: Instant,
    pub(super) reply: Option<Reply>,
    pub(super) _permit: Option<Permit>,
}

/// What is to be done with a call that was answered.
#[derive(Debug)]
pub(super) enum Next {
    Done(Result<Answer, AdapterError>),
    /// Send what [`Call::commands`] has now.
    Send,
    Stall(Retry),
    Lost,
}

impl Call {
    pub(super) fn is_write(&self) -> bool {
        !matches!(self.task, Task::Read(..))
    }

    /// What an update that was not read for yet may take the item to hold. If that is wrong, it loses and is told better.
    pub(super) fn assume(&mut self, held: Option<&Json>) {
        if let Task::Update(update) = &mut self.task
            && update.base.is_none()
        {
            update.base = Some(held.map(|json| json.as_bytes().to_vec()));
        }
    }

    /// What the item holds after this call; the outer `None` where the call does not tell.
    #[expect(clippy::option_option, reason = "nothing is known, and that there is nothing")]
    pub(super) fn leaves(&self) -> Option<Option<Json>> {
        match &self.task {
            Task::Set(data) => Some(Some(data.clone())),
            Task::Delete => Some(None),
            _ => None,
        }
    }

    /// Whether it is a write that was carried out.
    pub(super) fn is_stored(&self) -> bool {
        matches!(self.phase, Phase::Indexing(_))
    }

    /// Whether it is a write that was not carried out yet.
    pub(super) fn is_unstored(&self) -> bool {
        self.is_write() && !self.is_stored()
    }

    /// Whether the step it is at only reads.
    pub(super) fn is_reading(&self) -> bool {
        match &self.task {
            Task::Update(update) => update.made.is_none(),
            task => matches!(task, Task::Read(..)),
        }
    }

    /// Whether the group is in the index, if it is done now.
    pub(super) fn enters_index(&self) -> bool {
        self.is_write() && (matches!(self.phase, Phase::Indexing(_)) || self.index == Index::Along)
    }

    /// Where the step it is at must be sent.
    pub(super) fn slot(&self) -> u16 {
        if matches!(self.phase, Phase::Indexing(_)) { keys::slot(keys::STREAMS) } else { self.slot }
    }

    /// Tells whoever waits, if somebody still does.
    pub(super) fn answer(mut self, result: Result<Answer, AdapterError>) {
        if let Some(reply) = self.reply.take() {
            let _ = reply.send(result);
        }
    }

    /// Works out what an update is to write.
    ///
    /// # Errors
    /// Where the operations cannot be applied at all.
    pub(super) fn prepare(&mut self, group: &GroupKey) -> Result<(), AdapterError> {
        if let Task::Update(update) = &mut self.task
            && let Some(base) = &update.base
            && update.made.is_none()
        {
            let old = script::old_value(group, base.clone());
            let made = updated(old.as_ref(), &update.ops, update.max_value_bytes);
            let failed = |error: CallError| match error.limit {
                Some(Limit::Value) => AdapterError::TooLarge(error.message),
                _ => AdapterError::Failed(error.message),
            };
            update.made = Some(made.map_err(failed)?);
        }
        Ok(())
    }

    /// The commands of the step that it is at. [`prepare`](Self::prepare) has gone before.
    pub(super) fn commands(&self, sha: &str, group: &GroupKey, item: Option<&Name>) -> Batch {
        let name = item.map_or("", Name::as_str);
        let call = |what, size| script::call(sha, group, what, size + name.len());
        Batch::One(match &self.task {
            Task::Set(data) => {
                let mut cmd = call("set", data.as_bytes().len());
                cmd.arg(name).arg(data.as_bytes());
                cmd
            }
            Task::Delete => {
                let mut cmd = call("delete", 0);
                cmd.arg(name);
                cmd
            }
            Task::Update(Update { base: Some(base), made: Some((new, _)), .. }) => {
                let mut cmd = call("update", new.as_bytes().len() + base.as_ref().map_or(0, Vec::len));
                cmd.arg(name).arg(new.as_bytes());
                if let Some(base) = base {
                    cmd.arg(base.as_slice());
                }
                cmd
            }
            Task::Update(_) => {
                let mut cmd = Cmd::new();
                cmd.arg("HGET").arg(keys::items(group)).arg(name);
                cmd
            }
            Task::Record(Parts { kind, first, second }) => {
                let mut cmd = call("record", first.len() + second.len());
                cmd.arg(name).arg(*kind).arg(&first[..]).arg(&second[..]).arg(i32::from(item.is_some()));
                cmd
            }
            Task::Read(build, args) => return build(&Request { sha, group, item, args }),
        })
    }

    /// Takes the answer to [`commands`](Self::commands).
    pub(super) fn take(&mut self, group: &GroupKey, replies: Result<Vec<Value>, redis::RedisError>) -> Next {
        if let Phase::Indexing(applied) = &self.phase {
            return match examine(replies) {
                Ok(_) => Next::Done(Ok(Answer::Applied(applied.clone()))),
                Err(Trouble::Refused(detail)) => Next::Done(Err(not_indexed(&detail))),
                Err(trouble) => troubled(trouble),
            };
        }
        if !self.is_write() {
            return match examine(replies) {
                Ok(replies) => Next::Done(Ok(Answer::Replies(replies))),
                Err(trouble) => troubled(trouble),
            };
        }
        // What goes along with a write stands before it.
        let (reply, along) = match replies {
            Ok(mut replies) => (examine(Ok(vec![replies.pop().unwrap_or_default()])), examine(Ok(replies)).is_ok()),
            Err(error) => (examine(Err(error)), false),
        };
        let reply = match reply {
            Ok(mut reply) => reply.pop().unwrap_or_default(),
            // Redis undoes nothing of a script that ends in the middle, where the user may not publish, say.
            Err(Trouble::Refused(detail)) if detail.starts_with("ERR") && detail.contains("@user_script") => {
                return Next::Done(Err(AdapterError::Unknown(format!(
                    "redis ended a write in the middle: {detail}; it may or may not be there, allow the user the channels `*weir:*`"
                ))));
            }
            Err(trouble) => return troubled(trouble),
        };
        if let Task::Update(update) = &mut self.task
            && update.made.is_none()
        {
            return match script::bytes(reply) {
                Ok(held) => {
                    update.base = Some(held);
                    Next::Send
                }
                Err(error) => Next::Done(Err(error)),
            };
        }
        match (script::written(reply), &mut self.task) {
            (Ok(Written::Done { old, fresh }), task) => {
                let old = match task {
                    Task::Record(_) => None,
                    _ => script::old_value(group, old),
                };
                let applied = match task {
                    Task::Set(data) => Applied { old, new: Some(data.clone()), errors: None },
                    Task::Update(Update { made: Some((new, errors)), .. }) => {
                        Applied { old, new: Some(new.clone()), errors: errors.take() }
                    }
                    _ => Applied { old, new: None, errors: None },
                };
                let is_indexed = match self.index {
                    // Only where the numbers have just begun can the index have lost the group behind our back.
                    Index::Known => !fresh,
                    Index::Along => along,
                    Index::After => false,
                };
                if !is_indexed {
                    self.phase = Phase::Indexing(applied);
                    return Next::Send;
                }
                Next::Done(Ok(Answer::Applied(applied)))
            }
            (Ok(Written::Conflict(held)), Task::Update(update)) => {
                update.attempts += 1;
                if update.attempts >= ATTEMPTS {
                    let text = format!("another node changed the item {ATTEMPTS} times before the update could; nothing was stored");
                    return Next::Done(Err(AdapterError::Failed(text)));
                }
                update.base = Some(held);
                update.made = None;
                Next::Send
            }
            (Ok(Written::Conflict(_)), _) => Next::Done(Err(super::error::garbled("a write"))),
            (Err(error), _) => Next::Done(Err(error)),
        }
    }
}

fn troubled(trouble: Trouble) -> Next {
    match trouble {
        Trouble::Again(retry) => Next::Stall(retry),
        Trouble::Lost => Next::Lost,
        Trouble::Refused(detail) if detail.starts_with("OOM") => Next::Done(Err(AdapterError::Full { path: "redis".into(), detail })),
        Trouble::Refused(detail) => Next::Done(Err(AdapterError::Failed(format!("redis refused: {detail}")))),
    }
}

/// How much is under way.
#[derive(Debug, Default)]
pub(super) struct Load {
    calls: AtomicUsize,
    bytes: AtomicUsize,
}

/// A share of the load, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    load: Arc<Load>,
    bytes: usize,
}

impl Permit {
    /// `None` where too much is under way.
    pub(super) fn take(load: &Arc<Load>, bytes: usize, max_calls: usize, max_bytes: usize) -> Option<Self> {
        let calls = load.calls.fetch_add(1, Ordering::Relaxed);
        let before = load.bytes.fetch_add(bytes, Ordering::Relaxed);
        let permit = Self { load: load.clone(), bytes };
        // A value that is larger than all that may be under way goes alone.
        (calls < max_calls && (calls == 0 || before + bytes <= max_bytes)).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.load.calls.fetch_sub(1, Ordering::Relaxed);
        self.load.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
