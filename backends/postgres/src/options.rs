//! How a store is opened.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use slipstream_store::{Durability, Result, StoreError};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use crate::address::Address;
use crate::tls::{Authorities, Tls};

/// Longest that connecting may take, unless said otherwise.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Silence after which a link is asked whether it lives, how often that is repeated, and how many may stay unanswered: a
/// server that is gone without a word is noticed after 25 seconds.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// Longest that what was sent may stay unacknowledged by the other machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

/// Least time that connecting to one of several hosts may take.
const LEAST_CONNECT_TIME: Duration = Duration::from_secs(2);

/// Where the database is, and how to connect.
///
/// The URL may hold a password. It is in no error, in no log and not in the `Debug` of this.
#[derive(Clone)]
pub struct PostgresOptions {
    /// One for each host.
    hosts: Arc<[Config]>,
    /// The host that took writes last: it is tried first.
    preferred: Arc<AtomicUsize>,
    connect_timeout: Duration,
    authorities: Option<Authorities>,
    durability: Durability,
    requires_standby: bool,
    must_exist: bool,
}

impl PostgresOptions {
    /// The options for the database with this URL, `postgres://user:password@host:port/database`, or with these settings
    /// as `libpq` has them. With several hosts, `host:port,host:port`, it is that which takes writes.
    ///
    /// # Errors
    /// `Inaccessible` if it is neither, or `sslrootcert` names no file of certificates. The text does not repeat it.
    pub fn new(url: &str) -> Result<Self> {
        let what = "the URL of the store: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE";
        let Address { url, root_certificates } = Address::read(url)?;
        let config: Config = url.parse().map_err(|_| StoreError::Inaccessible(what.to_owned()))?;
        let options = Self {
            hosts: hosts(&config).collect(),
            preferred: Arc::default(),
            connect_timeout: CONNECT_TIME,
            authorities: None,
            durability: Durability::Full,
            requires_standby: false,
            must_exist: false,
        };
        if options.hosts.is_empty() {
            return Err(StoreError::Inaccessible(format!("{what}; it names no host")));
        }
        match root_certificates {
            Some(pem) => options.authorities(&pem),
            None => Ok(options),
        }
    }

    /// Sets how long connecting may take, with all that is asked and set at first. It is 10 seconds unless this says
    /// otherwise. Of several hosts each has its share of it, and at least 2 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, longest: Duration) -> Self {
        self.connect_timeout = longest;
        self
    }

    /// Sets what a commit must survive. With `Full` it is what the server's `synchronous_commit` makes of it; with
    /// `Relaxed` that is off, and a crash of the server loses the last moment.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Commits only while the server waits for a synchronous standby.
    #[must_use]
    pub fn require_standby(mut self) -> Self {
        self.requires_standby = true;
        self
    }

    /// Makes no store where there is none: opening it is `Unsupported` then.
    #[must_use]
    pub fn must_exist(mut self) -> Self {
        self.must_exist = true;
        self
    }

    /// Sets whose certificates are taken for the server's, as PEM. Otherwise they are those of the file that `sslrootcert`
    /// names in the URL, or those that the system trusts.
    ///
    /// The certificate is looked at whenever there is TLS, and so is the name in it. Whether there is to be TLS is said by
    /// `sslmode` in the URL: `require`, `verify-ca` and `verify-full` want it, `disable` does without, and otherwise it is
    /// taken if the server offers it.
    ///
    /// # Errors
    /// `Inaccessible` if there is no certificate in it.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self> {
        self.authorities = Some(Authorities::read(pem)?);
        Ok(self)
    }

    /// What makes TLS of a connection, if there is to be any.
    pub(crate) fn tls(&self, host: &Config) -> Result<Option<Tls>> {
        match (host.get_ssl_mode(), &self.authorities) {
            (SslMode::Disable, _) => Ok(None),
            (_, Some(authorities)) => authorities.tls().map(Some),
            (_, None) => Tls::of_system().map(Some),
        }
    }

    /// The hosts in the order in which they are to be tried, and their numbers.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (usize, &Config)> {
        let first = self.preferred.load(Ordering::Relaxed);
        let (before, after) = self.hosts.split_at(first.min(self.hosts.len()));
        let after = after.iter().enumerate().map(move |(at, host)| (first + at, host));
        after.chain(before.iter().enumerate())
    }

    /// Has the host with this number tried first.
    pub(crate) fn prefer(&self, host: usize) {
        self.preferred.store(host, Ordering::Relaxed);
    }

    /// How long connecting to one host may take.
    pub(crate) fn longest_connect(&self) -> Duration {
        match u32::try_from(self.hosts.len()) {
            Ok(1) | Err(_) => self.connect_timeout,
            Ok(count) => (self.connect_timeout / count.max(1)).max(LEAST_CONNECT_TIME),
        }
    }

    pub(crate) fn asks_for(&self) -> Durability {
        self.durability
    }

    pub(crate) fn requires_standby(&self) -> bool {
        self.requires_standby
    }

    pub(crate) fn may_make(&self) -> bool {
        !self.must_exist
    }
}

/// The same for each host alone. `tokio-postgres` goes over the hosts by itself, but stays for ever with one that accepts a
/// connection and says nothing.
fn hosts(config: &Config) -> impl Iterator<Item = Config> {
    let (hosts, ports) = (config.get_hosts().to_vec(), config.get_ports().to_vec());
    hosts.into_iter().enumerate().map(move |(at, host)| {
        let mut one = Config::new();
        match host {
            Host::Tcp(name) => one.host(name),
            #[cfg(unix)]
            Host::Unix(folder) => one.host_path(folder),
        };
        if let Some(port) = ports.get(at).or(ports.first()) {
            one.port(*port);
        }
        config.get_user().map(|user| one.user(user));
        config.get_password().map(|password| one.password(password));
        config.get_dbname().map(|database| one.dbname(database));
        config.get_options().map(|options| one.options(options));
        let (idle, interval, retries) = KEEPALIVE;
        one.ssl_mode(config.get_ssl_mode())
            .channel_binding(config.get_channel_binding())
            .application_name(config.get_application_name().unwrap_or("slipstream"))
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .keepalives(true)
            .keepalives_idle(idle)
            .keepalives_interval(interval)
            .keepalives_retries(retries)
            .tcp_user_timeout(UNACKNOWLEDGED);
        one
    })
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions").field("place", &self.to_string()).finish_non_exhaustive()
    }
}

/// Where the database is, without who uses it: `postgres://host:5432,host:5432/database`.
impl fmt::Display for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        for (at, host) in self.hosts.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            f.write_str(comma)?;
            match host.get_hosts().first() {
                Some(Host::Tcp(name)) => f.write_str(name)?,
                #[cfg(unix)]
                Some(Host::Unix(folder)) => write!(f, "{}", folder.display())?,
                None => {}
            }
            if let Some(port) = host.get_ports().first() {
                write!(f, ":{port}")?;
            }
        }
        match self.hosts.first().and_then(Config::get_dbname) {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let options = PostgresOptions::new("postgres://me:hunter2@localhost:5432/store").unwrap();
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
        for broken in ["postgres://me:hunter2@host:port/x", "hunter2", "password=hunter2 port=x", "password=hunter2"] {
            let error = PostgresOptions::new(broken).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn each_host_is_tried_and_that_first_which_took_writes() {
        let options = PostgresOptions::new("postgres://me:pw@one:1,two,three:3/store?connect_timeout=9").unwrap();
        assert_eq!(options.to_string(), "postgres://one:1,two:5432,three:3/store");
        let order = |options: &PostgresOptions| options.hosts().map(|(number, _)| number).collect::<Vec<_>>();
        assert_eq!(order(&options), [0, 1, 2]);
        options.prefer(1);
        assert_eq!(order(&options), [1, 2, 0]);
        for (_, host) in options.hosts() {
            assert_eq!(
                (host.get_user(), host.get_password(), host.get_hosts().len()),
                (Some("me"), Some(&b"pw"[..]), 1)
            );
        }
        assert_eq!(options.longest_connect(), Duration::from_secs(10) / 3);
    }
}
