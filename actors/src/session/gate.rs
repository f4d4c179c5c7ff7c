//! Whether a connection is read on.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures_util::{Stream, stream};

/// Keeps back what comes over a connection while its session can take no more of it.
///
/// The session does not wait with its whole context: actix (0.13) then polls neither its mailbox nor its timers, and whoever calls a worker that
/// does not read would hang.
#[derive(Default)]
pub struct Gate {
    closed: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Gate {
    /// What comes, as long as the gate is open.
    pub fn before<S: Stream>(self: &Rc<Self>, incoming: S) -> impl Stream<Item = S::Item> + use<S> {
        let (gate, mut incoming) = (self.clone(), Box::pin(incoming));
        stream::poll_fn(move |cx| if gate.keeps(cx) { Poll::Pending } else { incoming.as_mut().poll_next(cx) })
    }

    /// Whether nothing comes now.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// Lets nothing through, or all that comes.
    pub fn set_closed(&self, closed: bool) {
        self.closed.set(closed);
        if !closed && let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn keeps(&self, cx: &Context<'_>) -> bool {
        if self.closed.get() {
            self.waker.set(Some(cx.waker().clone()));
        }
        self.closed.get()
    }
}
