//! The end of a system on Redis.

use weir_actors::streams::{Error, Streams};

use crate::server::{DEADLINE, Server};

/// Tasks that write, and calls that each has under way.
const WRITERS: usize = 8;
const UNDER_WAY: usize = 32;

/// Writes until the system has ended; how many writes were answered.
async fn write(streams: Streams, writer: usize) -> usize {
    let mut answered = 0;
    for round in 0.. {
        let calls = (0..UNDER_WAY).map(|n| streams.set("s", "g", &format!("{writer} {round} {n}"), &n));
        let (done, failed): (Vec<_>, Vec<_>) = futures_util::future::join_all(calls).await.into_iter().partition(Result::is_ok);
        answered += done.len();
        for error in failed.into_iter().filter_map(Result::err) {
            assert!(matches!(error, Error::Closed), "{error}");
        }
        if done.len() < UNDER_WAY {
            break;
        }
    }
    answered
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_under_way_at_the_end_are_answered_or_not_stored() {
    let server = Server::start(&[]);
    let streams = Streams::builder().redis(server.options()).start().await.unwrap();
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(streams.clone(), writer))).collect();
    let count = || redis::cmd("HLEN").arg("stream:s:g").query::<usize>(&mut server.admin()).unwrap();
    let busy = async {
        while count() < 1_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, busy).await.unwrap();
    tokio::time::timeout(DEADLINE, streams.shutdown()).await.unwrap();
    let mut answered = 0;
    for writer in writers {
        answered += tokio::time::timeout(DEADLINE, writer).await.unwrap().unwrap();
    }
    assert_eq!(count(), answered);
}
