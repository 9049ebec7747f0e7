//! PostgreSQL servers for tests, started from what is installed (Debian: `postgresql`), on loopback and without rights.
//!
//! A server ends with its [`Server`], and with the process that started it, however that ends.
#![expect(clippy::expect_used, clippy::panic, reason = "it is for tests, which say what is missing by panicking")]

mod account;
mod keeper;
mod pooler;
mod processes;
mod programs;

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::{Duration, Instant};

use account::Account;
use keeper::{Ends, Keeper};
use tempfile::TempDir;

pub use pooler::Pooler;

/// Longest that a server may take to start or to stop.
const LONGEST: Duration = Duration::from_secs(60);

/// A server with a folder of its own. It is stopped and its folder removed when it is dropped.
#[derive(Debug)]
pub struct Server {
    // It ends before its folder goes.
    keeper: Option<Keeper>,
    folder: TempDir,
    account: Account,
    port: u16,
    settings: String,
}

impl Server {
    /// Makes a cluster and starts its server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed, or does not start: it says what is missing, or what the server's log says.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// As [`start`](Self::start), with lines for its `postgresql.conf`.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(settings: &str) -> Self {
        Self::make(settings, &[])
    }

    fn make(settings: &str, files: &[(&str, &str)]) -> Self {
        let account = Account::find();
        let folder = account.folder();
        let mut server = Self { folder, account, port: free_port(), settings: settings.to_owned(), keeper: None };
        let data = server.data();
        server.run(
            "initdb",
            &["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D", &data],
        );
        for (name, contents) in files {
            server.account.write(&server.folder.path().join("data").join(name), contents);
        }
        server.configure();
        server.begin();
        server
    }

    /// As [`start`](Self::start), with TLS: with this certificate and its key, as PEM.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_tls(certificate: &str, key: &str) -> Self {
        let files = [("tls.crt", certificate), ("tls.key", key)];
        Self::make("ssl = on\nssl_cert_file = 'tls.crt'\nssl_key_file = 'tls.key'", &files)
    }

    /// Makes a standby of this server, which follows it and has its data, and starts it. The server waits for it only
    /// once it is told to: `ALTER SYSTEM SET synchronous_standby_names = '*'` and a reload.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn standby(&self) -> Self {
        let account = Account::find();
        let folder = account.folder();
        let mut standby = Self { folder, account, port: free_port(), settings: self.settings.clone(), keeper: None };
        let source = self.url("postgres");
        standby.run(
            "pg_basebackup",
            &["--no-sync", "-R", "-X", "stream", "-c", "fast", "-d", &source, "-D", &standby.data()],
        );
        standby.configure();
        standby.begin();
        standby
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The URL of a database of this server.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// Runs statements on a database, and returns what they print, values alone.
    ///
    /// # Panics
    /// If one fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        self.run("psql", &["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", &self.url(database), "-c", statements])
    }

    /// Asks a database, again and again, until it is answered so.
    ///
    /// # Panics
    /// If that takes longer than a minute.
    pub fn until(&self, database: &str, statement: &str, expected: &str) {
        self.wait_until(&format!("does not answer {expected} to {statement}"), |server| {
            server.sql(database, statement) == expected
        });
    }

    /// Starts the server again after it was stopped or killed, on the same port.
    ///
    /// # Panics
    /// If it does not start.
    pub fn begin(&mut self) {
        assert!(self.keeper.is_none(), "the server runs");
        let arguments = ["-D", &self.data()];
        self.keeper = Some(Keeper::begin(&self.account, self.folder.path(), Ends::Quit, "postgres", &arguments));
        self.wait_until("does not start", |server| server.is_ready());
    }

    /// Stops the server as an operator does: links are cut, and what was committed is written.
    ///
    /// # Panics
    /// If it does not stop.
    pub fn stop(&mut self) {
        self.run("pg_ctl", &["stop", "-m", "fast", "-w", "-D", &self.data()]);
        drop(self.keeper.take());
    }

    /// Kills all of the server's processes without a word, as a crash of its machine does but for what is not synced.
    ///
    /// # Panics
    /// If it is not running, or does not end.
    pub fn kill(&mut self) {
        let file = fs::read_to_string(self.folder.path().join("data/postmaster.pid")).expect("the server runs");
        let first = file.lines().next().and_then(|line| line.parse().ok()).expect("the server's file has its process");
        let all = processes::with_children(first);
        all.iter().for_each(|process| processes::kill(*process));
        self.wait_until("does not end", |_| !all.iter().any(|process| processes::is_running(*process)));
        drop(self.keeper.take());
    }

    /// Makes a standby a server of its own, which takes writes. Returns once it does.
    ///
    /// # Panics
    /// If it is none, or does not become one.
    pub fn promote(&mut self) {
        self.run("pg_ctl", &["promote", "-w", "-D", &self.data()]);
    }

    /// What the server has logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn data(&self) -> String {
        self.folder.path().join("data").to_string_lossy().into_owned()
    }

    fn configure(&self) {
        let mut lines = String::new();
        let sockets = self.folder.path().display();
        let _ = write!(
            lines,
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{sockets}'\nmax_connections = 200\n\
             shared_buffers = '64MB'\nlog_min_messages = warning\n{}\n",
            self.port, self.settings
        );
        let path = self.folder.path().join("data/postgresql.conf");
        let before = fs::read_to_string(&path).expect("the cluster has settings");
        fs::write(&path, format!("{before}\n{lines}")).expect("settings can be written");
    }

    fn is_ready(&self) -> bool {
        let mut ready = self.account.command(&programs::find("pg_isready"));
        let ready = ready.args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()]).status();
        ready.is_ok_and(|status| status.success())
    }

    fn wait_until(&self, problem: &str, is_so: impl Fn(&Self) -> bool) {
        wait_until(|| is_so(self), || format!("the server {problem}; its log:\n{}", self.log()));
    }

    /// Runs one of PostgreSQL's programs; returns what it prints.
    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = self.account.command(&programs::find(program));
        let output = command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null()).output();
        let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
        let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} failed: {complained}\n{said}\nThe server's log:\n{}", self.log());
        said.trim_end().to_owned()
    }
}

/// Waits for what another process does.
#[expect(clippy::disallowed_methods, reason = "another process tells of nothing: it is asked")]
fn wait_until(is_so: impl Fn() -> bool, problem: impl Fn() -> String) {
    let deadline = Instant::now() + LONGEST;
    while !is_so() {
        assert!(Instant::now() < deadline, "within {LONGEST:?} {}", problem());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port on which nobody listens now.
fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port can be bound");
    listener.local_addr().expect("a listener has an address").port()
}
