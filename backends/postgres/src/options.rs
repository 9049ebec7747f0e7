//! How a store is opened.

use std::fmt;
use std::time::Duration;

use slipstream_store::{Result, StoreError};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

use crate::tls::{Authorities, Tls};

/// Longest that connecting may take, unless said otherwise.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// Silence after which a link is asked whether it lives, how often that is repeated, and how many may stay unanswered: a
/// server that is gone without a word is noticed after 25 seconds.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(10), Duration::from_secs(5), 3);

/// Longest that what was sent may stay unacknowledged by the other machine.
const UNACKNOWLEDGED: Duration = Duration::from_secs(25);

/// Where the database is, and how to connect.
///
/// The URL may hold a password. It is in no error, in no log and not in the `Debug` of this.
#[derive(Clone)]
pub struct PostgresOptions {
    config: Config,
    connect_timeout: Duration,
    authorities: Option<Authorities>,
}

impl PostgresOptions {
    /// The options for the database with this URL, `postgres://user:password@host:port/database`, or with these settings
    /// as `libpq` has them.
    ///
    /// # Errors
    /// `Inaccessible` if it is neither. The text does not repeat it.
    pub fn new(url: &str) -> Result<Self> {
        let what = "the URL of the store: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE";
        let mut config: Config = url.parse().map_err(|_| StoreError::Inaccessible(what.to_owned()))?;
        let (idle, interval, retries) = KEEPALIVE;
        config
            .application_name("slipstream")
            .target_session_attrs(TargetSessionAttrs::ReadWrite)
            .keepalives(true)
            .keepalives_idle(idle)
            .keepalives_interval(interval)
            .keepalives_retries(retries)
            .tcp_user_timeout(UNACKNOWLEDGED);
        Ok(Self { config, connect_timeout: CONNECT_TIME, authorities: None })
    }

    /// Sets how long connecting may take, with all that is asked and set at first. It is 10 seconds unless this says
    /// otherwise.
    #[must_use]
    pub fn connect_timeout(mut self, longest: Duration) -> Self {
        self.connect_timeout = longest;
        self
    }

    /// Sets whose certificates are taken for the server's, as PEM. Otherwise they are those that the system trusts.
    ///
    /// The certificate is looked at whenever there is TLS, and so is the name in it. Whether there is to be TLS is said by
    /// `sslmode` in the URL: `require` wants it, `disable` does without, and without either it is taken if the server
    /// offers it.
    ///
    /// # Errors
    /// `Inaccessible` if there is no certificate in it.
    pub fn authorities(mut self, pem: &[u8]) -> Result<Self> {
        self.authorities = Some(Authorities::read(pem)?);
        Ok(self)
    }

    /// What makes TLS of a connection, if there is to be any.
    pub(crate) fn tls(&self) -> Result<Option<Tls>> {
        match (self.config.get_ssl_mode(), &self.authorities) {
            (SslMode::Disable, _) => Ok(None),
            (_, Some(authorities)) => authorities.tls().map(Some),
            (_, None) => Tls::of_system().map(Some),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn longest_connect(&self) -> Duration {
        self.connect_timeout
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .field("connect_timeout", &self.connect_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_shown() {
        let options = PostgresOptions::new("postgres://me:hunter2@localhost:5432/store").unwrap();
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
        for broken in ["postgres://me:hunter2@host:port/x", "hunter2", "password=hunter2 port=x"] {
            let error = PostgresOptions::new(broken).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }
}
