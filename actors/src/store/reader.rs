//! Long reads, carried out beside the store, so that no call waits behind a big listing.
//!
//! - *Owns* nothing; a read brings all it needs.
//! - *Receives* [`CarryOut`] from the store.
//! - *Sends* what the read says it sends, to whoever waits for it.
//! - *Bounded by* [`PENDING`] reads that wait or are under way, counted by [`Readers`].
//!
//! A `SyncArbiter` has an unbounded queue and sees one message at a time (actix 0.13): right for reads side by side, and bounded here.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Actor, Addr, Handler, Message, SyncArbiter, SyncContext};

use crate::adapter::{AdapterError, Deferred};

/// Threads that read. Two, so that one huge group does not hold up all others.
const THREADS: usize = 2;
/// Reads that wait or are under way.
const PENDING: usize = 1_024;

/// See the [module](self).
struct Reader;

impl Actor for Reader {
    type Context = SyncContext<Self>;
}

/// Carry out this read.
#[derive(Message)]
#[rtype(result = "()")]
struct CarryOut(Box<dyn FnOnce() + Send>);

impl Handler<CarryOut> for Reader {
    type Result = ();

    fn handle(&mut self, CarryOut(read): CarryOut, _: &mut Self::Context) {
        read();
    }
}

/// The readers of one store. Their threads start with the first long read.
#[derive(Default)]
pub(super) struct Readers {
    addr: Option<Addr<Reader>>,
    pending: Arc<AtomicUsize>,
}

/// One read that waits or is under way.
struct Pending(Arc<AtomicUsize>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Readers {
    /// Has `read` carried out and passes the result to `then`, on a thread of the readers; `overloaded` at once where too many wait.
    pub(super) fn carry_out<T: 'static>(&mut self, read: Deferred<T>, then: impl FnOnce(Result<T, AdapterError>) + Send + 'static) {
        if self.pending.fetch_add(1, Ordering::Relaxed) >= PENDING {
            self.pending.fetch_sub(1, Ordering::Relaxed);
            return then(Err(AdapterError::Overloaded(format!("{PENDING} long reads wait already; call again later"))));
        }
        let pending = Pending(self.pending.clone());
        let reader = self.addr.get_or_insert_with(|| SyncArbiter::start(THREADS, || Reader));
        reader.do_send(CarryOut(Box::new(move || {
            // A panic would take the thread along, and leave whoever waits without an answer. What is read is the read's own, so nothing is left half done.
            let result = catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
                tracing::error!("an adapter has panicked while it read; that read fails");
                Err(AdapterError::Failed("the adapter has panicked while it read; the log says where".into()))
            });
            drop(pending);
            then(result);
        })));
    }
}
