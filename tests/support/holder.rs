//! Another program that holds the database of a relay, so that no commit ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that holds a SQLite database until it is dropped.
#[derive(Debug)]
pub struct Holder(Child);

impl Holder {
    /// Starts it, and waits until it holds the database.
    pub fn of(database: &Path) -> Self {
        const HOLD: &str = "import sqlite3, sys, time; \
            database = sqlite3.connect(sys.argv[1]); database.execute('BEGIN IMMEDIATE'); \
            print('held', flush=True); time.sleep(3600)";
        let mut python = Command::new("python3");
        let python = python.args(["-c", HOLD]).arg(database).stdout(Stdio::piped());
        let mut holder = Self(python.spawn().expect("there is python3"));
        let mut said = String::new();
        BufReader::new(holder.0.stdout.take().expect("it is piped")).read_line(&mut said).expect("it says something");
        assert_eq!(said, "held\n");
        holder
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.0.kill().and_then(|()| self.0.wait()).expect("it ends");
    }
}
