//! Both methods of `KvStore` do the same.

use std::time::Duration;

use tempfile::TempDir;
use weir_actors::adapter::file::{FileOptions, FileStore, Fsync};
use weir_actors::adapter::memory::Memory;
use weir_actors::testing::adapter::{Lasts, conforms};

fn file_store_conforms(fsync: Fsync) {
    let mut folder = TempDir::new().unwrap();
    conforms(
        &mut |fresh| {
            if fresh {
                folder = TempDir::new().unwrap();
            }
            Box::new(FileStore::open(folder.path(), FileOptions { fsync, ..FileOptions::default() }).unwrap())
        },
        Lasts::Yes,
    );
}

#[test]
fn memory_conforms() {
    conforms(&mut |_| Box::new(Memory::new()), Lasts::No);
}

#[test]
fn file_store_that_syncs_always_conforms() {
    file_store_conforms(Fsync::Always);
}

#[test]
fn file_store_that_syncs_by_the_clock_conforms() {
    file_store_conforms(Fsync::Every(Duration::from_millis(5)));
}

#[test]
fn file_store_that_never_syncs_conforms() {
    file_store_conforms(Fsync::Never);
}
