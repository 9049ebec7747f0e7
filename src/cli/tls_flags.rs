//! Whose servers a command takes, and what it shows them: the flags for `wss://` and `https://`.

use std::path::PathBuf;

use clap::Args;

use crate::tls::{ClientTls, ClientTlsOptions, OwnFiles, PemSource, Roots};

/// The certificates of a command.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "TLS (wss://, https://)")]
pub(super) struct TlsFlags {
    /// Takes servers that an authority in this file (PEM) has certified, instead of those that the system trusts.
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Shows this certificate (PEM), with what its authorities have issued below it.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key (PEM) of that certificate.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Takes every server, whoever it is. Whoever stands on the way can read and change everything.
    #[arg(long, conflicts_with = "tls_ca")]
    tls_no_verify: bool,
}

impl TlsFlags {
    /// What they say. Each call reads the files anew.
    ///
    /// # Errors
    /// What is wrong with a file, in words.
    pub(super) fn read(&self) -> Result<ClientTls, String> {
        let tls = ClientTls::new(self.options());
        tls.load().map_err(|fault| fault.to_string())?;
        Ok(tls)
    }

    /// The same, without reading anything before it is needed.
    pub(super) fn unread(&self) -> ClientTls {
        ClientTls::new(self.options())
    }

    fn options(&self) -> ClientTlsOptions {
        let file = |path: &PathBuf| PemSource::File(path.clone());
        let roots = match &self.tls_ca {
            Some(authorities) => Roots::Authorities(file(authorities)),
            None if self.tls_no_verify => Roots::Anybody,
            None => Roots::System,
        };
        let own = self.tls_cert.as_ref().zip(self.tls_key.as_ref());
        let own = own.map(|(certificate, key)| OwnFiles { certificate: file(certificate), key: file(key) });
        ClientTlsOptions { roots, own }
    }
}
