//! Which relay a command talks to: `--to` and `--admin`, or the variables that stand in for them.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::Args;

use super::credential::{TokenFlag, token};
use super::failure::Failure;
use super::tls_flags::TlsFlags;
use crate::admin::AdminUrl;
use crate::config::{self, ADMIN_TOKEN, ADMIN_URL, ADMIN_URLS, RELAY_URL};
use crate::link::{Secret, Target};
use crate::tls::ClientTls;

/// A variable of the environment. Set to nothing it counts as not set, as every variable does.
fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// The admin port of a relay: what a flag says, otherwise the variable; and the token that it is shown.
pub(super) fn admin(flag: Option<&str>, tls: ClientTls, token: Option<Secret>) -> Option<AdminUrl> {
    let url = flag.map(str::to_owned).or_else(|| variable(ADMIN_URL))?;
    Some(AdminUrl::new(url, tls, token))
}

/// The admin token of the environment.
///
/// # Errors
/// What is wrong with it, in words that do not repeat it.
pub(super) fn admin_token() -> Result<Option<Secret>, String> {
    token(None, ADMIN_TOKEN)
}

/// The admin port of a running relay.
#[derive(Debug, Clone, Args)]
pub(super) struct AdminFlags {
    /// The relay's admin port, http://HOST:PORT or https://HOST:PORT [SLIPSTREAM_ADMIN_URL; otherwise METRICS_HOST and
    /// METRICS_PORT, 127.0.0.1:8080 by default].
    #[arg(long, value_name = "URL")]
    admin: Option<String>,
    #[command(flatten)]
    pub(super) access: AdminAccess,
}

/// What admin ports are shown.
#[derive(Debug, Clone, Args)]
pub(super) struct AdminAccess {
    /// Shows the relay the token in this file. Without it the token is that in the variable SLIPSTREAM_ADMIN_TOKEN, if that
    /// is set.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsFlags,
}

impl AdminFlags {
    /// Where to ask.
    ///
    /// # Errors
    /// What is wrong with a token or a certificate, in words.
    pub(super) fn read(&self) -> Result<AdminUrl, Failure> {
        let here = || {
            let host = variable("METRICS_HOST").unwrap_or_else(|| "127.0.0.1".to_owned());
            let host = if host.contains(':') { format!("[{host}]") } else { host };
            format!("http://{host}:{}", variable("METRICS_PORT").unwrap_or_else(|| "8080".to_owned()))
        };
        self.access.at(self.admin.clone().or_else(|| variable(ADMIN_URL)).unwrap_or_else(here))
    }
}

impl AdminAccess {
    /// The admin ports of other relays, `ID=URL` each, by id: those that flags name, otherwise those of the variable.
    ///
    /// # Errors
    /// What is wrong with one of them, a token or a certificate, in words.
    pub(super) fn others(&self, flags: &[String]) -> Result<HashMap<String, AdminUrl>, Failure> {
        let variable = variable(ADMIN_URLS).unwrap_or_default();
        let (place, given): (_, Vec<&str>) = match flags {
            [] => (ADMIN_URLS, variable.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect()),
            flags => ("--relay", flags.iter().map(String::as_str).collect()),
        };
        let read = |entry: &str| {
            let expected = || Failure::Misused(format!("{place}: expected ID=URL, such as azure=http://10.1.0.4:8080"));
            let (id, url) = entry.split_once('=').filter(|(id, _)| !id.is_empty()).ok_or_else(expected)?;
            Ok((id.to_owned(), self.at(url.to_owned())?))
        };
        given.into_iter().map(read).collect()
    }

    /// The admin port at this URL.
    ///
    /// # Errors
    /// What is wrong with a token or a certificate, in words.
    pub(super) fn at(&self, url: String) -> Result<AdminUrl, Failure> {
        let tls = if url.starts_with("https") { self.tls.read() } else { Ok(self.tls.unread()) };
        let token = token(self.token_file.as_deref(), ADMIN_TOKEN);
        Ok(AdminUrl::new(url, tls.map_err(Failure::Misused)?, token.map_err(Failure::Misused)?))
    }
}

/// Where a relay takes links.
#[derive(Debug, Clone, Args)]
pub(super) struct RelayUrl {
    /// The relay, ws://HOST:PORT/ or wss://HOST:PORT/ [SLIPSTREAM_URL].
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    #[command(flatten)]
    token: TokenFlag,
    #[command(flatten)]
    tls: TlsFlags,
}

impl RelayUrl {
    /// The URL, which is one that can lead somewhere, and the certificates for it.
    ///
    /// # Errors
    /// What was expected, in words. A secret that the text may hold is not repeated.
    pub(super) fn read(&self) -> Result<(String, ClientTls), String> {
        let expected = || format!("expected --to ws://HOST:PORT/, or the relay's URL in {RELAY_URL}");
        self.read_from(variable(RELAY_URL))?.ok_or_else(expected)
    }

    /// The same; `default` if neither names one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn read_or(&self, default: &str) -> Result<(String, ClientTls), String> {
        Ok(self.read_from(variable(RELAY_URL))?.unwrap_or_else(|| (default.to_owned(), self.tls())))
    }

    /// The certificates for another port of the relay. No file is read before they are needed.
    pub(super) fn tls(&self) -> ClientTls {
        self.tls.unread()
    }

    /// The token for it, if there is one.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub(super) fn token(&self) -> Result<Option<Secret>, String> {
        self.token.read()
    }

    fn read_from(&self, environment: Option<String>) -> Result<Option<(String, ClientTls)>, String> {
        let environment = environment.map(|url| (RELAY_URL, url));
        let Some((place, url)) = self.to.clone().map(|url| ("--to", url)).or(environment) else { return Ok(None) };
        match Target::parse(&url) {
            Ok(target) if target.tls().is_some() => Ok(Some((url, self.tls.read()?))),
            Ok(_) => Ok(Some((url, self.tls()))),
            Err(expected) => Err(format!("{place}: {expected}, got {:?}", config::discreet_url(&url))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flag: Option<&str>, environment: Option<&str>) -> Result<Option<String>, String> {
        let (token, tls) = (TokenFlag::default(), TlsFlags::default());
        let read = RelayUrl { to: flag.map(str::to_owned), token, tls }.read_from(environment.map(str::to_owned));
        read.map(|read| read.map(|(url, _)| url))
    }

    #[test]
    fn the_flag_wins_over_the_variable() {
        assert_eq!(read(Some("ws://a/"), Some("ws://b/")), Ok(Some("ws://a/".to_owned())));
        assert_eq!(read(None, Some("ws://b/")), Ok(Some("ws://b/".to_owned())));
        assert_eq!(read(None, None), Ok(None));
        assert!(read(None, Some("b")).expect_err("refused").starts_with("SLIPSTREAM_URL: expected"));
        assert!(read(Some(""), Some("ws://b/")).expect_err("refused").starts_with("--to: expected"));
    }

    #[test]
    fn a_refused_url_shows_no_secret() {
        for (url, shown) in [
            ("http://host/path", "\"http://host/path\""),
            ("ws://me:hush@host/?token=hush", "\"ws://…@host/?…\""),
            ("me:hush@host", "\"…@host\""),
            ("hostname", "\"hostname\""),
        ] {
            let told = read(Some(url), None).expect_err("refused");
            assert!(told.ends_with(shown) && !told.contains("hush"), "{told}");
        }
    }
}
