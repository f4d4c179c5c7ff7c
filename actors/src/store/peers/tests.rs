#![allow(clippy::panic, clippy::unwrap_used)]
use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::adapter::redis::Out;

const STREAM: &str = "s";

/// This node, what it sends, and when it has met the others.
struct Node {
    peers: Peers,
    sent: UnboundedReceiver<Out>,
    met: oneshot::Receiver<()>,
}

fn node() -> Node {
    let ((mesh, sent), (met, known)) = (Mesh::alone("me"), oneshot::channel());
    let mut peers = Peers::new(mesh, met);
    drop(peers.joined());
    Node { peers, sent, met: known }
}

/// What a node says that serves the stream.
fn serves(from: &str) -> Note<'_> {
    Note::Serves { from, link: 1, version: 1, streams: vec![(STREAM.into(), 5)] }
}

fn alive(from: &str) -> Note<'_> {
    Note::Alive { from, link: 1, version: 1, last: false }
}

impl Node {
    fn beats(&mut self, count: u32) {
        (0..count).for_each(|_| self.peers.beat());
    }

    fn call(&self) -> impl Future<Output = Outcome> + use<> {
        self.peers.call("other", &Op::ListGroups { stream: STREAM.into() })
    }

    /// Has what was sent last taken by so many nodes.
    fn taken_by(&mut self, nodes: usize) {
        let mut last = None;
        while let Ok(out) = self.sent.try_recv() {
            last = Some(out);
        }
        last.unwrap().done.send(Ok(nodes)).unwrap();
    }
}

#[test]
fn what_a_node_says_itself_makes_no_peer_of_it() {
    let mut node = node();
    node.peers.greeted(2);
    node.peers.hear(&serves("me"));
    assert!(node.met.try_recv().is_err(), "it has met only itself");
    node.peers.hear(&serves("other"));
    assert_eq!(node.met.try_recv(), Ok(()));
    assert_eq!(node.peers.home(STREAM), Some("other"));
}

#[test]
fn node_is_forgotten_once_it_has_been_silent_for_too_many_beats() {
    let mut node = node();
    node.peers.hear(&serves("other"));
    node.beats(SILENCE);
    node.peers.hear(&alive("other"));
    node.beats(SILENCE);
    assert_eq!(node.peers.home(STREAM), Some("other"));
    node.beats(1);
    assert_eq!(node.peers.home(STREAM), None);
}

#[test]
fn silence_begins_anew_with_the_own_link() {
    let mut node = node();
    node.peers.hear(&serves("other"));
    node.beats(SILENCE);
    node.peers.parted();
    drop(node.peers.joined());
    node.beats(SILENCE);
    assert_eq!(node.peers.home(STREAM), Some("other"));
}

#[tokio::test]
async fn call_that_its_home_does_not_take_fails_and_nobody_else_becomes_the_home() {
    let mut node = node();
    node.peers.hear(&serves("other"));
    let call = node.call();
    node.taken_by(0);
    let error = call.await.unwrap_err();
    assert!(error.message.contains("nothing was done"), "{error}");
    assert_eq!(node.peers.home(STREAM), Some("other"));
}

#[tokio::test]
async fn node_that_says_its_last_word_is_forgotten_at_once_with_what_was_asked_of_it() {
    let mut node = node();
    node.peers.hear(&serves("other"));
    let call = node.call();
    node.taken_by(1);
    node.peers.hear(&Note::Alive { from: "other", link: 1, version: 1, last: true });
    assert!(call.await.unwrap_err().message.contains("may or may not"));
    assert_eq!(node.peers.home(STREAM), None);
}

#[test]
fn node_that_has_left_says_nothing_of_itself() {
    let mut node = node();
    drop(node.peers.leave());
    while node.sent.try_recv().is_ok() {}
    node.peers.say_alive();
    node.peers.hear(&Note::Hello { from: "other" });
    drop(node.peers.joined());
    assert!(node.sent.try_recv().is_err());
}
