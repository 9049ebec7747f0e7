//! What the settings mean for TLS. No file is opened here.

use std::path::PathBuf;

use super::table::Config;
use crate::tls::{ClientAuthorities, ClientTls, OwnFiles, PemSource, Roots, ServerTlsOptions};

impl Config {
    /// The TLS of the listener, if it speaks it.
    #[must_use]
    pub fn listener_tls(&self) -> Option<ServerTlsOptions> {
        let file = |path: &PathBuf| PemSource::File(path.clone());
        let clients = self.tls_client_ca.as_ref().map(|authorities| ClientAuthorities {
            authorities: file(authorities),
            revoked: self.tls_client_crl.as_ref().map(file),
        });
        Some(ServerTlsOptions { own: own(self.tls_cert.as_ref(), self.tls_key.as_ref())?, clients })
    }

    /// The TLS of the admin port, if it speaks it.
    #[must_use]
    pub fn admin_tls(&self) -> Option<ServerTlsOptions> {
        let own = own(self.metrics_tls_cert.as_ref(), self.metrics_tls_key.as_ref())?;
        Some(ServerTlsOptions { own, clients: None })
    }

    /// The peers that are dialled over TLS: where they stand among all peers, and their certificates.
    pub fn dialled_tls(&self) -> impl Iterator<Item = (usize, &ClientTls)> {
        self.peers.iter().enumerate().filter_map(|(at, peer)| Some((at, peer.target.tls()?)))
    }

    /// The peers whose certificates are not verified.
    pub fn unverified_peers(&self) -> impl Iterator<Item = &crate::dial::DialledPeer> {
        let is_unverified = |tls: &ClientTls| tls.options().roots == Roots::Anybody;
        self.peers.iter().filter(move |peer| peer.target.tls().is_some_and(is_unverified))
    }
}

fn own(certificate: Option<&PathBuf>, key: Option<&PathBuf>) -> Option<OwnFiles> {
    let file = |path: &PathBuf| PemSource::File(path.clone());
    Some(OwnFiles { certificate: file(certificate?), key: file(key?) })
}
