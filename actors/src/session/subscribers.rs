//! All subscribers of one arbiter, for messages that concern them all.
//!
//! - *Owns* nothing; it shares the arbiter's tables.
//! - *Receives* [`Disconnect`] from whoever calls `stream::disconnect`.
//! - *Sends* it on to each session of its thread.
//! - *Bounded by* the calls under way at the workers.

use std::rc::Rc;

use actix::{Actor, Context, Handler};

use crate::functions::disconnect::Disconnect;
use crate::group::local::Local;

/// See the [module](self).
pub struct Subscribers(Rc<Local>);

impl Subscribers {
    /// Those of this arbiter.
    #[must_use]
    pub fn new(local: Rc<Local>) -> Self {
        Self(local)
    }
}

impl Actor for Subscribers {
    type Context = Context<Self>;
}

impl Handler<Disconnect> for Subscribers {
    type Result = ();

    fn handle(&mut self, disconnect: Disconnect, _: &mut Self::Context) {
        self.0.ask_all(&disconnect);
    }
}
