//! The store among those of other nodes: calls and snapshots that are carried out elsewhere, or here for others (see [`peers`](super::peers)).

use std::sync::Arc;

use actix::{AsyncContext, Context, Handler, Message};
use tokio::sync::oneshot;

use super::input::{self, Op};
use super::interest::LinkId;
use super::lanes::Share;
use super::overridden::Call;
use super::peers::{self, BEAT, Errands, Note};
use super::{Keeper, Store, Submit, TakeSnapshot, failure};
use crate::adapter::AdapterError;
use crate::adapter::redis::{MeshFeed, MeshItem};
use crate::change::Snapshot;
use crate::error::CallError;
use crate::functions::stopped;
use crate::guardian::Sentinel;
use crate::ids::{GroupKey, SocketId};

/// Stands for a group actor of another node; group actors are numbered from 1.
pub(super) const ABROAD: LinkId = 0;

/// Something came from another node, or happened to the link.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct FromMesh(MeshItem);

/// So many nodes have taken the greeting.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub(super) struct Greeted(usize);

impl Store {
    /// Listens to the other nodes from now on; `sentinel` is for whoever does.
    pub(super) fn meet(&mut self, mut feed: MeshFeed, errands: Errands, sentinel: Sentinel, ctx: &mut Context<Self>) {
        let store = ctx.address();
        actix::spawn(async move {
            let _sentinel = sentinel;
            while let Some(item) = feed.recv().await {
                if let MeshItem::Message(text) = &item
                    && let Some(note) = Note::parse(text)
                    && errands.bring(note)
                {
                    continue;
                }
                // Until it is taken, the others wait where their number has a bound.
                if store.send(FromMesh(item)).await.is_err() {
                    return;
                }
            }
        });
        ctx.run_interval(BEAT, |store, _| {
            if let Keeper::Shared(shared) = &store.keeper {
                shared.peers.say_alive();
            }
        });
    }

    /// The node where calls to the stream are carried out, if that is another one.
    pub(super) fn home(&self, stream: &str) -> Option<&str> {
        match &self.keeper {
            Keeper::Shared(shared) => shared.peers.home(stream),
            Keeper::Own(_) => None,
        }
    }

    /// The call, if it is carried out here.
    pub(super) fn forward(&self, submit: Submit) -> Option<Submit> {
        let Keeper::Shared(shared) = &self.keeper else { return Some(submit) };
        let home = match &submit.op {
            // It asks about all streams, and no worker takes it over.
            Op::ListAll => None,
            op => shared.peers.home(op.stream()).map(str::to_owned),
        };
        let Some(home) = home else { return Some(submit) };
        shared.send_to(&home, submit);
        None
    }

    /// Tells the other nodes that this one stops.
    pub(super) fn leave_peers(&mut self) -> impl Future<Output = ()> + use<> {
        let left = match &mut self.keeper {
            Keeper::Shared(shared) => Some(shared.peers.leave()),
            Keeper::Own(_) => None,
        };
        async move {
            if let Some(left) = left {
                // Where it is not heard, the silence tells.
                drop(left.await);
            }
        }
    }

    /// An override of the stream is registered here, or the last one is gone.
    pub(super) fn tell_peers(&mut self, stream: &str, serves: bool) {
        if let Keeper::Shared(shared) = &mut self.keeper {
            shared.peers.serve(stream, serves);
        }
    }

    /// The snapshot, if it is for a group of this node.
    pub(super) fn send_abroad(
        &mut self,
        request: &TakeSnapshot,
        result: Result<Arc<Snapshot>, CallError>,
    ) -> Option<Result<Arc<Snapshot>, CallError>> {
        let Keeper::Shared(shared) = &mut self.keeper else { return Some(result) };
        if request.link != ABROAD {
            return Some(result);
        }
        if let Some((node, n)) = shared.guests.remove(&request.request) {
            let state = peers::state(n, &result.map(Arc::unwrap_or_clone));
            drop(shared.peers.mesh().send(Some(&node), state));
        }
        None
    }

    /// Carries out a call of another node.
    fn call_for(&mut self, node: &str, n: u64, function: &str, data: &[u8], ctx: &mut Context<Self>) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        let (mesh, node) = (shared.peers.mesh(), node.to_owned());
        let op = match input::parse(function, data, &self.registry.settings) {
            Some(Ok(op)) => op,
            refused => {
                let error = refused.and_then(Result::err).unwrap_or_else(|| CallError::function_not_found(function));
                return drop(mesh.send(Some(&node), peers::answer(n, Err(error))));
            }
        };
        if self.closed {
            let error = failure(op.error_code(), &AdapterError::Away("the node stops; nothing was done, call again".into()));
            return drop(mesh.send(Some(&node), peers::answer(n, Err(error))));
        }
        let ((sender, receiver), function) = (oneshot::channel(), op.function());
        self.carry_out(Submit { op, by: SocketId::NONE, reply: self.registry.awaited(sender) }, ctx);
        actix::spawn(async move {
            let outcome = receiver.await.unwrap_or_else(|_gone| Err(stopped(function)));
            drop(mesh.send(Some(&node), peers::answer(n, outcome)));
        });
    }

    /// Reads the state of a group for another node.
    fn take_for(&mut self, node: &str, n: u64, mut request: TakeSnapshot, ctx: &mut Context<Self>) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        shared.requests += 1;
        request.request = shared.requests;
        shared.guests.insert(request.request, (node.into(), n));
        if self.has_lane(&request.group) {
            let group = request.group.clone();
            return self.enqueue(&group, Share::Exclusive, Call::Snapshot(request), ctx);
        }
        self.take_snapshot(request, ctx);
    }
}

impl Handler<FromMesh> for Store {
    type Result = ();

    fn handle(&mut self, FromMesh(item): FromMesh, ctx: &mut Self::Context) {
        let Keeper::Shared(shared) = &mut self.keeper else { return };
        let text = match item {
            MeshItem::Joined => {
                let (greeted, store) = (shared.peers.joined(), ctx.address());
                actix::spawn(async move {
                    if let Ok(nodes) = greeted.await {
                        store.do_send(Greeted(nodes));
                    }
                });
                return;
            }
            MeshItem::Parted => return shared.peers.parted(),
            MeshItem::Beat => return shared.peers.beat(),
            MeshItem::Message(text) => text,
        };
        let Some(note) = Note::parse(&text) else {
            tracing::warn!(bytes = text.len(), "a message between nodes is none of ours; do all nodes run the same version?");
            return;
        };
        match note {
            Note::Call { from, n, function, data } => self.call_for(from, n, &function, data.get().as_bytes(), ctx),
            Note::Take { from, n, stream, group, whole, items } => {
                let items = items.iter().map(|item| (&**item).into()).collect();
                let group = GroupKey::new(&stream, &group);
                let request = TakeSnapshot { group, link: ABROAD, request: 0, whole, items, urgent: false };
                self.take_for(from, n, request, ctx);
            }
            about => shared.peers.hear(&about),
        }
    }
}

impl Handler<Greeted> for Store {
    type Result = ();

    fn handle(&mut self, Greeted(nodes): Greeted, _: &mut Self::Context) {
        if let Keeper::Shared(shared) = &mut self.keeper {
            shared.peers.greeted(nodes);
        }
    }
}
