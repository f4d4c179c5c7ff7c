//! A store that does not commit, tried by the clock: while it says that it is not ready, nobody may be sent here who would write, so that
//! no commit would show that it goes on.

use std::time::Duration;

use actix::{AsyncContext, Context};

use super::{Keeper, Store};

/// How often it is tried.
const PROBE: Duration = Duration::from_secs(2);

impl Store {
    /// Tells whether the last commit failed, and sees to it that a store is tried which does not commit.
    pub(super) fn tell_health(&mut self, ctx: &mut Context<Self>) {
        let Keeper::Own(own) = &self.keeper else { return };
        let fails = own.is_failing();
        self.registry.health.set_store_fails(fails);
        if fails && !std::mem::replace(&mut self.probe_due, true) {
            ctx.run_later(PROBE, |store, ctx| {
                store.probe_due = false;
                if let Keeper::Own(own) = &mut store.keeper {
                    own.probe();
                }
                store.tell_health(ctx);
            });
        }
    }
}
