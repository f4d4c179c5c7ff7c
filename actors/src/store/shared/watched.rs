//! What is watched at Redis: groups, and streams whose triggers must see what their workers call after they were registered.

use actix::{Addr, AsyncContext, Context, Handler, Message};

use super::{RETRY, Shared};
use crate::adapter::AdapterError;
use crate::change::Position;
use crate::ids::GroupKey;
use crate::store::{Keeper, Store, Submit};

/// Tells one attempt to watch a stream from another.
pub(super) type Watching = u64;

/// A stream that is watched, or will be.
pub(super) struct Followed {
    pub(super) watching: Watching,
    /// Calls that wait until it is for the first time.
    pub(super) waiting: Option<Vec<Submit>>,
}

/// A stream is watched from now on, or could not be.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct StreamWatched {
    stream: Box<str>,
    watching: Watching,
    result: Result<(), AdapterError>,
}

/// The changes of a group come from this position on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct WatchedFrom {
    pub(super) group: GroupKey,
    pub(super) position: Position,
}

impl Shared {
    pub(super) fn watch_stream(&mut self, stream: Box<str>, store: Addr<Store>) -> Watching {
        self.watchings += 1;
        let (watching, watched) = (self.watchings, self.redis.watch_stream(&stream));
        actix::spawn(async move { store.do_send(StreamWatched { result: watched.await, stream, watching }) });
        watching
    }
}

impl Store {
    /// A trigger of the stream has come or gone.
    pub(in crate::store) fn follow(&mut self, stream: &str, ctx: &mut Context<Self>) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        match (self.interest.has_trigger(stream), shared.streams.contains_key(stream)) {
            (true, false) => {
                let watching = shared.watch_stream(stream.into(), ctx.address());
                shared.streams.insert(stream.into(), Followed { watching, waiting: Some(Vec::new()) });
            }
            (false, true) => {
                shared.redis.unwatch_stream(stream);
                let waiting = shared.streams.remove(stream).and_then(|followed| followed.waiting);
                self.go_on(waiting, ctx);
            }
            _ => {}
        }
    }

    /// Carries out what has waited.
    fn go_on(&mut self, waiting: Option<Vec<Submit>>, ctx: &mut Context<Self>) {
        for submit in waiting.into_iter().flatten() {
            self.submitted(submit, ctx);
        }
    }
}

impl Handler<WatchedFrom> for Store {
    type Result = ();

    fn handle(&mut self, WatchedFrom { group, position }: WatchedFrom, _: &mut Self::Context) {
        if self.interest.is_watched(&group)
            && let Keeper::Shared(shared) = &mut self.keeper
        {
            shared.advance(&group, position);
        }
        self.hand_out_early();
    }
}

impl Handler<StreamWatched> for Store {
    type Result = ();

    fn handle(&mut self, StreamWatched { stream, watching, result }: StreamWatched, ctx: &mut Self::Context) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        let Some(followed) = shared.streams.get_mut(&stream).filter(|followed| followed.watching == watching) else { return };
        let waiting = followed.waiting.take();
        if let Err(error) = result {
            if waiting.is_some() {
                tracing::warn!(%stream, %error, "triggers of the stream are told nothing until it can be watched");
            }
            ctx.run_later(RETRY, move |store, ctx| {
                let Keeper::Shared(shared) = &mut store.keeper else { return };
                if shared.streams.get(&stream).is_some_and(|followed| followed.watching == watching) {
                    let watching = shared.watch_stream(stream.clone(), ctx.address());
                    shared.streams.insert(stream, Followed { watching, waiting: None });
                }
            });
        }
        self.go_on(waiting, ctx);
    }
}
