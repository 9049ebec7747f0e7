//! A primary and its synchronous standby, and what befalls them.
//!
//! The standby has a name, which the primary waits for. With `*` it would also wait for, and trust, whoever makes a copy
//! of it just then.

use std::net::SocketAddr;

use slipstream_postgres_server::Server;
use tokio::task::block_in_place;

/// The database of the store.
pub(crate) const NAME: &str = "slipstream";

/// What a standby calls itself.
const STANDBY: &str = "standby";

/// Settings of all servers: a standby that was away finds what it missed, and little is kept otherwise.
const SETTINGS: &str =
    "cluster_name = 'standby'\nwal_keep_size = '256MB'\nmax_wal_size = '128MB'\nmin_wal_size = '32MB'";

/// Two places for servers. In one of them is the primary; in the other the standby, if there is one.
#[derive(Debug)]
pub(crate) struct Database {
    places: [Option<Server>; 2],
    primary: usize,
}

impl Database {
    /// A primary alone.
    pub(crate) fn alone() -> Self {
        block_in_place(|| {
            let server = Server::start_with(SETTINGS);
            server.sql("postgres", &format!("CREATE DATABASE {NAME}"));
            Self { places: [Some(server), None], primary: 0 }
        })
    }

    /// A primary that waits for its standby with each commit.
    pub(crate) fn with_standby() -> Self {
        let mut database = Self::alone();
        database.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"));
        database.add_standby();
        database
    }

    /// Where the server at a place listens, if there is one.
    pub(crate) fn at(&self, place: usize) -> Option<SocketAddr> {
        self.places[place].as_ref().map(Server::address)
    }

    /// The place of the primary.
    pub(crate) fn primary(&self) -> usize {
        self.primary
    }

    /// The place of the standby.
    pub(crate) fn standby(&self) -> usize {
        1 - self.primary
    }

    /// Runs a statement at the primary, and returns what it prints.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let server = self.places[self.primary].as_ref().expect("there is a primary");
        block_in_place(|| server.sql("postgres", statement))
    }

    /// How many processes have the store open, or had it when they were killed.
    pub(crate) fn processes(&self) -> usize {
        let server = self.places[self.primary].as_ref().expect("there is a primary");
        let count = block_in_place(|| server.sql(NAME, "SELECT count(*) FROM slipstream.process"));
        count.parse().expect("a number")
    }

    /// Makes a standby at the place that is free, and waits until the primary waits for it.
    pub(crate) fn add_standby(&mut self) {
        let (primary, place) = (self.primary, self.standby());
        assert!(self.places[place].is_none(), "there is a standby");
        block_in_place(|| {
            let standby = self.places[primary].as_ref().expect("there is a primary").standby();
            self.places[place] = Some(standby);
        });
        self.sql("SELECT pg_reload_conf()");
        self.wait_for_standby();
    }

    /// Kills the primary without a word. What was its place is free then.
    pub(crate) fn lose_primary(&mut self) {
        let primary = self.primary;
        block_in_place(|| {
            let mut server = self.places[primary].take().expect("there is a primary");
            server.kill();
        });
    }

    /// Makes the standby the primary, once the primary is lost.
    pub(crate) fn promote(&mut self) {
        self.primary = self.standby();
        block_in_place(|| self.places[self.primary].as_mut().expect("there is a standby").promote());
    }

    /// Kills the primary and begins it again.
    pub(crate) fn restart_primary(&mut self) {
        let primary = self.primary;
        self.kill(primary);
        self.begin(primary);
        if self.places[self.standby()].is_some() {
            self.wait_for_standby();
        }
    }

    /// Kills the standby, which is begun again later.
    pub(crate) fn kill_standby(&mut self) {
        let standby = self.standby();
        self.kill(standby);
    }

    /// Begins the standby again, and waits until the primary waits for it.
    pub(crate) fn begin_standby(&mut self) {
        let standby = self.standby();
        self.begin(standby);
        self.wait_for_standby();
    }

    fn kill(&mut self, place: usize) {
        block_in_place(|| self.places[place].as_mut().expect("there is a server").kill());
    }

    fn begin(&mut self, place: usize) {
        block_in_place(|| self.places[place].as_mut().expect("there is a server").begin());
    }

    fn wait_for_standby(&self) {
        let server = self.places[self.primary].as_ref().expect("there is a primary");
        let sql = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        block_in_place(|| server.until("postgres", sql, "1"));
    }

    /// What the servers have logged.
    pub(crate) fn logs(&self) -> Vec<String> {
        self.places.iter().flatten().map(Server::log).collect()
    }
}
