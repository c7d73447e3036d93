//! The store of one gateway: a redb file that one process has open.

use super::record::{self, META, POLICIES, Row, SCHEMA_KEY, TABLES};
use super::{FIRST_SCHEMA, SCHEMA, Store, StoreError, Stored, Write};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError, Durability, ReadableDatabase as _, ReadableTable as _};
use redb::{TableDefinition, WriteTransaction};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How many texts of the policies are kept: the history knows how to come back to former ones.
const POLICY_HISTORY: usize = 1;

/// How many bytes of the file are kept in memory. It is read once, at the start, and what is written are single rows.
const CACHE: usize = 4 << 20;
/// How often somebody who waits for a long load is told that it goes on.
const PROGRESS: Duration = Duration::from_secs(1);

/// State in one file.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    // None after a failed commit: redb then refuses further ones until the file is opened anew.
    database: Option<Database>,
    /// What was there before writes that failed: they may be on the disk for all that.
    doubtful: Before,
}

/// What rows were before they were written, by table and key; `None` where there was none.
type Before = BTreeMap<(record::Table, String), Option<Vec<u8>>>;

impl FileStore {
    /// Opens the state file, or makes an empty one, readable by nobody else.
    ///
    /// # Errors
    /// If it is in use, damaged, or of a newer version, or if the system refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        unless_damaged(path, || {
            if !path.exists() {
                make(path)?;
            }
            let store = Self { path: path.to_owned(), database: Some(open(path)?), doubtful: Before::new() };
            store.check_schema()?;
            Ok(store)
        })
    }

    fn check_schema(&self) -> Result<(), StoreError> {
        let failed = |error| failure(&self.path, error);
        let transaction = self.database()?.begin_write().map_err(|e| failed(e.into()))?;
        let found = self.schema_of(&transaction)?;
        match found {
            Some(SCHEMA) => return Ok(()),
            Some(newer) if newer > SCHEMA => {
                return Err(StoreError::NewerSchema { path: self.path.clone(), found: newer });
            }
            Some(older) if older < FIRST_SCHEMA => return Err(self.damaged(format!("schema {older} never existed"))),
            // What older shapes lack has a default; what is written from now on an older program would misread.
            Some(_) | None => {}
        }
        let row = Row { table: META, key: SCHEMA_KEY.to_owned(), value: Some(SCHEMA.to_string().into_bytes()) };
        let put = || write(&mut transaction.open_table(definition(META))?, &row, &mut Before::new());
        put().map_err(failed)?;
        transaction.commit().map_err(|e| failed(e.into()))
    }

    fn schema_of(&self, transaction: &WriteTransaction) -> Result<Option<u32>, StoreError> {
        let read = || -> Result<Option<Vec<u8>>, redb::Error> {
            let table = transaction.open_table(definition(META))?;
            let value = table.get(SCHEMA_KEY)?;
            Ok(value.map(|value| value.value().to_vec()))
        };
        let value = read().map_err(|error| failure(&self.path, error))?;
        value.map(|value| record::json(&value).map_err(|problem| self.damaged(problem))).transpose()
    }

    fn database(&self) -> Result<&Database, StoreError> {
        self.database.as_ref().ok_or_else(|| StoreError::Io {
            path: self.path.clone(),
            source: io::Error::other("an earlier write failed"),
        })
    }

    /// Closing cleans up in the file, so damage may show here too.
    fn close(&mut self) {
        let database = self.database.take();
        let closed = unless_damaged(&self.path, || {
            drop(database);
            Ok(())
        });
        if let Err(error) = closed {
            tracing::error!(%error, "the state file was not closed well");
        }
    }

    fn damaged(&self, problem: String) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), problem }
    }

    fn read_rows(
        &self,
        mut take: impl FnMut(record::Table, &str, &[u8]) -> Result<(), String>,
    ) -> Result<(), ReadError> {
        let transaction = self.database()?.begin_read().map_err(redb::Error::from)?;
        for table in TABLES {
            let opened = match transaction.open_table(definition(table)) {
                Err(redb::TableError::TableDoesNotExist(_)) => continue,
                other => other.map_err(redb::Error::from)?,
            };
            for entry in opened.iter().map_err(redb::Error::from)? {
                let (key, value) = entry.map_err(redb::Error::from)?;
                let key = key.value();
                take(table, key, value.value())
                    .map_err(|problem| ReadError::Row(format!("table `{}`, key `{key}`: {problem}", table.0)))?;
            }
        }
        Ok(())
    }
}

impl Drop for FileStore {
    fn drop(&mut self) {
        self.close();
    }
}

enum ReadError {
    Store(StoreError),
    Database(redb::Error),
    Row(String),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<redb::Error> for ReadError {
    fn from(error: redb::Error) -> Self {
        Self::Database(error)
    }
}

impl Store for FileStore {
    fn commit(&mut self, batch: &[Write]) -> Result<(), StoreError> {
        let rows = batch.iter().map(record::rows).collect::<Result<Vec<_>, _>>();
        let rows = rows.map_err(|error| StoreError::Io { path: self.path.clone(), source: error.into() })?;
        let path = self.path.clone();
        let written = unless_damaged(&path, || {
            let database = match &mut self.database {
                Some(database) => database,
                // Never made here: a folder without the file is one whose disk is not mounted.
                none => none.insert(open(&path)?),
            };
            let undone = self.doubtful.clone().into_iter().map(|((table, key), value)| Row { table, key, value });
            let rows = undone.chain(rows.into_iter().flatten());
            commit(database, rows, &mut self.doubtful).map_err(|error| failure(&path, error))?;
            self.doubtful.clear();
            Ok(())
        });
        if written.is_err() {
            self.close();
            forget_what_is_cached(&path);
        }
        written
    }

    fn load(&self) -> Result<Stored, StoreError> {
        unless_damaged(&self.path, || {
            let (mut reader, mut said) = (record::Reader::default(), Instant::now());
            let read = self.read_rows(|table, key, value| {
                if said.elapsed() >= PROGRESS {
                    said = Instant::now();
                    tracing::info!(sessions = reader.so_far().sessions.len(), "reading the state");
                }
                reader.take(table, key, value)
            });
            read.map_err(|error| match error {
                ReadError::Store(error) => error,
                ReadError::Database(error) => failure(&self.path, error),
                ReadError::Row(problem) => self.damaged(problem),
            })?;
            reader.finish().map_err(|problem| self.damaged(problem))
        })
    }
}

/// Does something with the file. redb reports most damage as an error, but panics over pages that make no sense.
fn unless_damaged<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it cannot be read");
        Err(StoreError::Damaged { path: path.to_owned(), problem: said.to_owned() })
    })
}

const fn definition(table: record::Table) -> TableDefinition<'static, &'static str, &'static [u8]> {
    TableDefinition::new(table.0)
}

/// What the kernel could not bring to the disk it keeps in memory as if it were there, and a file that is opened anew would
/// be read from that.
fn forget_what_is_cached(path: &Path) {
    // Whatever fails here fails with the next commit, too, and is told then.
    let Ok(file) = fs::File::open(path) else { return };
    let _ = file.sync_data();
    let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
}

/// Notes in `before` what its rows have been, but for those that are noted there already.
fn commit(database: &Database, rows: impl Iterator<Item = Row>, before: &mut Before) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut rows = rows.peekable();
    while let Some(row) = rows.next() {
        let mut table = transaction.open_table(definition(row.table))?;
        write(&mut table, &row, before)?;
        // Very many sessions may end at once, and opening a table takes longer than removing a row.
        while let Some(row) = rows.next_if(|next| next.table == row.table) {
            write(&mut table, &row, before)?;
        }
        drop(table);
        if row.table == POLICIES {
            forget_old_policies(&transaction)?;
        }
    }
    Ok(transaction.commit()?)
}

fn write(
    table: &mut redb::Table<'_, &'static str, &'static [u8]>,
    row: &Row,
    before: &mut Before,
) -> Result<(), redb::Error> {
    let Some(value) = &row.value else {
        // What is removed need not come back: whoever failed to remove it tries again, or takes access away.
        table.remove(row.key.as_str())?;
        return Ok(());
    };
    let former = table.insert(row.key.as_str(), value.as_slice())?.map(|former| former.value().to_vec());
    before.entry((row.table, row.key.clone())).or_insert(former);
    Ok(())
}

fn forget_old_policies(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    let mut table = transaction.open_table(definition(POLICIES))?;
    let keys = table.iter()?.map(|entry| Ok(entry?.0.value().to_owned())).collect::<Result<Vec<_>, redb::Error>>()?;
    for key in keys.iter().rev().skip(POLICY_HISTORY) {
        table.remove(key.as_str())?;
    }
    Ok(())
}

/// Makes an empty state, under another name until all of it is on the disk: a file of this name that is empty, or half
/// made, has lost what was in it.
fn make(path: &Path) -> Result<(), StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !folder.exists() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
    }
    let unfinished = path.with_extension("new");
    let file = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    drop(database(path, file.map_err(io)?)?);
    let rename = || {
        fs::File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, path)?;
        fs::File::open(folder)?.sync_all()
    };
    rename().map_err(io)
}

fn open(path: &Path) -> Result<Database, StoreError> {
    let io = |source| StoreError::Io { path: path.to_owned(), source };
    let file = fs::OpenOptions::new().read(true).write(true).open(path).map_err(io)?;
    // Whatever the mode was before: it holds password hashes.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io)?;
    if file.metadata().map_err(io)?.len() == 0 {
        return Err(StoreError::Damaged { path: path.to_owned(), problem: "it is empty".into() });
    }
    database(path, file)
}

fn database(path: &Path, file: fs::File) -> Result<Database, StoreError> {
    let backend = FileBackend::new(file).map_err(|error| failure(path, error.into()))?;
    Database::builder().set_cache_size(CACHE).create_with_backend(backend).map_err(|error| match error {
        DatabaseError::DatabaseAlreadyOpen => StoreError::InUse(path.to_owned()),
        DatabaseError::UpgradeRequired(version) => {
            StoreError::Damaged { path: path.to_owned(), problem: format!("redb format {version} is not supported") }
        }
        other => failure(path, other.into()),
    })
}

fn failure(path: &Path, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::Error::Io(source) if source.kind() == ErrorKind::StorageFull => StoreError::DiskFull(path),
        redb::Error::Io(source) if source.kind() == ErrorKind::InvalidData => {
            StoreError::Damaged { path, problem: source.to_string() }
        }
        redb::Error::Io(source) => StoreError::Io { path, source },
        redb::Error::Corrupted(problem) => StoreError::Damaged { path, problem },
        other => StoreError::Io { path, source: io::Error::other(other) },
    }
}

#[cfg(test)]
pub(super) fn overwrite(path: &Path, table: &'static str, key: &str, value: &str) {
    let database = open(path).unwrap();
    let row = Row { table: record::Table(table), key: key.to_owned(), value: Some(value.as_bytes().to_vec()) };
    commit(&database, std::iter::once(row), &mut Before::new()).unwrap();
}

#[cfg(test)]
pub(super) fn overwrite_schema(path: &Path, value: &str) {
    overwrite(path, META.0, SCHEMA_KEY, value);
}

#[cfg(test)]
pub(super) fn schema(path: &Path) -> Option<u32> {
    let store = FileStore { path: path.to_owned(), database: Some(open(path).unwrap()), doubtful: Before::new() };
    store.schema_of(&store.database().unwrap().begin_write().unwrap()).unwrap()
}
