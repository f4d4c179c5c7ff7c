//! An adapter of one's own: items in SQLite.
//!
//! What an adapter must do says [`Adapter`]; whether it does, `weir_actors::testing` finds out: see `tests/sqlite.rs`. This one keeps three tables: the items, in the
//! order in which they came; the last number and timestamp of each group, which go on after a restart; and the epoch, which begins anew with the file.
//!
//! ```no_run
//! use weir_actors::streams::Streams;
//! use weir_examples::sqlite::Sqlite;
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let streams = Streams::builder().adapter(Sqlite::open("items.db")?).start().await?;
//! # Ok(())
//! # }
//! ```

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use weir_actors::adapter::{Adapter, AdapterError, Head, Items, Read, Streams, Write};
use weir_actors::ids::{GroupKey, ItemKey, Name};
use weir_actors::json::Json;

const TABLES: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS items (
        place INTEGER PRIMARY KEY AUTOINCREMENT, stream TEXT NOT NULL, grp TEXT NOT NULL, item TEXT NOT NULL, value TEXT NOT NULL,
        UNIQUE (stream, grp, item)
    );
    CREATE TABLE IF NOT EXISTS heads (
        stream TEXT NOT NULL, grp TEXT NOT NULL, seq INTEGER NOT NULL, timestamp INTEGER NOT NULL, PRIMARY KEY (stream, grp)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS epoch (value INTEGER NOT NULL);
    INSERT INTO epoch SELECT abs(random()) WHERE NOT EXISTS (SELECT 1 FROM epoch);
";

/// Items in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    database: Connection,
    epoch: u64,
}

impl Sqlite {
    /// Opens a file, or makes it.
    ///
    /// # Errors
    /// Where it cannot be read or written.
    pub fn open(path: impl AsRef<Path>) -> rusqlite::Result<Self> {
        let database = Connection::open(path)?;
        database.execute_batch(TABLES)?;
        let epoch = database.query_row("SELECT value FROM epoch", [], |row| row.get::<_, i64>(0))?;
        Ok(Self { database, epoch: epoch.unsigned_abs() })
    }

    fn names(&self, sql: &str, stream: &str) -> rusqlite::Result<Vec<Name>> {
        let mut statement = self.database.prepare_cached(sql)?;
        let names = statement.query_map([stream], |row| Ok(Name::from(row.get_ref(0)?.as_str()?)))?;
        names.collect()
    }
}

/// What Weir answers callers with; the text is for people.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` hands over")]
fn failed(error: rusqlite::Error) -> AdapterError {
    AdapterError::Failed(format!("SQLite: {error}"))
}

/// A stored value. It was JSON when it was written, but a file may be changed by others.
fn json(text: &str) -> Result<Json, AdapterError> {
    Json::read(text).ok_or_else(|| AdapterError::Failed("SQLite: a value is no JSON any more".to_owned()))
}

/// Numbers are unsigned in Weir and signed in SQLite; they count up from 0 and never get that far.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn apply(transaction: &Transaction<'_>, write: &Write) -> rusqlite::Result<()> {
    match write {
        // An update keeps the row, and with it its place.
        Write::Put(ItemKey { group, item }, value) => {
            let sql = "INSERT INTO items (stream, grp, item, value) VALUES (?1, ?2, ?3, ?4)
                       ON CONFLICT (stream, grp, item) DO UPDATE SET value = excluded.value";
            let value = std::str::from_utf8(value.as_bytes())?;
            transaction.prepare_cached(sql)?.execute(params![group.stream(), group.group(), item.as_str(), value])?;
        }
        Write::Delete(ItemKey { group, item }) => {
            let sql = "DELETE FROM items WHERE stream = ?1 AND grp = ?2 AND item = ?3";
            transaction.prepare_cached(sql)?.execute(params![group.stream(), group.group(), item.as_str()])?;
        }
        // Only the head moves.
        Write::Touch(_) => {}
    }
    Ok(())
}

impl Adapter for Sqlite {
    fn get(&mut self, ItemKey { group, item }: &ItemKey) -> Result<Option<Json>, AdapterError> {
        let sql = "SELECT value FROM items WHERE stream = ?1 AND grp = ?2 AND item = ?3";
        let mut statement = self.database.prepare_cached(sql).map_err(failed)?;
        let value: Option<String> =
            statement.query_row([group.stream(), group.group(), item.as_str()], |row| row.get(0)).optional().map_err(failed)?;
        value.as_deref().map(json).transpose()
    }

    fn list(&mut self, group: &GroupKey) -> Result<Read<Items>, AdapterError> {
        let sql = "SELECT item, value FROM items WHERE stream = ?1 AND grp = ?2 ORDER BY place";
        let mut statement = self.database.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query([group.stream(), group.group()]).map_err(failed)?;
        let mut items = Items::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let text = |column| row.get_ref(column).and_then(|value| Ok(value.as_str()?)).map_err(failed);
            items.push((text(0)?.into(), json(text(1)?)?));
        }
        // A larger store would hand out `Read::Deferred` and read beside the writer.
        Ok(Read::Done(items))
    }

    fn list_groups(&mut self, stream: &str) -> Result<Read<Vec<Name>>, AdapterError> {
        self.names("SELECT DISTINCT grp FROM items WHERE stream = ?1 ORDER BY grp", stream).map(Read::Done).map_err(failed)
    }

    fn list_all(&mut self) -> Result<Read<Streams>, AdapterError> {
        // The parameter is not used: one way to read names is enough.
        let streams = self.names("SELECT DISTINCT stream FROM items WHERE ?1 = '' ORDER BY stream", "").map_err(failed)?;
        let mut all = Streams::new();
        for stream in streams {
            let groups = self.list_groups(stream.as_str())?.wait()?;
            all.push((stream, groups));
        }
        Ok(Read::Done(all))
    }

    fn streams_before(&mut self, stream: &str) -> Result<Option<usize>, AdapterError> {
        let there = self.database.prepare_cached("SELECT 1 FROM items WHERE stream = ?1 LIMIT 1").map_err(failed)?.exists([stream]);
        if there.map_err(failed)? {
            return Ok(None);
        }
        let count = self.database.query_row("SELECT COUNT(DISTINCT stream) FROM items", [], |row| row.get::<_, i64>(0)).map_err(failed)?;
        Ok(Some(usize::try_from(count).unwrap_or_default()))
    }

    fn commit(&mut self, writes: &[Write], heads: &[(GroupKey, Head)]) -> Result<(), AdapterError> {
        // All or nothing, and on the disk when it returns: that is what an acknowledged write is.
        let transaction = self.database.transaction().map_err(failed)?;
        for write in writes {
            apply(&transaction, write).map_err(failed)?;
        }
        for (group, head) in heads {
            let sql = "INSERT OR REPLACE INTO heads (stream, grp, seq, timestamp) VALUES (?1, ?2, ?3, ?4)";
            let mut statement = transaction.prepare_cached(sql).map_err(failed)?;
            statement.execute(params![group.stream(), group.group(), signed(head.seq), signed(head.timestamp)]).map_err(failed)?;
        }
        transaction.commit().map_err(failed)
    }

    fn head(&mut self, group: &GroupKey) -> Result<Option<Head>, AdapterError> {
        let mut statement =
            self.database.prepare_cached("SELECT seq, timestamp FROM heads WHERE stream = ?1 AND grp = ?2").map_err(failed)?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Head { seq: row.get::<_, i64>(0)?.unsigned_abs(), timestamp: row.get::<_, i64>(1)?.unsigned_abs() })
        };
        statement.query_row([group.stream(), group.group()], read).optional().map_err(failed)
    }

    fn floor(&self) -> Head {
        // Every group's own head is kept for ever, so that nothing is lost that a floor would have to stand in for.
        Head::default()
    }

    fn epoch(&self) -> u64 {
        self.epoch
    }
}
