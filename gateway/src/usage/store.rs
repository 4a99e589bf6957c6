//! How is usage kept? One SQLite file, in WAL mode, so that others read while this process writes.
//!
//! A row is one day of one caller with one operation or field. Whatever is found under the name that is
//! not such a store is left alone.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::pending::{Counted, day};

/// The store, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    /// Device and inode of the file.
    identity: Option<(u64, u64)>,
    keep_days: u32,
    rows: i64,
    /// The last day on which old rows were removed.
    swept: Option<i64>,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Something else, or of another version.
    #[error("the file is no usage store of this version")]
    Other,
    /// SQLite says why.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

impl Store {
    /// Opens the store, or makes it. Its folder must be there.
    pub(super) fn open(file: &Path, keep_days: u32) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let store = Self::prepare(Connection::open_with_flags(file, flags)?, keep_days)?;
        Ok(Self { identity: identity(file), ..store })
    }

    /// Whether its file still stands there.
    pub(super) fn is_at(&self, file: &Path) -> bool {
        self.identity.is_some() && self.identity == identity(file)
    }

    /// A store that ends with the process.
    pub(super) fn in_memory() -> Result<Self, StoreError> {
        Self::prepare(Connection::open_in_memory()?, u32::MAX)
    }

    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    fn prepare(connection: Connection, keep_days: u32) -> Result<Self, StoreError> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if tables == 0 {
            connection.execute_batch(SCHEMA)?;
        }
        check(&connection)?;
        // Readers are never kept waiting; what the machine loses when it loses its power is what was written
        // last, which a crash of this process may lose as well.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")?;
        let rows = connection.query_row("SELECT count(*) FROM use", [], |row| row.get(0))?;
        Ok(Self { connection, identity: None, keep_days, rows, swept: None })
    }

    /// Adds counts: all of them or, when it fails, none.
    pub(super) fn add(&mut self, counts: &[Counted], now: Timestamp) -> Result<(), StoreError> {
        let today = day(now);
        if counts.is_empty() && self.swept == Some(today) {
            return Ok(());
        }
        let write = self.connection.transaction()?;
        let mut rows = self.rows.saturating_add(add(&write, counts)?);
        if self.swept != Some(today) || rows > ROWS_MAX {
            rows = sweep(&write, today.saturating_sub(i64::from(self.keep_days)))?;
        }
        write.commit()?;
        (self.rows, self.swept) = (rows, Some(today));
        Ok(())
    }
}

fn identity(file: &Path) -> Option<(u64, u64)> {
    let about = std::fs::metadata(file).ok()?;
    Some((about.dev(), about.ino()))
}

/// Whether it is a store of this version.
pub(super) fn check(connection: &Connection) -> Result<(), StoreError> {
    let number = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let ours = number("application_id")? == APPLICATION_ID && number("user_version")? == VERSION;
    if ours { Ok(()) } else { Err(StoreError::Other) }
}

/// Adds counts, and says how many rows are new.
fn add(write: &Transaction<'_>, counts: &[Counted]) -> Result<i64, StoreError> {
    let mut new = 0_i64;
    let mut insert = write.prepare(INSERT)?;
    let mut update = write.prepare(UPDATE)?;
    for Counted { day, caller, api, version, operation, field, tally } in counts {
        let (caller, field) = (caller.as_deref().unwrap_or_default(), field.as_deref().unwrap_or_default());
        let made = insert.execute(params![day, caller, api, version, operation, field])?;
        new = new.saturating_add(i64::try_from(made).unwrap_or_default());
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        update.execute(params![
            day,
            caller,
            operation,
            field,
            number(tally.calls),
            number(tally.refused),
            number(tally.deprecated),
            tally.first.as_microsecond(),
            tally.last.as_microsecond(),
        ])?;
    }
    Ok(new)
}

/// Removes what is older than asked for, and whole days, the oldest first, while there is too much. Says how
/// many rows are left.
fn sweep(write: &Transaction<'_>, first_kept: i64) -> Result<i64, StoreError> {
    write.execute("DELETE FROM use WHERE day < ?1", params![first_kept])?;
    let mut rows: i64 = write.query_row("SELECT count(*) FROM use", [], |row| row.get(0))?;
    while rows > ROWS_MAX {
        let gone = write.execute("DELETE FROM use WHERE day = (SELECT min(day) FROM use)", [])?;
        rows = rows.saturating_sub(i64::try_from(gone).unwrap_or(i64::MAX));
    }
    Ok(rows)
}

const SCHEMA: &str = "
BEGIN;
PRAGMA application_id = 1196905811;
PRAGMA user_version = 1;
CREATE TABLE use (
  day INTEGER NOT NULL,
  caller TEXT NOT NULL,
  api TEXT NOT NULL,
  version TEXT NOT NULL,
  operation TEXT NOT NULL,
  field TEXT NOT NULL,
  calls INTEGER NOT NULL DEFAULT 0,
  refused INTEGER NOT NULL DEFAULT 0,
  deprecated INTEGER NOT NULL DEFAULT 0,
  first INTEGER,
  last INTEGER,
  PRIMARY KEY (day, caller, operation, field)
) WITHOUT ROWID;
COMMIT;";
const INSERT: &str =
    "INSERT INTO use (day, caller, api, version, operation, field) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT DO NOTHING";
const UPDATE: &str =
    "UPDATE use SET calls = calls + ?5, refused = refused + ?6, deprecated = deprecated + ?7,
first = min(coalesce(first, ?8), ?8), last = max(coalesce(last, ?9), ?9)
WHERE day = ?1 AND caller = ?2 AND operation = ?3 AND field = ?4";
/// `GWUS`
const APPLICATION_ID: i64 = 0x4757_5553;
const VERSION: i64 = 1;
/// Another gateway that writes the same file is done in milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);
/// About 150 MB: a thousand pairs of caller and operation a day for three years.
const ROWS_MAX: i64 = 1_000_000;

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::pending::Tally;
    use super::*;

    fn count(day: i64, operation: &str, calls: u64) -> Counted {
        let at = Timestamp::from_second(day * 86_400 + 60).unwrap();
        let tally = Tally { calls, refused: 0, deprecated: calls, first: at, last: at };
        Counted {
            day,
            caller: Some("acme".to_owned()),
            api: "orders".to_owned(),
            version: "v1".to_owned(),
            operation: operation.to_owned(),
            field: None,
            tally,
        }
    }

    fn rows(store: &Store) -> Vec<(i64, i64)> {
        let mut statement = store.connection.prepare("SELECT day, calls FROM use ORDER BY day").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_older_than_asked_for_goes() {
        let mut store = Store::in_memory().unwrap();
        store.keep_days = 30;
        let now = |day: i64| Timestamp::from_second(day * 86_400).unwrap();
        store.add(&[count(70, "a", 1), count(69, "a", 1)], now(100)).unwrap();
        assert_eq!(rows(&store), [(70, 1)]);
        store.add(&[count(100, "a", 2), count(100, "a", 3)], now(100)).unwrap();
        store.add(&[], now(101)).unwrap();
        assert_eq!(rows(&store), [(100, 5)]);
        assert_eq!(store.rows, 1);
    }

    #[test]
    fn the_mark_in_the_file_is_the_one_that_is_looked_for() {
        let store = Store::in_memory().unwrap();
        assert!(check(&store.connection).is_ok());
        assert!(SCHEMA.contains(&APPLICATION_ID.to_string()));
    }

    #[test]
    fn what_is_no_store_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.sqlite");
        let other = Connection::open(&file).unwrap();
        other.execute_batch("CREATE TABLE things (a)").unwrap();
        assert!(matches!(Store::open(&file, 1), Err(StoreError::Other)));
        let text = folder.path().join("text");
        std::fs::write(&text, "x".repeat(5_000)).unwrap();
        assert!(Store::open(&text, 1).is_err());
        assert_eq!(std::fs::read_to_string(&text).unwrap().len(), 5_000);
    }

    #[test]
    fn two_processes_add_to_one_store() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("usage.sqlite");
        let (mut one, mut two) = (Store::open(&file, 400).unwrap(), Store::open(&file, 400).unwrap());
        let now = Timestamp::from_second(100 * 86_400).unwrap();
        one.add(&[count(100, "a", 1)], now).unwrap();
        two.add(&[count(100, "a", 2)], now).unwrap();
        one.add(&[count(100, "a", 4)], now).unwrap();
        assert_eq!(rows(&two), [(100, 7)]);
    }
}
