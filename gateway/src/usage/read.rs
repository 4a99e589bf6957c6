//! What does the store say? Read while the gateway writes it, and while it does not run.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row, params_from_iter};

use super::pending::{Tally, day};
use super::store::{self, Store, StoreError};

/// The store, open for reading.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

/// Which lines are asked for. What is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this caller; an empty text means whoever needs no proof.
    pub caller: Option<String>,
    /// Of this api.
    pub api: Option<String>,
    /// Of this version.
    pub version: Option<String>,
    /// Of this operation, by its full name (`orders.v2.createOrder`) or its id (`createOrder`).
    pub operation: Option<String>,
    /// Of this field, by its place in the contract.
    pub field: Option<String>,
    /// Only what is deprecated: fields, and operations that were when they were called.
    pub deprecated: bool,
    /// On this day or later. See [`Filter::last_days`].
    pub since: Option<i64>,
}

/// How one caller used one operation or field, over all days asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The caller's id; `None` for whoever needs no proof.
    pub caller: Option<String>,
    /// The api.
    pub api: String,
    /// Its version.
    pub version: String,
    /// The operation's full name.
    pub operation: String,
    /// The field, by its place in the contract; `None` for the operation itself.
    pub field: Option<String>,
    /// How often.
    pub tally: Tally,
}

/// How many use something, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Users {
    /// Different callers.
    pub callers: usize,
    /// Their calls together.
    pub calls: u64,
}

impl Filter {
    /// The same, of the last so many days, today included.
    #[must_use]
    pub fn last_days(self, days: u32, now: Timestamp) -> Self {
        let since = day(now).saturating_sub(i64::from(days)).saturating_add(1);
        Self { since: Some(since), ..self }
    }
}

impl Reader {
    /// Opens a store that a gateway keeps.
    ///
    /// # Errors
    /// It cannot be read, or is no store.
    pub fn open(file: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let opened = Connection::open_with_flags(file, flags).map_err(StoreError::from);
        let checked = opened.and_then(|connection| store::check(&connection).map(|()| connection));
        let connection = match checked {
            // Who may not write beside a store that nobody has open cannot make the files that WAL wants, and
            // does not need them: nothing changes.
            Err(StoreError::Sqlite(fault)) if is_closed(&fault) => {
                let uri = format!("file:{}?immutable=1", escaped(file));
                let connection = Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI)?;
                store::check(&connection)?;
                connection
            }
            checked => checked?,
        };
        connection.busy_timeout(std::time::Duration::from_secs(2))?;
        Ok(Self { connection })
    }

    /// Reads what this process has written.
    pub(super) fn over(store: Store) -> Self {
        Self { connection: store.into_connection() }
    }

    /// The lines that were asked for, by operation, field and caller.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn lines(&self, filter: &Filter) -> Result<Vec<Line>, StoreError> {
        let (conditions, values) = conditions(filter);
        let query = format!(
            "SELECT caller, api, version, operation, field, sum(calls), sum(refused), sum(deprecated),
             min(first), max(last) FROM use WHERE {conditions}
             GROUP BY caller, operation, field ORDER BY operation, field, caller"
        );
        let mut statement = self.connection.prepare(&query)?;
        let lines = statement.query_map(params_from_iter(values), line)?;
        Ok(lines.collect::<Result<_, _>>()?)
    }

    /// How many callers use an operation, by its full name, or one of its fields.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn users(
        &self,
        operation: &str,
        field: Option<&str>,
        since: Option<i64>,
    ) -> Result<Users, StoreError> {
        let mut users = Users::default();
        let filter = Filter { operation: Some(operation.to_owned()), since, ..Filter::default() };
        for line in self.lines(&filter)?.iter().filter(|line| line.field.as_deref() == field) {
            users.callers = users.callers.saturating_add(1);
            users.calls = users.calls.saturating_add(line.tally.calls);
        }
        Ok(users)
    }

    /// The ids of all callers that are known here.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn callers(&self) -> Result<Vec<String>, StoreError> {
        let mut statement =
            self.connection.prepare("SELECT DISTINCT caller FROM use WHERE caller <> '' ORDER BY 1")?;
        let callers = statement.query_map([], |row| row.get(0))?;
        Ok(callers.collect::<Result<_, _>>()?)
    }
}

/// The conditions of a query, and the values in them.
fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let Filter { caller, api, version, operation, field, deprecated, since } = filter;
    let mut conditions = vec!["1".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    for (column, asked) in [("caller", caller), ("api", api), ("version", version), ("field", field)] {
        if let Some(asked) = asked {
            conditions.push(format!("{column} = ?"));
            values.push(Value::Text(asked.clone()));
        }
    }
    if let Some(operation) = operation {
        conditions.push("(operation = ? OR operation = api || '.' || version || '.' || ?)".to_owned());
        values.extend([Value::Text(operation.clone()), Value::Text(operation.clone())]);
    }
    if *deprecated {
        conditions.push("deprecated > 0".to_owned());
    }
    if let Some(since) = since {
        conditions.push("day >= ?".to_owned());
        values.push(Value::Integer(*since));
    }
    (conditions.join(" AND "), values)
}

fn line(row: &Row<'_>) -> rusqlite::Result<Line> {
    let named =
        |column: usize| row.get(column).map(|text: String| Some(text).filter(|text| !text.is_empty()));
    let count = |column: usize| row.get(column).map(|count: i64| u64::try_from(count).unwrap_or_default());
    let time = |column: usize| {
        row.get(column).map(|time: i64| Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH))
    };
    Ok(Line {
        caller: named(0)?,
        api: row.get(1)?,
        version: row.get(2)?,
        operation: row.get(3)?,
        field: named(4)?,
        tally: Tally {
            calls: count(5)?,
            refused: count(6)?,
            deprecated: count(7)?,
            first: time(8)?,
            last: time(9)?,
        },
    })
}

/// What SQLite says when the files beside a store are not there and cannot be made.
fn is_closed(fault: &rusqlite::Error) -> bool {
    matches!(fault.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly))
}

/// A path in a `file:` URI. RFC 3986 section 3.3.
fn escaped(file: &Path) -> String {
    let mut out = String::new();
    for byte in file.to_string_lossy().bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::super::pending::{Counted, DAY_S};
    use super::*;

    fn count(day: i64, caller: &str, operation: &str, field: &str, deprecated: u64) -> Counted {
        let at = Timestamp::from_second(day * DAY_S).unwrap();
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Counted {
            day,
            caller: some(caller),
            api: "orders".to_owned(),
            version: "v1".to_owned(),
            operation: operation.to_owned(),
            field: some(field),
            tally: Tally { calls: 2, refused: 1, deprecated, first: at, last: at },
        }
    }

    fn reader() -> Reader {
        let mut store = Store::in_memory().unwrap();
        let counts = [
            count(1, "acme", "orders.v1.list", "", 0),
            count(2, "acme", "orders.v1.list", "", 0),
            count(2, "acme", "orders.v1.list", "/note", 2),
            count(2, "", "orders.v1.list", "", 0),
            count(2, "zeta", "orders.v1.list", "", 0),
            count(2, "zeta", "orders.v1.create", "", 2),
        ];
        store.add(&counts, Timestamp::now()).unwrap();
        Reader::over(store)
    }

    #[test]
    fn lines_are_found_by_what_is_asked() {
        let reader = reader();
        let text = |text: &str| Some(text.to_owned());
        for (filter, found) in [
            (Filter::default(), 5),
            (Filter { caller: text("acme"), ..Filter::default() }, 2),
            (Filter { caller: text(""), ..Filter::default() }, 1),
            (Filter { operation: text("list"), ..Filter::default() }, 4),
            (Filter { operation: text("orders.v1.list"), ..Filter::default() }, 4),
            (Filter { operation: text("v1.list"), ..Filter::default() }, 0),
            (Filter { deprecated: true, ..Filter::default() }, 2),
            (Filter { field: text("/note"), ..Filter::default() }, 1),
            (Filter { api: text("stock"), ..Filter::default() }, 0),
            (Filter { version: text("v1' OR 1 --"), ..Filter::default() }, 0),
            (Filter { since: Some(3), ..Filter::default() }, 0),
        ] {
            assert_eq!(reader.lines(&filter).unwrap().len(), found, "{filter:?}");
        }
        let filter = Filter { caller: text("acme"), ..Filter::default() };
        let line = reader.lines(&filter).unwrap().remove(0);
        assert_eq!((line.tally.calls, line.tally.refused), (4, 2));
        assert_eq!(line.tally.last.as_second() - line.tally.first.as_second(), DAY_S);
        assert_eq!(reader.callers().unwrap(), ["acme", "zeta"]);
    }

    #[test]
    fn the_users_of_an_operation_or_field_are_counted() {
        let reader = reader();
        assert_eq!(reader.users("orders.v1.list", None, None).unwrap(), Users { callers: 3, calls: 8 });
        assert_eq!(reader.users("orders.v1.list", None, Some(2)).unwrap(), Users { callers: 3, calls: 6 });
        assert_eq!(
            reader.users("orders.v1.list", Some("/note"), None).unwrap(),
            Users { callers: 1, calls: 2 }
        );
        assert_eq!(reader.users("orders.v1.none", None, None).unwrap(), Users::default());
    }

    #[test]
    fn the_last_days_end_with_today() {
        let now = Timestamp::from_second(10 * DAY_S + 5).unwrap();
        assert_eq!(Filter::default().last_days(1, now).since, Some(10));
        assert_eq!(Filter::default().last_days(7, now).since, Some(4));
    }

    #[test]
    fn a_closed_store_is_read_without_a_place_to_write() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("us age.sqlite");
        let mut store = Store::open(&file, 400).unwrap();
        store
            .add(&[count(20_000, "acme", "a", "", 0)], Timestamp::from_second(20_000 * DAY_S).unwrap())
            .unwrap();
        assert_eq!(Reader::open(&file).unwrap().callers().unwrap(), ["acme"], "while it is open");
        drop(store);
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o500)).unwrap();
        let read = Reader::open(&file).map(|reader| reader.callers().unwrap());
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(read.unwrap(), ["acme"], "and while it is not");
        assert!(Reader::open(&folder.path().join("none")).is_err());
    }
}
