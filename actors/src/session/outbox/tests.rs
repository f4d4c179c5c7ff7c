use super::*;
use crate::metrics::peer::Peer;
use crate::session::body::Body;
use actix::{Actor, Handler};
use futures_util::StreamExt;

/// A session that does nothing.
struct Nobody;

impl Actor for Nobody {
    type Context = actix::Context<Self>;
}

impl Handler<Shut> for Nobody {
    type Result = ();

    fn handle(&mut self, _: Shut, _: &mut Self::Context) {}
}

fn outbox() -> OutboxRef {
    let counted = Counted::new(std::sync::Arc::default(), Peer::Subscriber);
    OutboxRef::new(SocketId::NONE, 10, Nobody.start().recipient(), None, &counted)
}

#[actix_rt::test]
async fn nothing_follows_a_close_frame() {
    let outbox = outbox();
    assert!(outbox.push(&Bytes::from_static(b"a change")));
    outbox.push_last(Bytes::from_static(b"close"));
    // As if there were room, or somebody would wait for it.
    assert!(outbox.push(&Bytes::from_static(b"a later change")));
    outbox.push_with(&Bytes::from_static(b"a second sync"));
    outbox.push_always(Bytes::from_static(b"an answer"));
    outbox.push_last(Bytes::from_static(b"close again"));
    assert_eq!(outbox.queued_bytes(), 13);
    outbox.end();
    let sent: Vec<_> = Body::new(outbox, None).map(Result::unwrap_or_default).collect().await;
    assert_eq!(sent, ["a change", "close"]);
}

#[actix_rt::test]
async fn what_is_taken_at_once_is_no_sign_of_a_reader() {
    let outbox = outbox();
    let mut body = Body::new(outbox.clone(), None);
    for _ in 0..3 {
        for _ in 0..3 {
            outbox.push_always(Bytes::from_static(b"a change"));
        }
        for _ in 0..3 {
            body.next().await;
        }
        assert!(!outbox.took_what_waited());
    }
    outbox.push_always(Bytes::from_static(b"a change"));
    outbox.push_always(Bytes::from_static(b"a change"));
    assert!(!outbox.took_what_waited());
    assert!(!outbox.took_what_waited(), "it waits");
    body.next().await;
    assert!(outbox.took_what_waited());
    assert!(!outbox.took_what_waited(), "the other one waits");
    body.next().await;
    assert!(outbox.took_what_waited());
    assert!(!outbox.took_what_waited());
}
