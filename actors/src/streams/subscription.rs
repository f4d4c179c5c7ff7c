//! A subscription of a host program: the state of a group and then its changes, as a [`Stream`] for any runtime.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix::Addr;
use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::Error;
use super::event::{Change, State, Told};
use super::follow;
use super::follower::{Drained, End, Follower, Next, Queue};

/// The state of a group, then every change, in order and without gap.
///
/// Where its reader falls behind by more than `outbox_bytes`, changes are left out, and once it has read what waits it gets the state anew: what
/// was told last is always right. The stream ends when the system stops or [fails](super::Streams::failed), and after [`Error::Call`], where the group could not be read. After
/// [`Error::Decode`] it goes on: that is one item, or one change, that is no `T`. Dropping it ends it; it does not keep the system running.
pub struct Subscription<T> {
    queue: Arc<Queue>,
    follower: Addr<Follower>,
    /// What of the last state is no `T`.
    errors: VecDeque<Error>,
    value: PhantomData<fn() -> T>,
}

impl<T> Subscription<T> {
    pub(super) fn new(queue: Arc<Queue>, follower: Addr<Follower>) -> Self {
        Self { queue, follower, errors: VecDeque::new(), value: PhantomData }
    }
}

impl<T> std::fmt::Debug for Subscription<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

impl<T: DeserializeOwned> Stream for Subscription<T> {
    type Item = Result<Told<T>, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(error) = self.errors.pop_front() {
            return Poll::Ready(Some(Err(error)));
        }
        let told = match self.queue.poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Next::Ended) => return Poll::Ready(None),
            Poll::Ready(Next::Failed(error)) => return Poll::Ready(Some(Err(error.into()))),
            Poll::Ready(Next::Told(told)) => told,
            Poll::Ready(Next::Last(told)) => {
                self.follower.do_send(Drained);
                told
            }
        };
        Poll::Ready(Some(match told {
            follow::Told::State(snapshot) => {
                let (state, errors) = State::of(&snapshot);
                self.errors = errors;
                Ok(Told::State(state))
            }
            follow::Told::Change(change) => Change::read(&change.frame.payload()).map(Told::Change),
        }))
    }
}

impl<T> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.follower.do_send(End);
    }
}
