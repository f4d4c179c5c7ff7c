//! A mixed load with faults, for a minute in `make test` and for an hour in `make soak`.
//!
//! Eight workers write, call each other and watch, a ninth writes more than those can take who do not read, and a tenth lets clients in and counts
//! who joins and leaves. Clients come, join, leave, join again and go in every way there is; one in twenty stops reading. Every 20 s a worker is gone in the middle of its calls. All that
//! anybody is shown is held against what must follow from it, and in the end nothing may be left: no subscription, no memory, no
//! line in the log that no fault explains.

mod changes;
mod client;
mod steward;
mod watch;
mod writer;

use std::env;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use serde_json::json;

use crate::server::{Server, until};
use steward::Steward;
use watch::Watch;

/// Workers that write; the others are the steward and the one that floods.
const WRITERS: usize = 8;
/// Clients that are there at a time.
const CLIENTS: usize = 2_000;
/// One client of so many does not read.
const STALLED: usize = 20;
/// How often a worker is gone in the middle of its calls.
const CRASH: Duration = Duration::from_secs(20);
/// How long it runs where nobody says.
const SECONDS: u64 = 60;

/// Streams, and groups in each of them.
const STREAMS: usize = 4;
const GROUPS: usize = 8;
/// The stream whose slow clients are closed; those of the others are resynced.
const STRICT: &str = "s3";

/// The name of a stream and of one of its groups.
fn group(n: usize) -> (String, String) {
    (format!("s{}", n % STREAMS), format!("g{}", n / STREAMS % GROUPS))
}

/// How many groups are flooded, and the names of one.
const FLOODED: usize = 2;

fn flooded(n: usize) -> (&'static str, &'static str) {
    ([STRICT, "s2"][n % FLOODED], "flooded")
}

/// What all parts of the load share.
#[derive(Default)]
struct Shared {
    ends: AtomicBool,
    /// The writer that is to be gone next, counted from 1.
    crash: AtomicUsize,
    faults: Mutex<Vec<String>>,
    counts: Counts,
}

/// What has happened, for the report.
#[derive(Default)]
struct Counts {
    writes: AtomicUsize,
    changes: AtomicUsize,
    triggered: AtomicUsize,
    clients: AtomicUsize,
    resyncs: AtomicUsize,
    evicted: AtomicUsize,
    crashes: AtomicUsize,
}

impl Shared {
    fn ends(&self) -> bool {
        self.ends.load(Ordering::Relaxed)
    }

    /// Something was seen that must not be. The first few say enough.
    fn fault(&self, fault: String) {
        let mut faults = self.faults.lock();
        if faults.len() < 20 {
            eprintln!("fault: {fault}");
            faults.push(fault);
        }
    }
}

fn count(counter: &AtomicUsize) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Makes one writer after the other be gone.
async fn crashes(shared: Arc<Shared>) {
    for victim in (1..=WRITERS).cycle() {
        tokio::time::sleep(CRASH).await;
        if shared.ends() {
            return;
        }
        shared.crash.store(victim, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a load of its own, beside which other tests would wait: make soak, and a minute of it in make test"]
async fn mixed_load_with_faults_loses_nothing_and_leaves_nothing_behind() {
    let length = env::var("WEIR_SOAK_SECONDS").map_or(SECONDS, |seconds| seconds.parse().expect("a number of seconds"));
    let length = Duration::from_secs(length);
    let server = Arc::new(Server::load(json!({
        "auth_function": "soak::auth",
        // Little to keep of what was read, so that it is full soon and memory is flat from then on.
        "adapter": {"class": "modules::stream::adapters::KvStore", "config": {"file_path": "store", "cache_bytes": 4 << 20}},
        // Little, so that clients that do not read are too slow soon, and are given up within a run of a minute.
        "outbox_bytes": 32 << 10,
        "overflow_by_stream": {STRICT: "close"},
        "ping_interval_ms": 5_000,
        "idle_timeout_ms": 15_000,
    })));
    let shared = Arc::<Shared>::default();
    let steward = Steward::start(&server, &shared).await;
    let mut tasks = Vec::new();
    for n in 0..WRITERS {
        tasks.push(tokio::spawn(writer::run(server.clone(), shared.clone(), n)));
    }
    for n in 0..CLIENTS {
        tasks.push(tokio::spawn(client::run(server.clone(), shared.clone(), n)));
    }
    tasks.push(tokio::spawn(writer::flood(server.clone(), shared.clone())));
    let faults = tokio::spawn(crashes(shared.clone()));
    let mut watch = Watch::new(&server, &shared);
    let begun = Instant::now();
    while begun.elapsed() < length && shared.faults.lock().is_empty() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        watch.look(begun.elapsed(), &steward);
    }
    shared.ends.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    faults.abort();
    // Those that were stopped are found by pings, later than anything else.
    until_within("a leave for every join", Duration::from_secs(60), || steward.nobody_is_left()).await;
    watch.report(&steward);
    watch.must_have_had_faults();
    watch.must_be_flat();
    watch.log_must_be_explained();
    let faults = std::mem::take(&mut *shared.faults.lock());
    assert!(faults.is_empty(), "{faults:#?}");
    drop((watch, steward));
    until("the end of all that holds the server", async || Arc::strong_count(&server) == 1).await;
    Arc::into_inner(server).unwrap().terminate();
}

async fn until_within(what: &str, deadline: Duration, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < deadline, "no {what} within {deadline:?}");
        tokio::time::sleep(crate::server::POLL).await;
    }
}
