//! Opening LMDB's environment: the map of a file, and its tables.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions, Error, MdbError, WithoutTls};
use slipstream_embedded::{Table, beside};
use slipstream_store::{Durability, Result, StoreError};

use crate::place::LOCK;
use crate::tables::{Database, Databases, MARK, SCHEMA_VERSION, UNPACKED};
use crate::{fault, room};

/// An open environment, whose views may be several in one thread.
pub(crate) type Environment = heed::Env<WithoutTls>;

/// The largest map, in bytes; the file can become as large. It is address space only: memory and disk are taken as
/// the file grows.
const LARGEST_MAP: usize = 1 << 40;

/// The smallest map that is tried if the system refuses a larger one, in bytes.
const SMALLEST_MAP: usize = 1 << 30;

/// More than LMDB's lock file has, in bytes.
const LOCK_BYTES: u64 = 16 << 10;

/// Most views at a time: the readers have one each, and the writer one for each read within a read.
const VIEWS: u32 = 32;

/// The name of LMDB's table of the messages in version 1.
const MESSAGES: &str = "messages";

/// Maps the file, with as large a map as the system gives.
pub(crate) fn map(file: &Path, durability: Durability) -> Result<Environment> {
    let durability = match durability {
        // The pages are synced, and then the page that names them: two syncs for a commit.
        Durability::Full => EnvFlags::empty(),
        // The page that names them is synced with the pages of the next commit: a power cut may take the last commit.
        Durability::Relaxed => EnvFlags::NO_META_SYNC,
    };
    let tables = u32::try_from(Table::ALL.len() + 1).unwrap_or(u32::MAX);
    make_lock(file)?;
    let mut size = LARGEST_MAP;
    loop {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(size).max_readers(VIEWS).max_dbs(tables);
        #[expect(unsafe_code, reason = "a mapped file changes under the program when another writes to it")]
        // SAFETY: What is mapped is written by LMDB only; `Room` makes the file longer and touches none of its bytes.
        // Whoever opens the store holds its `StoreLock`, so that no other process of Slipstream and no second opening
        // in this one has the file mapped, and heed refuses to open a file twice in a process. LMDB's own lock file stays
        // in use and keeps LMDB's other programs apart. That the file is on a local disk, and that nobody writes into it
        // by other means, is asked for in `docs/lmdb.md`; what was damaged before is looked for by `inspect::is_store`.
        // Of the flags, `NO_SUB_DIR` says what the path names, and `NO_META_SYNC` keeps what is on the disk whole.
        let opened = unsafe { options.flags(EnvFlags::NO_SUB_DIR | durability).open(file) };
        match opened {
            // The process may have a limit on its address space, or the processor less of it.
            Err(Error::Io(error)) if error.kind() == ErrorKind::OutOfMemory => {
                if size <= SMALLEST_MAP {
                    let wanted = format!("expected {SMALLEST_MAP} bytes of address space to map {}", file.display());
                    return Err(StoreError::Busy(format!("{wanted}: {error}")));
                }
                size /= 2;
            }
            opened => return opened.map_err(|error| fault::about(file, fault::reading(&error))),
        }
    }
}

/// Takes room for LMDB's lock file, which it maps: if the disk has none, the process would be killed (SIGBUS).
fn make_lock(file: &Path) -> Result<()> {
    let lock = beside(file, LOCK);
    let made = File::options().write(true).create(true).truncate(false).mode(0o600).open(&lock);
    let made = made.and_then(|lock| room::take(&lock, 0, LOCK_BYTES));
    made.map_err(|error| fault::system(&error, format!("taking room for {}: {error}", lock.display())))
}

/// The tables of a store that is there; those that an earlier version did not have are made.
pub(crate) fn open_tables(environment: &Environment, file: &Path) -> Result<Databases> {
    if let Some(databases) = find_tables(environment, file)? {
        return Ok(databases);
    }
    add_tables(environment).map_err(|error| fault::reading(&error))?;
    find_tables(environment, file)?.ok_or_else(|| unmarked(file))
}

/// The tables of a store that is there; nothing if it lacks those of later versions.
fn find_tables(environment: &Environment, file: &Path) -> Result<Option<Databases>> {
    let view = environment.read_txn().map_err(|error| fault::reading(&error))?;
    let opened = environment.open_databases_and_commit(view, |tables, view| -> heed::Result<_> {
        let marks: Option<Database<'_>> = tables.open_database(view, None)?;
        let Some(marks) = marks else { return Ok(CommitOrAbort::Abort(Some(unmarked(file)))) };
        let version = match marks.get(view, MARK)? {
            None => return Ok(CommitOrAbort::Abort(Some(unmarked(file)))),
            Some(bytes) => bytes.try_into().map_or(0, u32::from_be_bytes),
        };
        if ![SCHEMA_VERSION, UNPACKED].contains(&version) {
            let expected = format!("expected version {SCHEMA_VERSION} of the tables");
            let why = format!("{}: {expected}, got {version}", file.display());
            return Ok(CommitOrAbort::Abort(Some(StoreError::Unsupported(why))));
        }
        let table = |name: &str| tables.open_database(view, Some(name));
        let missing = Error::Mdb(MdbError::NotFound);
        let unpacked = if version == UNPACKED { table(MESSAGES)? } else { None };
        let mut rows = [marks; Table::ALL.len()];
        for (row, table_of) in rows.iter_mut().zip(Table::ALL) {
            *row = match table(table_of.name())? {
                Some(found) => found,
                None if table_of.may_be_missing() => return Ok(CommitOrAbort::Abort(None)),
                None => return Err(missing),
            };
        }
        Ok(CommitOrAbort::Commit((rows, marks, unpacked)))
    });
    match opened.map_err(|error| fault::reading(&error))? {
        CommitOrAbort::Commit((rows, marks, unpacked)) => Ok(Some(Databases { unpacked, rows, marks })),
        CommitOrAbort::Abort(None) => Ok(None),
        CommitOrAbort::Abort(Some(why)) => Err(why),
    }
}

/// Makes the tables that a store of an earlier version lacks.
fn add_tables(environment: &Environment) -> heed::Result<()> {
    let transaction = environment.write_txn()?;
    let made = environment.create_databases_and_commit(transaction, |tables, transaction| -> heed::Result<_> {
        for table in Table::ALL.into_iter().filter(|table| table.may_be_missing()) {
            let _: Database<'_> = tables.create_database(transaction, Some(table.name()))?;
        }
        Ok(CommitOrAbort::<(), ()>::Commit(()))
    });
    made.map(drop)
}

/// What a file of LMDB is that has not the mark of a store. A copy whose first pages are older than others looks like it.
fn unmarked(file: &Path) -> StoreError {
    StoreError::Corrupted(format!(
        "{}: an LMDB file without the mark of a store: a copy that is torn or incomplete, or another program's",
        file.display()
    ))
}
