//! What is stored after a crash, held against what writers and subscribers know.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use weir_actors::adapter::file::{FileOptions, FileStore, Fsync};
use weir_actors::adapter::{Adapter, Head};
use weir_actors::ids::GroupKey;

use crate::disk;
use crate::load::{COUNTER, GROUPS, Item, Known, Load, Mix, Op, STREAM, Seen, WRITERS, Written, data, group_name, item};
use crate::server::Server;

/// A store, read in full.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    epoch: u64,
    groups: Vec<Group>,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Group {
    head: Head,
    /// In the order of the listing.
    items: Vec<Item>,
    counter: u64,
}

/// One store through many crashes.
pub(crate) struct History {
    /// What was there after the last one.
    stored: Option<Stored>,
    /// How the server syncs, and whoever opens the store after it must know.
    fsync: Fsync,
    /// Chooses when to crash, and what a power loss leaves.
    pub(crate) rng: StdRng,
}

/// How much must be there of what was acknowledged since the crash before.
#[derive(Debug, Clone)]
pub(crate) enum Due {
    Everything,
    /// So many changes of each writer.
    AtLeast(Vec<usize>),
}

impl History {
    /// A store that is yet to be made. `WEIR_SEED` brings back the choices of a run that has failed.
    pub(crate) fn new(fsync: Fsync) -> Self {
        let seed = std::env::var("WEIR_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
        eprintln!("WEIR_SEED={seed}");
        Self { stored: None, fsync, rng: StdRng::seed_from_u64(seed) }
    }

    /// Starts a server on the folder `store`.
    ///
    /// # Errors
    /// The log, where it does not start.
    pub(crate) fn server(&self, store: &Path, environment: &[(&str, OsString)]) -> Result<Server, String> {
        let fsync = match self.fsync {
            Fsync::Always => json!("always"),
            Fsync::Every(period) => json!({"every_ms": period.as_millis()}),
            Fsync::Never => json!("never"),
        };
        Server::on(store, &json!({"fsync": fsync}), environment)
    }

    /// Has writers begin where the last crash has left them.
    pub(crate) async fn load(&self, server: &Server, mix: Mix) -> Load {
        let items = self.stored.as_ref().map_or_else(|| vec![BTreeSet::new(); WRITERS], Stored::by_writer);
        Load::start(server, items, mix).await
    }

    /// Waits for the moment to crash: any, once something was acknowledged.
    pub(crate) async fn moment(&mut self, load: &Load) {
        load.acknowledged(1).await;
        // Not in want of a condition: the moment is to be any.
        tokio::time::sleep(Duration::from_millis(self.rng.random_range(20..400))).await;
    }

    /// Checks what is in the folder `store` against what was there before and what is known of the time since. Returns how many
    /// acknowledged changes are lost, which is none where everything is [`Due`].
    pub(crate) fn check(&mut self, store: &Path, known: &Known, due: &Due) -> usize {
        let (now, lost) = self.checked(store, known, due);
        self.stored = Some(now);
        lost
    }

    /// The same for one of several outcomes of the same crash.
    pub(crate) fn check_only(&self, store: &Path, known: &Known, due: &Due) {
        self.checked(store, known, due);
    }

    fn checked(&self, store: &Path, (written, seen): &Known, due: &Due) -> (Stored, usize) {
        let now = Stored::read(store, self.fsync);
        let lost = check(self.stored.as_ref(), &now, written, due);
        check_seen(self.stored.as_ref(), &now, seen, due);
        let acked: usize = written.iter().map(|written| written.acked).sum();
        eprintln!("{} items, {acked} changes acknowledged since, {lost} of them lost", now.items());
        (now, lost)
    }
}

impl Stored {
    /// Opens a copy of the store at `folder`: the next server must find it as the crash left it, and see to it itself.
    pub(crate) fn read(folder: &Path, fsync: Fsync) -> Self {
        let copy = TempDir::with_prefix("weir-copy-").unwrap();
        disk::copy(folder, copy.path());
        let mut store = FileStore::open(copy.path(), FileOptions { fsync, ..FileOptions::default() }).unwrap();
        let groups = (0..GROUPS).map(|group| Group::read(&mut store, &GroupKey::new(STREAM, &group_name(group)))).collect();
        let verified = store.handle().verify().unwrap();
        assert!(verified.is_whole(), "{verified:?}");
        Self { epoch: store.epoch(), groups }
    }

    /// The items of each writer.
    fn by_writer(&self) -> Vec<BTreeSet<u64>> {
        let mut writers = vec![BTreeSet::new(); WRITERS];
        for (writer, n) in self.groups.iter().flat_map(|group| &group.items) {
            assert!(writers[*writer].insert(*n));
        }
        writers
    }

    /// How many items there are.
    fn items(&self) -> usize {
        self.groups.iter().map(|group| group.items.len()).sum()
    }
}

impl Group {
    fn read(store: &mut FileStore, key: &GroupKey) -> Self {
        let mut group = Self { head: store.head(key).unwrap().unwrap_or_else(|| store.floor()), ..Self::default() };
        for (name, json) in store.list(key).unwrap().wait().unwrap() {
            let value: Value = json.parse().unwrap();
            if name.as_str() == COUNTER {
                group.counter = value["n"].as_u64().unwrap();
                continue;
            }
            let item = item(name.as_str()).unwrap();
            assert_eq!(value, data(item));
            group.items.push(item);
        }
        group
    }
}

/// Checks that `now` is `before` and a first part of what was `written` since; the part has what is [`Due`]. Returns how many acknowledged
/// changes are lost.
fn check(before: Option<&Stored>, now: &Stored, written: &[Written], due: &Due) -> usize {
    let empty = Stored { epoch: now.epoch, groups: (0..GROUPS).map(|_| Group::default()).collect() };
    let before = before.unwrap_or(&empty);
    assert_eq!(before.epoch, now.epoch, "the epoch has changed");
    let (had, has) = (before.by_writer(), now.by_writer());
    // Of each writer's changes, how many are there.
    let survived: Vec<RangeInclusive<usize>> = (0..WRITERS)
        .map(|writer| {
            let Written { ops, acked, .. } = &written[writer];
            let found = survived(&had[writer], &has[writer], ops).unwrap_or_else(|| {
                panic!("of writer {writer} is stored what is no first part of {ops:?}, {acked} acknowledged: {:?}", has[writer])
            });
            let least = match due {
                Due::Everything => *acked,
                Due::AtLeast(least) => least[writer],
            };
            assert!(
                *found.end() >= least,
                "writer {writer} has {} of {} changes, {acked} acknowledged, {least} due",
                found.end(),
                ops.len()
            );
            *found.start().max(&least)..=*found.end()
        })
        .collect();
    for (index, (before, now)) in before.groups.iter().zip(&now.groups).enumerate() {
        let writers = || (index..WRITERS).step_by(GROUPS);
        before.precedes(now, &format!("group {index}"));
        // How often the counter was counted up is known by its value, so how many changes there were is known too.
        let counts = |end: fn(&RangeInclusive<usize>) -> &usize| -> u64 {
            writers()
                .map(|writer| written[writer].ops[..*end(&survived[writer])].iter().filter(|op| **op == Op::Count).count() as u64)
                .sum()
        };
        let (least, most) = (counts(RangeInclusive::start), counts(RangeInclusive::end));
        let counted = now.counter.checked_sub(before.counter).expect("the counter went back");
        assert!((least..=most).contains(&counted), "group {index} was counted up {counted} times, {least} to {most} are there");
        if matches!(due, Due::Everything) {
            assert!(writers().all(|writer| now.counter >= written[writer].counted), "group {index}: an acknowledged count is lost");
        }
        let changes = writers().map(|writer| *survived[writer].start() as u64).sum::<u64>() + counted - least;
        assert_eq!(now.head.seq - before.head.seq, changes, "group {index}: `seq` does not count its changes");
    }
    written.iter().zip(&survived).map(|(written, survived)| written.acked.saturating_sub(*survived.end())).sum()
}

/// How many of `ops` turn `had` into `has`: a range, since counting leaves no trace among the items. `None` where no first part does.
fn survived(had: &BTreeSet<u64>, has: &BTreeSet<u64>, ops: &[Op]) -> Option<RangeInclusive<usize>> {
    let mut differences = had.symmetric_difference(has).count();
    let mut range = (differences == 0).then_some(0..=0);
    for (index, op) in ops.iter().enumerate() {
        match op {
            Op::Create(n) if has.contains(n) => differences -= 1,
            Op::Delete(n) if !has.contains(n) => differences -= 1,
            Op::Create(_) | Op::Delete(_) => differences += 1,
            Op::Count => {}
        }
        if differences == 0 {
            let start = range.map_or(index + 1, |range| *range.start());
            range = Some(start..=index + 1);
        }
    }
    range
}

impl Group {
    fn precedes(&self, now: &Self, which: &str) {
        assert!(now.head.seq >= self.head.seq, "{which}: `seq` went back from {} to {}", self.head.seq, now.head.seq);
        assert!(now.head.timestamp >= self.head.timestamp, "{which}: the clock went back");
        let (old, present): (BTreeSet<_>, BTreeSet<_>) = (self.items.iter().collect(), now.items.iter().collect());
        let still: Vec<_> = self.items.iter().filter(|item| present.contains(item)).collect();
        assert!(now.items.iter().take(still.len()).eq(still.iter().copied()), "{which}: old items have changed places");
        let new = &now.items[still.len()..];
        assert!(new.iter().all(|item| !old.contains(item)));
        for writer in 0..WRITERS {
            let own = new.iter().filter(|item| item.0 == writer);
            assert!(own.is_sorted(), "{which}: writer {writer} is out of order");
        }
    }
}

/// Checks that what the subscribers saw is what is stored, where that is all, and has the same beginning where it is not.
fn check_seen(before: Option<&Stored>, now: &Stored, seen: &[Vec<Seen>], due: &Due) {
    for (index, (seen, now)) in seen.iter().zip(&now.groups).enumerate() {
        let before = before.map(|before| &before.groups[index]);
        assert_eq!(seen[0].state, before.map_or(&[][..], |before| &before.items), "group {index}: the server found another state");
        let mut last = before.map_or(0, |before| before.head.timestamp);
        for run in seen {
            // The timestamp of a state is that of the change before it.
            assert!(run.timestamps[0] >= last, "group {index}: {} after {last}", run.timestamps[0]);
            assert!(run.timestamps.is_sorted_by(|a, b| a < b), "group {index}: the clock of the subscriber went back");
            last = *run.timestamps.last().unwrap();
            let mut shown = run.state.iter().chain(&run.created);
            assert!(
                now.items.iter().zip(shown.by_ref()).all(|(stored, shown)| stored == shown),
                "group {index}: not in the order of the subscriber"
            );
            if matches!(due, Due::Everything) {
                assert_eq!(shown.next(), None, "group {index}: something that a subscriber saw is lost");
            }
        }
        if matches!(due, Due::Everything) && seen.last().is_some_and(|run| !run.created.is_empty()) {
            assert!(now.head.timestamp >= last, "group {index}: a subscriber saw a later time");
        }
    }
}
