//! What a connection with the VFS writes: less often, and the same.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

mod database;

use std::fs;

use database::{BASES, check, commit, disk, gathering, plain, put, rounds};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use slipstream_gather::{LIMIT, over};
use tempfile::TempDir;

/// Head and page of a frame, in bytes.
const FRAME: u64 = 24 + 4096;

#[test]
fn a_commit_is_written_at_once() {
    for base in BASES {
        let folder = TempDir::new().unwrap();
        let [ours, theirs] = ["ours.db", "theirs.db"].map(|name| folder.path().join(name));
        let connections = [gathering(&ours, base), plain(&theirs, base)];
        for count in [1, 20, 300] {
            let pages = connections.each_ref().map(|connection| {
                let log = connection.path().unwrap().to_owned() + "-wal";
                let before = fs::metadata(&log).unwrap().len();
                let writes = disk::writes(|| commit(connection, 0, count, count).unwrap()).0;
                let frames = (fs::metadata(&log).unwrap().len() - before) / FRAME;
                (writes, frames)
            });
            let [(ours, frames), (theirs, same)] = pages;
            assert_eq!((same, theirs), (frames, 2 * frames));
            // What a write leaves room for is less than a frame.
            assert!(ours <= frames.div_ceil(u64::try_from(LIMIT).unwrap() / FRAME), "{ours} writes of {frames} frames");
        }
    }
}

#[test]
fn the_file_becomes_the_same() {
    let folder = TempDir::new().unwrap();
    let written = BASES.map(|base| {
        [over(base).unwrap(), base].map(|vfs| {
            let file = folder.path().join(format!("{}.db", vfs.to_str().unwrap()));
            let connection = if vfs == base { plain(&file, base) } else { gathering(&file, base) };
            work(&connection);
            check(&connection);
            connection.close().unwrap();
            fs::read(file).unwrap()
        })
    });
    let [[gathered, expected], [gathered_alone, expected_alone]] = written;
    assert!(gathered == expected, "the files differ");
    assert!(gathered_alone == expected_alone, "the files differ");
}

/// Transactions that outgrow the cache, savepoints, rollbacks, and the log moved into the file in every way.
fn work(connection: &Connection) {
    connection.execute_batch("PRAGMA cache_size = 10; PRAGMA journal_size_limit = 100000;").unwrap();
    for (round, mode) in (0..).zip(["PASSIVE", "FULL", "RESTART", "TRUNCATE", "PASSIVE", "PASSIVE"]) {
        commit(connection, 0, 50, round).unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        put(&transaction, 0, 40, 100 + round).unwrap();
        assert_eq!(rounds(&transaction), [(round, 10), (100 + round, 40)]);
        transaction.execute_batch("SAVEPOINT inner").unwrap();
        put(&transaction, 0, 100, 200 + round).unwrap();
        assert_eq!(rounds(&transaction), [(200 + round, 100)]);
        transaction.execute_batch("ROLLBACK TO inner").unwrap();
        assert_eq!(rounds(&transaction), [(round, 10), (100 + round, 40)]);
        // Frames of this transaction are written over.
        put(&transaction, 20, 20, 300 + round).unwrap();
        transaction.commit().unwrap();
        let transaction = connection.unchecked_transaction().unwrap();
        put(&transaction, 0, 60, 400 + round).unwrap();
        transaction.rollback().unwrap();
        assert_eq!(rounds(connection), [(round, 10), (100 + round, 20), (300 + round, 20)]);
        let checkpoint = format!("PRAGMA wal_checkpoint({mode})");
        let moved = connection.query_row(&checkpoint, [], |row| row.get::<_, i64>(0));
        assert_eq!(moved.unwrap(), 0, "{mode}");
    }
    connection.execute_batch("DELETE FROM rows WHERE number % 3 = 0; VACUUM;").unwrap();
}

#[test]
fn what_was_rolled_back_does_not_come_down_on_another_connections_frames() {
    for base in BASES {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("test.db");
        let ours = gathering(&file, base);
        let theirs = plain(&file, base);
        ours.execute_batch("PRAGMA cache_size = 10").unwrap();
        commit(&ours, 0, 20, 1).unwrap();
        let transaction = ours.unchecked_transaction().unwrap();
        put(&transaction, 0, 35, 2).unwrap();
        transaction.rollback().unwrap();
        commit(&theirs, 0, 20, 3).unwrap();
        assert_eq!(rounds(&ours), [(3, 20)]);
        commit(&ours, 20, 20, 4).unwrap();
        drop(ours);
        assert_eq!(rounds(&theirs), [(3, 20), (4, 20)]);
        check(&theirs);
    }
}

#[test]
fn a_log_that_is_left_at_closing_is_whole() {
    for base in BASES {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("test.db");
        let connection = gathering(&file, base);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).unwrap();
        commit(&connection, 0, 20, 1).unwrap();
        connection.close().unwrap();
        assert!(fs::metadata(folder.path().join("test.db-wal")).unwrap().len() > 0);
        let connection = plain(&file, base);
        assert_eq!(rounds(&connection), [(1, 20)]);
        check(&connection);
    }
}

/// SQLite 3.54 asks for neither while something is held back.
#[test]
fn measuring_and_truncating_come_after_what_was_written_before() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("test.db");
    let connection = gathering(&file, c"unix");
    connection.execute_batch("PRAGMA cache_size = 10").unwrap();
    commit(&connection, 0, 1, 1).unwrap();
    let before = disk::size(&connection);
    let transaction = connection.unchecked_transaction().unwrap();
    put(&transaction, 0, 20, 2).unwrap();
    assert!(disk::size(&transaction) > before);
    put(&transaction, 20, 10, 2).unwrap();
    disk::truncate(&transaction);
    transaction.rollback().unwrap();
    assert_eq!(disk::size(&connection), 0);
}

/// SQLite then fills a sector up after the sync, and tells the index of that too.
#[test]
fn nothing_is_held_back_where_a_torn_write_harms_its_neighbours() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("test.db");
    drop(plain(&file, c"unix"));
    let uri = format!("file:{}?psow=0", file.to_str().unwrap());
    let vfs = over(c"unix").unwrap();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags_and_vfs(uri, flags, vfs).unwrap();
    let (writes, ()) = disk::writes(|| commit(&connection, 0, 20, 1).unwrap());
    assert!(writes > 40, "{writes} writes");
    let theirs = plain(&file, c"unix");
    assert_eq!(rounds(&theirs), [(1, 20)]);
}

/// `unix-excl` keeps the index in memory, where no other process finds it.
#[test]
fn the_index_of_the_log_is_where_the_base_keeps_it() {
    let folder = TempDir::new().unwrap();
    for base in BASES {
        let file = folder.path().join(base.to_str().unwrap());
        let [_ours, _theirs] = [gathering, plain].map(|open| open(&file, base));
        let is_a_file = file.with_file_name(format!("{}-shm", base.to_str().unwrap())).exists();
        assert_eq!(is_a_file, base == c"unix", "{base:?}");
    }
}

#[test]
fn a_vfs_that_is_not_there_is_named() {
    let error = over(c"nowhere").unwrap_err().to_string();
    assert_eq!(error, "no VFS is named nowhere");
    assert_eq!(over(c"unix").unwrap(), over(c"unix").unwrap());
}
