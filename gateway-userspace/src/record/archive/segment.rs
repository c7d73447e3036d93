//! A segment of the archive: an SQLite file. The open one is appended to, has no index, and is read by others meanwhile;
//! a sealed one has indexes and never changes again.

use super::row::{COLUMNS, Cell, Row, Stored, micros};
use crate::record::kind::Kind;
use crate::record::line::Record;
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use time::OffsetDateTime;

/// The layout; in the header of the file (`PRAGMA user_version`).
const LAYOUT: i64 = 1;
/// What the file is of (`PRAGMA application_id`): `PCR1`.
const APPLICATION: i64 = 0x5043_5231;
/// What others may hold a segment for.
const PATIENCE: Duration = Duration::from_millis(500);
/// SQLite's way to files that belong to one process.
const OWN: &str = "unix-excl";
/// So many different texts are kept in memory; with more of them, the next segment begins.
pub(super) const MOST_NAMES: usize = 100_000;

/// Every other column takes whatever it is given: that of an address is a number or 16 bytes.
const TABLES: &str = "
CREATE TABLE segment(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
";
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS by_user ON record(user) WHERE user IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_app ON record(app) WHERE app IS NOT NULL;
CREATE INDEX IF NOT EXISTS by_reason ON record(reason) WHERE reason IS NOT NULL;
";
const VIEW: &str = include_str!("view.sql");

/// The segment that is appended to.
pub(super) struct Segment {
    /// None while nothing is written: then no file is held open, and its disk can be unmounted.
    connection: Option<Connection>,
    pub(super) path: PathBuf,
    pub(super) begun: OffsetDateTime,
    pub(super) extent: Extent,
    /// Device and number of the file.
    place: Option<(u64, u64)>,
    names: HashMap<String, i64>,
}

/// What a segment holds: the sequence numbers and the times of its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Extent {
    /// The number of its first record, also while there is none.
    pub(super) first: u64,
    /// The number of the record that comes next.
    pub(super) next: u64,
    /// The earliest time, in microseconds since 1970; greater than `latest` while there is no record.
    pub(super) earliest: i64,
    /// The latest one.
    pub(super) latest: i64,
}

impl Extent {
    /// Nothing yet.
    pub(super) const fn from(first: u64) -> Self {
        Self { first, next: first, earliest: i64::MAX, latest: i64::MIN }
    }

    /// How many records.
    pub(super) const fn records(&self) -> u64 {
        self.next - self.first
    }
}

/// What became of records that were to be appended.
#[derive(Default, Debug)]
pub(super) struct Appended {
    /// Those that no segment takes; the others are there.
    pub(super) refused: Vec<Kind>,
}

/// Why a segment could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SegmentError {
    /// SQLite, or the system, says so.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// It is not where it was.
    #[error("its file is not there any more, or another one")]
    Gone,
    /// It was only begun to be made.
    #[error("it was only begun to be made")]
    Unmade,
    /// It is a database, and no segment that this version knows.
    #[error("its layout is {0}, and not {LAYOUT}")]
    Layout(i64),
    /// SQLite has looked at all of it.
    #[error("{0}")]
    Unsound(String),
}

impl SegmentError {
    /// Whether the file itself is damaged.
    pub(super) fn is_damage(&self) -> bool {
        let code = match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Unmade | Self::Gone => return false,
            Self::Layout(_) | Self::Unsound(_) => return true,
        };
        matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
    }

    /// Whether it would be the same the next time: the system would let it be read, and it is not what it should be.
    pub(super) fn is_lasting(&self) -> bool {
        let code = match self {
            Self::Sql(error) => error.sqlite_error_code(),
            Self::Unmade | Self::Gone => return false,
            Self::Layout(_) | Self::Unsound(_) => return true,
        };
        !matches!(
            code,
            Some(
                ErrorCode::SystemIoFailure
                    | ErrorCode::DiskFull
                    | ErrorCode::DatabaseBusy
                    | ErrorCode::DatabaseLocked
                    | ErrorCode::CannotOpen
                    | ErrorCode::ReadOnly
                    | ErrorCode::PermissionDenied
                    | ErrorCode::OutOfMemory
                    | ErrorCode::OperationInterrupted
                    | ErrorCode::OperationAborted
                    | ErrorCode::FileLockingProtocolFailed
            )
        )
    }
}

/// Whether nothing but this one record is the matter.
fn is_of_the_record(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::TooBig | ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch)
    )
}

/// Opens a segment to read it. A sealed one is open to everybody; others are this process's alone, see [`write`].
pub(super) fn read(path: &Path, is_sealed: bool) -> Result<Connection, SegmentError> {
    let connection = if is_sealed {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags(path, flags)?
    } else {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        Connection::open_with_flags_and_vfs(path, flags, OWN)?
    };
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch("PRAGMA trusted_schema=OFF; PRAGMA cache_size=-4096; PRAGMA query_only=ON")?;
    check_layout(&connection)?;
    Ok(connection)
}

/// Opens a segment to change it. No other process may have it meanwhile: only then SQLite keeps the index of its log in memory
/// of its own. Otherwise it maps a file, and where the disk is full the system kills whoever writes there.
fn write(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, OWN)?;
    connection.busy_timeout(PATIENCE)?;
    connection.execute_batch(
        "PRAGMA trusted_schema=OFF; PRAGMA cache_size=-8192; PRAGMA temp_store=MEMORY; PRAGMA synchronous=FULL",
    )?;
    Ok(connection)
}

/// Makes the file, if it is not there: it names people, and others may not read it. What SQLite puts beside it is like it.
/// One that is there is not touched: whoever closes a file gives up the locks that SQLite has on it.
fn make_file(path: &Path) {
    // If that is not possible, SQLite says so.
    let _ = OpenOptions::new().create_new(true).append(true).mode(0o640).open(path);
}

fn place(path: &Path) -> Option<(u64, u64)> {
    path.metadata().ok().map(|file| (file.dev(), file.ino()))
}

fn layout(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn check_layout(connection: &Connection) -> Result<(), SegmentError> {
    match layout(connection)? {
        LAYOUT => Ok(()),
        0 if connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))? == 0 => {
            Err(SegmentError::Unmade)
        }
        other => Err(SegmentError::Layout(other)),
    }
}

/// What a segment holds, and whether it is sealed.
pub(super) fn look(path: &Path, first: u64) -> Result<(Extent, bool), SegmentError> {
    let connection = read(path, false)?;
    let told = |key: &str| {
        let value = connection.query_row("SELECT value FROM segment WHERE key = ?1", [key], |row| row.get::<_, i64>(0));
        value.optional()
    };
    if let (Some(last), Some(earliest), Some(latest)) = (told("last")?, told("earliest")?, told("latest")?) {
        let next = u64::try_from(last).unwrap_or(first).saturating_add(1);
        return Ok((Extent { first, next, earliest, latest }, true));
    }
    Ok((extent(&connection, first)?, false))
}

fn extent(connection: &Connection, first: u64) -> rusqlite::Result<Extent> {
    let look = "SELECT max(sequence), min(time), max(time) FROM record";
    let found = connection.query_row(look, [], |row| {
        Ok((row.get::<_, Option<i64>>(0)?, row.get::<_, Option<i64>>(1)?, row.get::<_, Option<i64>>(2)?))
    })?;
    let mut extent = Extent::from(first);
    if let (Some(last), Some(earliest), Some(latest)) = found {
        let next = u64::try_from(last).unwrap_or(first).saturating_add(1).max(first);
        extent = Extent { first, next, earliest, latest };
    }
    Ok(extent)
}

/// Makes indexes, writes down what the segment holds, and makes it one file that never changes again.
pub(super) fn seal(path: &Path, first: u64) -> Result<(), SegmentError> {
    let connection = write(path)?;
    check_layout(&connection)?;
    let Extent { next, earliest, latest, .. } = extent(&connection, first)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(INDEXES)?;
    let last = i64::try_from(next).unwrap_or(i64::MAX) - 1;
    for (key, value) in [("last", last), ("earliest", earliest), ("latest", latest)] {
        connection.execute("INSERT OR REPLACE INTO segment VALUES(?1, ?2)", params![key, value])?;
    }
    connection.execute_batch("COMMIT")?;
    // Whoever reads it now keeps it in two files; the next start tries again.
    let _ = connection.pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()));
    Ok(())
}

impl Segment {
    /// Opens the segment whose first record has this number, or makes it. One that was only begun to be made is made.
    pub(super) fn open(path: &Path, first: u64, now: OffsetDateTime) -> Result<Self, SegmentError> {
        make_file(path);
        let connection = write(path)?;
        match check_layout(&connection) {
            Ok(()) => {}
            Err(SegmentError::Unmade) => {
                make(&connection, first, now)?;
                let (extent, names) = (Extent::from(first), HashMap::new());
                return Ok(Self {
                    connection: Some(connection),
                    path: path.into(),
                    begun: now,
                    extent,
                    place: place(path),
                    names,
                });
            }
            Err(error) => return Err(error),
        }
        let sound = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0))?;
        if sound != "ok" {
            return Err(SegmentError::Unsound(sound));
        }
        let begun = "SELECT value FROM segment WHERE key = 'begun'";
        let begun = super::row::moment(connection.query_row(begun, [], |row| row.get(0))?);
        let extent = extent(&connection, first)?;
        let names = {
            let mut all = connection.prepare("SELECT text, id FROM name")?;
            let names = all.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            names.collect::<rusqlite::Result<_>>()?
        };
        Ok(Self { connection: Some(connection), path: path.into(), begun, extent, place: place(path), names })
    }

    /// How many different texts it holds.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// How large it is, with what SQLite keeps beside it.
    pub(super) fn size(&self) -> u64 {
        super::catalog::size(&self.path)
    }

    /// Whether what is written arrives where it is looked for: the file may have been removed, or its disk unmounted.
    pub(super) fn is_in_place(&self) -> bool {
        self.place.is_some() && self.place == place(&self.path)
    }

    /// Closes the file until there is something to append.
    pub(super) fn rest(&mut self) {
        self.connection = None;
    }

    /// Appends records, all in one transaction: when this returns they are on the disk. After an error none of them is there,
    /// and the segment has to be opened anew.
    pub(super) fn append(&mut self, records: &[Arc<Record>]) -> Result<Appended, SegmentError> {
        if self.connection.is_none() && !self.is_in_place() {
            return Err(SegmentError::Gone);
        }
        let Self { connection, names, path, .. } = self;
        let connection = match connection {
            Some(connection) => connection,
            None => connection.insert(write(path)?),
        };
        let (mut appended, mut extent) = (Appended::default(), self.extent);
        connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut insert = connection.prepare_cached(&insertion())?;
        let mut row = Row::default();
        for record in records {
            row.fill(record);
            match bound(connection, &mut insert, names, extent.next, &row) {
                Ok(()) => extent = grown(extent, micros(record.time)),
                Err(error) if is_of_the_record(&error) => appended.refused.push(record.kind()),
                Err(error) => return Err(error.into()),
            }
        }
        drop(insert);
        connection.execute_batch("COMMIT")?;
        self.extent = extent;
        Ok(appended)
    }
}

fn make(connection: &Connection, first: u64, now: OffsetDateTime) -> rusqlite::Result<()> {
    let columns = COLUMNS.map(|name| if name == "line" { "line TEXT" } else { name }).join(", ");
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.execute_batch(TABLES)?;
    connection.execute_batch(&format!("CREATE TABLE record(sequence INTEGER PRIMARY KEY, {columns});"))?;
    connection.execute_batch(VIEW)?;
    let begun = micros(now);
    connection
        .execute("INSERT INTO segment VALUES('first', ?1), ('begun', ?2)", params![first.cast_signed(), begun])?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", LAYOUT)?;
    connection.execute_batch("COMMIT")
}

fn grown(extent: Extent, time: i64) -> Extent {
    let Extent { first, next, earliest, latest } = extent;
    Extent { first, next: next + 1, earliest: earliest.min(time), latest: latest.max(time) }
}

fn insertion() -> String {
    let places: Vec<String> = (1..=COLUMNS.len() + 1).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO record VALUES({})", places.join(", "))
}

fn bound(
    connection: &Connection,
    insert: &mut CachedStatement<'_>,
    names: &mut HashMap<String, i64>,
    sequence: u64,
    row: &Row<'_>,
) -> rusqlite::Result<()> {
    insert.clear_bindings();
    insert.raw_bind_parameter(1, sequence.cast_signed())?;
    for (at, cell) in &row.0 {
        let place = at + 2;
        match cell {
            Cell::Number(number) => insert.raw_bind_parameter(place, *number)?,
            Cell::Name(text) => insert.raw_bind_parameter(place, id(connection, names, text)?)?,
            Cell::Names(list) => {
                let list = serde_json::to_string(list).unwrap_or_default();
                insert.raw_bind_parameter(place, id(connection, names, &list)?)?;
            }
            Cell::Address(address) => insert.raw_bind_parameter(place, Stored(*address))?,
            Cell::Text(text) => insert.raw_bind_parameter(place, text)?,
        }
    }
    insert.raw_execute().map(drop)
}

/// The number of a text, new or known.
fn id(connection: &Connection, names: &mut HashMap<String, i64>, text: &str) -> rusqlite::Result<i64> {
    if let Some(id) = names.get(text) {
        return Ok(*id);
    }
    let id = i64::try_from(names.len()).unwrap_or(i64::MAX).saturating_add(1);
    connection.prepare_cached("INSERT INTO name VALUES(?1, ?2)")?.execute(params![id, text])?;
    names.insert(text.to_owned(), id);
    Ok(id)
}
