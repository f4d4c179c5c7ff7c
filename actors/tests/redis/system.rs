//! A whole system on Redis, by the handle of its program.

use std::process::Command;
use std::time::Duration;

use weir_actors::streams::{Change, Error, Streams, Watch};

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

/// Calls under way at Redis above which the store takes no more.
const TAKEN: u64 = 4_096;

#[tokio::test]
async fn calls_that_waited_for_a_stream_to_be_watched_count_once() {
    let server = Server::start(&[]);
    let signal = |name: &str| assert!(Command::new("kill").args([name, &server.pid().to_string()]).status().unwrap().success());
    let streams = Streams::builder().redis(weir_options(&server)).start().await.unwrap();
    let waiting = async |count: u64| {
        let waiting = async {
            while streams.snapshot().store_waiting != count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("{} wait", streams.snapshot().store_waiting));
    };
    let set = |stream: &str, n: u64| tokio::spawn(streams.set(stream, "g", "i", &n));
    // The stream cannot be watched yet, so that its calls wait.
    signal("-STOP");
    streams.on_change(Watch::stream("watched"), async |_: Change<u64>| Ok(())).unwrap();
    let held: Vec<_> = (0..100).map(|n| set("watched", n)).collect();
    waiting(0).await;
    signal("-CONT");
    for call in held {
        call.await.unwrap().unwrap();
    }
    signal("-STOP");
    let mut calls = Vec::new();
    for n in 0..TAKEN {
        calls.push(set("s", n));
        if n % 512 == 0 {
            waiting(0).await;
        }
    }
    waiting(0).await;
    calls.extend((0..300).map(|n| set("s", n)));
    waiting(300).await;
    signal("-CONT");
    for call in calls {
        call.await.unwrap().unwrap();
    }
    streams.shutdown().await;
}

/// Patient ones, with a Redis that is paused for a while.
fn weir_options(server: &Server) -> weir_actors::adapter::redis::RedisOptions {
    let mut options = server.options();
    options.response_timeout = Duration::from_secs(60);
    options
}
