//! `weir export`, `import`, `backup`, `restore` and `verify`: beside a running server and without one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::server::{Server, within};
use crate::subscriber::Subscriber;
use crate::worker::{Worker, group, key};

/// A store and a configuration that names it.
struct Place(TempDir);

/// How a command ended.
struct Ended {
    success: bool,
    stdout: String,
    stderr: String,
}

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::with_prefix("weir-e2e-").unwrap());
        let adapter = json!({"class": "modules::stream::adapters::KvStore", "config": {"file_path": place.store()}});
        let config = json!([{"class": "modules::stream::StreamModule", "config": {"adapter": adapter}}]);
        fs::write(place.path("config.yaml"), config.to_string()).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store")
    }

    fn serve(&self) -> Server {
        Server::on(&self.store(), &json!({}), &[]).unwrap()
    }

    async fn weir_with(&self, arguments: &[&str], stdin: &[u8]) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("--config")
            .arg(self.path("config.yaml"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        // It may end without having read all.
        let _ = child.stdin.take().unwrap().write_all(stdin).await;
        let output = within("end of the command", child.wait_with_output()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ended { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that must succeed; what it prints.
    async fn weir(&self, arguments: &[&str]) -> String {
        let ended = self.weir_with(arguments, b"").await;
        assert!(ended.success && ended.stderr.is_empty(), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        ended.stdout
    }

    /// Runs a command that must fail; what it says.
    async fn fails(&self, arguments: &[&str]) -> String {
        let ended = self.weir_with(arguments, b"").await;
        assert!(!ended.success, "{arguments:?}: {}", ended.stdout);
        ended.stdout + &ended.stderr
    }
}

const EXPORTED: &str = concat!(
    r#"{"weir":"stream","version":1,"stream":"s"}"#,
    "\n",
    r#"{"group":"g","item":"z","data":{"id":"z","n":1}}"#,
    "\n",
    r#"{"group":"g","item":"a","data":[1.0,null]}"#,
    "\n",
    r#"{"group":"h","item":"é","data":null}"#,
    "\n",
    r#"{"end":true,"items":3}"#,
    "\n"
);

async fn fill(server: &Server) {
    let worker = Worker::open(server).await;
    worker.set("s", "h", "é", json!(null)).await;
    worker.set("s", "g", "z", json!({"id": "z", "n": 1})).await;
    worker.set("s", "g", "a", json!(1)).await;
    worker.reply_text(r#"{"function_id":"stream::set","data":{"stream_name":"s","group_id":"g","item_id":"a","data":[1.0,null]}}"#).await;
}

#[tokio::test]
async fn export_is_the_same_with_a_server_and_without() {
    let place = Place::new();
    let server = place.serve();
    fill(&server).await;
    assert_eq!(place.weir(&["export", "s"]).await, EXPORTED);
    assert!(place.fails(&["export", "none"]).await.contains("stream \"none\" holds nothing"));
    server.terminate();
    assert_eq!(place.weir(&["export", "s", "--output", "file"]).await, "");
    assert_eq!(fs::read_to_string(place.path("file")).unwrap(), EXPORTED);
    assert!(place.fails(&["export", "s", "--output", "file"]).await.contains("file"));
    assert_eq!(place.weir(&["export", "s", "-o", "named", "--json"]).await, "{\"path\":\"named\"}\n");
    assert!(place.fails(&["export", "none", "-o", "other"]).await.contains("stream \"none\" holds nothing"));
    assert!(!place.path("other").exists());
}

#[tokio::test]
async fn import_into_a_running_server_is_seen_by_subscribers_and_triggers() {
    let place = Place::new();
    let server = place.serve();
    let worker = Worker::open(&server).await;
    let mut calls = worker.record("seen");
    worker.trigger("t", "stream", "seen", json!({"stream_name": "s", "group_id": "g"}));
    worker.settle().await;
    let (mut subscriber, _) = Subscriber::of(&server, "s", "g").await;
    let ended = place.weir_with(&["import"], EXPORTED.as_bytes()).await;
    assert!(ended.success, "{}", ended.stderr);
    assert_eq!(ended.stdout, format!("3 items imported into {}\n", place.store().display()));
    for item in ["z", "a"] {
        let frame = subscriber.next_frame().await;
        assert_eq!((&frame["id"], &frame["event"]["type"]), (&json!(item), &json!("create")));
        assert_eq!(calls.data().await["id"], item);
    }
    assert_eq!(place.weir(&["export", "s"]).await, EXPORTED);
    // Not over what is there, unless asked to.
    fs::write(place.path("file"), EXPORTED).unwrap();
    assert!(place.fails(&["import", "file"]).await.contains("`--merge`"));
    place.weir(&["import", "--as", "t", "file"]).await;
    worker.set("t", "g", "z", json!(2)).await;
    place.weir(&["import", "--as", "t", "--merge", "file"]).await;
    assert_eq!(worker.result("stream::list", group("t", "g")).await, json!([{"id": "z", "n": 1}, [1.0, null]]));
}

#[tokio::test]
async fn import_without_a_server_is_there_when_it_starts() {
    let place = Place::new();
    fs::write(place.path("file"), EXPORTED).unwrap();
    assert!(place.fails(&["import", "file"]).await.contains("holds no Weir store") && !place.store().exists());
    let imported = format!("3 items imported into {}\n", place.store().display());
    assert_eq!(place.weir(&["import", "file", "--create"]).await, imported);
    assert!(place.fails(&["import", "file"]).await.contains("`--merge`"));
    place.weir(&["import", "file", "--merge"]).await;
    let cut = EXPORTED.rsplit_once("{\"end\"").unwrap().0;
    let ended = place.weir_with(&["import", "--as", "cut"], cut.as_bytes()).await;
    assert!(!ended.success && ended.stderr.contains("cut off") && ended.stderr.contains("3 items"), "{}", ended.stderr);
    assert!(place.fails(&["import", "none"]).await.contains("cannot read none"));
    let server = place.serve();
    let worker = Worker::open(&server).await;
    assert_eq!(worker.result("stream::get", key("s", "g", "z")).await, json!({"id": "z", "n": 1}));
    assert_eq!(place.weir(&["export", "s"]).await, EXPORTED);
    let ended = place.weir_with(&["import", "--as", "cut2"], cut.as_bytes()).await;
    assert!(!ended.success && ended.stderr.contains("cut off"), "{}", ended.stderr);
    assert!(place.fails(&["import", "--as", "none"]).await.contains("there is nothing to read"));
}

#[tokio::test]
async fn backup_of_a_running_server_is_restored_into_its_place() {
    let place = Place::new();
    let server = place.serve();
    fill(&server).await;
    assert!(place.weir(&["backup", "backup"]).await.contains("files"));
    assert!(place.fails(&["backup", "backup"]).await.contains("is there already and not empty"));
    assert!(place.weir(&["verify"]).await.ends_with("everything can be read\n"));
    assert!(place.weir(&["verify", "backup"]).await.contains("1 streams, 2 groups, 3 items"));
    Worker::open(&server).await.set("later", "g", "i", json!(1)).await;
    let running = place.fails(&["restore", "backup", "--replace"]).await;
    assert!(running.contains("is in use by process") && running.contains(&*place.store().to_string_lossy()), "{running}");
    server.terminate();
    assert!(place.fails(&["restore", "backup"]).await.contains("--replace"));
    assert!(place.weir(&["restore", "backup", "--replace"]).await.starts_with("restored from backup"));
    assert!(place.weir(&["verify"]).await.contains("1 streams, 2 groups, 3 items"));
    assert!(place.weir(&["backup", "again"]).await.contains("again"));
    let server = place.serve();
    let worker = Worker::open(&server).await;
    assert_eq!(worker.result("stream::list_all", json!({})).await["count"], 1);
    assert_eq!(place.weir(&["export", "s"]).await, EXPORTED);
}

#[tokio::test]
async fn verify_reports_damage_and_ends_with_a_failure() {
    let place = Place::new();
    let server = place.serve();
    fill(&server).await;
    server.terminate();
    place.weir(&["backup", "backup"]).await;
    let tables = |folder: &Path| {
        let files = fs::read_dir(folder.join("db")).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.extension().is_some_and(|extension| extension == "sst")).collect::<Vec<_>>()
    };
    for table in tables(&place.path("backup")) {
        let mut bytes = fs::read(&table).unwrap();
        bytes[20] ^= 0x10;
        // The backup shares its files with the store; the store shall stay whole.
        fs::remove_file(&table).unwrap();
        fs::write(&table, bytes).unwrap();
    }
    let found = place.fails(&["verify", "backup"]).await;
    assert!(found.contains("damaged: ") && found.contains(".sst"), "{found}");
    assert!(place.weir(&["verify"]).await.ends_with("everything can be read\n"));
    assert!(place.fails(&["verify", "nowhere"]).await.contains("holds no Weir store"));
    fs::create_dir(place.path("foreign")).unwrap();
    fs::write(place.path("foreign/notes.txt"), "").unwrap();
    for command in ["verify", "restore"] {
        let said = place.fails(&[command, "foreign"]).await;
        assert!(said.contains("notes.txt") && said.contains("`weir backup` has written") && !said.contains("file_path"), "{said}");
    }
    let refused = place.fails(&["restore", "backup", "--replace"]).await;
    assert!(refused.contains("is damaged"), "{refused}");
    assert!(place.weir(&["verify"]).await.ends_with("everything can be read\n"));
}

#[tokio::test]
async fn commands_without_a_store_say_so() {
    let place = Place::new();
    for command in [&["export", "s"][..], &["backup", "to"], &["verify"], &["restore", "from"]] {
        assert!(place.fails(command).await.contains("holds no Weir store"), "{command:?}");
    }
    assert!(!place.store().exists() && !place.path("to").exists());
    let memory = json!([{"class": "modules::stream::StreamModule",
                         "config": {"adapter": {"class": "modules::stream::adapters::KvStore", "config": {"store_method": "in_memory"}}}}]);
    fs::write(place.path("config.yaml"), memory.to_string()).unwrap();
    assert!(place.fails(&["verify"]).await.contains("keeps items in memory"));
}
