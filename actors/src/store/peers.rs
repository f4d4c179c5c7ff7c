//! Overrides at other nodes: which node serves which stream, and what is asked of it.
//!
//! A worker takes over a stream at the node that it is connected to. Every node tells the others which streams that are, and has calls to
//! a stream carried out at its *home*: the node where an override was registered last. There they stand in the one lane of their group,
//! whoever made them. No actor here; see [`Store`](super::Store).

mod errands;
mod note;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::sync::oneshot;

use self::errands::Errand;
pub(super) use self::errands::Errands;
use self::note::MAX_MESSAGE_BYTES;
pub(super) use self::note::{Note, answer, state};
use super::input::Op;
use super::{TakeSnapshot, failure};
use crate::adapter::AdapterError;
use crate::adapter::redis::Mesh;
use crate::change::Snapshot;
use crate::clock;
use crate::error::Outcome;
use crate::hash::HashMap;

/// How often a node says that it is there.
pub(super) const BEAT: Duration = Duration::from_secs(2);
/// For how many [beats](crate::adapter::redis::MeshItem::Beat) of the link, which are seconds, a node may say nothing. Not by the clock: while this node has no link,
/// is paused, or has not come to what others have said, their silence says nothing of them.
const SILENCE: u32 = 10;
/// The code by which a node says that it could not reach Redis itself.
pub(super) const AWAY: &str = "away";

/// Another node.
struct Peer {
    /// Beats of the link since it was heard of.
    silent: u32,
    /// Which of its connections it speaks on, and how many changes of its streams it has told.
    link: u64,
    version: u64,
    /// The streams that it serves, and since when.
    streams: HashMap<Box<str>, u64>,
}

/// The other nodes, as this one knows them.
pub(super) struct Peers {
    mesh: Mesh,
    link: u64,
    version: u64,
    mine: HashMap<Box<str>, u64>,
    others: HashMap<Box<str>, Peer>,
    /// Streams whose home is another node.
    homes: HashMap<Box<str>, Box<str>>,
    errands: Errands,
    /// Whether this node has said its last word.
    left: bool,
    /// How many nodes have heard the first greeting, and who waits for their answers.
    greeted: Option<usize>,
    met: Option<oneshot::Sender<()>>,
}

impl Peers {
    /// Tells `met` when all nodes that are there have said what they serve.
    pub(super) fn new(mesh: Mesh, met: oneshot::Sender<()>) -> Self {
        Self {
            mesh,
            link: 0,
            version: 0,
            mine: HashMap::default(),
            others: HashMap::default(),
            homes: HashMap::default(),
            errands: Errands::default(),
            left: false,
            greeted: None,
            met: Some(met),
        }
    }

    pub(super) fn id(&self) -> &str {
        self.mesh.id()
    }

    /// The node where calls to the stream are carried out, if that is another one.
    pub(super) fn home(&self, stream: &str) -> Option<&str> {
        if self.homes.is_empty() { None } else { self.homes.get(stream).map(|home| &**home) }
    }

    /// A worker has registered an override of the stream here (`true`), or the last one is gone.
    pub(super) fn serve(&mut self, stream: &str, serves: bool) {
        if serves {
            let highest = self.others.values().filter_map(|peer| peer.streams.get(stream)).max().copied().unwrap_or(0);
            // The one that comes last counts, whatever the clocks of the nodes say.
            let since = clock::wall().max(highest + 1);
            self.mine.insert(stream.into(), since);
        } else if self.mine.remove(stream).is_none() {
            return;
        }
        self.version += 1;
        let since = self.mine.get(stream).copied();
        self.say(None, &Note::Change { from: self.id(), version: self.version, stream: stream.into(), since });
        self.settle(stream);
    }

    /// The link to the others is there: tells them who this is, and asks who they are. How many take it is for [`greeted`](Self::greeted).
    pub(super) fn joined(&mut self) -> impl Future<Output = Result<usize, AdapterError>> + use<> {
        self.link += 1;
        self.errands.fail(None);
        // Their links may have been lost with ours, and come back later.
        self.others.values_mut().for_each(|peer| peer.silent = 0);
        self.tell_all(None);
        let hello = (!self.left).then(|| self.mesh.send(None, Note::Hello { from: self.id() }.to_text()));
        async move { if let Some(hello) = hello { hello.await } else { Ok(0) } }
    }

    /// So many nodes, this one among them, have taken the greeting and answer it.
    pub(super) fn greeted(&mut self, nodes: usize) {
        self.greeted = Some(nodes);
        self.meet();
    }

    fn meet(&mut self) {
        if self.greeted.is_some_and(|nodes| self.others.len() + 1 >= nodes)
            && let Some(met) = self.met.take()
        {
            // Whoever waited has lost patience.
            let _ = met.send(());
        }
    }

    /// The link is gone, and with it whatever was on its way.
    pub(super) fn parted(&mut self) {
        self.errands.fail(None);
    }

    /// Says that this node is there.
    pub(super) fn say_alive(&self) {
        self.say(None, &Note::Alive { from: self.id(), link: self.link, version: self.version, last: false });
    }

    /// Says that this node stops, and nothing of itself any more.
    pub(super) fn leave(&mut self) -> impl Future<Output = Result<usize, AdapterError>> + use<> {
        self.left = true;
        self.mesh.send(None, Note::Alive { from: self.id(), link: self.link, version: self.version, last: true }.to_text())
    }

    /// The link is there, and what had come by it was heard: forgets the nodes that have said nothing for too long.
    pub(super) fn beat(&mut self) {
        let mut silent = Vec::new();
        for (id, peer) in &mut self.others {
            peer.silent += 1;
            if peer.silent > SILENCE {
                silent.push((id.clone(), peer.streams.len()));
            }
        }
        for (id, streams) in silent {
            if streams > 0 {
                tracing::warn!(node = %id, streams, "a node has said nothing for {SILENCE} s; its overrides do not count any more");
            } else {
                tracing::debug!(node = %id, "a node has said nothing for {SILENCE} s");
            }
            self.forget(&id);
        }
    }

    /// Takes what another node says of itself.
    pub(super) fn hear(&mut self, note: &Note<'_>) {
        // What is said to all comes to whoever says it as well.
        if note.about().is_some_and(|from| from == self.id()) {
            return;
        }
        match note {
            Note::Hello { from } => self.tell_all(Some(from)),
            Note::Serves { from, link, version, streams } => {
                let streams: HashMap<Box<str>, u64> = streams.iter().map(|(stream, since)| (Box::from(&**stream), *since)).collect();
                if self.others.get(&**from).is_some_and(|peer| peer.link != *link) {
                    self.errands.fail(Some(from));
                }
                let now: Vec<Box<str>> = streams.keys().cloned().collect();
                let peer = Peer { silent: 0, link: *link, version: *version, streams };
                let before = self.others.insert((&**from).into(), peer).map(|peer| peer.streams).unwrap_or_default();
                for stream in before.into_keys().chain(now) {
                    self.settle(&stream);
                }
                self.meet();
            }
            Note::Change { from, version, stream, since } => match self.others.get_mut(&**from) {
                Some(peer) if peer.version + 1 == *version => {
                    peer.silent = 0;
                    peer.version = *version;
                    match since {
                        Some(since) => drop(peer.streams.insert((&**stream).into(), *since)),
                        None => drop(peer.streams.remove(&**stream)),
                    }
                    self.settle(stream);
                }
                Some(peer) if peer.version >= *version => {}
                _ => self.ask(from),
            },
            Note::Alive { from, last: true, .. } => {
                tracing::debug!(node = from, "a node stops");
                self.forget(from);
            }
            Note::Alive { from, link, version, .. } => match self.others.get_mut(&**from) {
                Some(peer) if (peer.link, peer.version) == (*link, *version) => peer.silent = 0,
                _ => self.ask(from),
            },
            // Others see to these.
            Note::Call { .. } | Note::Take { .. } | Note::Answer { .. } | Note::State { .. } => {}
        }
    }

    /// Has a call carried out at its stream's home.
    pub(super) fn call(&self, home: &str, op: &Op) -> impl Future<Output = Outcome> + use<> {
        let (function, code, data) = (op.function(), op.error_code(), op.to_input());
        let (sender, receiver) = oneshot::channel();
        let sent = self.errands.enter(home, data.as_bytes().len(), Errand::Call(sender, code)).map(|n| {
            let call = Note::Call { from: self.id(), n, function: function.into(), data: data.as_raw() };
            self.send(home, n, call.to_text())
        });
        async move {
            sent.ok_or_else(too_many).map_err(|error| failure(code, &error))?.await.map_err(|error| failure(code, &error))?;
            receiver.await.unwrap_or_else(|_lost| Err(failure(code, &unknown("the other node"))))
        }
    }

    /// Has the state of a group read at its stream's home.
    pub(super) fn take(&self, home: &str, request: &TakeSnapshot) -> impl Future<Output = Result<Snapshot, AdapterError>> + use<> {
        let (sender, receiver) = oneshot::channel();
        let (stream, group) = (request.group.stream().into(), request.group.group().into());
        let items = request.items.iter().map(|item| item.as_str().into()).collect();
        let sent = self.errands.enter(home, 0, Errand::Take(sender)).map(|n| {
            let take = Note::Take { from: self.id(), n, stream, group, whole: request.whole, items };
            self.send(home, n, take.to_text())
        });
        async move {
            sent.ok_or_else(too_many)?.await?;
            receiver.await.unwrap_or_else(|_lost| Err(gone("the other node")))
        }
    }

    fn send(&self, home: &str, n: u64, text: Vec<u8>) -> impl Future<Output = Result<(), AdapterError>> + use<> {
        let too_large = (text.len() > MAX_MESSAGE_BYTES).then(|| {
            let text = format!("the call has {} bytes; between nodes no more than {MAX_MESSAGE_BYTES} can be passed on", text.len());
            AdapterError::Failed(text)
        });
        let sent = too_large.is_none().then(|| self.mesh.send(Some(home), text));
        let (errands, home) = (self.errands.clone(), home.to_owned());
        async move {
            let sent = match sent {
                Some(sent) => sent.await,
                None => too_large.map_or(Ok(0), Err),
            };
            if matches!(sent, Ok(1..)) {
                return Ok(());
            }
            errands.withdraw(n);
            sent?;
            // It stays the home until it has been silent for too long: this may be a link that breaks for a moment, and whoever
            // carries the call out elsewhere passes by a worker that is there.
            Err(gone(&home))
        }
    }

    /// Where answers of other nodes are brought to.
    pub(super) fn errands(&self) -> Errands {
        self.errands.clone()
    }

    /// What is sent back to a node that has asked.
    pub(super) fn mesh(&self) -> Mesh {
        self.mesh.clone()
    }

    fn forget(&mut self, id: &str) {
        self.errands.fail(Some(id));
        for stream in self.others.remove(id).into_iter().flat_map(|peer| peer.streams.into_keys()) {
            self.settle(&stream);
        }
    }

    /// Finds the home of a stream anew.
    fn settle(&mut self, stream: &str) {
        let mine = self.mine.get(stream).map(|since| (*since, self.id()));
        let others = self.others.iter().filter_map(|(id, peer)| Some((*peer.streams.get(stream)?, &**id)));
        match others.chain(mine).max() {
            Some((_, home)) if home != self.id() => {
                let home = home.into();
                self.homes.insert(stream.into(), home);
            }
            _ => drop(self.homes.remove(stream)),
        }
    }

    fn tell_all(&self, to: Option<&str>) {
        let streams = self.mine.iter().map(|(stream, since)| (stream.as_ref().into(), *since)).collect();
        self.say(to, &Note::Serves { from: self.id(), link: self.link, version: self.version, streams });
    }

    fn ask(&self, id: &str) {
        self.say(Some(id), &Note::Hello { from: self.id() });
    }

    /// Says something that is said again if it gets lost.
    fn say(&self, to: Option<&str>, note: &Note<'_>) {
        if !self.left {
            drop(self.mesh.send(to, note.to_text()));
        }
    }
}

fn too_many() -> AdapterError {
    AdapterError::Overloaded("too many calls, or bytes of them, are under way at other nodes; call again later".into())
}

fn unknown(home: &str) -> AdapterError {
    AdapterError::Unknown(format!(
        "{home} ended, or the link to it broke, before it answered; the call may or may not have been carried out"
    ))
}

fn gone(home: &str) -> AdapterError {
    AdapterError::Away(format!("node {home}, where a worker serves this stream, is not there; nothing was done, call again"))
}
