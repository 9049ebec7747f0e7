//! A delayed write that fails is told, and its transaction is not there.
#![expect(clippy::unwrap_used, reason = "a test says what it finds by panicking")]

mod database;

use std::path::Path;

use database::disk::{self, Disk};
use database::{BASES, check, commit, gathering, plain, put, rounds};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_WRITE};
use tempfile::TempDir;

fn code(error: &rusqlite::Error) -> i32 {
    error.sqlite_error().unwrap().extended_code
}

/// What the disk does, and what SQLite calls that.
const FAULTS: [(Disk, i32); 5] = [
    (Disk::Room(0), SQLITE_FULL),
    (Disk::Room(10_000), SQLITE_FULL),
    (Disk::Room(200_000), SQLITE_FULL),
    (Disk::Broken(libc::EIO), SQLITE_IOERR_WRITE),
    (Disk::Broken(libc::EDQUOT), SQLITE_IOERR_WRITE),
];

/// How many rows are committed at once: as many as one write takes, and more.
const ROWS: [i64; 2] = [2, 100];

#[test]
fn a_commit_that_cannot_be_written_is_refused_and_leaves_nothing() {
    for (base, (fault, expected)) in BASES.iter().flat_map(|base| FAULTS.map(|fault| (base, fault))) {
        for rows in ROWS {
            let folder = TempDir::new().unwrap();
            let file = folder.path().join("test.db");
            let connection = gathering(&file, base);
            commit(&connection, 0, 100, 1).unwrap();
            disk::set(fault);
            // What has room is not refused.
            let done = (0..50).take_while(|_| commit(&connection, 100, rows, 1).is_ok()).count();
            assert!(done < 50, "{done} commits on a disk that takes so many bytes at most: 200,000");
            for _ in 0..2 {
                let error = commit(&connection, 0, rows, 2).unwrap_err();
                assert_eq!(code(&error), expected, "{error}");
                assert!(connection.is_autocommit());
            }
            let before = rounds(&connection);
            assert!(matches!(before[..], [(1, 100..=200)]), "{before:?}");
            assert_eq!(rounds(&plain(&file, base)), before);
            disk::set(Disk::Good);
            commit(&connection, 50, 150, 3).unwrap();
            let theirs = plain(&file, base);
            assert_eq!(rounds(&theirs), [(1, 50), (3, 150)]);
            check(&theirs);
        }
    }
}

/// In the middle of a transaction that outgrows the cache, in the statement that wants written frames back, too. SQLite
/// undoes such a statement alone if the disk is full, and would commit the others.
#[test]
fn a_transaction_that_has_lost_frames_does_not_commit() {
    let folder = TempDir::new().unwrap();
    for base in BASES {
        for (number, statement) in
            ["UPDATE rows SET round = round + 0", "SELECT sum(length(text)) FROM rows"].iter().enumerate()
        {
            let file = folder.path().join(format!("{}-{number}.db", base.to_str().unwrap()));
            lose_frames(&file, base, statement);
        }
    }
}

fn lose_frames(file: &Path, base: &std::ffi::CStr, statement: &str) {
    let connection = gathering(file, base);
    connection.execute_batch("CREATE UNIQUE INDEX rounds ON rows (round, number); PRAGMA cache_size = 10").unwrap();
    commit(&connection, 0, 30, 1).unwrap();
    let (writes, ()) = disk::writes(|| {
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        put(&connection, 0, 30, 2).unwrap();
    });
    assert_eq!(writes, 0, "all is held back before the disk is full");
    disk::set(Disk::Room(0));
    let read = connection.execute_batch(statement);
    assert_eq!(code(&read.unwrap_err()), SQLITE_FULL);
    // There may be room again right away.
    disk::set(Disk::Good);
    if !connection.is_autocommit() {
        assert_eq!(code(&connection.execute_batch("COMMIT").unwrap_err()), SQLITE_FULL);
        drop(connection.execute_batch("ROLLBACK"));
    }
    assert!(connection.is_autocommit());
    assert_eq!(rounds(&connection), [(1, 30)]);
    commit(&connection, 0, 30, 3).unwrap();
    let theirs = plain(file, base);
    assert_eq!(rounds(&theirs), [(3, 30)]);
    check(&theirs);
}
