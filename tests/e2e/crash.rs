//! `kill -9` at any moment under 48 writers: what was acknowledged is stored, nothing goes back, and a group is a prefix of its history.

use std::time::Duration;

use tempfile::TempDir;
use weir_actors::adapter::file::Fsync;

use crate::history::{Due, History};
use crate::load::Mix;

async fn kill_again_and_again(rounds: usize, fsync: Fsync, mix: Mix) {
    let folder = TempDir::with_prefix("weir-crash-").unwrap();
    let store = folder.path().join("store");
    let mut history = History::new(fsync);
    for _ in 0..rounds {
        let server = history.server(&store, &[]).unwrap();
        let load = history.load(&server, mix).await;
        history.moment(&load).await;
        server.kill();
        history.check(&store, &load.end().await, &Due::Everything);
    }
}

#[tokio::test]
async fn server_killed_under_48_writers_has_every_acknowledged_write_and_a_prefix_of_each_history() {
    kill_again_and_again(30, Fsync::Always, Mix::Creates).await;
}

#[tokio::test]
async fn server_killed_under_writers_who_count_and_delete_has_every_acknowledged_change() {
    kill_again_and_again(8, Fsync::Always, Mix::All).await;
}

#[tokio::test]
async fn server_killed_while_it_syncs_by_the_clock_has_every_acknowledged_write() {
    kill_again_and_again(3, Fsync::Every(Duration::from_millis(20)), Mix::Creates).await;
}

#[tokio::test]
async fn server_killed_that_never_syncs_has_every_acknowledged_write() {
    kill_again_and_again(3, Fsync::Never, Mix::Creates).await;
}
