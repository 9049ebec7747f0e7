//! What others see of a connection with the VFS: every commit once it has returned, and none in part.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what it finds by panicking")]

mod database;

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use database::{BASES, check, commit, gathering, plain, rounds};
use tempfile::TempDir;

/// How many commits the reader has to look between.
const ROUNDS: i64 = 300;

/// How many rows a commit changes: more than one write of the log takes.
const ROWS: i64 = 40;

#[test]
fn a_reader_sees_every_commit_and_none_in_part() {
    for base in BASES {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("test.db");
        let writer = gathering(&file, base);
        // The log is moved into the file while it is read, and begun again.
        writer.execute_batch("PRAGMA wal_autocheckpoint = 500; PRAGMA cache_size = 20").unwrap();
        commit(&writer, 0, ROWS, 0).unwrap();
        let confirmed = AtomicI64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| watch(&file, base, &confirmed));
            for round in 1..=ROUNDS {
                commit(&writer, 0, ROWS, round).unwrap();
                confirmed.store(round, Ordering::SeqCst);
            }
        });
        check(&writer);
    }
}

fn watch(file: &Path, base: &std::ffi::CStr, confirmed: &AtomicI64) {
    let reader = plain(file, base);
    let mut seen = 0;
    while seen < ROUNDS {
        let least = confirmed.load(Ordering::SeqCst);
        let rounds = rounds(&reader);
        let [(round, ROWS)] = rounds[..] else { panic!("a part of a commit: {rounds:?}") };
        assert!(round >= least.max(seen), "commit {least} was confirmed, and {round} is seen after {seen}");
        seen = round;
    }
}

/// Tells the child which database it writes, and over which VFS.
const DATABASE: &str = "SLIPSTREAM_GATHER_DATABASE";

#[test]
fn what_is_committed_outlives_the_process() {
    if let Some(database) = env::var_os(DATABASE) {
        return write_without_end(Path::new(&database));
    }
    let folder = TempDir::new().unwrap();
    for base in BASES {
        let file = folder.path().join(base.to_str().unwrap());
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["what_is_committed_outlives_the_process", "--exact", "--nocapture", "--quiet"]);
        let mut child = child.env(DATABASE, &file).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let committed = lines.map_while(Result::ok).filter_map(|line| line.parse::<i64>().ok());
        let last = committed.take(100).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let connection = plain(&file, base);
        check(&connection);
        let rounds = rounds(&connection);
        let [(round, ROWS)] = rounds[..] else { panic!("a part of a commit: {rounds:?}") };
        assert!(last == 99 && round >= last, "{round} is left, and {last} was confirmed");
    }
}

/// Commits until it is killed, and prints the number of each commit when it is done.
fn write_without_end(file: &Path) {
    let base = BASES.into_iter().find(|base| file.ends_with(base.to_str().unwrap())).unwrap();
    let connection = gathering(file, base);
    let mut out = std::io::stdout();
    for round in 0.. {
        commit(&connection, 0, ROWS, round).unwrap();
        if writeln!(out, "{round}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
