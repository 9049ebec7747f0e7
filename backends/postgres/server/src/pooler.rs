//! A PgBouncer before a server.

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::account::Account;
use crate::{KEEPER, Server, end, free_port, programs};

/// Longest that it may take to start.
const LONGEST: Duration = Duration::from_secs(60);

/// A PgBouncer with a folder of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    _folder: TempDir,
    port: u16,
    keeper: Option<Child>,
}

impl Server {
    /// Starts a PgBouncer before this server, with this `pool_mode`.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "another process tells of nothing: it is asked")]
    pub fn pooler(&self, pool_mode: &str) -> Pooler {
        let (account, port) = (Account::find(), free_port());
        let folder = account.folder();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=postgres\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {pool_mode}\n",
            self.port
        );
        let file = folder.path().join("pgbouncer.ini");
        account.write(&file, &settings);
        let log = fs::File::create(folder.path().join("log")).expect("a log can be written");
        let mut keeper = account.command("/bin/sh".as_ref());
        // A shell has what it begins in the background ignore SIGQUIT, and PgBouncer leaves it at that.
        keeper
            .args(["-c", KEEPER, "keeper"])
            .arg(folder.path())
            .arg("TERM")
            .arg(programs::find("pgbouncer"))
            .arg(&file);
        keeper.stdin(Stdio::piped()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let pooler = Pooler { _folder: folder, port, keeper: Some(keeper.spawn().expect("its process starts")) };
        let deadline = Instant::now() + LONGEST;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not start within {LONGEST:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
        pooler
    }
}

impl Pooler {
    /// The URL of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.take() {
            end(keeper);
        }
    }
}
