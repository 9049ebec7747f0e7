//! The certificates in force: loaded at the start, read again when they change, and watched for their end.

use std::sync::Arc;

use slipstream_store::Timestamp;

use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Fault, Faults};
use crate::reload::Watched;
use crate::tls::{self, ClientTls, PemRole, ServerTls, ServerTlsOptions};

/// The certificates of a relay.
pub(crate) struct Certificates {
    /// Those of the listener, if it speaks TLS.
    pub(crate) listener: Option<Arc<ServerTls>>,
    /// Those of the admin port, if it speaks TLS.
    pub(crate) admin: Option<Arc<ServerTls>>,
    /// Those of the peers that are dialled over TLS.
    dialled: Vec<ClientTls>,
    unverified: u32,
}

impl Certificates {
    /// Loads all that the configuration names.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn load(config: &Config) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let listener = server(config.listener_tls(), of_listener, &mut faults);
        let admin = server(config.admin_tls(), of_admin, &mut faults);
        for (at, tls) in config.dialled_tls() {
            if let Err(fault) = tls.load() {
                faults.push(Fault::new(
                    format!("URL_CONFIG entry {} ({})", at + 1, config.peers[at].alias),
                    fault.to_string(),
                ));
            }
        }
        if !faults.is_empty() {
            return Err(Faults::new(faults));
        }
        let dialled = config.dialled_tls().map(|(_, tls)| tls.clone()).collect();
        let unverified = u32::try_from(config.unverified_peers().count()).unwrap_or(u32::MAX);
        Ok(Self { listener, admin, dialled, unverified })
    }

    /// The files, to be read again when they change.
    #[must_use]
    pub(crate) fn watched(&self) -> Vec<Watched> {
        let listener = self.listener.iter().map(|tls| of_server("listener", tls));
        let admin = self.admin.iter().map(|tls| of_server("admin", tls));
        let dialled = self.dialled.iter().filter(|tls| tls.paths().next().is_some()).map(of_client);
        listener.chain(admin).chain(dialled).collect()
    }

    /// What an operator should know of them, though they can be used.
    #[must_use]
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.watched().iter().flat_map(|watched| (watched.warnings)()).collect()
    }

    /// Records how long they are valid, and how many handshakes wait for them, with the recorder of this thread.
    pub(crate) fn record(&self) {
        let now = SystemClock::new().wall();
        let servers = [("listener", &self.listener), ("admin", &self.admin)];
        for (purpose, tls) in servers.into_iter().filter_map(|(purpose, tls)| Some((purpose, tls.as_ref()?))) {
            tls::record_expiry(purpose, seconds(now, tls.not_after()));
            tls::record_waiting(purpose, tls.waiting());
        }
        if let Some(soonest) = self.dialled.iter().filter_map(ClientTls::not_after).min() {
            tls::record_expiry("dial", seconds(now, soonest));
        }
        tls::record_unverified(self.unverified);
    }
}

/// From one time to another, negative if that was before it.
#[expect(clippy::cast_precision_loss, reason = "a gauge is a float; a millisecond of a date is far from lost")]
fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_millis() as f64 - from.as_millis() as f64) / 1000.0
}

fn server(
    options: Option<ServerTlsOptions>,
    setting: fn(PemRole) -> &'static str,
    faults: &mut Vec<Fault>,
) -> Option<Arc<ServerTls>> {
    match ServerTls::load(options?) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(fault) => {
            faults.push(Fault::new(setting(fault.role), fault.to_string()));
            None
        }
    }
}

/// The setting that names this file of the listener.
fn of_listener(role: PemRole) -> &'static str {
    match role {
        PemRole::Certificate => "SLIPSTREAM_TLS_CERT",
        PemRole::Key => "SLIPSTREAM_TLS_KEY",
        PemRole::Authorities => "SLIPSTREAM_TLS_CLIENT_CA",
        PemRole::Revoked => "SLIPSTREAM_TLS_CLIENT_CRL",
    }
}

/// The setting that names this file of the admin port, which asks no client for a certificate.
fn of_admin(role: PemRole) -> &'static str {
    match role {
        PemRole::Key => "METRICS_TLS_KEY",
        PemRole::Certificate | PemRole::Authorities | PemRole::Revoked => "METRICS_TLS_CERT",
    }
}

fn of_server(purpose: &'static str, tls: &Arc<ServerTls>) -> Watched {
    let (reloaded, seen) = (Arc::clone(tls), Arc::clone(tls));
    Watched {
        purpose,
        paths: tls.paths().map(ToOwned::to_owned).collect(),
        reload: Box::new(move || reloaded.reload(SystemClock::new().wall()).map_err(|fault| fault.to_string())),
        warnings: Box::new(move || seen.warnings(SystemClock::new().wall())),
    }
}

fn of_client(tls: &ClientTls) -> Watched {
    let (reloaded, seen) = (tls.clone(), tls.clone());
    Watched {
        purpose: "dial",
        paths: tls.paths().map(ToOwned::to_owned).collect(),
        reload: Box::new(move || reloaded.reload(SystemClock::new().wall()).map_err(|fault| fault.to_string())),
        warnings: Box::new(move || seen.warnings(SystemClock::new().wall())),
    }
}
