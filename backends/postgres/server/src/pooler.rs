//! A PgBouncer before a server.

use tempfile::TempDir;

use crate::account::Account;
use crate::keeper::{Ends, Keeper};
use crate::{Server, free_port, wait_until};

/// A PgBouncer with a folder of its own. It ends when it is dropped.
#[derive(Debug)]
pub struct Pooler {
    // It ends before its folder goes.
    _keeper: Keeper,
    _folder: TempDir,
    port: u16,
}

impl Server {
    /// Starts a PgBouncer before this server, with this `pool_mode`.
    ///
    /// # Panics
    /// If it is not installed, or does not start.
    #[must_use]
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
        let keeper =
            Keeper::begin(&account, folder.path(), Ends::Term, "pgbouncer", &[file.to_str().expect("a path is text")]);
        let is_there = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        wait_until(is_there, || "PgBouncer does not start".to_owned());
        Pooler { _keeper: keeper, _folder: folder, port }
    }
}

impl Pooler {
    /// The URL of a database behind it.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }
}
