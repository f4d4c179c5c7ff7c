//! The adapter of one's own does what every adapter must.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use weir_actors::streams::Streams;
use weir_actors::testing::adapter::{Lasts, conforms};
use weir_examples::sqlite::Sqlite;

#[test]
fn sqlite_conforms() {
    let mut folder = tempfile::tempdir().unwrap();
    conforms(
        &mut |fresh| {
            if fresh {
                folder = tempfile::tempdir().unwrap();
            }
            Box::new(Sqlite::open(folder.path().join("items.db")).unwrap())
        },
        Lasts::Yes,
    );
}

#[tokio::test]
async fn items_are_there_after_a_restart_and_the_file_is_free() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("items.db");
    for n in 1..=3_u32 {
        let streams = Streams::builder().adapter(Sqlite::open(&path).unwrap()).start().await.unwrap();
        let before = streams.set("s", "g", "i", &n).await.unwrap().map(|old| old.parse::<u32>().unwrap());
        assert_eq!(before, Some(n - 1).filter(|before| *before > 0));
        streams.shutdown().await;
    }
    std::fs::remove_file(&path).unwrap();
}
