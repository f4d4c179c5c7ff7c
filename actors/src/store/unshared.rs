//! What stands in for [`shared`](super) where the crate is built without Redis: nothing.

use actix::{Addr, Context};

use super::input::Function;
use super::ledger::Body;
use super::{Store, Submit, TakeSnapshot};
use crate::adapter::AdapterError;
use crate::change::Snapshot;
use crate::error::Output;
use crate::functions::ReplyTo;
use crate::ids::{GroupKey, ItemKey, SocketId};
use crate::json::Json;

/// There is none.
pub(super) enum Shared {}

impl Shared {
    pub(super) fn call(&mut self, _: Submit) {
        match *self {}
    }

    pub(super) fn touch(&mut self, _: SocketId, _: &ItemKey, _: &Body, _: Output, _: Function, _: ReplyTo) {
        match *self {}
    }

    pub(super) fn get(&self, _: SocketId, _: &ItemKey) -> std::future::Pending<Result<Option<Json>, AdapterError>> {
        match *self {}
    }

    pub(super) fn snapshot(&self, _: &TakeSnapshot, _: Addr<Store>) -> std::future::Pending<Result<Snapshot, AdapterError>> {
        match *self {}
    }

    pub(super) fn make_room(&self, _: &mut Context<Store>) {
        match *self {}
    }
}

impl Store {
    pub(super) fn begin(&mut self, _: &mut Context<Self>) {}

    pub(super) fn hold(&mut self, submit: Submit) -> Option<Submit> {
        Some(submit)
    }

    pub(super) fn forward(&self, submit: Submit) -> Option<Submit> {
        Some(submit)
    }

    pub(super) fn home(&self, _: &str) -> Option<&str> {
        None
    }

    pub(super) fn leave_peers(&mut self) -> std::future::Ready<()> {
        std::future::ready(())
    }

    pub(super) fn tell_peers(&mut self, _: &str, _: bool) {}

    pub(super) fn send_abroad<T>(&mut self, _: &TakeSnapshot, result: T) -> Option<T> {
        Some(result)
    }

    pub(super) fn in_turn(
        &mut self,
        request: TakeSnapshot,
        snapshot: Result<Snapshot, AdapterError>,
        _: &mut Context<Self>,
    ) -> Option<(TakeSnapshot, Result<Snapshot, AdapterError>)> {
        Some((request, snapshot))
    }

    pub(super) fn leave(&mut self, _: &GroupKey) {}

    pub(super) fn follow(&mut self, _: &str, _: &mut Context<Self>) {}
}
