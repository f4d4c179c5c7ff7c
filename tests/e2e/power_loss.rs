//! The power goes at any moment under 48 writers: the same as after `kill -9`, with nothing left of the store's files but what was synced,
//! and perhaps some of the rest. See [`disk`](crate::disk) for what a power loss is taken to leave.

use std::time::Duration;

use rand::rngs::StdRng;
use tempfile::TempDir;
use weir_actors::adapter::Adapter;
use weir_actors::adapter::file::{FileOptions, FileStore, Fsync};

use crate::disk::{Disk, Unsynced};
use crate::history::{Due, History, Stored};
use crate::load::{Mix, Written};
use crate::server::until;

async fn lose_power_again_and_again(rounds: usize, mix: Mix, unsynced: Unsynced) {
    let mut disk = Disk::new();
    let mut history = History::new(Fsync::Always);
    for _ in 0..rounds {
        let server = history.server(&disk.store(), &disk.watched()).unwrap();
        let load = history.load(&server, mix).await;
        history.moment(&load).await;
        server.kill();
        let known = load.end().await;
        disk.lose_power(&disk.store(), unsynced, &mut history.rng);
        history.check(&disk.store(), &known, &Due::Everything);
    }
}

#[tokio::test]
async fn power_loss_under_48_writers_leaves_every_acknowledged_write_and_a_prefix_of_each_history() {
    lose_power_again_and_again(30, Mix::Creates, Unsynced::Lost).await;
}

#[tokio::test]
async fn power_loss_under_writers_who_count_and_delete_leaves_every_acknowledged_change() {
    lose_power_again_and_again(6, Mix::All, Unsynced::Lost).await;
}

#[tokio::test]
async fn power_loss_that_leaves_half_a_write_leaves_every_acknowledged_one() {
    lose_power_again_and_again(15, Mix::Creates, Unsynced::Begun { half: false }).await;
}

#[tokio::test]
async fn power_loss_that_leaves_a_write_with_holes_leaves_every_acknowledged_one() {
    lose_power_again_and_again(15, Mix::Creates, Unsynced::Holed).await;
}

/// Loses power where nothing has to be left; how many of the acknowledged changes are lost.
async fn lose_power_once(history: &mut History, disk: &mut Disk, unsynced: Unsynced) -> usize {
    let server = history.server(&disk.store(), &disk.watched()).unwrap();
    let load = history.load(&server, Mix::Creates).await;
    // By far more than there may be under way without an answer, so that losing half is losing some of these.
    load.acknowledged(3_000).await;
    server.kill();
    let known = load.end().await;
    disk.lose_power(&disk.store(), unsynced, &mut history.rng);
    history.check(&disk.store(), &known, &Due::AtLeast(vec![0; known.0.len()]))
}

#[tokio::test]
async fn power_loss_without_syncs_loses_acknowledged_writes_and_leaves_a_prefix_of_each_history() {
    // That this is noticed proves that the tests above can fail.
    let (mut history, mut disk) = (History::new(Fsync::Never), Disk::new());
    for unsynced in [Unsynced::Lost, Unsynced::Begun { half: true }, Unsynced::Begun { half: true }, Unsynced::Lost] {
        let lost = lose_power_once(&mut history, &mut disk, unsynced).await;
        assert!(lost > 0, "without a sync, {unsynced:?}, nothing is lost");
    }
}

#[tokio::test]
async fn power_loss_without_syncs_that_leaves_holes_leaves_a_prefix_of_each_history() {
    let (mut history, mut disk) = (History::new(Fsync::Never), Disk::new());
    for _ in 0..6 {
        lose_power_once(&mut history, &mut disk, Unsynced::Holed).await;
    }
}

#[tokio::test]
async fn power_loss_between_syncs_by_the_clock_loses_only_what_came_after_the_last() {
    let (mut history, mut disk) = (History::new(Fsync::Every(Duration::from_millis(20))), Disk::new());
    for unsynced in [Unsynced::Lost, Unsynced::Begun { half: false }, Unsynced::Holed, Unsynced::Lost] {
        let server = history.server(&disk.store(), &disk.watched()).unwrap();
        let load = history.load(&server, Mix::Creates).await;
        history.moment(&load).await;
        let (acked, syncs) = (load.acked(), disk.log_syncs());
        // One that ends now may have begun before the last of these was written; the one after that has not.
        until("two more syncs", async || disk.log_syncs() >= syncs + 2).await;
        server.kill();
        let known = load.end().await;
        disk.lose_power(&disk.store(), unsynced, &mut history.rng);
        history.check(&disk.store(), &known, &Due::AtLeast(acked));
    }
}

/// Copies of the store as a process that ended at some step may have left it: by `kill -9` alone, and then without power, more than once
/// where something is left to chance.
fn outcomes(disk: &Disk, rng: &mut StdRng) -> Vec<(Option<Unsynced>, TempDir)> {
    const LOST: [Unsynced; 5] = [Unsynced::Lost, Unsynced::Begun { half: false }, Unsynced::Holed, Unsynced::Holed, Unsynced::NewestLog];
    let mut outcomes = vec![(None, disk.copy())];
    for unsynced in LOST {
        let copy = disk.copy();
        disk.lose_power(copy.path(), unsynced, rng);
        outcomes.push((Some(unsynced), copy));
    }
    outcomes
}

#[test]
fn power_loss_at_any_step_of_making_a_store_leaves_one_that_can_be_opened() {
    let (mut history, mut disk) = (History::new(Fsync::Always), Disk::new());
    for step in 1.. {
        disk.clear();
        match history.server(&disk.store(), &disk.watched_until(step, "")) {
            Ok(server) => server.kill(),
            Err(log) => assert!(disk.has_stopped(), "{log}"),
        }
        if !disk.has_stopped() {
            assert!(step > 10, "making a store takes more than {step} steps");
            return;
        }
        for (lost, copy) in outcomes(&disk, &mut history.rng) {
            let opened = FileStore::open(copy.path(), FileOptions::default());
            let mut store = opened.unwrap_or_else(|error| panic!("step {step}, {lost:?}: {error}"));
            assert!(store.list_all().unwrap().wait().unwrap().is_empty());
        }
    }
}

#[tokio::test]
async fn power_loss_at_any_step_of_a_start_and_of_its_compaction_loses_nothing() {
    let (mut history, mut disk) = (History::new(Fsync::Always), Disk::new());
    // Each start makes a table of what the one before has logged; with the next, there are enough for a compaction.
    for _ in 0..3 {
        let server = history.server(&disk.store(), &disk.watched()).unwrap();
        let load = history.load(&server, Mix::Creates).await;
        load.acknowledged(1_000).await;
        server.kill();
        disk.lose_power(&disk.store(), Unsynced::Begun { half: true }, &mut history.rng);
        history.check(&disk.store(), &load.end().await, &Due::Everything);
    }
    let (torn, before) = (disk.copy(), Stored::read(&disk.store(), Fsync::Always));
    for step in 1.. {
        disk.fill(torn.path());
        match history.server(&disk.store(), &disk.watched_until(step, "")) {
            Ok(server) => {
                until("the end of a compaction", async || disk.has_stopped() || disk.has_compacted()).await;
                server.kill();
            }
            Err(log) => assert!(disk.has_stopped(), "{log}"),
        }
        if !disk.has_stopped() {
            assert!(step > 20, "a start and a compaction take more than {step} steps");
            return;
        }
        for (lost, copy) in outcomes(&disk, &mut history.rng) {
            assert!(Stored::read(copy.path(), Fsync::Always) == before, "something has changed at step {step}, {lost:?}");
        }
    }
}

async fn lose_power_while_a_table_is_written(fsync: Fsync, due: fn(&[Written]) -> Due) {
    let (mut history, mut disk) = (History::new(fsync), Disk::new());
    history.server(&disk.store(), &disk.watched()).unwrap().kill();
    // Then there are two logs: one of what goes into the table, one of what is written meanwhile.
    let server = history.server(&disk.store(), &disk.watched_until(1, ".sst")).unwrap();
    let load = history.load(&server, Mix::LargeCreates).await;
    until("a table", async || disk.has_stopped()).await;
    server.kill();
    let known = load.end().await;
    for (lost, copy) in outcomes(&disk, &mut history.rng) {
        eprintln!("{lost:?}");
        history.check_only(copy.path(), &known, &due(&known.0));
    }
}

#[tokio::test]
async fn power_loss_while_a_table_is_written_leaves_every_acknowledged_write() {
    lose_power_while_a_table_is_written(Fsync::Always, |_| Due::Everything).await;
}

#[tokio::test]
async fn power_loss_while_a_table_is_written_without_syncs_leaves_a_prefix_of_each_history() {
    lose_power_while_a_table_is_written(Fsync::Never, |written| Due::AtLeast(vec![0; written.len()])).await;
    lose_power_while_a_table_is_written(Fsync::Every(Duration::from_millis(20)), |written| Due::AtLeast(vec![0; written.len()])).await;
}
