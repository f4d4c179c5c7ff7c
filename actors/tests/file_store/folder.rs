//! Whose a folder is, and what is refused with which words. Nothing in a folder that is refused is changed.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use weir_actors::adapter::file::{FileOptions, FileStore, folder, maintain, verify};
use weir_actors::ids::ItemKey;

use crate::damage::{Outcome, Sample, assert_clear};
use crate::files::{assert_untouched, copy, db_files, files, largest_table, scratch};
use crate::mount::Mount;
use crate::store::{Writer, get, open, put};

/// Opens a folder that must be refused for this reason, with these words, and be left as it is. The text of the error.
fn refused(folder: &Path, code: &str, words: &[&str]) -> String {
    let before = folder.is_dir().then(|| files(folder));
    let error = open(folder).err().unwrap_or_else(|| panic!("{} was opened; expected {code}", folder.display()));
    let text = error.to_string();
    assert_eq!(error.code(), code, "{text}");
    for words in words.iter().chain(&[folder.to_str().unwrap(), "; "]) {
        assert!(text.contains(words), "no {words:?} in {text:?}");
    }
    if let Some(before) = before {
        assert_untouched(&before, folder, &text);
    }
    text
}

fn item() -> ItemKey {
    ItemKey::new("s", "g", "i")
}

/// A closed store with one item.
fn small_store(folder: &Path) {
    Writer::default().commit(&mut open(folder).unwrap(), &[put(&item(), "1")]).unwrap();
}

#[test]
fn path_that_does_not_exist_becomes_a_store_with_all_its_parents() {
    let place = scratch();
    let folder = place.path().join("a/ü b/c");
    small_store(&folder);
    assert_eq!(get(&mut open(&folder).unwrap(), &item()).as_deref(), Some("1"));
}

#[test]
fn path_that_must_hold_a_store_and_does_not_is_refused_and_not_made() {
    let place = scratch();
    let folder = place.path().join("none");
    let error = FileStore::open_existing(&folder, FileOptions::default()).err().unwrap();
    assert_eq!(error.code(), "no_store");
    assert!(error.to_string().contains(folder.to_str().unwrap()) && error.to_string().contains("`file_path`"), "{error}");
    for error in [verify::verify(&folder).err().unwrap(), maintain::backup(&folder, &place.path().join("to")).unwrap_err()] {
        assert_eq!(error.code(), "no_store", "{error}");
    }
    assert!(files(place.path()).is_empty());
}

#[test]
fn path_of_a_file_is_refused() {
    let place = scratch();
    let file = place.path().join("file");
    fs::write(&file, "mine").unwrap();
    refused(&file, "not_a_store", &["a file", "`file_path`"]);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

#[test]
fn folder_with_foreign_files_is_refused() {
    let place = scratch();
    fs::write(place.path().join("thesis.tex"), "mine").unwrap();
    refused(place.path(), "not_a_store", &["\"thesis.tex\"", "`file_path`"]);
}

#[test]
fn folder_of_the_engine_is_refused_and_named() {
    let place = scratch();
    fs::write(place.path().join("chat.bin"), "theirs").unwrap();
    refused(place.path(), "not_a_store", &["\"chat.bin\"", "iii engine", "`file_path`"]);
}

#[test]
fn foreign_file_beside_a_store_is_left_alone_and_told() {
    let place = scratch();
    small_store(place.path());
    assert_eq!(folder::look(place.path()).unwrap(), None);
    fs::write(place.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(place.path().join("streams")).unwrap();
    assert_eq!(folder::look(place.path()).unwrap().as_deref(), Some("\"notes.txt\""));
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("1"));
    assert_eq!(fs::read(place.path().join("notes.txt")).unwrap(), b"mine");
    // A `db` without our mark may be somebody else's as well.
    fs::remove_file(place.path().join("db/FORMAT")).unwrap();
    refused(place.path(), "not_a_store", &["\"notes.txt\""]);
}

#[test]
fn store_within_the_folder_of_another_is_refused_and_not_made() {
    let (place, elsewhere) = (scratch(), scratch());
    small_store(place.path());
    std::os::unix::fs::symlink(place.path(), elsewhere.path().join("link")).unwrap();
    let before = files(place.path());
    for inside in [place.path().join("streams"), place.path().join("db/a/b"), elsewhere.path().join("link/streams")] {
        for error in [folder::look(&inside).unwrap_err(), open(&inside).err().unwrap()] {
            let text = error.to_string();
            assert!(error.code() == "inside" && text.contains(inside.to_str().unwrap()) && text.contains("elsewhere"), "{text}");
        }
        assert_untouched(&before, place.path(), "a store within a store");
    }
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("1"));
}

#[test]
fn what_root_makes_belongs_to_the_owner_of_the_folder() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = scratch();
    let theirs = place.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(12_345), Some(12_346)).unwrap();
    let (store, backup) = (theirs.join("store"), place.path().join("backup"));
    small_store(&store);
    maintain::backup(&store, &backup).unwrap();
    maintain::restore(&backup, &store, true).unwrap();
    let secret = place.path().join("secret");
    fs::write(&secret, "root's").unwrap();
    std::os::unix::fs::symlink(&secret, store.join("link")).unwrap();
    fs::hard_link(&secret, store.join("second name")).unwrap();
    small_store(&store);
    let owned = |path: &Path| fs::symlink_metadata(path).map(|about| (about.uid(), about.gid())).unwrap();
    let ours = files(&store).into_keys().filter(|name| !name.ends_with("link") && !name.ends_with("second name"));
    let mut count = 0;
    for name in ours.chain(["LOCK".into(), "".into()]) {
        assert_eq!(owned(&store.join(&name)), (12_345, 12_346), "{}", name.display());
        count += 1;
    }
    assert!(count > 5, "{count}");
    assert_eq!(owned(&secret), (0, 0));
}

#[test]
fn file_system_of_its_own_with_lost_and_found_works() {
    let place = scratch();
    fs::create_dir(place.path().join("lost+found")).unwrap();
    small_store(place.path());
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("1"));
}

#[test]
fn newer_format_is_refused() {
    let place = scratch();
    small_store(place.path());
    fs::write(place.path().join("db/FORMAT"), "weir store, format 7\n").unwrap();
    refused(place.path(), "newer_format", &["format 7", "up to 1", "run that version"]);
    assert_eq!(verify::verify(place.path()).unwrap_err().code(), "newer_format");
}

#[test]
fn format_that_is_missing_or_unreadable_is_refused() {
    let place = scratch();
    small_store(place.path());
    let format = place.path().join("db/FORMAT");
    for text in ["", "weir store, format \n", "weir store, format 0\n", "weir store, format 1", "weir store, format 1\n\n", "\u{feff}"] {
        fs::write(&format, text).unwrap();
        refused(place.path(), "damaged", &["FORMAT", "weir restore"]);
    }
    fs::write(&format, [0xff, 0xfe]).unwrap();
    refused(place.path(), "damaged", &["FORMAT"]);
    fs::remove_file(&format).unwrap();
    refused(place.path(), "damaged", &["FORMAT", "missing"]);
}

#[test]
fn missing_file_of_the_store_is_refused_and_named() {
    let sample = Sample::new();
    for from in [sample.closed.path(), sample.crashed.path()] {
        let named = db_files(from, |name| name.starts_with("MANIFEST") || name == "CURRENT");
        for file in named.into_iter().chain([largest_table(from)]) {
            let place = scratch();
            copy(from, place.path());
            let name = file.file_name().unwrap().to_str().unwrap();
            fs::remove_file(place.path().join("db").join(name)).unwrap();
            let text = refused(place.path(), "damaged", &[name, "weir restore"]);
            let verified = verify::verify(place.path());
            assert!(verified.is_err_and(|error| error.to_string().contains(name)), "{text}");
        }
    }
}

#[test]
fn creation_that_was_broken_off_is_done_again() {
    let place = scratch();
    fs::create_dir_all(place.path().join("db.new/leftover")).unwrap();
    fs::write(place.path().join("db.new/MANIFEST-000001"), "half").unwrap();
    small_store(place.path());
    assert!(!place.path().join("db.new").exists());
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("1"));
}

#[test]
fn restore_that_was_broken_off_when_the_old_store_was_aside_does_not_start_an_empty_one() {
    let place = scratch();
    small_store(place.path());
    fs::rename(place.path().join("db"), place.path().join("db.before-1767225600123")).unwrap();
    refused(place.path(), "half_restored", &["db.before-1767225600123", "weir restore"]);
    fs::rename(place.path().join("db.before-1767225600123"), place.path().join("db")).unwrap();
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("1"));
}

/// Another process that has a store open. Dropping it kills it.
struct Holder(Child);

impl Holder {
    fn of(folder: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "folder::holds_the_store_for_another_test", "--nocapture"])
            .env("WEIR_TEST_HOLD", folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("held")), "the other process did not open the store");
        Self(process)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// No test but what runs in the process of [`Holder`].
#[test]
fn holds_the_store_for_another_test() {
    let Some(folder) = std::env::var_os("WEIR_TEST_HOLD") else { return };
    let mut store = open(Path::new(&folder)).unwrap();
    Writer::default().commit(&mut store, &[put(&item(), "2")]).unwrap();
    writeln!(std::io::stdout(), "held").unwrap();
    // Until it is killed, or the other test is gone.
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[test]
fn folder_of_another_process_is_refused_with_its_name_until_that_is_killed() {
    let place = scratch();
    let mut holder = Holder::of(place.path());
    let process = format!("process {}", holder.0.id());
    refused(place.path(), "locked", &[&process, "stop that first"]);
    let (backup, to) = (scratch(), scratch());
    small_store(backup.path());
    for error in [
        verify::verify(place.path()).unwrap_err(),
        maintain::backup(place.path(), &to.path().join("backup")).unwrap_err(),
        maintain::restore(backup.path(), place.path(), true).unwrap_err(),
    ] {
        assert!(error.code() == "locked" && error.to_string().contains(&process), "{error}");
    }
    assert!(files(to.path()).is_empty());
    holder.kill();
    assert_eq!(get(&mut open(place.path()).unwrap(), &item()).as_deref(), Some("2"));
}

#[test]
fn folder_that_this_process_has_open_is_refused_until_it_is_closed() {
    let place = scratch();
    let store = open(place.path()).unwrap();
    refused(place.path(), "locked", &[&format!("process {}", std::process::id())]);
    drop(store);
    open(place.path()).unwrap();
}

#[test]
fn read_only_folder_is_refused_but_can_be_verified_and_restored_from() {
    let Some(mount) = Mount::tmpfs(32) else { return };
    let sample = Sample::new();
    let (closed, crashed, empty) = (mount.path().join("closed"), mount.path().join("crashed"), mount.path().join("empty"));
    copy(sample.closed.path(), &closed);
    copy(sample.crashed.path(), &crashed);
    // So that looking through it takes more than to read it.
    let log = db_files(&crashed, |name| name.ends_with(".log")).remove(0);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, [&bytes[..], &bytes[..20]].concat()).unwrap();
    fs::create_dir(&empty).unwrap();
    mount.make_read_only();

    for folder in [&closed, &crashed, &empty] {
        refused(folder, "not_writable", &["Read-only file system", "writable", "`file_path`"]);
    }
    refused(&mount.path().join("new"), "not_writable", &["Read-only file system"]);
    let error = maintain::backup(sample.closed.path(), &mount.path().join("backup")).unwrap_err();
    assert!(error.code() == "not_writable" && error.to_string().contains(mount.path().to_str().unwrap()), "{error}");

    let (whole, torn) = (verify::verify(&closed).unwrap(), verify::verify(&crashed).unwrap());
    assert!(whole.is_whole() && whole.items > 0 && whole.notes.is_empty(), "{whole:?}");
    assert!(torn.is_whole() && torn.items == whole.items && torn.notes.len() == 1, "{torn:?}");
    let restored = scratch();
    maintain::restore(&closed, restored.path(), false).unwrap();
    assert_eq!(verify::verify(restored.path()).unwrap().items, whole.items);
}

#[test]
fn folder_that_cannot_be_looked_through_is_refused_and_stays_as_it_is() {
    // What is left of looking through it must not be in the way.
    let sample = Sample::new();
    let place = scratch();
    copy(sample.crashed.path(), place.path());
    let log = db_files(place.path(), |name| name.ends_with(".log")).remove(0);
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, [&bytes[..], &bytes[..20]].concat()).unwrap();
    let table = largest_table(place.path());
    let whole = fs::read(&table).unwrap();
    fs::write(&table, &whole[..whole.len() - 1]).unwrap();
    let text = refused(place.path(), "damaged", &[table.to_str().unwrap()]);
    assert!(!text.contains("db.look"), "{text}");
    assert_clear(&text, place.path());
    fs::write(&table, &whole).unwrap();
    fs::create_dir_all(place.path().join("db.look/left by a crash")).unwrap();
    let outcome = sample.outcome(place.path(), weir_actors::adapter::file::Fsync::Always);
    assert!(matches!(outcome, Outcome::Whole), "{outcome:?}");
    assert!(!place.path().join("db.look").exists());
}
