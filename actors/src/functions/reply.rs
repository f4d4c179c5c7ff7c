//! Where the result of a call goes, and what it is called there.
//!
//! Nearly every call of a worker has one, so it is kept small: texts of usual length stand in place, names of built-in functions are
//! static, and the way to the worker is shared with everybody else.

use std::borrow::Cow;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{ToWorker, Worker, stopped};
use crate::error::Outcome;
use crate::ids::SocketId;
use crate::wire::worker::Trace;

/// The longest id of a call that needs no memory of its own: a UUID has 36 bytes.
const IN_PLACE_BYTES: usize = 39;

/// The end of a call, for the worker that made it.
#[derive(Debug)]
pub struct Answer {
    /// The call.
    pub invocation: Invocation,
    /// How it ended.
    pub outcome: Outcome,
}

/// What a worker calls a call that it made.
#[derive(Debug)]
pub struct Invocation {
    /// The worker's own name for it.
    pub id: InvocationId,
    /// The function that it called.
    pub function_id: Cow<'static, str>,
    /// Trace context to send back, without metadata.
    pub trace: Option<Box<Trace>>,
}

/// The name that a caller gave a call; any text, usually a UUID.
#[derive(Debug, Clone)]
pub struct InvocationId(Text);

#[derive(Debug, Clone)]
enum Text {
    InPlace { len: u8, bytes: [u8; IN_PLACE_BYTES] },
    Long(Box<str>),
}

impl InvocationId {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            // Valid by construction, and so short that checking it anew costs less than memory of its own.
            Text::InPlace { len, bytes } => std::str::from_utf8(&bytes[..usize::from(*len)]).unwrap_or_default(),
            Text::Long(text) => text,
        }
    }
}

impl From<&str> for InvocationId {
    fn from(text: &str) -> Self {
        let mut bytes = [0; IN_PLACE_BYTES];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(text.as_bytes());
                Self(Text::InPlace { len, bytes })
            }
            _ => Self(Text::Long(text.into())),
        }
    }
}

/// Who waits for the result of a call.
#[derive(Debug)]
pub enum ReplyTo {
    /// Nobody; the result is dropped.
    Nobody,
    /// A worker that made the call.
    Worker(Caller),
    /// Somebody in this process.
    Once(oneshot::Sender<Outcome>),
    /// The same, for whom the system waits before it ends: as long as the second part is there.
    Awaited(oneshot::Sender<Outcome>, Arc<()>),
    /// A function of this program that serves the stream which it calls, and waits while it does.
    Inside(oneshot::Sender<Outcome>),
}

impl ReplyTo {
    /// Hands the result to whoever waits.
    pub fn send(self, outcome: Outcome) {
        self.send_traced(outcome, None);
    }

    /// The same with the trace context that the called worker sent.
    pub fn send_traced(self, outcome: Outcome, trace: Option<Trace>) {
        match self {
            Self::Nobody => {
                if let Err(error) = outcome {
                    tracing::debug!(code = %error.code, "call without a reply failed");
                }
            }
            Self::Worker(mut caller) => {
                let answer = caller.end(outcome, trace);
                caller.worker.session.do_send(ToWorker::Answers(answer.into_iter().collect()));
            }
            // Whoever waited may have given up; then nobody wants the result.
            Self::Once(sender) | Self::Awaited(sender, _) | Self::Inside(sender) => drop(sender.send(outcome)),
        }
    }

    /// What a worker that waits for it is told instead of a result which it only reads, where it has too many unread.
    pub(crate) fn refusal(&self) -> Option<String> {
        match self {
            Self::Worker(caller) => caller.worker.unread.refusal(),
            _ => None,
        }
    }

    /// Counts a result that is on its way as unread, so that the next one finds it so.
    #[cfg(feature = "redis")]
    pub(crate) fn count(&mut self, outcome: &Outcome) {
        if let Self::Worker(caller) = self {
            caller.worker.unread.add(outcome);
            caller.counted = true;
        }
    }

    /// The socket of the worker that waits, if one does.
    #[must_use]
    pub fn caller(&self) -> Option<SocketId> {
        match self {
            Self::Worker(caller) => Some(caller.worker.socket),
            _ => None,
        }
    }
}

/// A worker that waits for a result, and gets one: `invocation_stopped` where this is dropped unanswered, as it is in the mailbox of a
/// session that ends.
#[derive(Debug)]
pub struct Caller {
    worker: Arc<Worker>,
    /// Until it is answered.
    invocation: Option<Invocation>,
    /// Whether its result counts as unread already.
    counted: bool,
}

impl Caller {
    /// `worker` waits for the result of a call that it made.
    #[must_use]
    pub fn new(worker: Arc<Worker>, invocation: Invocation) -> Self {
        worker.unread.begin();
        Self { worker, invocation: Some(invocation), counted: false }
    }

    /// Who waits.
    #[must_use]
    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    /// The trace that the call is a part of, as the worker has it.
    pub(crate) fn traceparent(&self) -> Option<&str> {
        self.invocation.as_ref()?.trace.as_ref()?.traceparent.as_deref()
    }

    /// The message that ends the call; the caller sees to it that it gets there. `None` the second time.
    pub fn end(&mut self, outcome: Outcome, trace: Option<Trace>) -> Option<Answer> {
        let mut invocation = self.invocation.take()?;
        if let Some(trace) = trace.filter(Trace::has_context) {
            invocation.trace = Some(Box::new(Trace { metadata: None, ..trace }));
        }
        if !self.counted {
            self.worker.unread.add(&outcome);
        }
        Some(Answer { invocation, outcome })
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(invocation) = self.invocation.take() {
            let outcome = Err(stopped(&invocation.function_id));
            self.worker.session.do_send(ToWorker::Answers(vec![Answer { invocation, outcome }]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invocation_id_of_any_length_stays_what_it_is() {
        for text in ["", "é", "4f2a9f0e-65a3-4c5c-9f0e-0d3a4a5a6b7c", &"x".repeat(39), &"x".repeat(40), &"é".repeat(128), &"x".repeat(256)]
        {
            assert_eq!(InvocationId::from(text).as_str(), text);
        }
    }
}
